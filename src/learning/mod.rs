//! What may be learned, and by whose leave.
//!
//! A step or a model only proposes. A rule of `policies/memory.toml` accepts what it is about; everything else
//! waits for a person. What is known already is not proposed again.

pub(crate) mod accept;
pub(crate) mod entity_change;
pub(crate) mod kinds;
pub(crate) mod knowledge_file;
pub(crate) mod propose;
pub(crate) mod tidy;
