//! Killing the real program: `kill -9` at random instants, then an ordinary start.
//!
//! After each kill the next kernel must go on by itself: no completed step is lost or done twice, nothing
//! leaves twice, and the store passes `cairn verify` and `git fsck`. The instants come from a seed, printed
//! with every failure; `CAIRN_SEED` repeats it, `CAIRN_KILLS=10` makes it ten times as long, `CAIRN_BIN`
//! names another build of the program.

mod bench;
mod demo;
mod lossy;
mod sink;
