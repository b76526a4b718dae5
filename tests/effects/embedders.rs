//! Embedders behind a network address, against servers of the tests' own.

use std::time::{Duration, Instant};

use cairn::{effects::Secrets, embedders::Remote};
use cairn_memory::{EmbedError, Embedder};
use cairn_store_layout::definition::RemoteEmbedder;
use serde_json::{Value, json};
use wiremock::{
    Mock, MockServer, Request, Respond, ResponseTemplate,
    matchers::{header, method, path},
};

fn settings(url: &str) -> RemoteEmbedder {
    let model = "embed-small".to_owned();
    RemoteEmbedder { url: url.to_owned(), model, key: None, dims: None, batch: 2, floor: 0.2 }
}

fn quick(remote: Remote) -> Remote {
    let vars = [("CAIRN_SECRET_EMBED".to_owned(), "sk-very-secret".to_owned())];
    remote.with(Secrets::from_vars(vars), Duration::from_millis(1))
}

/// Asks from a thread that may wait, as everybody does.
async fn ask(remote: Remote, texts: &'static [&'static str]) -> (Remote, Result<Vec<Vec<f32>>, EmbedError>) {
    tokio::task::spawn_blocking(move || {
        let got = remote.embed(texts);
        (remote, got)
    })
    .await
    .unwrap()
}

/// A vector that tells its text: its length and its first byte. Answered last first, as the protocol allows.
struct Vectors;

impl Respond for Vectors {
    fn respond(&self, request: &Request) -> ResponseTemplate {
        let asked: Value = serde_json::from_slice(&request.body).unwrap();
        let one = |(n, text): (usize, &Value)| {
            let text = text.as_str().unwrap();
            json!({ "object": "embedding", "index": n, "embedding": [text.len(), text.as_bytes()[0], 0.5] })
        };
        let mut data: Vec<Value> = asked["input"].as_array().unwrap().iter().enumerate().map(one).collect();
        data.reverse();
        ResponseTemplate::new(200).set_body_json(json!({ "object": "list", "data": data, "model": asked["model"] }))
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn texts_go_in_batches_and_vectors_come_back_in_order_with_the_key() {
    let server = MockServer::start().await;
    let key = header("authorization", "Bearer sk-very-secret");
    Mock::given(method("POST"))
        .and(path("/v1/embeddings"))
        .and(key)
        .respond_with(Vectors)
        .expect(3)
        .mount(&server)
        .await;
    let key = Some("secret://embed".to_owned());
    let remote = quick(Remote::openai(RemoteEmbedder { key, ..settings(&format!("{}/v1", server.uri())) }));
    assert_eq!(remote.dims(), 0, "not known before the first answer");
    let (remote, got) = ask(remote, &["a", "bb", "ccc", "d", "ee"]).await;
    let expected: Vec<Vec<f32>> = [(1, b'a'), (2, b'b'), (3, b'c'), (1, b'd'), (2, b'e')]
        .map(|(n, b)| vec![n as f32, f32::from(b), 0.5])
        .to_vec();
    assert_eq!(got.unwrap(), expected);
    assert_eq!(remote.dims(), 3);
    assert!(remote.id().starts_with("openai:embed-small@127.0.0.1:") && !remote.id().contains("secret"));
}

#[tokio::test(flavor = "multi_thread")]
async fn ollama_is_asked_in_its_own_words() {
    let server = MockServer::start().await;
    let answer =
        ResponseTemplate::new(200).set_body_json(json!({ "model": "m", "embeddings": [[1.0, 2.0], [3.0, 4.0]] }));
    Mock::given(method("POST")).and(path("/api/embed")).respond_with(answer).mount(&server).await;
    let (_, got) = ask(quick(Remote::ollama(settings(&server.uri()))), &["a", "b"]).await;
    assert_eq!(got.unwrap(), [[1.0, 2.0], [3.0, 4.0]]);
    let asked: Value = serde_json::from_slice(&server.received_requests().await.unwrap()[0].body).unwrap();
    assert_eq!(asked, json!({ "model": "embed-small", "input": ["a", "b"] }));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_busy_server_is_asked_again_as_late_as_it_wants() {
    let server = MockServer::start().await;
    let busy = ResponseTemplate::new(429).insert_header("retry-after", "1");
    Mock::given(method("POST")).respond_with(busy).up_to_n_times(1).mount(&server).await;
    Mock::given(method("POST")).respond_with(ResponseTemplate::new(503)).up_to_n_times(1).mount(&server).await;
    Mock::given(method("POST")).respond_with(Vectors).mount(&server).await;
    let begun = Instant::now();
    let (_, got) = ask(quick(Remote::openai(settings(&server.uri()))), &["a"]).await;
    assert_eq!(got.unwrap().len(), 1);
    assert!(begun.elapsed() >= Duration::from_secs(1));
    assert_eq!(server.received_requests().await.unwrap().len(), 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_can_not_be_waited_for_or_used_is_said() {
    let told = |answer: ResponseTemplate, requests: usize| async move {
        let server = MockServer::start().await;
        Mock::given(method("POST")).respond_with(answer).mount(&server).await;
        let key = Some("secret://embed".to_owned());
        let remote = quick(Remote::openai(RemoteEmbedder { key, ..settings(&server.uri()) }));
        let why = ask(remote, &["a", "b"]).await.1.unwrap_err().0;
        assert_eq!(server.received_requests().await.unwrap().len(), requests, "{why}");
        assert!(why.starts_with("embed-small at http://127.0.0.1:"), "{why}");
        why
    };
    let json = |value: Value| ResponseTemplate::new(200).set_body_json(value);
    let late = ResponseTemplate::new(429).insert_header("retry-after", "3600");
    assert!(told(late, 1).await.contains("it asks to wait 3600 s"));
    let wrong = ResponseTemplate::new(401).set_body_string("no such key:\n sk-very-secret");
    let why = told(wrong, 1).await;
    assert!(why.contains("401") && why.contains("no such key:") && !why.contains("sk-very-secret"), "{why}");
    assert!(told(ResponseTemplate::new(500), 4).await.contains("(asked 4 times)"));
    let short = json(json!({ "data": [{ "index": 0, "embedding": [1.0] }] }));
    assert!(told(short, 1).await.contains("1 vectors for 2 texts"));
    let uneven = json(json!({ "data": [{ "embedding": [1.0] }, { "embedding": [1.0, 2.0] }] }));
    assert!(told(uneven, 1).await.contains("a vector of 2 numbers, where 1 are expected"));
    let empty = json(json!({ "data": [{ "embedding": [] }, { "embedding": [] }] }));
    assert!(told(empty, 1).await.contains("a vector of 0 numbers"));
    let words = ResponseTemplate::new(200).set_body_string("<html>hello</html>");
    assert!(told(words, 1).await.contains("the answer is no list of vectors"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dead_server_and_a_key_in_clear_text_are_said() {
    let (_, got) = ask(quick(Remote::ollama(settings("http://127.0.0.1:9"))), &["a"]).await;
    let why = got.unwrap_err().0;
    assert!(why.contains("can not be reached") && why.contains("(asked 4 times)"), "{why}");
    let key = Some("secret://embed".to_owned());
    let far = RemoteEmbedder { key: key.clone(), ..settings("http://embed.example.com/v1") };
    let why = ask(quick(Remote::openai(far)), &["a"]).await.1.unwrap_err().0;
    assert!(why.contains("clear text"), "{why}");
    let unset = RemoteEmbedder { key: Some("secret://other".to_owned()), ..settings("https://embed.example.com/v1") };
    let why = ask(quick(Remote::openai(unset)), &["a"]).await.1.unwrap_err().0;
    assert!(why.contains("CAIRN_SECRET_OTHER"), "{why}");
}
