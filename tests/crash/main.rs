//! Killing the real program: `kill -9` at random instants of the demo, then an ordinary start.
//!
//! After each kill the next kernel must go on by itself: no completed step is lost or done twice, no
//! letter is sent twice, and the store passes `cairn verify` and `git fsck`. The instants come from a
//! seed, printed with every failure; `CAIRN_SEED` repeats it.

mod crash;
