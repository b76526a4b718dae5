//! Tables: a header line, then rows with exactly its columns. All values stay text.

use cairn_store_layout::definition::nearest;
use serde_json::{Map, Value, json};

use crate::effects::Fault;

/// Reads a table and checks that it has the `required` columns. Fields are separated by commas, or by
/// semicolons when the header line has those and no comma.
pub(super) fn table(path: &str, text: &str, required: &[String]) -> Result<Value, Fault> {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let first = text.lines().next().unwrap_or("");
    let delimiter = if first.contains(';') && !first.contains(',') { b';' } else { b',' };
    // flexible: rows of another length come to us, so that the message can name both lengths
    let mut reader = ::csv::ReaderBuilder::new().delimiter(delimiter).flexible(true).from_reader(text.as_bytes());
    let bad = |line: u64, what: String| Fault::business("bad_csv", format!("files/{path}:{line}: {what}"));

    let headers = reader.headers().map_err(|e| bad(1, e.to_string()))?;
    let columns: Vec<String> = headers.iter().map(|name| name.trim().to_owned()).collect();
    if columns.iter().all(String::is_empty) {
        return Err(bad(1, "the table is empty; its first line must name the columns".to_owned()));
    }
    for (at, name) in columns.iter().enumerate() {
        if name.is_empty() {
            return Err(bad(1, format!("column {} has no name", at + 1)));
        }
        if columns[..at].contains(name) {
            return Err(bad(1, format!("the column `{name}` is there twice")));
        }
    }
    if let Some(missing) = required.iter().find(|name| !columns.contains(name)) {
        let hint = nearest(missing, columns.iter().map(String::as_str));
        let hint = hint.map_or(String::new(), |near| format!("; did you mean `{near}`?"));
        let has = columns.join(", ");
        return Err(bad(1, format!("the column `{missing}` is missing; the table has: {has}{hint}")));
    }

    let mut rows = Vec::new();
    for record in reader.records() {
        let record = record.map_err(|e| bad(e.position().map_or(0, ::csv::Position::line), e.to_string()))?;
        let line = record.position().map_or(0, ::csv::Position::line);
        if record.len() != columns.len() {
            return Err(bad(line, format!("{} fields, but the header names {}", record.len(), columns.len())));
        }
        let row: Map<String, Value> =
            columns.iter().zip(&record).map(|(name, field)| (name.clone(), Value::from(field.trim()))).collect();
        rows.push(Value::Object(row));
    }
    Ok(json!({ "rows": rows, "columns": columns }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, required: &[&str], want: Result<Value, &str>) {
        let required: Vec<String> = required.iter().map(|c| (*c).to_owned()).collect();
        match (table("t.csv", text, &required), want) {
            (Ok(got), Ok(want)) => assert_eq!(got, want),
            (Err(got), Err(want)) => assert_eq!(got.message(), want),
            (got, want) => panic!("{got:?} is not {want:?}"),
        }
    }

    #[test]
    fn good_tables() {
        let want = json!({"columns": ["a", "b"], "rows": [{"a": "1", "b": "x, \"y\"\nz"}]});
        check("\u{feff}a,b\r\n1,\"x, \"\"y\"\"\nz\"\r\n", &["b"], Ok(want));
        check("a;b\n1;2,5\n", &[], Ok(json!({"columns": ["a", "b"], "rows": [{"a": "1", "b": "2,5"}]})));
        check("a,b\n", &[], Ok(json!({"columns": ["a", "b"], "rows": []})));
    }

    #[test]
    fn bad_tables_are_told_with_file_and_line() {
        check("a,b\n1,2\n3\n", &[], Err("files/t.csv:3: 1 fields, but the header names 2"));
        check("a,b\n1,2,3\n", &[], Err("files/t.csv:2: 3 fields, but the header names 2"));
        check(
            "invoice,due_on\n",
            &["invoice", "due"],
            Err("files/t.csv:1: the column `due` is missing; the table has: invoice, due_on; did you mean `due_on`?"),
        );
        check("number\n", &["invoice"], Err("files/t.csv:1: the column `invoice` is missing; the table has: number"));
        check("", &[], Err("files/t.csv:1: the table is empty; its first line must name the columns"));
        check("a,a\n", &[], Err("files/t.csv:1: the column `a` is there twice"));
        check("a,,b\n", &[], Err("files/t.csv:1: column 2 has no name"));
    }
}
