//! The terminal interface of Cairn: views in, intents out.
//!
//! [`App`] is a value: [`App::update`] is the only place where it changes, [`draw`] turns it into cells.
//! Neither reads a clock, a file or a channel. [`terminal`] is the only part that touches the terminal:
//! it turns bytes into messages, cells into bytes, and leaves the terminal as it found it.
//!
//! The interface never reads or writes the store. A [`terminal::Host`] hands it
//! [`Snapshot`](cairn_store_layout::view::Snapshot)s and carries out its [`Intent`]s.

mod app;
mod config;
mod detail;
mod draw;
mod key;
mod keymap;
mod msg;
#[cfg(feature = "samples")]
pub mod samples;
pub mod terminal;
mod text;

pub use app::App;
pub use config::{Charset, Config, Theme};
pub use draw::{draw, draw_cursor};
pub use key::Key;
pub use keymap::{Action, Binding, Scope, TABLE, keys_markdown};
pub use msg::{Edited, EventLine, Intent, Millis, Msg, RunDetail};
