//! `cairn mem stats`: what memory holds, which embedder answers, and what waits for vectors.

use serde_json::json;

use super::{failed, open};
use crate::cli::{
    context::{Context, Outcome},
    failure::exit,
};

pub(super) fn run(context: &mut Context) -> Outcome {
    let store = context.store()?;
    let memory = open(context, &store)?;
    let stats = memory.stats().map_err(|e| failed(&e))?;
    let embedding = memory.embedding().map_err(|e| failed(&e))?;
    let waiting = embedding.of.saturating_sub(embedding.ready);
    let state = match (&embedding.next, waiting) {
        (Some(_), _) => "changing",
        (None, 0) => "ready",
        (None, _) => "behind",
    };
    let screen = &mut context.screen;
    screen.document(&json!({
        "schema": "cairn.memory-stats/1",
        "passages": stats.passages,
        "unreadable": stats.unreadable,
        "embedder": { "serving": embedding.serving, "next": embedding.next, "state": state, "ready": embedding.ready,
            "waiting": waiting, "trouble": embedding.trouble },
        "vectors": { "in_table": stats.flushed, "in_tail": stats.tail, "files": stats.vector_files },
        "indexed": stats.indexed,
        "passage_files": stats.passage_files,
    }));
    screen.say(format!("passages  {} in {} files", stats.passages, stats.passage_files));
    if stats.unreadable > 0 {
        screen.say(format!("          {} lines could not be read and were left out", stats.unreadable));
    }
    screen.say(format!("embedder  {}", embedding.serving));
    if let Some(next) = &embedding.next {
        let (ready, of) = (embedding.ready, embedding.of);
        screen.say(format!("          until {next} has vectors for all passages: {ready} of {of}"));
    } else if waiting > 0 {
        screen.say(format!("          {waiting} passages wait for vectors and are found by their words"));
    }
    if let Some(trouble) = &embedding.trouble {
        screen.say(format!("          it gave none last time: {trouble}"));
    }
    screen.say(format!(
        "vectors   {} in {} files of this machine's table, {} not written yet",
        stats.flushed, stats.vector_files, stats.tail
    ));
    screen.say(match stats.indexed {
        0 => "index     none: every passage is looked at".to_owned(),
        indexed => format!("index     {indexed} passages"),
    });
    if embedding.next.is_some() || waiting > 0 {
        screen.note("Vectors are made by a running kernel while it is idle.");
    }
    Ok(exit::OK)
}
