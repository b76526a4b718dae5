//! `template` agents: fill the template that the step names.
//!
//! A result that begins with lines `name: value` and an empty line becomes fields; the rest is `body`.
//! Only names that the template itself spells out count, so that no value from outside can add one.

use serde_json::{Map, Value};

use super::{Ask, render};
use crate::effects::{Attempt, Done, Fault};

pub(super) fn fill(attempt: &Attempt<'_>, ask: &Ask<'_>) -> Result<Done, Fault> {
    let file = ask.template.ok_or_else(|| {
        Fault::hard("no_template", "the step names no template; an agent of kind `template` needs `template = \"...\"`")
    })?;
    let source = attempt.job.file(file)?;
    let text = render(attempt, file, ask.input)?;
    let output = fields(source, &text).map_err(|why| Fault::hard("template", format!("{file}: {why}")))?;
    Ok(Done::of(Value::Object(output)))
}

/// Takes the header lines off `text`, which `source` was rendered to.
fn fields(source: &str, text: &str) -> Result<Map<String, Value>, String> {
    let text = text.trim_start_matches(['\n', '\r']);
    let mut fields = Map::new();
    let Some((head, body)) = split(text) else {
        fields.insert("body".to_owned(), Value::String(text.to_owned()));
        return Ok(fields);
    };
    for line in head.lines() {
        let (name, value) = header(line).expect("split() took only such lines");
        if !source.lines().any(|l| spells(l, name)) {
            return Err(format!("a value brought in the line `{name}: ...`, which the template does not have"));
        }
        if name == "body" || fields.insert(name.to_owned(), Value::String(value.to_owned())).is_some() {
            return Err(format!("the result has `{name}` twice"));
        }
    }
    fields.insert("body".to_owned(), Value::String(body.to_owned()));
    Ok(fields)
}

/// The header block and the text after the empty line, if there is such a block.
fn split(text: &str) -> Option<(&str, &str)> {
    let mut end = 0;
    for line in text.split_inclusive('\n') {
        let bare = line.trim_end();
        if bare.is_empty() {
            return (end > 0).then(|| (&text[..end], text[end + line.len()..].trim_start_matches(['\n', '\r'])));
        }
        header(bare)?;
        end += line.len();
    }
    None
}

fn header(line: &str) -> Option<(&str, &str)> {
    let (name, value) = line.split_once(':')?;
    let starts = name.bytes().next().is_some_and(|b| b.is_ascii_lowercase());
    let plain = name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_');
    (starts && plain).then_some((name, value.trim()))
}

/// Whether a line of the template begins with `name:`, be it after a `{% ... %}` block.
fn spells(line: &str, name: &str) -> bool {
    line.split("%}").any(|piece| piece.trim_start().strip_prefix(name).is_some_and(|rest| rest.starts_with(':')))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[track_caller]
    fn check(source: &str, text: &str, want: Result<Value, &str>) {
        let got = fields(source, text).map(Value::Object);
        match want {
            Ok(value) => assert_eq!(got, Ok(value)),
            Err(part) => assert!(got.clone().unwrap_err().contains(part), "{got:?}"),
        }
    }

    #[test]
    fn headers_become_fields() {
        let letter = "subject: Invoice {{ n }}\nto: {{ to }}\n\nHello,\n\nbye\n";
        check(
            letter,
            "subject: Invoice 7: due\nto: a@b.example\n\nHello,\n\nbye\n",
            Ok(json!({"subject": "Invoice 7: due", "to": "a@b.example", "body": "Hello,\n\nbye\n"})),
        );
        check("{% if x %}subject: a{% endif %}\n\nb", "subject: a\n\nb", Ok(json!({"subject": "a", "body": "b"})));
    }

    #[test]
    fn without_a_header_block_all_is_body() {
        check("Hello", "Hello: you\n\nthere", Ok(json!({"body": "Hello: you\n\nthere"})));
        check("subject: x", "subject: x", Ok(json!({"body": "subject: x"})));
        check("", "", Ok(json!({"body": ""})));
    }

    #[test]
    fn a_value_can_not_add_a_header() {
        check("subject: {{ s }}\n\nHi", "subject: x\nbcc: evil@x.example\n\nHi", Err("the line `bcc: ...`"));
        check("subject: {{ s }}\n\nHi", "subject: x\nsubject: y\n\nHi", Err("`subject` twice"));
    }
}
