//! A secret that comes back from the world is hidden in whatever shape it comes.

use base64::{Engine, engine::general_purpose::STANDARD};
use cairn_store_layout::{definition::Connector, payload::EffectClass};
use serde_json::{Value, json};

use crate::support::{
    Bench, call, failed,
    web::{Script, Web},
};

/// With characters that every encoding changes.
const SECRET: &str = "p\"w/ö+s 4?ü\\x9";

fn echo(url: &str) -> Connector {
    let operation = "[operation.echo]\nmethod = \"GET\"\npath = \"/\"\neffect = \"read\"";
    Connector::parse("c.toml", &format!("kind = \"http\"\nbase_url = \"{url}\"\n{operation}")).unwrap()
}

#[tokio::test]
async fn every_form_is_hidden_in_outputs_and_failures() {
    let hex: String = SECRET.bytes().map(|b| format!("{b:02x}")).collect();
    let percent_some: String = SECRET
        .bytes()
        .map(|b| if b.is_ascii_alphanumeric() { char::from(b).to_string() } else { format!("%{b:02X}") })
        .collect();
    let json_once = json!(SECRET).to_string();
    let json_twice = json!(json_once).to_string();
    let forms = [
        SECRET.to_owned(),
        format!("token={SECRET}&x=1"),
        hex.to_uppercase(),
        hex,
        percent_some.to_lowercase(),
        percent_some.replace("%20", "+"),
        percent_some,
        json_once,
        json_twice,
        STANDARD.encode(SECRET),
        STANDARD.encode(format!("u:{SECRET}")),
        STANDARD.encode(format!("us:{SECRET}!")),
        STANDARD.encode(format!("use:{SECRET}!!")),
    ];
    let bench = Bench::with_secrets(&[
        ("CAIRN_SECRET_DB_PASS", SECRET),
        ("CAIRN_SECRET_UNUSED", "other-secret"),
        ("HOME", "/root"),
    ]);
    for form in forms {
        for status in [200, 400] {
            let body = json!({ "echo": form, (form.clone()): [form] });
            let web = Web::start(vec![Script::json(status, body)]).await;
            let result = bench.perform(&call(echo(&web.url), "echo", Value::Null, EffectClass::Read)).await;
            let shown = match result {
                Ok(done) => done.output.to_string(),
                Err(_) => {
                    let failed = failed(result);
                    failed.artifacts.iter().fold(failed.message, |all, a| all + &String::from_utf8_lossy(&a.bytes))
                }
            };
            assert!(shown.contains("[secret:db-pass]"), "{status} {form}: {shown}");
            // what is left when the marks are taken out must not hold the heart of the form
            let heart: String = form.chars().skip(form.chars().count() / 2).take(6).collect();
            assert!(!shown.contains(&heart) || heart.contains("x=1"), "{status} {form}: {shown}");
        }
    }
}

#[tokio::test]
async fn numbers_and_other_secrets_are_hidden_and_the_rest_is_left_alone() {
    let bench = Bench::with_secrets(&[
        ("CAIRN_SECRET_PIN", "48151623"),
        ("CAIRN_SECRET_OTHER", "never-asked-for"),
        ("PATH", "/usr/bin/env"),
    ]);
    let web = Web::start(vec![Script::json(
        200,
        json!({ "n": 48_151_623, "m": 4815, "t": "x never-asked-for y", "p": "/usr/bin/env" }),
    )])
    .await;
    let done = bench.perform(&call(echo(&web.url), "echo", Value::Null, EffectClass::Read)).await.unwrap();
    assert_eq!(done.output, json!({ "n": "[secret:pin]", "m": 4815, "t": "x [secret:other] y", "p": "/usr/bin/env" }));
}

#[test]
fn references_are_checked() {
    let bench = Bench::with_secrets(&[("CAIRN_SECRET_SHORT", "abc"), ("CAIRN_SECRET_GOOD_ONE", "long-enough")]);
    assert!(bench.world.secrets.resolve("secret://good-one").is_ok());
    let table = [
        ("secret://short", "CAIRN_SECRET_SHORT is shorter than 6 bytes"),
        ("secret://absent", "CAIRN_SECRET_ABSENT"),
        ("sk-live-pasted-by-mistake", "not a value"),
        ("secret://", "expected a reference"),
        ("secret://../x", "expected a reference"),
    ];
    for (reference, part) in table {
        let message = bench.world.secrets.resolve(reference).unwrap_err().message().to_owned();
        assert!(message.contains(part), "{reference}: {message}");
        assert!(!message.contains("pasted"), "a pasted key is not repeated");
    }
}

#[tokio::test]
async fn a_long_message_is_cut_after_hiding_not_before() {
    let bench = Bench::with_secrets(&[("CAIRN_SECRET_TOKEN", "abcdefghijklmnopqrstuvwxyz")]);
    // the cut would fall into the middle of the secret
    let body = format!("{}abcdefghijklmnopqrstuvwxyz", "-".repeat(290));
    let web = Web::start(vec![Script::new(400, &[], body)]).await;
    let failed = failed(bench.perform(&call(echo(&web.url), "echo", Value::Null, EffectClass::Read)).await);
    assert!(!failed.message.contains("abcdef"), "{}", failed.message);
}
