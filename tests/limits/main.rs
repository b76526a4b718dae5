//! The store at its limits: maintenance that is killed, disks that are full, handles that run out.

mod flood;
mod full;
mod handles;
mod lab;
mod upkeep;
