//! The interface from outside: keys in, intents and frames out.

mod decisions;
mod family;
mod helpers;
mod keys;
mod properties;
mod screens;
mod terminal;
