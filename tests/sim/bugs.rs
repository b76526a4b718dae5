//! Bugs on purpose: each must be found within a thousand seeds, or the simulator is too tame.
//!
//! Some are planted in the program (feature `seeded-bugs`), some in the disk or the clock below it.

#![cfg(feature = "seeded-bugs")]

use cairn_kernel::seeded::{Bug, plant};

use crate::{
    Stores,
    lab::Deaf,
    seed::{self, Wrong},
};

/// So many seeds must be enough.
const SEEDS_MAX: u64 = 1_000;

/// Runs seed after seed until one breaks a promise.
fn is_caught(name: &str, wrong: Wrong) {
    let stores = Stores::make();
    plant(wrong.bug);
    let caught = (0..SEEDS_MAX).find_map(|seed| Some((seed, seed::run(seed, &stores.templates, wrong).err()?)));
    plant(None);
    let Some((seed, broken)) = caught else { panic!("{name} was not found by {SEEDS_MAX} seeds") };
    println!("{name}: caught by seed {seed}: {}", broken.why.lines().next().unwrap_or_default());
}

macro_rules! planted {
    ($($name:ident: $($field:ident = $value:expr),+;)*) => { $(
        #[test]
        fn $name() {
            is_caught(stringify!($name), Wrong { $($field: $value,)+ ..Wrong::default() });
        }
    )* };
}

planted! {
    // acknowledged before it is durable
    seeded_journal_is_not_synced: deaf = Some(Deaf::Journal);
    seeded_journal_folder_is_not_synced: deaf = Some(Deaf::JournalFolder);
    seeded_packs_are_not_synced: deaf = Some(Deaf::Packs);
    seeded_pack_folder_is_not_synced: deaf = Some(Deaf::PackFolder);
    seeded_branch_is_not_synced: deaf = Some(Deaf::Ref);
    seeded_history_is_shown_before_the_journal_is_durable: bug = Some(Bug::HistoryBeforeJournal);
    seeded_failed_sync_is_tried_again: bug = Some(Bug::SyncRetried);
    seeded_tail_of_a_killed_kernel_is_not_synced: bug = Some(Bug::TailNotSynced);
    seeded_journal_is_forgotten_early: bug = Some(Bug::JournalForgottenEarly);
    seeded_commit_leaves_an_artifact_out: bug = Some(Bug::ArtifactLeftOut);
    // effects
    seeded_effect_leaves_before_its_intent: bug = Some(Bug::EffectBeforeIntent);
    seeded_key_is_new_for_each_attempt: bug = Some(Bug::KeyRenewed);
    seeded_effect_of_class_once_is_sent_again: bug = Some(Bug::OnceSentAgain);
    seeded_retries_have_no_bound: bug = Some(Bug::RetryForEver);
    seeded_reply_to_an_earlier_attempt_is_taken: bug = Some(Bug::LateReplyTaken);
    seeded_timers_follow_the_wall_clock: by_the_wall = true;
    // who may do what
    seeded_approval_is_not_bound_to_what_was_shown: bug = Some(Bug::StaleApproval);
    seeded_lapsed_approval_counts: bug = Some(Bug::LapsedApproval);
    seeded_lock_is_not_taken: bug = Some(Bug::LockSkipped);
    seeded_lock_of_a_dead_kernel_is_kept: bug = Some(Bug::StaleLockKept);
    // what is asked
    seeded_command_is_removed_before_it_is_recorded: bug = Some(Bug::InboxEmptiedFirst);
    seeded_command_left_by_a_crash_is_taken_again: bug = Some(Bug::StartedTwice);
    seeded_decision_left_by_a_crash_is_answered_again: bug = Some(Bug::TakenTwice);
    seeded_pin_is_forgotten_by_a_restart: bug = Some(Bug::PinForgotten);
    // the rest of the language
    seeded_what_was_done_first_is_taken_back_first: bug = Some(Bug::UndoneForward);
    seeded_event_before_its_wait_is_forgotten: bug = Some(Bug::EventForgotten);
    seeded_turn_that_is_held_is_forgotten_by_a_restart: bug = Some(Bug::TurnForgotten);
    seeded_due_time_is_looked_at_again: bug = Some(Bug::DueTwice);
    // another machine
    seeded_restored_store_is_taken_for_the_present: bug = Some(Bug::FenceSkipped);
}
