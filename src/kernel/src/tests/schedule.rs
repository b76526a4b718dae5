//! Times: what is due when, across changes of clocks, stops of the kernel and clocks that are wrong.

use cairn_store_layout::definition::parse_workflow;
use jiff::{SignedDuration, Timestamp};
use proptest::prelude::*;

use crate::{Handled, Schedule, schedule::MADE_UP_MAX};

/// The schedule of a trigger with these keys.
fn schedule(keys: &str) -> Schedule {
    read(keys).unwrap_or_else(|why| panic!("{keys}: {why}"))
}

fn read(keys: &str) -> Result<Schedule, String> {
    let text = format!("[[trigger]]\n{keys}\n[[step]]\nid = \"a\"\nset = 1\n");
    let workflow = parse_workflow("w", "w", &text).map_err(|p| p[0].to_string())?;
    let read = Schedule::read("w", &workflow.triggers[0]).map_err(|bad| bad.message)?;
    Ok(read.expect("it goes by time"))
}

fn at(text: &str) -> Timestamp {
    text.parse().unwrap_or_else(|e| panic!("{text}: {e}"))
}

/// The due times after `since`, as many as are expected.
#[track_caller]
fn check(keys: &str, since: &str, expected: &[&str]) {
    let schedule = schedule(keys);
    let since = at(since);
    let mut after = since;
    for text in expected {
        let due = schedule.next_due(since, after).expect("a due time");
        assert_eq!(due, at(text), "{keys} after {after}");
        after = due;
    }
}

/// What a look finds, in short: first, last, how many, started or why not.
fn looked(schedule: &Schedule, since: &str, now: &str) -> Vec<String> {
    let tell = |h: Handled| format!("{} of {}: {}", h.times, h.due, h.left_out.as_deref().unwrap_or("starts"));
    schedule.look(at(since), None, at(now)).handled.into_iter().map(tell).collect()
}

#[test]
fn a_cron_text_is_read_on_the_wall_clock_of_its_zone() {
    check("cron = \"0 8 * * 1-5\"", "2026-11-20T08:00:00Z", &["2026-11-23T08:00:00Z", "2026-11-24T08:00:00Z"]);
    let berlin = "cron = \"0 8 * * *\"\ntimezone = \"Europe/Berlin\"";
    check(berlin, "2026-10-23T20:00:00Z", &["2026-10-24T06:00:00Z", "2026-10-25T07:00:00Z"]);
    check("cron = \"30 23 L * *\"", "2027-02-01T00:00:00Z", &["2027-02-28T23:30:00Z", "2027-03-31T23:30:00Z"]);
}

#[test]
fn a_wall_clock_time_that_is_left_out_is_due_at_the_next_moment_that_exists() {
    // in Berlin the clocks go from 02:00 to 03:00 on 28 March 2027, which is 01:00 UTC
    let zone = "timezone = \"Europe/Berlin\"";
    check(
        &format!("cron = \"30 2 * * *\"\n{zone}"),
        "2027-03-27T12:00:00Z",
        &["2027-03-28T01:00:00Z", "2027-03-29T00:30:00Z"],
    );
    // four times a wall clock left out and the hour itself are one moment, due once
    check(
        &format!("cron = \"*/15 * * * *\"\n{zone}"),
        "2027-03-28T00:40:00Z",
        &["2027-03-28T00:45:00Z", "2027-03-28T01:00:00Z", "2027-03-28T01:15:00Z"],
    );
    check(&format!("at = \"2027-03-28T02:30:00\"\n{zone}"), "2027-01-01T00:00:00Z", &["2027-03-28T01:00:00Z"]);
}

#[test]
fn a_wall_clock_time_that_comes_twice_is_due_the_first_time() {
    // in Berlin 02:00 to 03:00 comes twice on 25 October 2026: from 00:00 and from 01:00 UTC
    let zone = "timezone = \"Europe/Berlin\"";
    check(
        &format!("cron = \"30 2 * * *\"\n{zone}"),
        "2026-10-24T12:00:00Z",
        &["2026-10-25T00:30:00Z", "2026-10-26T01:30:00Z"],
    );
    // counted from within the second pass
    check(&format!("cron = \"30 2 * * *\"\n{zone}"), "2026-10-25T01:10:00Z", &["2026-10-26T01:30:00Z"]);
    check(&format!("at = \"2026-10-25T02:30:00\"\n{zone}"), "2026-01-01T00:00:00Z", &["2026-10-25T00:30:00Z"]);
}

#[test]
fn every_counts_from_the_edit_and_at_comes_once() {
    check("every = \"90m\"", "2026-11-22T08:10:30Z", &["2026-11-22T09:40:30Z", "2026-11-22T11:10:30Z"]);
    let once = schedule("at = \"2026-12-01\"");
    let since = at("2026-11-22T08:00:00Z");
    assert_eq!(once.next_due(since, since), Some(at("2026-12-01T00:00:00Z")));
    assert_eq!(once.next_due(since, at("2026-12-01T00:00:00Z")), None);
    assert_eq!(once.next_due(at("2027-01-01T00:00:00Z"), since), None, "it passed before the edit");
    check("at = \"2026-12-01T08:00:00+01:00\"", "2026-11-22T08:00:00Z", &["2026-12-01T07:00:00Z"]);
}

#[test]
fn times_that_can_not_be_are_told() {
    for (keys, said) in [
        ("cron = \"0 8 * *\"", "is no cron text"),
        ("cron = \"61 8 * * *\"", "is no cron text"),
        ("cron = \"0 0 31 2 *\"", "never comes"),
        ("cron = \"0 0 8 * * *\"", "is no cron text"),
        ("cron = \"0 8 * * *\"\ntimezone = \"Europe/Berln\"", "no time zone `Europe/Berln`"),
        ("at = \"soon\"", "is no time"),
        ("at = \"2026-12-01T08:00:00[Europe/Berlin]\"", "is no time"),
        ("every = \"10ms\"", "at least 1s"),
    ] {
        let why = read(keys).map(drop).expect_err(keys);
        assert!(why.contains(said), "{keys}: {why}");
    }
}

#[test]
fn what_was_missed_follows_misfire() {
    let hourly = |more: &str| schedule(&format!("cron = \"0 * * * *\"\n{more}"));
    let (since, late, prompt) = ("2026-11-22T07:30:00Z", "2026-11-22T10:30:00Z", "2026-11-22T10:00:20Z");
    assert_eq!(looked(&hourly(""), since, late), ["3 of 2026-11-22T10:00:00Z: starts"]);
    assert_eq!(looked(&hourly(""), since, prompt), ["3 of 2026-11-22T10:00:00Z: starts"]);
    let skip = hourly("misfire = \"skip\"");
    assert_eq!(looked(&skip, since, late), ["3 of 2026-11-22T10:00:00Z: missed while no kernel ran"]);
    assert_eq!(
        looked(&skip, since, prompt),
        ["2 of 2026-11-22T09:00:00Z: missed while no kernel ran", "1 of 2026-11-22T10:00:00Z: starts"]
    );
    let all =
        ["1 of 2026-11-22T08:00:00Z: starts", "1 of 2026-11-22T09:00:00Z: starts", "1 of 2026-11-22T10:00:00Z: starts"];
    assert_eq!(looked(&hourly("misfire = \"all\""), since, late), all);
    assert_eq!(
        looked(&hourly("max_lateness = \"40m\""), since, late),
        ["2 of 2026-11-22T09:00:00Z: missed by more than 40m", "1 of 2026-11-22T10:00:00Z: starts"]
    );
    assert_eq!(
        looked(&hourly("max_lateness = \"10s\""), since, prompt),
        ["3 of 2026-11-22T10:00:00Z: missed by more than 10s"]
    );
    let month = looked(&hourly("misfire = \"all\""), "2026-10-22T07:30:00Z", late);
    assert_eq!(month.len(), MADE_UP_MAX + 1);
    assert!(month[0].starts_with(&format!("{} of ", 31 * 24 + 3 - MADE_UP_MAX)), "{}", month[0]);
}

#[test]
fn jitter_is_the_same_for_a_time_and_differs_between_times_and_triggers() {
    let keys = "cron = \"0 * * * *\"\njitter = \"10m\"";
    let (one, again, other) = (schedule(keys), schedule(keys), schedule(&format!("id = \"other\"\n{keys}")));
    let due = at("2026-11-22T09:00:00Z");
    let later = |schedule: &Schedule, due: Timestamp| schedule.starts_at(due).duration_since(due).as_millis();
    assert_eq!(later(&one, due), later(&again, due));
    assert_ne!(later(&one, due), later(&other, due));
    let hours: Vec<i128> = (0..200).map(|n| later(&one, due + SignedDuration::from_hours(n))).collect();
    assert!(hours.iter().all(|late| (0..=600_000).contains(late)), "{hours:?}");
    assert!(hours.iter().any(|late| *late > 500_000) && hours.iter().any(|late| *late < 100_000));
}

/// A kernel as the schedule sees it: it looks at some moments, and remembers what it handled or dies first.
fn follow(schedule: &Schedule, since: Timestamp, moments: &[(i64, bool)]) -> (Vec<Handled>, Timestamp) {
    let (mut now, mut up_to, mut handled) = (since, since, None);
    let mut all = Vec::new();
    for (seconds, dies) in moments {
        now = now.saturating_add(SignedDuration::from_secs(*seconds)).expect("a length of time").max(since);
        up_to = up_to.max(now);
        let look = schedule.look(since, handled, now);
        if let Some(next) = look.next {
            assert!(next > now, "what is due is handled now");
        }
        for found in &look.handled {
            assert!(schedule.starts_at(found.due) <= now, "never early");
        }
        // a kill before the record is durable: the next look finds the same
        if !dies {
            handled = look.handled.last().map(|h| h.due).or(handled);
            all.extend(look.handled);
        }
    }
    let last = schedule.look(since, handled, up_to);
    all.extend(last.handled);
    (all, up_to)
}

/// Every due time up to `now` by asking for one after the other.
fn due_times(schedule: &Schedule, since: Timestamp, now: Timestamp) -> Vec<Timestamp> {
    let mut times = Vec::new();
    let mut after = since;
    let mut starts = Timestamp::MIN;
    while let Some(due) = schedule.next_due(since, after) {
        starts = starts.max(schedule.starts_at(due));
        if starts > now {
            break;
        }
        times.push(due);
        after = due;
    }
    times
}

fn any_schedule() -> impl Strategy<Value = Schedule> {
    let source = prop_oneof![
        Just("cron = \"*/7 * * * *\""),
        Just("cron = \"30 2 * * *\""),
        Just("cron = \"0 1-4 * * 0,6\""),
        Just("every = \"13m\""),
        Just("at = \"2026-10-25T02:30:00\""),
    ];
    let zone = prop_oneof![Just("UTC"), Just("Europe/Berlin"), Just("America/New_York"), Just("Australia/Lord_Howe")];
    let misfire = prop_oneof![Just("skip"), Just("once"), Just("all")];
    let bounds = prop_oneof![Just(""), Just("jitter = \"20m\""), Just("max_lateness = \"1h\"")];
    (source, zone, misfire, bounds).prop_map(|(source, zone, misfire, bounds)| {
        schedule(&format!("{source}\ntimezone = \"{zone}\"\nmisfire = \"{misfire}\"\n{bounds}"))
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, failure_persistence: None, ..ProptestConfig::default() })]

    /// Across looks at any moments, kills before the record, and clocks a day ahead or behind: every due
    /// time is handled exactly once, in order, none early.
    #[test]
    fn every_due_time_is_handled_once(
        schedule in any_schedule(),
        moments in prop::collection::vec(
            (prop_oneof![1_i64..400, 1_000_i64..50_000, Just(86_400), Just(-86_400)], prop::bool::weighted(0.3)),
            1..40,
        ),
    ) {
        // a day before the clocks of Berlin and New York go back, so that many runs cross a change
        let since = at("2026-10-24T20:11:07Z");
        let (handled, up_to) = follow(&schedule, since, &moments);
        let due = due_times(&schedule, since, up_to);
        prop_assert_eq!(handled.iter().map(|h| h.times).sum::<u64>(), due.len() as u64);
        let mut left = due.as_slice();
        for h in &handled {
            let (these, rest) = left.split_at(usize::try_from(h.times).expect("few"));
            prop_assert_eq!((these.first(), these.last()), (Some(&h.first), Some(&h.due)));
            left = rest;
        }
        prop_assert!(due.windows(2).all(|pair| pair[0] < pair[1]));
    }

    /// On the wall clock of its zone a due time shows what the cron text says, unless the clocks left that
    /// time out.
    #[test]
    fn a_due_time_shows_on_the_wall_clock(hours in 0_i64..9_000) {
        let schedule = schedule("cron = \"30 2 * * *\"\ntimezone = \"America/New_York\"");
        let since = at("2026-01-01T00:00:00Z") + SignedDuration::from_hours(hours);
        let due = schedule.next_due(since, since).expect("daily");
        prop_assert!(due > since && due.duration_since(since) <= SignedDuration::from_hours(25));
        let text = schedule.text(due);
        prop_assert!(text.contains("T02:30:00") || text == "2026-03-08T03:00:00-04:00", "{}", text);
    }
}
