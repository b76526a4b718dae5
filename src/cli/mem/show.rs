//! `cairn mem show`: one passage with its source.

use serde_json::json;

use super::{failed, line, named, open};
use crate::cli::{
    context::{Context, Outcome},
    failure::{exit, plural},
};

pub(super) fn run(context: &mut Context, id: &str) -> Outcome {
    let store = context.store()?;
    let memory = open(context, &store)?;
    let passage = named(&memory, id)?;
    let usage = cairn_memory::Usage::read(store.root()).map_err(|e| failed(&e))?;
    let uses = usage.passage(&passage.id);
    let mut document = json!(passage);
    document["uses"] = super::tidy::uses(uses);
    document["schema"] = json!("cairn.passage/1");
    let screen = &mut context.screen;
    screen.document(&document);
    screen.heading(&line(&passage));
    screen.say(format!("id        {}", passage.id));
    screen.say(format!("recorded  {}", screen.time_full(passage.recorded_at)));
    screen.say(format!("source    {}", passage.source.words()));
    screen.say(match uses {
        Some(uses) => format!("used      {}, last {}", plural(uses.count, "time"), screen.time_full(uses.last)),
        None => "used      never".to_owned(),
    });
    if let Some(until) = passage.valid_to {
        screen.say(format!("holds     until {}", screen.time_full(until)));
    }
    for before in &passage.supersedes {
        screen.say(format!("replaces  {before}"));
    }
    for (name, value) in &passage.labels {
        screen.say(format!("label     {name} = {value}"));
    }
    screen.say("");
    screen.quote(passage.text.trim());
    Ok(exit::OK)
}
