//! `cairn mem show`: one passage with its source.

use serde_json::json;

use super::{failed, line, open};
use crate::cli::{
    context::{Context, Outcome},
    failure::{Failure, exit, plural},
};

pub(super) fn run(context: &mut Context, id: &str) -> Outcome {
    let store = context.store()?;
    let memory = open(context, &store)?;
    let passage = match memory.get(id).map_err(|e| failed(&e))? {
        Some(passage) => passage,
        None => {
            let id = id.to_ascii_lowercase();
            let all = memory.list(None, usize::MAX).map_err(|e| failed(&e))?;
            let mut named = all.into_iter().filter(|p| id.len() >= 4 && p.id.starts_with(&id));
            match (named.next(), named.next()) {
                (Some(one), None) => one,
                (Some(_), Some(_)) => {
                    return Err(Failure::new("ambiguous", exit::USAGE, format!("`{id}` names several passages"))
                        .fix("give more of its id"));
                }
                _ => {
                    return Err(Failure::not_found(format!("there is no passage `{id}`")).fix("cairn mem search WORDS"));
                }
            }
        }
    };
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
