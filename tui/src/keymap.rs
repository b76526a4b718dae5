//! The key table: the one place that says which key does what, where, and in which words.
//!
//! Dispatch, footer, help and the printed reference are all made from it, so none can disagree.

use crate::Key;

/// Where a key is valid.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Scope {
    /// A request for approval is selected in the Inbox.
    Gate,
    /// A question, or an effect of unknown outcome, is selected in the Inbox.
    Ask,
    /// The Inbox.
    Inbox,
    /// The list of runs.
    Runs,
    /// One run.
    Run,
    /// The workflows and what starts them.
    Workflows,
    /// Every screen.
    Anywhere,
}

impl Scope {
    /// The heading of the help and the reference.
    #[must_use]
    pub fn heading(self) -> &'static str {
        match self {
            Self::Gate => "Inbox, on an approval",
            Self::Ask => "Inbox, on a question",
            Self::Inbox => "Inbox",
            Self::Runs => "Runs",
            Self::Run => "Run",
            Self::Workflows => "Workflows",
            Self::Anywhere => "Everywhere",
        }
    }
}

/// What a key does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[expect(missing_docs, reason = "the words of the table below say what each is")]
pub enum Action {
    Approve,
    Answer,
    Deny,
    Edit,
    Why,
    States,
    OpenRunOfItem,
    OpenRun,
    CancelRun,
    ToRequest,
    Expand,
    NextView,
    Down,
    Up,
    PageDown,
    PageUp,
    Top,
    Bottom,
    NextPane,
    Back,
    Find,
    TakeIn,
    Copy,
    ShowInbox,
    ShowRuns,
    ShowWorkflows,
    Help,
    Repaint,
    Suspend,
    Leave,
    Quit,
}

impl Action {
    /// Tells whether the action does no more than move the eye, so that a repeated or stray key is harmless.
    #[must_use]
    pub fn only_moves(self) -> bool {
        matches!(self, Self::Down | Self::Up | Self::PageDown | Self::PageUp | Self::Top | Self::Bottom)
    }
}

/// One row of the table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Binding {
    /// Where it is valid.
    pub scope: Scope,
    /// The keys, the usual one first.
    pub keys: &'static [Key],
    /// What it does.
    pub action: Action,
    /// The word for the footer; empty when it does not stand there.
    pub word: &'static str,
    /// What it does, in a sentence.
    pub help: &'static str,
    /// The same from a shell; empty when it means nothing there.
    pub cli: &'static str,
}

const fn bind(
    scope: Scope,
    keys: &'static [Key],
    action: Action,
    word: &'static str,
    help: &'static str,
    cli: &'static str,
) -> Binding {
    Binding { scope, keys, action, word, help, cli }
}

/// The table. Within a scope, the order is that of the footer and the help.
pub const TABLE: &[Binding] = &[
    bind(
        Scope::Gate,
        &[Key::Char('a')],
        Action::Approve,
        "approve",
        "let exactly this happen; asks once more where it must",
        "cairn inbox approve ID --digest D",
    ),
    bind(Scope::Ask, &[Key::Char('a')], Action::Answer, "answer", "fill the form", "cairn inbox answer ID"),
    bind(
        Scope::Gate,
        &[Key::Char('x')],
        Action::Deny,
        "deny",
        "do not let it happen; asks for a reason",
        "cairn inbox deny ID -m WHY",
    ),
    bind(
        Scope::Gate,
        &[Key::Char('e')],
        Action::Edit,
        "edit",
        "change the text in your editor; it then waits anew",
        "cairn inbox edit ID",
    ),
    bind(Scope::Gate, &[Key::Char('w')], Action::Why, "why", "show or fold the evidence", "cairn inbox show ID"),
    bind(Scope::Inbox, &[Key::Char('f')], Action::States, "filter", "show waiting, decided or all", "cairn inbox ls"),
    bind(
        Scope::Inbox,
        &[Key::Enter, Key::Char('l'), Key::Right],
        Action::OpenRunOfItem,
        "run",
        "open the run that asks",
        "cairn run show RUN",
    ),
    bind(
        Scope::Runs,
        &[Key::Enter, Key::Char('l'), Key::Right],
        Action::OpenRun,
        "open",
        "open the run",
        "cairn run show RUN",
    ),
    bind(
        Scope::Runs,
        &[Key::Char('X')],
        Action::CancelRun,
        "cancel",
        "end the run before its time; asks first",
        "cairn run cancel RUN",
    ),
    bind(
        Scope::Runs,
        &[Key::Char('f')],
        Action::States,
        "filter",
        "show all, unfinished or ended runs",
        "cairn run ls",
    ),
    bind(
        Scope::Run,
        &[Key::Enter, Key::Char('l'), Key::Right],
        Action::Expand,
        "expand",
        "unfold or fold the step; go to the run that it names",
        "",
    ),
    bind(
        Scope::Run,
        &[Key::Char('v')],
        Action::NextView,
        "view",
        "next view: tree, waterfall, events, artifacts",
        "cairn run history RUN",
    ),
    bind(Scope::Run, &[Key::Char('i')], Action::ToRequest, "inbox", "go to the open request of this step", ""),
    bind(
        Scope::Run,
        &[Key::Char('X')],
        Action::CancelRun,
        "cancel",
        "end the run before its time; asks first",
        "cairn run cancel RUN",
    ),
    bind(
        Scope::Workflows,
        &[Key::Enter, Key::Char('l'), Key::Right],
        Action::OpenRun,
        "run",
        "open the run that the trigger started last",
        "cairn trigger ls",
    ),
    bind(Scope::Anywhere, &[Key::Char('y')], Action::Copy, "copy", "copy the id, the command or the text", ""),
    bind(Scope::Anywhere, &[Key::Char('/')], Action::Find, "find", "filter the list: fuzzy, 'exact, !not", ""),
    bind(
        Scope::Anywhere,
        &[Key::Tab, Key::BackTab],
        Action::NextPane,
        "",
        "go to the other pane, to read and scroll",
        "",
    ),
    bind(Scope::Anywhere, &[Key::Char('j'), Key::Down], Action::Down, "", "down", ""),
    bind(Scope::Anywhere, &[Key::Char('k'), Key::Up], Action::Up, "", "up", ""),
    bind(Scope::Anywhere, &[Key::Ctrl('d'), Key::PageDown], Action::PageDown, "", "half a page down", ""),
    bind(Scope::Anywhere, &[Key::Ctrl('u'), Key::PageUp], Action::PageUp, "", "half a page up", ""),
    bind(Scope::Anywhere, &[Key::Char('g'), Key::Home], Action::Top, "", "to the top", ""),
    bind(Scope::Anywhere, &[Key::Char('G'), Key::End], Action::Bottom, "", "to the end", ""),
    bind(Scope::Anywhere, &[Key::Char('.')], Action::TakeIn, "", "take in new rows", ""),
    bind(Scope::Anywhere, &[Key::Char('1')], Action::ShowInbox, "", "Inbox", "cairn inbox ls"),
    bind(Scope::Anywhere, &[Key::Char('2')], Action::ShowRuns, "", "Runs", "cairn run ls"),
    bind(Scope::Anywhere, &[Key::Char('3')], Action::ShowWorkflows, "", "Workflows", "cairn workflow ls"),
    bind(
        Scope::Anywhere,
        &[Key::Esc, Key::Char('h'), Key::Left],
        Action::Back,
        "",
        "clear the filter, close the pane, go up; never quits",
        "",
    ),
    bind(Scope::Anywhere, &[Key::Ctrl('l')], Action::Repaint, "", "draw the screen anew", ""),
    bind(Scope::Anywhere, &[Key::Ctrl('z')], Action::Suspend, "", "back to the shell; fg returns", ""),
    bind(Scope::Anywhere, &[Key::Char('q')], Action::Leave, "", "back; on a top screen, quit", ""),
    bind(Scope::Anywhere, &[Key::Ctrl('c')], Action::Quit, "", "quit", ""),
    bind(Scope::Anywhere, &[Key::Char('?'), Key::F(1)], Action::Help, "keys", "all keys valid here", ""),
];

/// The rows valid in any of `scopes`.
pub(crate) fn valid(scopes: &[Scope]) -> impl Iterator<Item = &'static Binding> {
    let scopes = scopes.to_vec();
    TABLE.iter().filter(move |b| scopes.contains(&b.scope))
}

/// The row that `key` runs, the narrowest scope first.
#[must_use]
pub(crate) fn lookup(scopes: &[Scope], key: Key) -> Option<&'static Binding> {
    scopes.iter().find_map(|scope| TABLE.iter().find(|b| b.scope == *scope && b.keys.contains(&key)))
}

/// The table as Markdown, for the manual.
#[must_use]
pub fn keys_markdown() -> String {
    let mut out = String::from("# Keys\n");
    let mut heading = None;
    let mut rows: Vec<&Binding> = TABLE.iter().collect();
    rows.sort_by_key(|b| b.scope);
    for b in rows {
        if heading != Some(b.scope) {
            heading = Some(b.scope);
            out.push_str(&format!("\n## {}\n\n| keys | what | from a shell |\n|---|---|---|\n", b.scope.heading()));
        }
        let keys: Vec<String> = b.keys.iter().map(|k| format!("`{k}`")).collect();
        let cli = if b.cli.is_empty() { String::new() } else { format!("`{}`", b.cli) };
        out.push_str(&format!("| {} | {} | {cli} |\n", keys.join(" "), b.help));
    }
    out
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn no_key_means_two_things_in_one_place() {
        // the scopes that are valid together, as App::scopes gives them
        for together in [
            &[Scope::Gate, Scope::Inbox, Scope::Anywhere][..],
            &[Scope::Ask, Scope::Inbox, Scope::Anywhere],
            &[Scope::Runs, Scope::Anywhere],
            &[Scope::Run, Scope::Anywhere],
            &[Scope::Workflows, Scope::Anywhere],
        ] {
            let mut seen = BTreeSet::new();
            for key in valid(together).flat_map(|b| b.keys) {
                assert!(seen.insert(*key), "{key} is bound twice in {together:?}");
            }
        }
    }

    #[test]
    fn a_torn_arrow_key_never_acts() {
        // ESC [ A that lost its ESC: these letters must not start anything (ux section 4)
        let torn = ['[', 'O', 'A', 'B', 'C', 'D', 'F', 'H', 'P', 'Q', 'R', 'S', 'Z'];
        for b in TABLE {
            for c in torn {
                assert!(!b.keys.contains(&Key::Char(c)), "{c} runs {:?}", b.action);
            }
        }
        // tmux, screen and flow control own these
        for c in ['b', 'a', 's', 'q'] {
            assert!(TABLE.iter().all(|b| !b.keys.contains(&Key::Ctrl(c))), "ctrl-{c}");
        }
    }

    #[test]
    fn a_sentence_fits_beside_its_keys_on_80_columns() {
        for b in TABLE {
            assert!(b.help.len() <= 58, "{:?}: {}", b.action, b.help);
        }
    }

    #[test]
    fn the_reference_is_made_from_the_table() {
        let text = keys_markdown();
        assert!(TABLE.iter().all(|b| text.contains(b.help)));
        insta::assert_snapshot!("keys_markdown", text);
    }
}
