//! `llm` agents against recorded replies.

use std::time::Duration;

use cairn::effects::Job;
use cairn_store_layout::{definition::Agent, event::FailureClass};
use serde_json::json;

use crate::support::{
    Bench, KEY, ask, failed, set_schema,
    web::{Script, Web},
    with_files,
};

const SCHEMA: &str = r#"{
  "type": "object", "required": ["subject", "body"], "additionalProperties": false,
  "properties": { "subject": { "type": "string" }, "body": { "type": "string" } }
}"#;
const FILES: [(&str, &str); 3] =
    [("prompts/p.md", "Write to {{ client }}."), ("templates/t.txt", "unused"), ("schemas/letter.json", SCHEMA)];

/// A job for an agent at `url`; `more` are further lines of its file.
fn question(url: &str, more: &str) -> Job {
    let text = format!(
        "kind = \"llm\"\nbase_url = \"{url}/v1\"\nmodel = \"fixture-small\"\napi_key = \"secret://model-key\"\nmax_tokens = 200\n{more}"
    );
    let agent = Agent::parse("agents/writer.toml", &text).unwrap();
    with_files(ask(agent, json!({ "client": "Brandt" })), &FILES)
}

const PRICE: &str = "price = { input_per_million = \"1.5\", output_per_million = \"6\" }\n";

fn structured(url: &str, more: &str) -> Job {
    let mut job = question(url, more);
    set_schema(&mut job, "schemas/letter.json");
    job
}

#[tokio::test]
async fn a_plain_answer_is_kept_with_its_cost() {
    let (bench, web) = (Bench::new(), Web::start(vec![Script::fixture("plain.json")]).await);
    let done = bench.perform(&question(&web.url, &format!("system = \"Be brief.\"\n{PRICE}"))).await.unwrap();
    assert_eq!(done.output, json!({ "body": "Dear Ms Brandt,\n\na short reminder." }));
    // 120 x 1.5 + 30 x 6 dollars a million
    assert_eq!(done.usage.cost_usd.as_deref(), Some("0.00036"));
    assert_eq!((done.usage.tokens_in, done.usage.tokens_out), (Some(120), Some(30)));
    assert_eq!(done.usage.model.as_deref(), Some("fixture-small-2026"));
    assert_eq!(done.artifacts.iter().map(|a| a.name.as_str()).collect::<Vec<_>>(), ["request", "reply"]);

    let seen = &web.seen()[0];
    assert_eq!(seen.line, "POST /v1/chat/completions HTTP/1.1");
    assert_eq!(seen.header("authorization"), Some(format!("Bearer {KEY}").as_str()));
    assert_eq!(
        seen.body,
        json!({ "model": "fixture-small", "max_tokens": 200, "messages": [
            { "role": "system", "content": "Be brief." }, { "role": "user", "content": "Write to Brandt." }] })
    );
    assert_eq!(serde_json::from_slice::<serde_json::Value>(&done.artifacts[0].bytes).unwrap(), seen.body);
}

#[tokio::test]
async fn a_structured_answer_fits_its_schema() {
    for fixture in ["structured.json", "fenced.json"] {
        let (bench, web) = (Bench::new(), Web::start(vec![Script::fixture(fixture)]).await);
        let done = bench.perform(&structured(&web.url, "")).await.unwrap();
        assert_eq!(done.output, json!({ "subject": "Invoice 2043", "body": "Dear Ms Brandt" }), "{fixture}");
        assert_eq!(done.usage.cost_usd, None, "a local model without a price costs nothing that we know of");
        let format = &web.seen()[0].body["response_format"];
        assert_eq!(format["type"], "json_schema");
        assert_eq!(format["json_schema"]["name"], "letter");
        assert_eq!(format["json_schema"]["schema"]["required"], json!(["subject", "body"]));
    }
}

#[tokio::test]
async fn an_answer_that_does_not_fit_is_corrected_once() {
    let scripts = vec![Script::fixture("mismatch.json"), Script::fixture("structured.json")];
    let (bench, web) = (Bench::new(), Web::start(scripts).await);
    let done = bench.perform(&structured(&web.url, PRICE)).await.unwrap();
    assert_eq!(done.output["subject"], "Invoice 2043");
    assert_eq!((done.usage.tokens_in, done.usage.tokens_out), (Some(350), Some(50)));
    assert_eq!(done.usage.cost_usd.as_deref(), Some("0.000825"));
    let names: Vec<&str> = done.artifacts.iter().map(|a| a.name.as_str()).collect();
    assert_eq!(names, ["request", "reply", "request-2", "reply-2"]);
    let said = web.seen()[1].body["messages"].clone();
    assert_eq!(said[1], json!({ "role": "assistant", "content": "{\"subject\": 7}" }));
    let told = said[2]["content"].as_str().unwrap();
    assert!(
        told.contains("\"body\" is a required property") && told.contains("at /subject: it is not of type \"string\""),
        "{told}"
    );
}

#[tokio::test]
async fn an_answer_that_never_fits_fails_hard_after_two_turns() {
    let scripts = vec![Script::fixture("mismatch.json"); 3];
    let (bench, web) = (Bench::new(), Web::start(scripts).await);
    let failed = failed(bench.perform(&structured(&web.url, PRICE)).await);
    assert_eq!((failed.class, failed.code.as_str()), (FailureClass::Hard, "schema"));
    assert_eq!(failed.usage.cost_usd.as_deref(), Some("0.00057"), "both turns are paid for");
    assert_eq!(failed.artifacts.len(), 4);
    assert_eq!(web.seen().len(), 2);
}

#[tokio::test]
async fn replies_that_are_no_answer_have_their_class() {
    let page = || Script::fixture("page.json");
    let status = |n| Script::json(n, json!({ "error": { "message": "no" } }));
    let table = [
        (Script::fixture("overloaded.json"), FailureClass::Soft, "http_503"),
        (status(500), FailureClass::Soft, "http_500"),
        (status(400), FailureClass::Hard, "http_400"),
        (status(401), FailureClass::Hard, "http_401"),
        (status(403), FailureClass::Hard, "http_403"),
        (status(404), FailureClass::Hard, "http_404"),
        (Script::new(302, &[("location", "http://127.0.0.1:1/")], ""), FailureClass::Hard, "http_302"),
        (page(), FailureClass::Soft, "bad_reply"),
        (Script::json(200, json!({ "choices": [] })), FailureClass::Soft, "bad_reply"),
        (Script::json(200, json!({ "error": { "message": "x" } })), FailureClass::Soft, "provider"),
        (Script::fixture("plain.json").cut(), FailureClass::Soft, "network"),
        (Script::hang_up(), FailureClass::Soft, "network"),
        (Script::new(200, &[], vec![b' '; 4 * 1024 * 1024 + 1]), FailureClass::Hard, "too_large"),
        (Script::fixture("refusal.json"), FailureClass::Business, "refused"),
        (Script::fixture("cut_off.json"), FailureClass::Hard, "cut_off"),
    ];
    for (script, class, code) in table {
        let (bench, web) = (Bench::new(), Web::start(vec![script]).await);
        let failed = failed(bench.perform(&question(&web.url, "")).await);
        assert_eq!((failed.class, failed.code.as_str()), (class, code), "{}", failed.message);
        assert!(failed.artifacts.iter().any(|a| a.name == "request"), "{code}");
    }
}

#[tokio::test]
async fn a_rate_limit_says_how_long_to_wait() {
    let dated = Script::new(
        429,
        &[("date", "Sun, 22 Nov 2026 09:00:00 GMT"), ("retry-after", "Sun, 22 Nov 2026 09:01:30 GMT")],
        "",
    );
    for (script, seconds) in [(Script::fixture("rate_limit.json"), 7), (dated, 90)] {
        let (bench, web) = (Bench::new(), Web::start(vec![script]).await);
        let failed = failed(bench.perform(&question(&web.url, PRICE)).await);
        assert_eq!((failed.class, failed.code.as_str()), (FailureClass::Soft, "http_429"));
        assert_eq!(failed.retry_after, Some(Duration::from_secs(seconds)));
        assert!(failed.message.contains(&format!("asks to wait {seconds} s")), "{}", failed.message);
        assert_eq!(failed.usage.cost_usd, None, "a refused call costs nothing");
    }
}

#[tokio::test]
async fn a_slow_model_runs_into_the_timeout_and_is_counted_at_its_most() {
    let (bench, web) =
        (Bench::new(), Web::start(vec![Script::fixture("plain.json").slow(Duration::from_secs(30))]).await);
    let mut job = question(&web.url, PRICE);
    job.timeout = Duration::from_millis(300);
    let failed = failed(bench.perform(&job).await);
    assert_eq!((failed.class, failed.code.as_str()), (FailureClass::Soft, "timeout"));
    // 200 tokens out at 6, and at most one token a byte in
    let cost: f64 = failed.usage.cost_usd.unwrap().parse().unwrap();
    assert!(cost > 0.0012 && cost < 0.002, "{cost}");
    assert_eq!(failed.artifacts[0].name, "request");
}

#[tokio::test]
async fn a_reply_without_token_counts_is_counted_at_its_most() {
    let (bench, web) = (Bench::new(), Web::start(vec![Script::fixture("no_usage.json")]).await);
    let usage = bench.perform(&question(&web.url, PRICE)).await.unwrap().usage;
    let cost: f64 = usage.cost_usd.unwrap().parse().unwrap();
    assert!(cost > 0.0012, "{cost}");
    assert_eq!((usage.tokens_in, usage.tokens_out), (None, None));
}

#[tokio::test]
async fn a_stream_is_put_together_whatever_its_pieces() {
    for piece in [usize::MAX, 7, 64] {
        let scripts = vec![Script::fixture("stream.sse").in_pieces(piece)];
        let (bench, web) = (Bench::new(), Web::start(scripts).await);
        let done = bench.perform(&question(&web.url, &format!("stream = true\n{PRICE}"))).await.unwrap();
        assert_eq!(done.output, json!({ "body": "Dear Ms Brändt, a short reminder." }), "pieces of {piece}");
        assert_eq!((done.usage.tokens_in, done.usage.tokens_out), (Some(90), Some(12)));
        assert_eq!(web.seen()[0].body["stream_options"], json!({ "include_usage": true }));
        let reply = String::from_utf8_lossy(&done.artifacts[1].bytes).into_owned();
        assert!(reply.contains("Dear Ms Brändt, a short reminder."), "{reply}");
    }
    let (bench, web) = (Bench::new(), Web::start(vec![Script::fixture("stream_no_done.sse")]).await);
    assert!(bench.perform(&question(&web.url, "stream = true")).await.is_ok());
    let (bench, web) = (Bench::new(), Web::start(vec![Script::fixture("plain.json")]).await);
    assert!(bench.perform(&question(&web.url, "stream = true")).await.is_ok(), "a server that does not stream");
}

#[tokio::test]
async fn a_stream_that_breaks_off_is_soft() {
    for (fixture, code) in [("stream_broken.sse", "broken_stream"), ("stream_error.sse", "provider")] {
        for script in [Script::fixture(fixture), Script::fixture(fixture).in_pieces(11)] {
            let (bench, web) = (Bench::new(), Web::start(vec![script]).await);
            let failed = failed(bench.perform(&question(&web.url, &format!("stream = true\n{PRICE}"))).await);
            assert_eq!((failed.class, failed.code.as_str()), (FailureClass::Soft, code));
            assert!(failed.usage.cost_usd.is_some(), "what was streamed may be billed");
        }
    }
}

#[tokio::test]
async fn without_a_price_or_a_key_nothing_is_sent() {
    let bench = Bench::new();
    let remote = failed(bench.perform(&question("https://models.example", "")).await);
    assert_eq!((remote.class, remote.code.as_str()), (FailureClass::Hard, "no_price"));
    assert!(remote.artifacts.is_empty(), "nothing was even prepared");

    let clear = failed(bench.perform(&question("http://models.example", PRICE)).await);
    assert_eq!((clear.class, clear.code.as_str()), (FailureClass::Hard, "plain_http"));

    let web = Web::start(vec![]).await;
    let mut job = question(&web.url, "");
    let text = format!("kind = \"llm\"\nbase_url = \"{}\"\nmodel = \"m\"\napi_key = \"secret://other-key\"", web.url);
    job.doer = cairn::effects::Doer::Agent(Agent::parse("agents/a.toml", &text).unwrap());
    let keyless = failed(bench.perform(&job).await);
    assert_eq!((keyless.class, keyless.code.as_str()), (FailureClass::Hard, "no_secret"));
    assert!(keyless.message.contains("CAIRN_SECRET_OTHER_KEY"), "{}", keyless.message);
    assert!(web.seen().is_empty());
}

#[tokio::test]
async fn a_key_that_comes_back_is_hidden() {
    let (bench, web) = (Bench::new(), Web::start(vec![Script::fixture("echo_key.json")]).await);
    let failed = failed(bench.perform(&question(&web.url, "")).await);
    assert!(failed.message.contains("[secret:model-key]"), "{}", failed.message);
    assert!(!format!("{failed:?}").contains(KEY));
    for artifact in &failed.artifacts {
        assert!(!String::from_utf8_lossy(&artifact.bytes).contains(KEY), "{}", artifact.name);
    }
}

#[tokio::test]
async fn a_prompt_with_a_missing_name_fails_before_the_call() {
    let (bench, web) = (Bench::new(), Web::start(vec![]).await);
    let job = with_files(question(&web.url, ""), &[("prompts/p.md", "Write\nto {{ cliemt }}.")]);
    let failed = failed(bench.perform(&job).await);
    assert_eq!((failed.class, failed.code.as_str()), (FailureClass::Hard, "template"));
    assert!(failed.message.starts_with("prompts/p.md: line 2"), "{}", failed.message);
    assert!(web.seen().is_empty());
}
