//! Embedders behind a network address, against a server that is busy, wrong, short, uneven or dead.

use std::time::{Duration, Instant};

use cairn::{effects::Secrets, embedders::Remote};
use cairn_memory::{EmbedError, Embedder};
use cairn_store_layout::definition::RemoteEmbedder;
use serde_json::{Value, json};

use crate::support::web::{Script, Web};

fn settings(url: &str) -> RemoteEmbedder {
    let key = Some("secret://embed".to_owned());
    RemoteEmbedder { url: url.to_owned(), model: "embed-small".to_owned(), key, dims: None, batch: 2, floor: 0.2 }
}

fn openai(settings: RemoteEmbedder) -> Remote {
    Remote::openai(settings).with(secrets(), Duration::from_millis(1))
}

fn secrets() -> Secrets {
    Secrets::from_vars([("CAIRN_SECRET_EMBED".to_owned(), "sk-very-secret".to_owned())])
}

/// Asks from a thread that may wait, as everybody does.
async fn ask(remote: Remote, texts: &'static [&'static str]) -> (Remote, Result<Vec<Vec<f32>>, EmbedError>) {
    let asked = tokio::task::spawn_blocking(move || {
        let got = remote.embed(texts);
        (remote, got)
    });
    asked.await.unwrap()
}

/// An answer with these vectors, the last one first, as the protocol allows.
fn vectors(vectors: &[&[f32]]) -> Script {
    let one = |(n, vector): (usize, &&[f32])| json!({ "object": "embedding", "index": n, "embedding": vector });
    let mut data: Vec<Value> = vectors.iter().enumerate().map(one).collect();
    data.reverse();
    Script::json(200, json!({ "object": "list", "data": data }))
}

#[tokio::test(flavor = "multi_thread")]
async fn texts_go_in_batches_and_vectors_come_back_in_order_with_the_key() {
    let answers = vec![
        vectors(&[&[1.0, 0.5], &[2.0, 0.5]]),
        vectors(&[&[3.0, 0.5], &[4.0, 0.5]]).in_pieces(7),
        vectors(&[&[5.0, 0.5]]),
    ];
    let web = Web::start(answers).await;
    let remote = openai(RemoteEmbedder { dims: Some(2), ..settings(&format!("{}/v1", web.url)) });
    let (remote, got) = ask(remote, &["a", "b", "c", "d", "e"]).await;
    assert_eq!(got.unwrap(), [[1.0, 0.5], [2.0, 0.5], [3.0, 0.5], [4.0, 0.5], [5.0, 0.5]]);
    assert!(remote.id().starts_with("openai:embed-small/2@127.0.0.1:") && !remote.id().contains("secret"));
    let seen = web.seen();
    assert_eq!(seen.len(), 3);
    assert!(seen[0].line.starts_with("POST /v1/embeddings "));
    assert_eq!(seen[0].header("authorization"), Some("Bearer sk-very-secret"));
    let asked = json!({ "model": "embed-small", "input": ["a", "b"], "encoding_format": "float", "dimensions": 2 });
    assert_eq!(seen[0].body, asked);
    assert_eq!(seen[2].body["input"], json!(["e"]));
}

#[tokio::test(flavor = "multi_thread")]
async fn ollama_is_asked_in_its_own_words_and_its_length_is_learnt() {
    let three = Script::json(200, json!({ "embeddings": [[1.0, 2.0, 3.0]] }));
    let answers = vec![Script::json(200, json!({ "embeddings": [[1.0, 2.0], [3.0, 4.0]] })), three];
    let web = Web::start(answers).await;
    let remote = Remote::ollama(RemoteEmbedder { key: None, ..settings(&web.url) });
    assert_eq!(remote.dims(), 0, "not known before the first answer");
    let (remote, got) = ask(remote, &["a", "b"]).await;
    assert_eq!(got.unwrap(), [[1.0, 2.0], [3.0, 4.0]]);
    assert_eq!(remote.dims(), 2);
    let seen = web.seen();
    assert!(seen[0].line.starts_with("POST /api/embed ") && seen[0].header("authorization").is_none());
    assert_eq!(seen[0].body, json!({ "model": "embed-small", "input": ["a", "b"] }));
    let why = ask(remote, &["c"]).await.1.unwrap_err().0;
    assert!(why.contains("a vector of 3 numbers, where 2 are expected"), "{why}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_busy_server_is_asked_again_as_late_as_it_wants() {
    let busy = Script::new(429, &[("retry-after", "1")], "");
    let web = Web::start(vec![busy, Script::hang_up(), Script::json(503, json!({})), vectors(&[&[1.0]])]).await;
    let begun = Instant::now();
    let (_, got) = ask(openai(settings(&web.url)), &["a"]).await;
    assert_eq!(got.unwrap(), [[1.0]]);
    assert!(begun.elapsed() >= Duration::from_secs(1));
    assert_eq!(web.seen().len(), 4);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_can_not_be_waited_for_or_used_is_said_and_not_asked_again() {
    let told = |answer: Script, requests: usize| async move {
        let web = Web::start(vec![answer; requests]).await;
        let why = ask(openai(settings(&web.url)), &["a", "b"]).await.1.unwrap_err().0;
        assert_eq!(web.seen().len(), requests, "{why}");
        assert!(why.starts_with("embed-small at http://127.0.0.1:"), "{why}");
        why
    };
    assert!(told(Script::new(429, &[("retry-after", "3600")], ""), 1).await.contains("it asks to wait 3600 s"));
    let why = told(Script::new(401, &[], "no such key:\n sk-very-secret"), 1).await;
    assert!(why.contains("401") && why.contains("no such key:") && !why.contains("sk-very-secret"), "{why}");
    assert!(told(Script::json(500, json!({})), 4).await.contains("(asked 4 times)"));
    assert!(told(vectors(&[&[1.0]]), 1).await.contains("1 vectors for 2 texts"));
    assert!(told(vectors(&[&[1.0], &[1.0, 2.0]]), 1).await.contains("a vector of 2 numbers, where 1 are expected"));
    assert!(told(vectors(&[&[], &[]]), 1).await.contains("a vector of 0 numbers"));
    assert!(told(Script::new(200, &[], "<html>hello</html>"), 1).await.contains("the answer is no list of vectors"));
    assert!(told(vectors(&[&[1.0], &[2.0]]).cut(), 4).await.contains("broke off"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dead_server_and_a_key_that_can_not_travel_are_said() {
    let dead = {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        format!("http://{}", listener.local_addr().unwrap())
    };
    let why = ask(openai(settings(&dead)), &["a"]).await.1.unwrap_err().0;
    assert!(why.contains("can not be reached") && why.contains("(asked 4 times)"), "{why}");
    let why = ask(openai(settings("http://embed.example.com/v1")), &["a"]).await.1.unwrap_err().0;
    assert!(why.contains("clear text"), "{why}");
    let unset = RemoteEmbedder { key: Some("secret://other".to_owned()), ..settings("https://embed.example.com/v1") };
    let why = ask(openai(unset), &["a"]).await.1.unwrap_err().0;
    assert!(why.contains("CAIRN_SECRET_OTHER"), "{why}");
}
