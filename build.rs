//! The demo is embedded at compile time; a file added to it must build the binary anew.

fn main() {
    println!("cargo::rerun-if-changed=fixtures/demo");
}
