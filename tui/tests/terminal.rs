//! The real runtime on a real terminal: bytes out, restored on every way out.
