//! Definitions that can not be followed are told where and what to do.

use super::compile_with;

#[track_caller]
fn check(text: &str, files: &[(&str, &str)], expected: &str) {
    let problems = compile_with(text, files).expect_err("the definition has problems");
    let told: Vec<String> = problems.iter().map(ToString::to_string).collect();
    let told = told.join("\n").replace("workflows/demo/", "");
    assert_eq!(told, expected);
}

#[test]
fn unknown_keys_name_the_nearest() {
    check(
        "[[step]]\nid = \"a\"\nset = 1\naprove = \"always\"\n",
        &[],
        "workflow.toml:4:1: unknown key `aprove`\n  hint: did you mean `approve`?",
    );
}

#[test]
fn broken_toml_has_a_line_and_column() {
    let problems = compile_with("[[step]]\nid = \"a\nset = 1\n", &[]).expect_err("broken");
    assert_eq!((problems[0].at.expect("a place").line, problems.len()), (2, 1));
}

#[test]
fn steps_that_wait_for_each_other() {
    check(
        "[[step]]\nid = \"a\"\nneeds = [\"c\"]\nset = 1\n[[step]]\nid = \"b\"\nneeds = [\"a\"]\nset = 1\n[[step]]\nid = \"c\"\nneeds = [\"b\"]\nset = 1\n",
        &[],
        "workflow.toml:3:10: the steps wait for each other: a -> c -> b -> a\n  hint: remove one of these needs",
    );
}

#[test]
fn names_must_have_a_value_when_they_are_used() {
    check(
        "[[input]]\nname = \"client\"\n[[step]]\nid = \"a\"\nset = \"{{ input.cleint }}\"\n",
        &[],
        "workflow.toml:5:7: the workflow has no input `cleint`\n  hint: did you mean `client`?",
    );
    check(
        "[[step]]\nid = \"a\"\nset = 1\n[[step]]\nid = \"b\"\nset = \"{{ steps.a.output }}\"\n",
        &[],
        "workflow.toml:6:7: `steps.a` is used, but the step does not need `a`\n  hint: add \"a\" to `needs`",
    );
    check(
        "[[step]]\nid = \"a\"\nset = \"{{ item.x }}\"\n",
        &[],
        "workflow.toml:3:7: `item` has a value only inside a for_each step",
    );
    check(
        "[[step]]\nid = \"a\"\nset = \"{{ now() }}\"\n",
        &[],
        "workflow.toml:3:7: the name `now` is unknown\n  hint: known names: input, steps, run, item, key",
    );
}

#[test]
fn agents_connectors_and_files_must_exist() {
    check(
        "[[step]]\nid = \"a\"\nagent = \"writter\"\n",
        &[],
        "workflow.toml:3:9: there is no agent `writter`\n  hint: did you mean `writer`?",
    );
    check(
        "[[step]]\nid = \"a\"\ncall = \"mail.sned\"\n",
        &[],
        "workflow.toml:3:8: connector `mail` has no operation `sned`\n  hint: did you mean `send`?",
    );
    check(
        "[[step]]\nid = \"a\"\nagent = \"writer\"\ntemplate = \"templates/leter.txt\"\n",
        &[("templates/letter.txt", "x")],
        "workflow.toml:4:12: there is no file `templates/leter.txt` in the workflow's folder\n  hint: did you mean `templates/letter.txt`?",
    );
}

#[test]
fn a_template_takes_only_what_it_is_given() {
    check(
        "[[step]]\nid = \"a\"\nagent = \"writer\"\ntemplate = \"t.txt\"\nwith = { client = \"x\" }\n",
        &[("t.txt", "Hello\n{{ clinet }}\n")],
        "t.txt:2:1: `clinet` has no value: step `a` does not give it\n  hint: did you mean `client`? `with` of step `a` has: client",
    );
    check(
        "[[step]]\nid = \"a\"\nagent = \"writer\"\ntemplate = \"t.txt\"\n",
        &[("t.txt", "one\n{% if %}\n")],
        "t.txt:2:1: syntax error: unexpected end of block",
    );
}

#[test]
fn a_step_does_exactly_one_thing() {
    check(
        "[[step]]\nid = \"a\"\nset = 1\nask = \"x\"\n",
        &[],
        "workflow.toml:2:6: step `a` does several things: set, ask\n  hint: make a step of its own for each",
    );
    check(
        "[[step]]\nid = \"Read-Ledger\"\nset = 1\n",
        &[],
        "workflow.toml:2:6: `Read-Ledger` is not a step id: use a letter, then letters, digits or _ (lower case, at most 64)\n  hint: write `read_ledger`",
    );
    check(
        "[[step]]\nid = \"a\"\nwait = \"soon\"\n",
        &[],
        "workflow.toml:3:8: `soon` is not a length of time; write it like 30s, 5m, 2h 30m or 5d",
    );
}

#[test]
fn what_a_built_in_operation_can_not_take_is_told_before_anything_runs() {
    check(
        "[[step]]\nid = \"a\"\ncall = \"file.write\"\nwith = { pth = \"a\", text = \"b\" }\n",
        &[],
        "workflow.toml:4:8: `file.write` takes no `pth`\n  hint: did you mean `path`?\n\
         workflow.toml:4:8: `file.write` needs `path`\n  hint: add `path = ...` to `with` of step `a`",
    );
}
