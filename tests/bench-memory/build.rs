//! Compiles sqlite-vec with the instructions its released builds use, and what registers it with SQLite.
//!
//! The Rust package of sqlite-vec builds its C file without AVX, which would make a peer slower than people
//! know it, and registering it through Rust needs `unsafe`, which this workspace forbids. So the C file of the
//! package is compiled here together with nine lines of C that register it as the program starts.

use std::{env, path::PathBuf};

fn main() {
    println!("cargo:rerun-if-changed=sqlite/register.c");
    let mut build = cc::Build::new();
    build.file("sqlite/register.c").include(sqlite_vec()).define("SQLITE_CORE", None).warnings(false);
    if env::var("CARGO_CFG_TARGET_ARCH").as_deref() == Ok("x86_64") {
        build.define("SQLITE_VEC_ENABLE_AVX", None).flag("-mavx");
    }
    // Linked whole: nothing in Rust names a symbol of it, so the linker would leave it out.
    build.cargo_metadata(false).compile("register_sqlite_vec");
    let out = env::var("OUT_DIR").expect("cargo tells build scripts where to write");
    println!("cargo:rustc-link-search=native={out}");
    println!("cargo:rustc-link-lib=static:+whole-archive=register_sqlite_vec");
}

/// The folder of the package that holds `sqlite-vec.c`.
fn sqlite_vec() -> PathBuf {
    let manifest = env::var("CARGO_MANIFEST_DIR").expect("cargo tells build scripts where they are");
    let metadata = cargo_metadata::MetadataCommand::new()
        .manifest_path(PathBuf::from(manifest).join("Cargo.toml"))
        .other_options(vec!["--offline".to_owned()])
        .exec()
        .expect("cargo knows the packages it is building");
    let package = metadata.packages.iter().find(|package| package.name.as_str() == "sqlite-vec");
    let file = &package.expect("the manifest asks for sqlite-vec").manifest_path;
    file.parent().expect("a manifest lies in a folder").as_std_path().to_owned()
}
