//! The real program in a real terminal: `cairn` under tmux, driven by keys, seen as text.
//!
//! Each test has a store, a home and a tmux server of its own. What a test claims about a decision it reads
//! from the store, not from the screen alone. Without tmux each test prints that it was skipped and passes.

mod decisions;
mod life;
mod screens;
mod support;
mod terminal;
