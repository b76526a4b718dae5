//! `http` connectors against a server that also hangs up, stalls and refuses.

use std::time::Duration;

use cairn::effects::Job;
use cairn_store_layout::{definition::Connector, event::FailureClass, payload::EffectClass};
use serde_json::{Value, json};

use crate::support::{
    Bench, KEY, call, failed, unknown,
    web::{Script, Web},
};

fn connector(url: &str) -> Connector {
    let text = format!(
        r#"
kind = "http"
base_url = "{url}/api/"
headers = {{ x-team = "ops", x-token = "secret://model-key" }}
auth = {{ bearer = "secret://model-key" }}

[operation.get_customer]
method = "GET"
path = "/customers/{{id}}"
query = ["expand", "tag"]
effect = "read"

[operation.charge]
method = "POST"
path = "/customers/{{id}}/charges"
effect = "idempotent"
idempotency_header = "Idempotency-Key"
business = [409]
input = {{ type = "object", required = ["amount"], properties = {{ amount = {{ type = "string" }} }} }}
output = {{ type = "object", required = ["charge"] }}

[operation.page]
method = "POST"
path = "/pages"
effect = "once"
timeout = "400ms"
"#
    );
    Connector::parse("connectors/billing.toml", &text).unwrap()
}

fn charge(url: &str) -> Job {
    call(connector(url), "charge", json!({ "id": "a/b 1", "amount": "12.50" }), EffectClass::Idempotent)
}

fn page(url: &str) -> Job {
    call(connector(url), "page", json!({ "text": "server is down" }), EffectClass::Once)
}

#[tokio::test]
async fn path_query_body_headers_and_key_arrive() {
    let scripts = vec![Script::json(503, json!({})), Script::json(201, json!({ "charge": "ch_1" }))];
    let (bench, web) = (Bench::new(), Web::start(scripts).await);
    let job = charge(&web.url);
    assert_eq!(failed(bench.perform(&job).await).class, FailureClass::Soft);
    assert_eq!(bench.perform(&job).await.unwrap().output, json!({ "charge": "ch_1" }));
    let seen = web.seen();
    for request in &seen {
        assert_eq!(request.line, "POST /api/customers/a%2Fb%201/charges HTTP/1.1");
        assert_eq!(request.body, json!({ "amount": "12.50" }), "the path field is not sent twice");
        assert_eq!(request.header("idempotency-key"), Some(job.key.as_str()), "the same for every attempt");
        assert_eq!(request.header("authorization"), Some(format!("Bearer {KEY}").as_str()));
        assert_eq!((request.header("x-token"), request.header("x-team")), (Some(KEY), Some("ops")));
    }
    assert_eq!(seen.len(), 2);

    let web = Web::start(vec![Script::json(200, json!([1]))]).await;
    let input = json!({ "id": 7, "expand": "a&b=c", "tag": ["x", "y"] });
    let done = bench.perform(&call(connector(&web.url), "get_customer", input, EffectClass::Read)).await.unwrap();
    assert_eq!(done.output, json!([1]));
    assert_eq!(web.seen()[0].line, "GET /api/customers/7?expand=a%26b%3Dc&tag=x&tag=y HTTP/1.1");
}

#[tokio::test]
async fn a_bad_input_is_refused_before_anything_is_sent() {
    let (bench, web) = (Bench::new(), Web::start(vec![]).await);
    let table: [(&str, Value, &str); 5] = [
        ("charge", json!({ "id": "a", "amount": 12 }), "bad_input"),
        ("charge", json!({ "id": "..", "amount": "1" }), "bad_input"),
        ("charge", json!({ "amount": "1" }), "bad_input"),
        ("get_customer", json!({ "id": "a", "colour": "red" }), "bad_input"),
        ("delete_all", json!({}), "no_operation"),
    ];
    for (operation, input, code) in table {
        let failed = failed(bench.perform(&call(connector(&web.url), operation, input, EffectClass::Read)).await);
        assert_eq!((failed.class, failed.code.as_str()), (FailureClass::Hard, code), "{}", failed.message);
    }
    assert!(web.seen().is_empty());
}

#[tokio::test]
async fn what_the_service_says_has_its_class() {
    let table = [
        (Script::json(409, json!({ "reason": "card declined" })), FailureClass::Business, "http_409"),
        (Script::json(422, json!({})), FailureClass::Hard, "http_422"),
        (Script::json(429, json!({})), FailureClass::Soft, "http_429"),
        (Script::new(302, &[("location", "/elsewhere")], ""), FailureClass::Hard, "http_302"),
        (Script::json(200, json!({ "other": 1 })), FailureClass::Hard, "schema"),
        (Script::new(200, &[], "<html>"), FailureClass::Hard, "not_json"),
        (Script::hang_up(), FailureClass::Soft, "network"),
        (Script::json(200, json!({ "charge": "x" })).cut(), FailureClass::Soft, "network"),
    ];
    for (script, class, code) in table {
        let (bench, web) = (Bench::new(), Web::start(vec![script]).await);
        let failed = failed(bench.perform(&charge(&web.url)).await);
        assert_eq!((failed.class, failed.code.as_str()), (class, code), "{}", failed.message);
        if matches!(code, "schema" | "not_json") {
            assert!(failed.message.ends_with("the effect itself was carried out"), "{}", failed.message);
        }
    }
}

#[tokio::test]
async fn a_lost_reply_to_a_request_that_must_leave_once_is_unknown() {
    let scripts =
        [Script::hang_up(), Script::json(200, json!({})).slow(Duration::from_secs(20)), Script::json(502, json!({}))];
    for script in scripts {
        let (bench, web) = (Bench::new(), Web::start(vec![script]).await);
        let message = unknown(bench.perform(&page(&web.url)).await);
        assert!(message.contains("not sent again by itself"), "{message}");
        assert_eq!(web.seen().len(), 1);
    }
    // the timeout of the step, not of the operation
    let (bench, web) =
        (Bench::new(), Web::start(vec![Script::json(200, json!({})).slow(Duration::from_secs(20))]).await);
    let mut job = page(&web.url);
    job.timeout = Duration::from_millis(200);
    unknown(bench.perform(&job).await);
}

#[tokio::test]
async fn a_request_that_never_left_or_was_clearly_refused_is_no_riddle() {
    let bench = Bench::new();
    let refused = failed(bench.perform(&page("http://127.0.0.1:1")).await);
    assert_eq!((refused.class, refused.code.as_str()), (FailureClass::Soft, "connect"));
    let plain = Web::start(vec![]).await;
    let no_tls = failed(bench.perform(&page(&plain.url.replace("http:", "https:"))).await);
    assert_eq!((no_tls.class, no_tls.code.as_str()), (FailureClass::Soft, "connect"), "{}", no_tls.message);
    for (status, class) in [(429, FailureClass::Soft), (400, FailureClass::Hard)] {
        let web = Web::start(vec![Script::json(status, json!({}))]).await;
        assert_eq!(failed(bench.perform(&page(&web.url)).await).class, class);
    }
    // a success whose body broke off has happened: a person can settle it, nobody may send it again
    let web = Web::start(vec![Script::json(200, json!({ "long": "x".repeat(100) })).cut()]).await;
    let cut = unknown(bench.perform(&page(&web.url)).await);
    assert!(cut.contains("it was accepted before that"), "{cut}");
}

#[tokio::test]
async fn an_empty_success_is_null() {
    let (bench, web) = (Bench::new(), Web::start(vec![Script::new(204, &[], "")]).await);
    assert_eq!(bench.perform(&page(&web.url)).await.unwrap().output, Value::Null);
}
