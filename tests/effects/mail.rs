//! Letters: the same bytes every time, never sent twice by guess.

use std::time::Duration;

use cairn::effects::Job;
use cairn_store_layout::{Digest, definition::Connector, event::FailureClass, payload::EffectClass};
use serde_json::{Value, json};

use crate::support::{
    Bench, call, failed, names,
    smtp::{MailServer, Mood},
    unknown,
};

fn letter() -> Value {
    json!({
        "to": "Jörg Brandt <AP@brandt.example>", "cc": ["Ann <ann@us.example>"], "subject": "Invoice 2043 überfällig",
        "body": "Dear Mr Brandt,\n\n.a line with a dot\n", "reply_to": "desk@us.example", "in_reply_to": "<7@brandt.example>"
    })
}

fn send(port: Option<u16>, input: Value) -> Job {
    let smtp = port.map_or(String::new(), |p| format!("[smtp]\nhost = \"127.0.0.1\"\nport = {p}\ntls = \"none\"\n"));
    let text = format!("kind = \"mail\"\nfrom = \"Desk <desk@us.example>\"\noutbox = \"outbox\"\n{smtp}");
    let class = if port.is_some() { EffectClass::Once } else { EffectClass::Idempotent };
    call(Connector::parse("connectors/mail.toml", &text).unwrap(), "send", input, class)
}

#[tokio::test]
async fn the_outbox_gets_the_same_file_however_often() {
    let bench = Bench::new();
    let job = send(None, letter());
    let first = bench.perform(&job).await.unwrap();
    let name = format!("2026-11-22-ap-brandt-example-{}.eml", &job.key.as_str()[..8]);
    assert_eq!(first.output["file"], format!("outbox/{name}"));
    assert_eq!(first.files[0].path, format!("files/outbox/{name}"));
    let bytes = std::fs::read(bench.files().join("outbox").join(&name)).unwrap();
    assert_eq!(Digest::of(&bytes), first.files[0].digest);

    let again = Bench::new();
    assert_eq!(again.perform(&job).await.unwrap(), first, "another machine writes the same bytes");
    bench.perform(&job).await.unwrap();
    assert_eq!(names(&bench.files().join("outbox")), [name], "one file, nothing beside it");

    let read = bench.file("read_mail", json!({ "path": first.output["file"] })).await.unwrap().output;
    assert_eq!((&read["from"], &read["from_name"]), (&json!("desk@us.example"), &json!("Desk")));
    assert_eq!(read["to"], "AP@brandt.example");
    assert_eq!(read["subject"], "Invoice 2043 überfällig");
    assert_eq!(read["date"], "2026-11-22T09:15:00Z");
    assert_eq!(format!("<{}>", read["message_id"].as_str().unwrap()), first.output["message_id"]);
    assert_eq!(read["text"], "Dear Mr Brandt,\n\n.a line with a dot\n");
    let text = String::from_utf8(bytes).unwrap();
    assert!(text.contains("In-Reply-To: <7@brandt.example>") && text.contains("Reply-To: desk@us.example"), "{text}");
}

#[tokio::test]
async fn header_lines_can_not_be_smuggled_in() {
    let bench = Bench::new();
    let with = |field: &str, value: &str| {
        let mut input = letter();
        input[field] = json!(value);
        input
    };
    let table = [
        (with("subject", "hi\r\nBcc: x@evil.example"), FailureClass::Hard, "bad_header"),
        (with("subject", "hi\nX-Y: z"), FailureClass::Hard, "bad_header"),
        (with("to", "a@b.example\r\nBcc: x@evil.example"), FailureClass::Hard, "bad_header"),
        (with("reply_to", "a@b.example\nBcc: x"), FailureClass::Hard, "bad_header"),
        (with("in_reply_to", "<1@b>\r\nBcc: x@evil.example"), FailureClass::Hard, "bad_header"),
        (with("in_reply_to", "1 2"), FailureClass::Hard, "bad_header"),
        (with("to", "not an address"), FailureClass::Business, "bad_address"),
        (with("to", ""), FailureClass::Business, "bad_address"),
        (with("to", "j\u{f6}rg@brandt.example"), FailureClass::Business, "bad_address"),
        (with("bcc", "x@y.example"), FailureClass::Hard, "bad_input"),
    ];
    for (input, class, code) in table {
        let failed = failed(bench.perform(&send(None, input)).await);
        assert_eq!((failed.class, failed.code.as_str()), (class, code), "{}", failed.message);
    }
    assert!(!bench.files().join("outbox").exists());
}

#[tokio::test]
async fn a_server_takes_the_letter_and_a_copy_stays() {
    let (bench, server) = (Bench::new(), MailServer::start(Mood::Kind).await);
    let done = bench.perform(&send(Some(server.port), letter())).await.unwrap();
    let kept = std::fs::read_to_string(bench.files().join(done.output["file"].as_str().unwrap())).unwrap();
    assert_eq!(server.letters().len(), 1);
    // the protocol ends a letter with a line break of its own
    assert_eq!(server.letters()[0].trim_end(), kept.trim_end());
    assert!(kept.contains("\r\nMIME-Version: 1.0\r\n") && kept.ends_with(".a line with a dot\r\n"), "{kept}");
}

#[tokio::test]
async fn what_the_server_says_has_its_class_and_leaves_no_copy() {
    let table = [
        (Mood::Rcpt(550), FailureClass::Business, "smtp_550", 0),
        (Mood::Rcpt(451), FailureClass::Soft, "smtp_451", 0),
        (Mood::HangUpAtData, FailureClass::Soft, "smtp", 0),
        (Mood::Letter(554), FailureClass::Business, "smtp_554", 1),
        (Mood::Letter(452), FailureClass::Soft, "smtp_452", 1),
    ];
    for (mood, class, code, letters) in table {
        let (bench, server) = (Bench::new(), MailServer::start(mood).await);
        let failed = failed(bench.perform(&send(Some(server.port), letter())).await);
        assert_eq!((failed.class, failed.code.as_str()), (class, code), "{mood:?}: {}", failed.message);
        assert_eq!(server.letters().len(), letters, "{mood:?}");
        assert_eq!(names(&bench.files().join("outbox")), Vec::<String>::new(), "{mood:?}: nothing left, nothing kept");
    }
    let failed = failed(Bench::new().perform(&send(Some(1), letter())).await);
    assert_eq!(failed.class, FailureClass::Soft, "{}", failed.message);
}

#[tokio::test]
async fn after_the_letter_is_given_silence_means_unknown() {
    for mood in [Mood::HangUpAfterLetter, Mood::SilentAfterLetter] {
        let (bench, server) = (Bench::new(), MailServer::start(mood).await);
        let mut job = send(Some(server.port), letter());
        job.timeout = Duration::from_millis(500);
        unknown(bench.perform(&job).await);
        assert_eq!(server.letters().len(), 1, "{mood:?}");
    }
}

#[tokio::test]
async fn a_letter_that_was_taken_stays_taken() {
    let (bench, server) = (Bench::new(), MailServer::start(Mood::NoGoodbye).await);
    assert!(bench.perform(&send(Some(server.port), letter())).await.is_ok());
    // the time runs out while the server is slow to say goodbye: soft would send it again
    let mut job = send(Some(server.port), letter());
    job.timeout = Duration::from_millis(500);
    let message = unknown(bench.perform(&job).await);
    assert!(message.contains("it was accepted before that"), "{message}");
}

#[tokio::test]
async fn a_server_that_is_not_as_configured_gets_nothing() {
    let server = MailServer::start(Mood::BadPassword).await;
    let smtp = |lines: &str| {
        let head = "kind = \"mail\"\nfrom = \"desk@us.example\"\n[smtp]\nhost = \"127.0.0.1\"";
        let text = format!("{head}\nport = {}\n{lines}", server.port);
        call(Connector::parse("connectors/mail.toml", &text).unwrap(), "send", letter(), EffectClass::Once)
    };
    let bench = Bench::new();
    let login = smtp("tls = \"none\"\nuser = \"desk\"\npassword = \"secret://model-key\"");
    let refused = failed(bench.perform(&login).await);
    assert_eq!((refused.class, refused.code.as_str()), (FailureClass::Hard, "smtp_535"));
    assert!(refused.message.contains("refuses our name or password"), "{}", refused.message);
    assert!(refused.message.contains("[secret:model-key]"), "it repeats what it was sent: {}", refused.message);
    let bare = failed(bench.perform(&smtp("tls = \"starttls\"")).await);
    assert_eq!((bare.class, bare.code.as_str()), (FailureClass::Hard, "smtp_tls"), "{}", bare.message);
    assert!(server.letters().is_empty());
}

#[tokio::test]
async fn a_password_never_travels_in_clear_text() {
    let bench = Bench::new();
    let text = "kind = \"mail\"\nfrom = \"desk@us.example\"\n[smtp]\nhost = \"mail.example\"\ntls = \"none\"\nuser = \"u\"\npassword = \"secret://model-key\"\n";
    let connector = Connector::parse("connectors/mail.toml", text).unwrap();
    let failed = failed(bench.perform(&call(connector, "send", letter(), EffectClass::Once)).await);
    assert_eq!((failed.class, failed.code.as_str()), (FailureClass::Hard, "smtp_tls"));
}
