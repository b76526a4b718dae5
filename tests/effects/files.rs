//! The `file` connector stays below `files/` and says clearly what is wrong with a file.

use std::os::unix::fs::symlink;

use cairn_store_layout::{Digest, event::FailureClass};
use serde_json::{Value, json};

use crate::support::{Bench, failed, names};

#[tokio::test]
async fn no_path_leads_out() {
    let bench = Bench::new();
    std::fs::write(bench.dir.path().join("outside.txt"), "secret").unwrap();
    std::fs::write(bench.world.root.join("store.toml"), "x").unwrap();
    bench.put("in/a.txt", "fine");
    symlink("../../../outside.txt", bench.files().join("in/link.txt")).unwrap();
    symlink("../..", bench.files().join("up")).unwrap();
    symlink(bench.dir.path(), bench.files().join("abs")).unwrap();
    rustix::fs::mknodat(
        rustix::fs::CWD,
        bench.files().join("pipe"),
        rustix::fs::FileType::Fifo,
        rustix::fs::Mode::RUSR | rustix::fs::Mode::WUSR,
        0,
    )
    .unwrap();
    let long = "a/".repeat(300) + "x";
    let paths = [
        "../store.toml",
        "../../outside.txt",
        "in/../../store.toml",
        "/etc/passwd",
        "",
        ".",
        "..",
        "in//a.txt",
        "in/a.txt/",
        "./in/a.txt",
        "in/./a.txt",
        ".hidden",
        "in/.git",
        "in\\..\\a",
        "in/a\0.txt",
        "in/a\n.txt",
        "in/link.txt",
        "up/store.toml",
        "up/files/in/a.txt",
        "abs/outside.txt",
        "in",
        "pipe",
        "in/a.txt/b",
        &long,
    ];
    for path in paths {
        for (operation, input) in [
            ("read", json!({ "path": path })),
            ("read_csv", json!({ "path": path })),
            ("read_mail", json!({ "path": path })),
            ("write", json!({ "path": path, "text": "overwritten" })),
        ] {
            let failed = failed(bench.file(operation, input).await);
            assert_eq!((failed.class, failed.code.as_str()), (FailureClass::Hard, "bad_path"), "{operation} {path:?}");
        }
    }
    for path in ["..", "/", "up", "abs", "in/../.."] {
        let failed = failed(bench.file("list", json!({ "path": path })).await);
        assert_eq!(failed.code, "bad_path", "list {path:?}");
    }
    assert_eq!(std::fs::read_to_string(bench.dir.path().join("outside.txt")).unwrap(), "secret");
    assert_eq!(std::fs::read_to_string(bench.world.root.join("store.toml")).unwrap(), "x");
    assert_eq!(names(&bench.files().join("in")), ["a.txt", "link.txt"], "no temporary file stays");
}

#[tokio::test]
async fn the_folder_itself_may_not_be_a_link() {
    let bench = Bench::new();
    std::fs::remove_dir(bench.files()).unwrap();
    symlink(bench.dir.path(), bench.files()).unwrap();
    let failed = failed(bench.file("write", json!({ "path": "a.txt", "text": "x" })).await);
    assert_eq!(failed.code, "bad_path");
    assert!(!bench.dir.path().join("a.txt").exists());
}

#[tokio::test]
async fn files_are_written_read_and_listed() {
    let bench = Bench::new();
    let done = bench.file("write", json!({ "path": "out/deep/b.txt", "text": "héllo" })).await.unwrap();
    assert_eq!(done.output, json!({ "path": "out/deep/b.txt", "bytes": 6 }));
    assert_eq!(
        (done.files[0].path.as_str(), &done.files[0].digest),
        ("files/out/deep/b.txt", &Digest::of("héllo".as_bytes()))
    );
    bench.file("write", json!({ "path": "out/deep/b.txt", "text": "again" })).await.unwrap();
    let read = bench.file("read", json!({ "path": "out/deep/b.txt" })).await.unwrap();
    assert_eq!(read.output, json!({ "path": "out/deep/b.txt", "text": "again" }));

    bench.put("mails/2.eml", "");
    bench.put("mails/1.eml", "");
    bench.put("mails/.hidden.eml", "");
    bench.put("mails/deeper/3.eml", "");
    bench.put("top.csv", "");
    let list = |input: Value| async { bench.file("list", input).await.unwrap().output["files"].clone() };
    assert_eq!(list(json!({ "path": "mails", "suffix": ".eml" })).await, json!(["mails/1.eml", "mails/2.eml"]));
    assert_eq!(list(json!({})).await, json!(["top.csv"]));
    let missing = failed(bench.file("list", json!({ "path": "nowhere" })).await);
    assert_eq!((missing.code.as_str(), missing.message.as_str()), ("no_file", "there is no files/nowhere"));
}

#[tokio::test]
async fn what_a_crash_left_behind_is_taken_over() {
    let bench = Bench::new();
    let input = json!({ "path": "a.txt", "text": "whole" });
    bench.file("write", input.clone()).await.unwrap();
    std::fs::remove_file(bench.files().join("a.txt")).unwrap();
    // the temporary file is named after the key, as a crash before the rename would leave it
    let key = crate::support::call(
        cairn_store_layout::definition::Connector {
            description: String::new(),
            kind: cairn_store_layout::definition::ConnectorKind::File,
        },
        "write",
        input.clone(),
        cairn_store_layout::payload::EffectClass::Idempotent,
    )
    .key;
    bench.put(&format!(".{}.tmp", &key.as_str()[..16]), "hal");
    bench.file("write", input).await.unwrap();
    assert_eq!(names(&bench.files()), ["a.txt"]);
    assert_eq!(std::fs::read_to_string(bench.files().join("a.txt")).unwrap(), "whole");
}

#[tokio::test]
async fn bad_content_is_told_with_file_and_line() {
    let bench = Bench::new();
    bench.put("ledger.csv", "invoice,due\nINV-1,2026-11-01\nINV-2\n");
    bench.put("latin.csv", b"name,town\nx,M\xfcnchen\n".as_slice());
    bench.put("short.csv", "invoice,amount\n1,2\n");
    bench.put("photo.eml", b"\x89PNG\r\n\x1a\n\0\0\0".as_slice());
    let columns = json!(["invoice", "due"]);
    let table = [
        ("read_csv", json!({ "path": "ledger.csv" }), "bad_csv", "files/ledger.csv:3: 1 fields"),
        ("read_csv", json!({ "path": "latin.csv" }), "not_utf8", "files/latin.csv:2: the text is not UTF-8"),
        (
            "read_csv",
            json!({ "path": "short.csv", "columns": columns }),
            "bad_csv",
            "files/short.csv:1: the column `due`",
        ),
        ("read_mail", json!({ "path": "photo.eml" }), "not_a_mail", "files/photo.eml:1: this is not a mail"),
        ("read", json!({ "path": "latin.csv" }), "not_utf8", "files/latin.csv:2"),
    ];
    for (operation, input, code, start) in table {
        let failed = failed(bench.file(operation, input).await);
        assert_eq!((failed.class, failed.code.as_str()), (FailureClass::Business, code));
        assert!(failed.message.starts_with(start), "{}", failed.message);
    }
    bench.put("big.txt", vec![b'x'; 512 * 1024 + 1]);
    assert_eq!(failed(bench.file("read", json!({ "path": "big.txt" })).await).code, "too_large");
}
