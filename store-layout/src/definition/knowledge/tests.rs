//! Reading, hostile files, and what is selected.

use jiff::civil::{Date, date};

use super::*;

fn parsed(file: &str, head: &str, body: &str) -> Result<Knowledge, String> {
    let text = format!("+++\norigin = {{ person = \"Astrid\", day = 2026-11-20 }}\n{head}\n+++\n{body}\n");
    Knowledge::parse(&format!("knowledge/{file}.md"), text.as_bytes()).map_err(|p| p.to_string())
}

fn rule(name: &str, head: &str) -> Knowledge {
    parsed(&format!("rules/{name}"), head, "Say so.").unwrap_or_else(|p| panic!("{p}"))
}

#[track_caller]
fn refused(file: &str, head: &str, body: &str, words: &str) {
    let told = parsed(file, head, body).expect_err("a problem");
    assert!(told.contains(words), "{told}");
}

#[test]
fn a_file_says_what_where_and_from_whom() {
    let head = "applies = { workflow = \"invoice-chase\", entity = [\"client/*\"] }\npriority = 2\nvalid_to = 2026-12-31\nreplaces = \"rules/old\"";
    let read = parsed("rules/late-fees", head, "# Late fees\n\nNever threaten.").unwrap();
    assert_eq!((read.id.as_str(), read.priority, read.valid_to), ("rules/late-fees", 2, Some(date(2026, 12, 31))));
    assert_eq!(read.content, Content::Rule("# Late fees\n\nNever threaten.".to_owned()));
    assert_eq!(read.origin, Origin::Person { person: "Astrid".to_owned(), day: date(2026, 11, 20) });
    assert_eq!(read.applies.words(), "entity client/*, workflow invoice-chase");
    assert_eq!(read.replaces, ["rules/old"]);
}

#[test]
fn a_correction_names_its_run_and_gate() {
    let run = "01kb3v8x5t0000000000000000";
    let text = format!("+++\norigin = {{ run = \"{run}\", gate = \"abc123abc123\" }}\n+++\nx\n");
    let read = Knowledge::parse("knowledge/rules/a.md", text.as_bytes()).unwrap();
    assert!(matches!(read.origin, Origin::Correction { .. }), "{read:?}");
}

#[test]
fn a_problem_has_its_place_in_the_file_and_the_nearest_name() {
    refused(
        "rules/a",
        "prioritty = 1",
        "x",
        "knowledge/rules/a.md:3:1: unknown key `prioritty`\n  hint: did you mean `priority`?",
    );
    refused(
        "rules/a",
        "applies = { entity = \"Client One\" }",
        "x",
        "knowledge/rules/a.md:3:22: `Client One` names nothing",
    );
    refused("rules/a", "valid_from = \"soon\"", "x", "knowledge/rules/a.md:3:14:");
    refused("rules/a", "valid_from = 2026-12-01\nvalid_to = 2026-11-01", "x", ":4:12: it would end on 2026-11-01");
    refused("rules/a", "replaces = \"rules/a\"", "x", "is not the id of another piece");
    refused("rules/a", "value = \"x\"", "x", "`value` belongs to preferences");
    refused("rules/a", "", "", "nothing below the head");
    refused("preferences/a", "value = \"x\"", "", "needs `topic`");
    refused("preferences/a", "topic = \"x\"", "", "needs `value`");
    refused("examples/a", "", "given only", "put a line `---`");
    refused("notes/a", "", "x", "does not name a piece of knowledge");
    let told = Knowledge::parse("knowledge/rules/a.md", b"+++\n+++\nx").expect_err("no origin").to_string();
    assert!(told.contains("no `origin`"), "{told}");
}

#[test]
fn hostile_files_are_told_and_never_followed() {
    let refuse = |bytes: &[u8]| Knowledge::parse("knowledge/rules/a.md", bytes).expect_err("a problem").to_string();
    assert!(refuse(&vec![b'x'; KNOWLEDGE_BYTES_MAX + 1]).contains("at most 65536"));
    assert!(refuse(b"+++\norigin = 1\n+++\n\0").contains("control character"));
    assert!(refuse(&[0xff, 0xfe, 0x00]).contains("not UTF-8"));
    assert!(refuse(b"").contains("does not begin with a head"));
    assert!(refuse(b"+++\na = 1\n").contains("does not end"));
    assert!(refuse(format!("+++\n{}\n+++\nx", "# long\n".repeat(2_000)).as_bytes()).contains("more than 8192"));
    for (open, close) in [("[", "]"), ("{a=", "}")] {
        let deep = format!("+++\nreplaces = {}{}\n+++\nx", open.repeat(1_500), close.repeat(1_500));
        assert!(refuse(deep.as_bytes()).starts_with("knowledge/rules/a.md:"), "deep");
    }
}

fn asked(workflow: &str, step: &str, entity: &str) -> Asked {
    let some = |text: &str| (!text.is_empty()).then(|| text.to_owned());
    Asked { workflow: some(workflow), step: some(step), entity: some(entity) }
}

fn chosen(all: &[Knowledge], asked: &Asked, day: Date) -> Vec<String> {
    select(all, asked, day, 1_000).chosen.into_iter().map(|c| c.knowledge.id.clone()).collect()
}

#[test]
fn the_narrowest_comes_first_then_priority_then_the_id() {
    let all = [
        rule("everywhere", ""),
        rule("workflow", "applies = { workflow = \"chase\" }\npriority = 9"),
        rule("step", "applies = { step = \"letter\" }"),
        rule("clients", "applies = { entity = \"client/*\" }"),
        rule("brandt", "applies = { entity = \"client/brandt\" }"),
        rule("urgent", "priority = 5"),
        rule("other", "applies = { entity = \"client/nordlys\" }"),
    ];
    let day = date(2026, 11, 20);
    let order = ["rules/brandt", "rules/clients", "rules/step", "rules/workflow", "rules/urgent", "rules/everywhere"];
    assert_eq!(chosen(&all, &asked("chase", "letter", "client/brandt"), day), order);
    // who restricts themselves to what is not named does not apply
    assert_eq!(chosen(&all, &asked("", "", ""), day), ["rules/urgent", "rules/everywhere"]);
}

#[test]
fn replaced_and_outdated_ones_are_left_out() {
    let all = [
        rule("old", ""),
        rule("new", "replaces = \"rules/old\"\nvalid_from = 2026-12-01"),
        rule("past", "valid_to = 2026-11-19"),
    ];
    let question = asked("", "", "");
    assert_eq!(chosen(&all, &question, date(2026, 11, 20)), ["rules/old"]);
    assert_eq!(chosen(&all, &question, date(2026, 11, 19)), ["rules/old", "rules/past"]);
    assert_eq!(chosen(&all, &question, date(2026, 12, 1)), ["rules/new"]);
    let selection = select(&all, &question, date(2026, 12, 1), 1_000);
    assert_eq!(selection.left_out, [LeftOut { id: "rules/old".into(), why: "rules/new replaces it".into() }]);
}

#[test]
fn one_preference_speaks_about_a_topic() {
    let preference = |name: &str, head: &str| parsed(&format!("preferences/{name}"), head, "").unwrap();
    let all = [
        preference("language", "topic = \"language\"\nvalue = \"English\""),
        preference("german", "topic = \"language\"\nvalue = \"German\"\napplies = { entity = \"client/brandt\" }"),
    ];
    let day = date(2026, 11, 20);
    assert_eq!(chosen(&all, &asked("", "", "client/brandt"), day), ["preferences/german"]);
    assert_eq!(chosen(&all, &asked("", "", "client/nordlys"), day), ["preferences/language"]);
    assert_eq!(all[1].text(), "language: German");
}

#[test]
fn the_budget_bounds_what_is_chosen_and_the_rest_is_told() {
    let all = [rule("a", ""), parsed("rules/b", "", &"word ".repeat(500)).unwrap(), rule("c", "")];
    let selection = select(&all, &asked("", "", ""), date(2026, 11, 20), 40);
    let ids: Vec<&str> = selection.chosen.iter().map(|c| c.knowledge.id.as_str()).collect();
    assert_eq!(ids, ["rules/a", "rules/c"]);
    assert!(selection.chosen.iter().map(|c| c.tokens).sum::<usize>() <= 40);
    assert!(selection.left_out[0].why.contains("do not fit"), "{:?}", selection.left_out);
}
