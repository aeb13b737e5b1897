//! The clocks of one live attempt: fed with what it prints, asked whether it stands still. Knows what was printed before
//! this engine lived from the log and its stamps; nothing of it is stored. Decides nothing: it says what is the matter.

use std::time::Duration;

use regex::Regex;

use super::board::{Orders, Standing};
use crate::gauge::plain;
use crate::gauge::progress::{Meter, Parser};
use crate::model::{Sign, StallAfter, Time, WaitSpec};
use crate::patience::{self, Habits, Limits, Load, Past, Patience};
use crate::usage::Work;

/// What computes less than this is idle, in thousandths of a processor.
const IDLE: u32 = 50;
/// What reads and writes less than this is idle, in bytes a second.
const TRICKLE: u64 = 64 * 1024;
/// Between the two looks at what it computes: a part of the limit, between these.
const LOOK: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(60));
/// What passes of the boot's clock beyond this while the processor's clock stands still is sleep of the machine.
const SLEPT_MS: i64 = 1_000;
/// What has no end for so long is read as it stands.
const MOMENT: Duration = Duration::from_millis(100);
/// Of what is read at once only the end is searched for words that announce a pause.
const END: usize = 2048;

/// Two clocks of this machine at one moment, in milliseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::daemon) struct Tick {
    /// Goes on while the machine sleeps.
    pub(in crate::daemon) boottime: i64,
    /// Stands still then.
    pub(in crate::daemon) monotonic: i64,
}

/// It stands still, and nothing of it computes.
#[derive(Debug, Clone, PartialEq)]
pub(in crate::daemon) struct Still {
    pub(in crate::daemon) sign: Sign,
    pub(in crate::daemon) since: Time,
    pub(in crate::daemon) limit: Duration,
    pub(in crate::daemon) longest: Option<Duration>,
    pub(in crate::daemon) cpu_permille: u32,
}

/// What is to be done about the clocks now.
#[derive(Debug, Clone, PartialEq)]
pub(in crate::daemon) enum Next {
    /// Nothing until then; `None`: nothing without a sign of life.
    Wait(Option<Time>),
    /// Measure what it computes, and tell it to [`Clocks::worked`].
    Measure,
    Still(Still),
}

/// See the module's description.
pub(in crate::daemon) struct Clocks {
    patience: Patience,
    meter: Meter,
    past: Past,
    /// `None`: nothing is a stall.
    limits: Option<Limits>,
    quiet: Vec<Regex>,
    begun: Time,
    orders: Orders,
    tick: Option<Tick>,
    /// What it had computed at the first look.
    first: Option<(Time, Work)>,
    /// What it computes, by the second look: until then nothing is asked.
    busy_until: Option<Time>,
    idle: Option<u32>,
    /// Nothing is a stall before: a person gave it time.
    granted: Option<Time>,
    /// When output came whose last line has no end yet.
    unread: Option<Time>,
}

impl Clocks {
    /// The clocks of an attempt that began then, of a step that tells its progress in this way and of which this is known.
    pub(in crate::daemon) fn new(spec: &WaitSpec, parser: Parser, past: Past, begun: Time) -> Self {
        let limits = match spec.stall_after {
            StallAfter::Learned => Some(Limits::default()),
            StallAfter::After(span) => Some(Limits { after: Some(span), least: span, ..Limits::default() }),
            StallAfter::Never => None,
        };
        Self {
            patience: Patience::new(begun),
            meter: Meter::new(parser),
            past,
            limits,
            quiet: spec.quiet.iter().filter_map(|pattern| Regex::new(pattern).ok()).collect(),
            begun,
            orders: Orders::default(),
            tick: None,
            first: None,
            busy_until: None,
            idle: None,
            granted: None,
            unread: None,
        }
    }

    /// Output that came by then; none but the length is known of what is empty.
    pub(in crate::daemon) fn output(&mut self, bytes: &[u8], at: Time) {
        self.patience.output(at);
        self.unread = bytes.last().filter(|last| !matches!(last, b'\n' | b'\r')).map(|_| at);
        if let Some(progress) = self.meter.bytes(bytes, at.as_ms()) {
            self.patience.progress(at, progress.fraction());
        }
        if self.announces(bytes) {
            self.patience.quiet();
        }
        // What prints and gets no further is measured while it prints.
        if self.due(at).is_none_or(|(since, until)| at < begin(since, until)) {
            (self.first, self.busy_until, self.idle) = (None, None, None);
        }
    }

    /// Reads what stands there without an end, once nothing was added to it for a moment: bars are written so.
    pub(in crate::daemon) fn settle(&mut self, now: Time) {
        if self.unsettled().is_some_and(|at| now >= at) {
            self.unread = None;
            let before = self.meter.progress();
            self.meter.settle(now.as_ms());
            if let Some(progress) = self.meter.progress().filter(|progress| Some(*progress) != before) {
                self.patience.progress(now, progress.fraction());
            }
        }
    }

    /// When that is worth a look; `None`: it was read, or there is nothing.
    pub(in crate::daemon) fn unsettled(&self) -> Option<Time> {
        self.unread.map(|at| at.plus(MOMENT))
    }

    /// Some output was left out.
    pub(in crate::daemon) fn cut(&mut self) {
        self.meter.cut();
    }

    /// So large a share of the whole was reported to be done.
    pub(in crate::daemon) fn progress(&mut self, share: f64, at: Time) {
        self.patience.output(at);
        self.patience.progress(at, share);
    }

    /// The last line announces a pause.
    fn announces(&self, bytes: &[u8]) -> bool {
        if self.quiet.is_empty() {
            return false;
        }
        let end = &bytes[bytes.len().saturating_sub(END)..];
        let last = end.split(|byte| matches!(byte, b'\n' | b'\r')).rfind(|line| !line.trim_ascii().is_empty());
        last.is_some_and(|line| {
            let line = plain::line(line);
            self.quiet.iter().any(|pattern| pattern.is_match(&line))
        })
    }

    /// What the mind knows now. What is older than the newest output is told before it: see [`Clocks::before`].
    pub(in crate::daemon) fn heed(&mut self, orders: Orders, now: Time) {
        match (self.orders.held, orders.held) {
            (None, Some(since)) => self.patience.pause(since),
            (Some(_), None) => self.patience.unpause(now),
            (None, None) | (Some(_), Some(_)) => {}
        }
        if orders.held != self.orders.held {
            (self.first, self.busy_until, self.idle) = (None, None, None);
        }
        self.spare(orders.spared);
        let more = orders.more.saturating_sub(self.orders.more);
        self.orders = orders;
        if !more.is_zero() {
            self.granted = self.due(now).map(|(_, until)| until.max(now).plus(more));
            (self.first, self.busy_until, self.idle) = (None, None, None);
        }
    }

    fn spare(&mut self, at: Option<Time>) {
        if let Some(at) = at.filter(|at| self.orders.spared != Some(*at)) {
            self.patience.spare(at);
            (self.first, self.busy_until, self.idle) = (None, None, None);
        }
    }

    /// What people did before `until`, and was not told yet: for what happened before this engine lived.
    pub(in crate::daemon) fn before(&mut self, orders: &Orders, from: Time, until: Time) {
        for (since, over) in orders.hands.iter().filter(|(_, over)| *over > from && *over <= until) {
            self.patience.pause(*since);
            self.patience.unpause(*over);
        }
        if orders.spared.is_some_and(|at| at > from && at <= until) {
            self.spare(orders.spared);
            self.orders.spared = orders.spared;
        }
    }

    /// Both clocks of the machine now: what it slept does not count.
    pub(in crate::daemon) fn tick(&mut self, tick: Tick, now: Time) {
        if let Some(last) = self.tick.replace(tick) {
            let slept = (tick.boottime - last.boottime) - (tick.monotonic - last.monotonic);
            if slept >= SLEPT_MS {
                let span = Duration::from_millis(slept.unsigned_abs());
                self.patience.slept(now, span);
                (self.first, self.busy_until, self.idle) = (None, None, None);
            }
        }
    }

    /// How it stands, for those who look.
    pub(in crate::daemon) fn standing(&self, now: Time) -> Standing {
        let mut habits = Habits::default();
        self.patience.teach(&mut habits);
        Standing {
            at: now,
            stall: self.due(now),
            done: self.patience.done(),
            left: self.patience.left(now, &self.past),
            next_look: self.patience.next_look(now, &self.past),
            habits,
        }
    }

    /// From when the nearest limit counts, and when it ends; in time of the world, as if nothing stood still from now on.
    fn due(&self, now: Time) -> Option<(Time, Time)> {
        let limits = self.limits.as_ref().filter(|_| self.orders.may_stall)?;
        if self.orders.held.is_some() {
            return None;
        }
        let until = match self.patience.stall(now, limits, &self.past, Load::Unknown) {
            patience::Stall::None { at } => self.world(at?, now),
            patience::Stall::Is { since, limit, .. } => self.world(since + limit, now),
        };
        let until = self.granted.map_or(until, |granted| until.max(granted));
        Some((self.world(self.patience.sign(), now), until))
    }

    /// A second of the attempt as time of the world.
    fn world(&self, second: f64, now: Time) -> Time {
        let ago = self.patience.age(now) - second;
        let ms = Duration::try_from_secs_f64(ago.abs()).unwrap_or_default();
        let ms = i64::try_from(ms.as_millis()).unwrap_or(i64::MAX);
        let at = if ago >= 0.0 { now.as_ms().saturating_sub(ms) } else { now.as_ms().saturating_add(ms) };
        Time::from_ms(at).max(self.begun)
    }

    /// What is to be done now.
    pub(in crate::daemon) fn next(&mut self, now: Time) -> Next {
        let Some((since, until)) = self.due(now) else { return Next::Wait(None) };
        if let Some(busy) = self.busy_until.filter(|busy| now < *busy) {
            return Next::Wait(Some(busy));
        }
        match &self.first {
            None => {
                let begin = begin(since, until);
                if now >= begin { Next::Measure } else { Next::Wait(Some(begin)) }
            }
            Some((first, _)) => {
                let second = until.max(first.plus(look(since, until)));
                match self.idle {
                    Some(cpu_permille) if now >= until => self.still(now, cpu_permille),
                    Some(_) | None if now >= second => Next::Measure,
                    Some(_) | None => Next::Wait(Some(second)),
                }
            }
        }
    }

    fn still(&self, now: Time, cpu_permille: u32) -> Next {
        let Some(limits) = &self.limits else { return Next::Wait(None) };
        let patience::Stall::Is { clock, since, limit, .. } = self.patience.stall(now, limits, &self.past, Load::Idle)
        else {
            return Next::Wait(Some(now.plus(LOOK.0)));
        };
        let longest = Duration::try_from_secs_f64(self.patience.longest(clock)).unwrap_or_default();
        Next::Still(Still {
            sign: match clock {
                patience::Clock::Silence => Sign::Output,
                patience::Clock::Frozen => Sign::Progress,
            },
            since: self.world(since, now),
            limit: Duration::try_from_secs_f64(limit).unwrap_or_default(),
            longest: Some(longest).filter(|longest| !longest.is_zero()),
            cpu_permille,
        })
    }

    /// What it had computed by then; `None`: nobody can say, and so it counts as busy.
    pub(in crate::daemon) fn worked(&mut self, work: Option<Work>, now: Time) {
        let Some(work) = work else {
            (self.first, self.idle, self.busy_until) = (None, None, Some(now.plus(LOOK.1)));
            return;
        };
        let Some((at, before)) = self.first else {
            self.first = Some((now, work));
            return;
        };
        let rate = work.since(&before, now.since(at));
        if rate.permille < IDLE && rate.bytes_per_second < TRICKLE && !rate.gpu {
            self.idle = Some(rate.permille);
        } else {
            // It works in silence: asked again after as long.
            let pause = now.since(at).clamp(LOOK.0, LOOK.1);
            (self.first, self.idle, self.busy_until) = (Some((now, work)), None, Some(now.plus(pause)));
        }
    }
}

/// How far apart the two looks are at what it computes.
fn look(since: Time, until: Time) -> Duration {
    let whole = until.since(since);
    (whole / 4).clamp(LOOK.0.min(whole), LOOK.1)
}

/// When the first one is.
fn begin(since: Time, until: Time) -> Time {
    Time::from_ms(until.as_ms() - i64::try_from(look(since, until).as_millis()).unwrap_or(0))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn clocks(spec: &WaitSpec) -> Clocks {
        let past = Past::new(&[], Habits::default(), patience::Poll::default());
        let mut clocks = Clocks::new(spec, Parser::Auto, past, at(0));
        clocks.heed(lives(), at(0));
        clocks
    }

    fn at(ms: i64) -> Time {
        Time::from_ms(1_000_000 + ms)
    }

    fn lives() -> Orders {
        Orders { may_stall: true, ..Orders::default() }
    }

    /// An attempt that prints every second for a minute, with a limit of ten seconds.
    fn printing() -> Clocks {
        let spec = WaitSpec { stall_after: StallAfter::After(Duration::from_secs(10)), ..WaitSpec::default() };
        let mut clocks = clocks(&spec);
        for second in 0..=60 {
            clocks.output(b"a line\n", at(second * 1000));
        }
        clocks
    }

    /// Goes on from `from`, a quarter of a second at a time, with a process that computes so many ticks a second; the first
    /// moment at which it stands still.
    fn stall(clocks: &mut Clocks, from: i64, until: i64, ticks: u64) -> Option<i64> {
        let mut ms = from;
        while ms <= until {
            match clocks.next(at(ms)) {
                Next::Wait(_) => ms += 250,
                Next::Measure => {
                    let done = ticks * ms.unsigned_abs() / 1000;
                    clocks.worked(Some(Work::computed(done)), at(ms));
                }
                Next::Still(_) => return Some(ms),
            }
        }
        None
    }

    #[test]
    fn silence_without_work_is_a_stall_and_work_is_none() {
        assert_eq!(stall(&mut printing(), 60_000, 200_000, 0), Some(70_000));
        assert_eq!(stall(&mut printing(), 60_000, 200_000, 100), None, "a whole processor");
        let Next::Measure = printing().next(at(68_000)) else { panic!("it is looked at before the limit") };
    }

    #[test]
    fn what_nobody_can_measure_is_no_stall() {
        let mut clocks = printing();
        assert_eq!(clocks.next(at(69_000)), Next::Measure);
        clocks.worked(None, at(69_000));
        assert!(matches!(clocks.next(at(80_000)), Next::Wait(Some(_))));
    }

    #[test]
    fn work_that_ends_is_a_stall_some_time_after() {
        let mut clocks = printing();
        assert_eq!(stall(&mut clocks, 60_000, 90_000, 100), None);
        // From then on it computes nothing more.
        let found = stall(&mut clocks, 90_250, 200_000, 0).expect("it is found");
        assert!(found < 100_000, "{found}");
    }

    #[test]
    fn time_stands_still_under_somebodys_hands() {
        let mut clocks = printing();
        clocks.heed(Orders { held: Some(at(62_000)), may_stall: false, ..Orders::default() }, at(62_000));
        assert_eq!(clocks.next(at(500_000)), Next::Wait(None));
        assert_eq!(clocks.standing(at(500_000)).stall, None);
        clocks.heed(lives(), at(500_000));
        assert_eq!(stall(&mut clocks, 500_000, 600_000, 0), Some(508_000));
    }

    #[test]
    fn time_stands_still_while_the_machine_sleeps() {
        let mut clocks = printing();
        clocks.tick(Tick { boottime: 60_000, monotonic: 60_000 }, at(60_000));
        // An hour of sleep, of which the processor knows nothing.
        clocks.tick(Tick { boottime: 3_662_000, monotonic: 62_000 }, at(3_662_000));
        assert_eq!(stall(&mut clocks, 3_662_000, 3_800_000, 0), Some(3_670_000));
        // Without sleep the same hour is a stall.
        let mut awake = printing();
        awake.tick(Tick { boottime: 60_000, monotonic: 60_000 }, at(60_000));
        awake.tick(Tick { boottime: 3_662_000, monotonic: 3_662_000 }, at(3_662_000));
        assert!(stall(&mut awake, 3_662_000, 3_800_000, 0).is_some_and(|found| found < 3_666_000));
    }

    #[test]
    fn a_bar_without_an_end_is_read_when_nothing_is_added() {
        let mut clocks = clocks(&WaitSpec::default());
        clocks.output(b"\r 50%|#####     | 500/1000 [00:10<00:10, 1it/s]", at(1_000));
        assert_eq!((clocks.standing(at(1_000)).done, clocks.unsettled()), (None, Some(at(1_100))));
        clocks.settle(at(1_050));
        assert_eq!(clocks.standing(at(1_050)).done, None, "more of it may come");
        clocks.settle(at(1_100));
        assert_eq!((clocks.standing(at(1_100)).done, clocks.unsettled()), (Some(0.5), None));
        clocks.output(b"done\n", at(2_000));
        assert_eq!(clocks.unsettled(), None);
    }

    #[test]
    fn who_is_told_to_wait_begins_anew() {
        let mut clocks = printing();
        assert_eq!(stall(&mut clocks, 60_000, 200_000, 0), Some(70_000));
        clocks.heed(Orders { spared: Some(at(75_000)), ..lives() }, at(75_000));
        assert_eq!(stall(&mut clocks, 75_000, 200_000, 0), Some(85_000));
    }

    #[test]
    fn an_announced_pause_may_be_longer_and_never_means_never() {
        let quiet = vec!["^compiling".to_owned()];
        let after = StallAfter::After(Duration::from_secs(10));
        let mut pauses = clocks(&WaitSpec { stall_after: after, quiet, ..WaitSpec::default() });
        pauses.output(b"step 1\ncompiling\n", at(1_000));
        assert_eq!(stall(&mut pauses, 1_000, 200_000, 0), Some(21_000));
        let mut never = clocks(&WaitSpec { stall_after: StallAfter::Never, ..WaitSpec::default() });
        assert_eq!(never.next(at(1_000_000_000)), Next::Wait(None));
    }

    #[test]
    fn progress_that_freezes_is_found_while_it_prints() {
        let mut freezes = clocks(&WaitSpec::default());
        for second in 0..600 {
            freezes.output(format!("step {second}/1000\n").as_bytes(), at(second * 1000));
        }
        let mut found = None;
        for second in 600..4_000 {
            freezes.output(b"waiting for the other ranks\n", at(second * 1000));
            found = found.or(stall(&mut freezes, second * 1000, second * 1000 + 750, 0));
        }
        let found = found.expect("it is found");
        assert!((899_000..1_000_000).contains(&found), "five minutes after the last step: {found}");
    }

    /// A new engine reads the same from the log and its stamps as the one before had seen itself.
    #[test]
    fn what_was_printed_before_is_as_if_it_had_been_seen() {
        let spec = WaitSpec::default();
        let seen = |stamped: bool| {
            let mut clocks = clocks(&spec);
            clocks.heed(Orders::default(), at(0));
            for ms in (0..600_000).step_by(400) {
                // Stamps are a second apart.
                if !stamped || ms % 1000 < 400 {
                    clocks.output(format!("step {ms}/900000\n").as_bytes(), at(ms));
                }
            }
            clocks.before(&Orders { spared: Some(at(650_000)), ..Orders::default() }, at(599_000), at(700_000));
            clocks.heed(Orders { spared: Some(at(650_000)), ..lives() }, at(700_000));
            clocks.standing(at(700_000)).stall.expect("its timer runs")
        };
        let ((since, until), (again, later)) = (seen(false), seen(true));
        assert_eq!((since, again), (at(650_000), at(650_000)));
        assert!(later.since(until).max(until.since(later)) < Duration::from_secs(60), "{until} {later}");
    }
}
