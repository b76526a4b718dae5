//! Bugs on purpose, so that the simulator can show that it would find them.
//!
//! Nothing of them is in a build without the feature `seeded-bugs`, which no program is ever built with.

/// What is wrong on purpose.
#[cfg(feature = "seeded-bugs")]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(missing_docs, reason = "each is told where it is planted")]
pub enum Bug {
    EffectBeforeIntent,
    HistoryBeforeJournal,
    SyncRetried,
    TailNotSynced,
    JournalForgottenEarly,
    LockSkipped,
    StaleLockKept,
    InboxEmptiedFirst,
    StartedTwice,
    ArtifactLeftOut,
    PinForgotten,
    RetryForEver,
    OnceSentAgain,
    KeyRenewed,
    StaleApproval,
    LapsedApproval,
    LateReplyTaken,
    TakenTwice,
    UndoneForward,
    EventForgotten,
    TurnForgotten,
    DueTwice,
    FenceSkipped,
}

#[cfg(feature = "seeded-bugs")]
thread_local! {
    static PLANTED: std::cell::Cell<Option<Bug>> = const { std::cell::Cell::new(None) };
}

/// Plants a bug in this thread, or takes it out.
#[cfg(feature = "seeded-bugs")]
pub fn plant(bug: Option<Bug>) {
    PLANTED.set(bug);
}

/// Tells whether a bug is planted in this thread.
#[cfg(feature = "seeded-bugs")]
#[must_use]
pub fn is_planted(bug: Bug) -> bool {
    PLANTED.get() == Some(bug)
}

/// `seeded!(Bug: wrong, else right)`: what is right, in every build but the one of the simulator's own test.
/// `seeded!(Bug: wrong)`: nothing, but in that one.
#[macro_export]
macro_rules! seeded {
    ($bug:ident: $wrong:expr, else $right:expr) => {{
        #[cfg(feature = "seeded-bugs")]
        {
            if $crate::seeded::is_planted($crate::seeded::Bug::$bug) { $wrong } else { $right }
        }
        #[cfg(not(feature = "seeded-bugs"))]
        {
            $right
        }
    }};
    ($bug:ident: $wrong:expr) => {
        #[cfg(feature = "seeded-bugs")]
        if $crate::seeded::is_planted($crate::seeded::Bug::$bug) {
            $wrong;
        }
    };
}
