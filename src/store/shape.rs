//! What the published schema says of a `workflow.toml`: every misspelt key and every value of a wrong type
//! at once, where reading the file stops at the first.
//!
//! Says nothing about a file that is no TOML, and nothing that needs more than the file itself.

use std::sync::OnceLock;

use cairn_store_layout::definition::{Position, Problem, nearest, workflow_schema};
use jsonschema::{ValidationError, Validator, error::ValidationErrorKind};
use serde_json::Value;
use toml::{
    Spanned,
    de::{DeTable, DeValue},
};

/// Adds to the problems of reading `text` those that reading did not come to.
#[must_use]
pub fn complete(file: &str, text: &str, mut read: Vec<Problem>) -> Vec<Problem> {
    let Ok(table) = DeTable::parse(text) else { return read };
    let Some(value) = toml::from_str::<toml::Table>(text).ok().and_then(|t| serde_json::to_value(t).ok()) else {
        return read;
    };
    let mut found = Vec::new();
    for error in validator().iter_errors(&value) {
        tell(&error, &mut found);
    }
    let place = |pointer: &[String]| offset(table.as_ref(), pointer).map(|at| Position::of(text, at));
    let mut problems: Vec<Problem> = found
        .into_iter()
        .map(|Told { pointer, message, hint }| {
            let problem = Problem::new(file, place(&pointer), message);
            match hint {
                Some(hint) => problem.hint(hint),
                None => problem,
            }
        })
        .collect();
    // reading says it in words that are made for the case
    let lines: Vec<_> = read.iter().filter_map(|p| p.at.map(|at| at.line)).collect();
    problems.retain(|p| p.at.is_none_or(|at| !lines.contains(&at.line)));
    read.append(&mut problems);
    read.sort_by_key(|p| p.at);
    read.dedup();
    read
}

struct Told {
    pointer: Vec<String>,
    message: String,
    hint: Option<String>,
}

fn validator() -> &'static Validator {
    static VALIDATOR: OnceLock<Validator> = OnceLock::new();
    VALIDATOR.get_or_init(|| jsonschema::validator_for(schema()).expect("a test compiles the published schema"))
}

fn schema() -> &'static Value {
    static SCHEMA: OnceLock<Value> = OnceLock::new();
    SCHEMA.get_or_init(workflow_schema)
}

/// Puts one error of the validator into words.
fn tell(error: &ValidationError<'_>, told: &mut Vec<Told>) {
    let path = pointer(error);
    let here = path.last().filter(|key| key.parse::<usize>().is_err()).cloned();
    let named = here.as_ref().map_or_else(|| "this".to_owned(), |key| format!("`{key}`"));
    match error.kind() {
        ValidationErrorKind::AdditionalProperties { unexpected } => {
            let known = known_keys(error);
            for key in unexpected {
                let hint = nearest(key, known.iter().map(String::as_str)).map(|near| format!("did you mean `{near}`?"));
                let hint =
                    hint.or_else(|| (!known.is_empty()).then(|| format!("known keys here: {}", known.join(", "))));
                let pointer = path.iter().cloned().chain([key.clone()]).collect();
                told.push(Told { pointer, message: format!("unknown key `{key}`"), hint });
            }
        }
        ValidationErrorKind::AnyOf { context } | ValidationErrorKind::OneOfNotValid { context } => {
            // one form has the right outline and is wrong inside: that is the one that was meant
            let inside = |form: &&Vec<ValidationError<'_>>| {
                form.iter().all(|e| {
                    pointer(e).len() > path.len()
                        || matches!(
                            e.kind(),
                            ValidationErrorKind::AdditionalProperties { .. } | ValidationErrorKind::Required { .. }
                        )
                })
            };
            let meant: Vec<_> = context.iter().filter(inside).collect();
            match meant.as_slice() {
                [one] => one.iter().for_each(|e| tell(e, told)),
                _ => told.push(Told {
                    pointer: path,
                    message: format!("{named} has none of the forms it can take"),
                    hint: None,
                }),
            }
        }
        ValidationErrorKind::Required { property } => {
            let message =
                format!("{} is missing", property.as_str().map_or_else(|| property.to_string(), |p| format!("`{p}`")));
            told.push(Told { pointer: path, message, hint: None });
        }
        ValidationErrorKind::Enum { options } => {
            let words: Vec<&str> = options.as_array().into_iter().flatten().filter_map(Value::as_str).collect();
            let given = error.instance().as_str().unwrap_or_default();
            let hint = nearest(given, words.iter().copied()).map(|near| format!("did you mean `{near}`?"));
            told.push(Told { pointer: path, message: format!("{named} must be one of {}", words.join(", ")), hint });
        }
        _ => told.push(Told { pointer: path, message: format!("{named}: {error}"), hint: None }),
    }
}

/// The keys that the schema allows where `error` found another one.
fn known_keys(error: &ValidationError<'_>) -> Vec<String> {
    let at = error.schema_path().to_string();
    let mut node = schema();
    for part in at.trim_start_matches('/').split('/') {
        if part == "additionalProperties" {
            break;
        }
        let next = match node.as_array() {
            Some(items) => part.parse::<usize>().ok().and_then(|n| items.get(n)),
            None => node.get(part),
        };
        match next.map(resolve) {
            Some(next) => node = next,
            None => return Vec::new(),
        }
    }
    let keys = resolve(node).get("properties").and_then(Value::as_object);
    keys.map(|keys| keys.keys().cloned().collect()).unwrap_or_default()
}

/// What a `$ref` stands for.
fn resolve(node: &Value) -> &Value {
    let target = node.get("$ref").and_then(Value::as_str).and_then(|r| r.strip_prefix('#'));
    target.and_then(|pointer| schema().pointer(pointer)).unwrap_or(node)
}

fn pointer(error: &ValidationError<'_>) -> Vec<String> {
    let text = error.instance_path().to_string();
    text.split('/').skip(1).map(|part| part.replace("~1", "/").replace("~0", "~")).collect()
}

/// Where in the text the value at `pointer` begins; the nearest one above it that has a place.
fn offset(table: &DeTable<'_>, pointer: &[String]) -> Option<usize> {
    let (first, rest) = pointer.split_first()?;
    let (key, value) = table.iter().find(|(key, _)| key.as_ref() == first.as_str())?;
    // an unknown key is what is pointed at, not its value
    if rest.is_empty() {
        return Some(key.span().start);
    }
    within(value, rest).or(Some(key.span().start))
}

fn within(value: &Spanned<DeValue<'_>>, pointer: &[String]) -> Option<usize> {
    let Some((first, rest)) = pointer.split_first() else { return Some(value.span().start) };
    match value.as_ref() {
        DeValue::Table(table) => offset(table, pointer),
        DeValue::Array(items) => within(items.get(first.parse::<usize>().ok()?)?, rest),
        _ => Some(value.span().start),
    }
}

#[cfg(test)]
mod tests {
    use cairn_store_layout::definition::parse_workflow;

    use super::*;

    fn told(text: &str) -> Vec<String> {
        let problems = match parse_workflow("w", "w.toml", text) {
            Ok(_) => complete("w.toml", text, Vec::new()),
            Err(problems) => complete("w.toml", text, problems),
        };
        let line = |p: &Problem| p.at.map_or(0, |at| at.line);
        problems
            .iter()
            .map(|p| {
                format!("{}: {}{}", line(p), p.message, p.hint.as_ref().map_or(String::new(), |h| format!(" ({h})")))
            })
            .collect()
    }

    #[test]
    fn every_problem_of_shape_is_told_with_its_line() {
        let text = "description = \"x\"\nouput = 1\n\n[[step]]\nid = \"a\"\nset = 1\nneds = [\"b\"]\n\n[[step]]\nid = \"b\"\n\
                    run = [\"true\"]\nretry = { attempts = \"three\" }\nwait = { evnt = \"x\" }\n";
        let told = told(text);
        assert_eq!(told.len(), 4, "{told:#?}");
        assert_eq!(told[0], "2: unknown key `ouput` (did you mean `output`?)");
        assert_eq!(told[1], "7: unknown key `neds` (did you mean `needs`?)");
        assert!(told[2].starts_with("12: "), "{told:#?}");
        assert!(told[3].starts_with("13: "), "{told:#?}");
    }

    #[test]
    fn what_can_be_read_has_the_published_shape() {
        let text = "[[input]]\nname = \"as_of\"\ntype = \"date\"\noptional = true\n\n[[trigger]]\ncron = \"0 8 * * *\"\noverlap = \"queue\"\n\n\
                    [[step]]\nid = \"a\"\nneeds = []\njoin = 1\nwait = { event = \"x\", within = \"3d\" }\n\n\
                    [[step]]\nid = \"c\"\nset = { day = 2026-11-22, list = [1, 2.5, true] }\n\n\
                    [[finally]]\nid = \"b\"\nrun = [\"true\"]\napprove = \"always\"\nundo = { call = \"file.write\", with = { path = \"a\" } }\n";
        assert!(complete("w.toml", text, Vec::new()).is_empty(), "{:#?}", complete("w.toml", text, Vec::new()));
    }
}
