//! Decisions by keys: what the screen says, and what the store holds afterwards.

use cairn_store_layout::event::Body;

use crate::{
    support::{Bench, confirm_by_digit, cursor_line, read_to_the_end},
    terminal::tmux_is_here,
};

const SIZE: (u16, u16) = (80, 24);

#[test]
fn tmux_approves_by_keys_and_the_letter_goes_out() {
    if !tmux_is_here("tmux_approves_by_keys_and_the_letter_goes_out") {
        return;
    }
    let bench = Bench::with_letters();
    bench.start_kernel();
    let terminal = bench.open(SIZE, "");
    terminal.wait_for_text("kernel ok");
    terminal.press(&["j"]);
    let item = bench.item("Atelier Fontaine");
    terminal.wait_for("the cursor on the letter", |s| cursor_line(s).contains(item.id.short()));

    read_to_the_end(&terminal);
    terminal.press(&["a"]);
    terminal.wait_for_text("SEND to compta@atelier-fontaine.example: cannot be recalled");
    assert!(bench.letters().is_empty(), "a question sends nothing");
    confirm_by_digit(&terminal, "approves");

    let screen = terminal.wait_for("the row says so", |s| cursor_line(s).contains("[approved "));
    assert!(screen.contains("1 Inbox 9"), "{screen}");
    terminal.wait_for_text(&format!(" {} approved ", item.id.short()));
    bench.wait("the letter", || !bench.letters().is_empty());
    let letters = bench.letters();
    assert_eq!(letters.len(), 1, "{letters:#?}");
    assert!(letters[0].contains("To: compta@atelier-fontaine.example"), "{}", letters[0]);

    let signed = |body: &Body| matches!(body, Body::GateApproved(e) if e.gate == item.id && e.digest == item.digest);
    bench.wait_for_event(item.run.as_ref().expect("a run asks"), "the approval in the history", signed);
    // at rest again, the run is a commit that holds the approval with its digest
    let history = cairn_store_layout::paths::run(item.run.as_ref().expect("a run asks"));
    bench.wait("the commit", || {
        let committed = bench.git(&["show", &format!("HEAD:{history}")]);
        committed.lines().any(|l| l.contains("gate.approved") && l.contains(item.digest.as_str()))
    });
    bench.wait("the letter in the commit", || {
        bench.git(&["ls-tree", "-r", "--name-only", "HEAD", "files/outbox"]).contains("compta-atelier-fontaine")
    });
    let trailers = bench.git(&["log", "-1", "--format=%(trailers)"]);
    assert!(trailers.contains(&format!("Run: {}", item.run.as_ref().expect("a run asks"))), "{trailers}");
    assert!(trailers.contains("Workflow: invoice-chase") && trailers.contains("Status: waiting"), "{trailers}");

    // a second `a` on the decided row asks nothing
    terminal.press(&["a"]);
    terminal.wait_for_text("is approved");
    bench.cairn(&["verify"], 0);
}

#[test]
fn tmux_without_a_kernel_a_decision_is_saved_and_applied_later() {
    if !tmux_is_here("tmux_without_a_kernel_a_decision_is_saved_and_applied_later") {
        return;
    }
    let bench = Bench::with_letters();
    let terminal = bench.open(SIZE, "");
    terminal.wait_for_text("KERNEL DOWN");
    let item = bench.item("Hansen Marine, EUR 920.00");
    read_to_the_end(&terminal);
    terminal.press(&["a"]);
    confirm_by_digit(&terminal, "approves");
    terminal.wait_for_text("saved; applies when the kernel starts (cairn kernel start)");
    let screen = terminal.wait_for_text("KERNEL DOWN, 1 saved");
    assert!(cursor_line(&screen).contains("[approval saved]"), "{screen}");
    assert_eq!((bench.commands(), bench.letters().len()), (1, 0));

    bench.start_kernel();
    terminal.wait_for("the row says so", |s| cursor_line(s).contains("[approved ") && s.contains("kernel ok"));
    bench.wait("the letter", || bench.letters().len() == 1);
    assert!(bench.letters()[0].contains("To: faktura@hansen-marine.example"));
    let signed = |body: &Body| matches!(body, Body::GateApproved(e) if e.digest == item.digest);
    bench.wait_for_event(item.run.as_ref().expect("a run asks"), "the approval in the history", signed);
    bench.wait("the command is used up", || bench.commands() == 0);
}

#[test]
fn tmux_denies_with_a_reason_and_nothing_goes_out() {
    if !tmux_is_here("tmux_denies_with_a_reason_and_nothing_goes_out") {
        return;
    }
    let bench = Bench::with_letters();
    bench.start_kernel();
    let terminal = bench.open(SIZE, "");
    terminal.wait_for_text("kernel ok");
    let item = bench.item("Hansen Marine, EUR 920.00");
    terminal.press(&["x"]);
    terminal.wait_for_text("1 wrong fact 2 wrong target");
    terminal.write("they called");
    terminal.wait_for_text("they called_");
    terminal.press(&["Enter"]);

    let screen = terminal.wait_for("the row says so", |s| cursor_line(s).contains("[denied "));
    assert!(screen.contains("by astrid: they called"), "{screen}");
    let denied = |body: &Body| matches!(body, Body::GateDenied(e) if e.digest == item.digest && e.reason.as_deref() == Some("they called"));
    bench.wait_for_event(item.run.as_ref().expect("a run asks"), "the denial in the history", denied);
    assert!(bench.letters().is_empty());
}

#[test]
fn tmux_edits_in_the_editor_and_the_new_text_waits_anew() {
    if !tmux_is_here("tmux_edits_in_the_editor_and_the_new_text_waits_anew") {
        return;
    }
    let bench = Bench::with_letters();
    bench.start_kernel();
    let editor = bench.path("editor");
    std::fs::write(&editor, "sed -i 's/^Dear /Hello /' \"$1\"\n").expect("an editor");
    let terminal = bench.open(SIZE, &format!("EDITOR='sh {}' VISUAL=", editor.display()));
    terminal.wait_for_text("kernel ok");
    let before = bench.item("Hansen Marine, EUR 920.00");
    terminal.press(&["e"]);
    let screen = terminal.wait_for_text("replace the text by yours");
    assert!(screen.contains("- Dear Lars Hansen,") && screen.contains("+ Hello Lars Hansen,"), "{screen}");
    confirm_by_digit(&terminal, "saves the edit");
    terminal.wait_for_text("now has your text; it waits for approval");
    let after = bench.item("Hansen Marine, EUR 920.00");
    assert!(after.is_open() && after.digest != before.digest && after.text().contains("Hello Lars Hansen"));
    assert!(bench.letters().is_empty());
}

#[test]
fn tmux_answers_a_question_and_the_run_goes_on() {
    if !tmux_is_here("tmux_answers_a_question_and_the_run_goes_on") {
        return;
    }
    let bench = Bench::new(true);
    bench.cairn(&["run", "start", "client-onboarding", "--wait"], 10);
    bench.start_kernel();
    let terminal = bench.open(SIZE, "");
    let item = bench.item("On which terms?");
    terminal.wait_for("the question", |s| cursor_line(s).contains(item.id.short()));
    terminal.press(&["a"]);
    terminal.wait_for_text("Enter next field");
    // nothing filled in: it says what is missing and stays
    terminal.press(&["Down", "Down", "Down", "Enter"]);
    terminal.wait_for_text("`package` is missing");
    terminal.press(&["Right", "Enter"]);
    terminal.write("2027-01-11");
    terminal.press(&["Enter"]);
    terminal.write("1450");
    terminal.press(&["Enter", "Enter"]);
    terminal.wait_for("the row says so", |s| cursor_line(s).contains("[answered "));
    let answered = |body: &Body| matches!(body, Body::AskAnswered(e) if e.answer["package"] == "single day" && e.answer["start_date"] == "2027-01-11");
    bench.wait_for_event(item.run.as_ref().expect("a run asks"), "the answer in the history", answered);
    bench.wait_for_event(item.run.as_ref().expect("a run asks"), "the next gate", |body| {
        matches!(body, Body::GateOpened(_))
    });
}
