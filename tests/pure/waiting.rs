//! Waiting well: when to look, what is left, what is a stall; on simulated runs with numbers that are promised.

use std::time::Duration;

use dogwatch::model::{Demand, Time};
use dogwatch::patience::{
    Clock, Habits, Left, Limits, Load, Past, Patience, Places, Plan, Poll, Rhythm, Spread, Stage, Stall, Track, whole,
};

use crate::support::rhythms::{COURSES, Chance, KINDS, duration, gaps, progress, real};

fn seconds(seconds: f64) -> Duration {
    Duration::from_secs_f64(seconds)
}

fn at(seconds: i64) -> Time {
    Time::from_ms(1_000_000 + seconds * 1000)
}

/// What looking costs for this duration.
fn cost(plan: &Plan, takes: f64) -> f64 {
    let (mut now, mut looks) = (0.0, 0.0);
    while now < takes {
        now += plan.wait(seconds(now)).as_secs_f64();
        looks += 1.0;
    }
    looks + (now - takes) / 60.0
}

fn mean(plan: &Plan, durations: &[f64]) -> f64 {
    durations.iter().map(|takes| cost(plan, *takes)).sum::<f64>() / real(durations.len())
}

#[test]
fn more_history_looks_better_and_none_is_no_catastrophe() {
    // The best that is known of each kind, with a tenth more.
    let best = [5.1, 11.5, 4.0, 1.5, 4.0, 9.4];
    for (kind, best) in best.into_iter().enumerate() {
        let mut chance = Chance::new(7);
        let all: Vec<f64> = (0..3000).map(|_| duration(kind, &mut chance)).collect();
        let costs = [0, 1, 5, 20, 1000].map(|known| {
            let plan = Plan::new(Spread::learn(&all[..known]), Poll::default());
            mean(&plan, &all[1000..])
        });
        assert!(costs[4] < best, "{}: {costs:?}", KINDS[kind]);
        assert!(costs.iter().all(|cost| *cost < 20.0), "{}: {costs:?}", KINDS[kind]);
        assert!(costs[3] < costs[0] + 0.5, "{}: {costs:?}", KINDS[kind]);
    }
}

#[test]
fn looks_keep_between_their_bounds_at_any_age() {
    let poll = Poll { min: seconds(2.0), max: seconds(120.0), worth: seconds(60.0) };
    for history in [vec![], vec![3600.0; 20], vec![1.0, 1e9, f64::NAN, -5.0, 0.0]] {
        let plan = Plan::new(Spread::learn(&history), poll);
        for age in [0.0, 0.001, 1.0, 59.0, 3599.0, 3600.0, 1e5, 1e9, 1e15] {
            let wait = plan.wait(seconds(age));
            assert!(wait >= poll.min && wait <= poll.max, "{wait:?} at {age}");
        }
        assert_eq!(plan.wait(Duration::MAX), poll.max);
    }
    let same = Poll { min: seconds(5.0), max: seconds(5.0), ..poll };
    assert_eq!(Plan::new(Spread::learn(&[60.0]), same).wait(seconds(3.0)), seconds(5.0));
}

#[test]
fn what_always_takes_an_hour_is_looked_at_when_the_hour_is_over() {
    let past = Past::new(&[seconds(3600.0); 20], Habits::default(), Poll::default());
    let patience = Patience::new(at(0));
    let first = patience.next_look(at(0), &past).as_secs_f64();
    assert!((3600.0..3900.0).contains(&first), "{first}");
    let left = patience.left(at(1800), &past).expect("it has a past");
    assert!((1700.0..1900.0).contains(&left.p50), "{left:?}");
}

#[test]
fn progress_moves_the_look_to_the_end() {
    let past = Past::new(&[], Habits::default(), Poll::default());
    let mut patience = Patience::new(at(0));
    assert_eq!(patience.left(at(5), &past), None);
    for second in 0..=30 {
        patience.progress(at(second * 100), f64::from(u32::try_from(second).expect("it is small")) / 60.0);
    }
    let left = patience.left(at(3000), &past).expect("there is progress");
    assert!(left.p10 <= 3000.0 && 3000.0 <= left.p90 && left.p90 < 3600.0, "{left:?}");
    let look = patience.next_look(at(3000), &past).as_secs_f64();
    assert!((2900.0..3500.0).contains(&look), "{look}");
    // What takes longer than thought is soon looked at again, and not all the time.
    let late = patience.next_look(at(6400), &past).as_secs_f64();
    assert!((5.0..600.0).contains(&late), "{late}");
}

/// How often the real end was within, and the middle of the width as a part of what was left.
fn calibration(course: usize, runs: u64) -> (f64, f64) {
    let mut held = 0;
    let mut widths = Vec::new();
    for seed in 0..runs {
        let seen = progress(COURSES[course], &mut Chance::new(seed * 10 + course as u64));
        let (first, end) = (seen[0], seen[seen.len() - 1]);
        let half = first.1 + (1.0 - first.1) / 2.0;
        let now = seen.iter().rposition(|sight| sight.1 <= half).expect("the first one is");
        let mut track = Track::default();
        for sight in &seen[..=now] {
            track.see(sight.0, sight.1);
        }
        let Some(left) = track.left(seen[now].0, None) else { continue };
        let real = end.0 - seen[now].0;
        held += usize::from((left.p10..=left.p90).contains(&real));
        widths.push((left.p90 - left.p10) / real);
    }
    widths.sort_by(f64::total_cmp);
    (real(held) / real(widths.len()), widths[widths.len() / 2])
}

#[test]
fn at_half_way_the_range_holds_the_end_as_often_as_it_says() {
    let all: Vec<(f64, f64)> = (0..COURSES.len()).map(|course| calibration(course, 400)).collect();
    let held = all.iter().map(|(held, _)| held).sum::<f64>() / real(all.len());
    assert!((0.73..=0.87).contains(&held), "{all:?}");
    assert!(all.iter().all(|(held, width)| (0.68..0.92).contains(held) && *width < 0.55), "{all:?}");
    let width = all.iter().map(|(_, width)| width).sum::<f64>() / real(all.len());
    assert!(width <= 0.4, "{all:?}");
}

#[test]
fn other_ranks_and_nonsense_are_no_new_beginning() {
    let mut track = Track::default();
    for second in 0..50u32 {
        let done = f64::from(second) / 100.0;
        track.see(f64::from(second), done);
        track.see(f64::from(second) + 0.1, (done - 0.01).max(0.0));
        track.see(f64::from(second) + 0.2, f64::NAN);
        track.see(f64::NAN, 0.9);
        track.see(f64::from(second) + 0.3, 7.0);
    }
    let left = track.left(49.0, None).expect("it went on");
    assert!((left.p50 - 51.0).abs() < 3.0, "{left:?}");
    // A checkpoint was loaded: the pace stays, the rest is longer.
    track.see(60.0, 0.2);
    track.see(61.0, 0.21);
    let left = track.left(61.0, None).expect("it went on");
    assert!((left.p50 - 79.0).abs() < 8.0, "{left:?}");
}

/// How many of the runs alarm although they are healthy, and how many hangs are found too late.
fn stalls(most: (f64, f64), runs: u64, known: bool) -> (usize, usize) {
    let (mut false_alarms, mut late) = (0, 0);
    for seed in 0..runs {
        let mut chance = Chance::new(seed);
        let gaps = gaps(most, &mut chance);
        let longest = gaps.iter().copied().fold(0.0, f64::max);
        let hangs = 4 + chance.below(gaps.len() - 4);
        let mut rhythm = Rhythm::default();
        let mut past = dogwatch::patience::Habit::default();
        let mut now = 0.0;
        if known {
            let mut before = Rhythm::default();
            gaps.iter().fold(0.0, |at, gap| {
                before.sign(at, false);
                at + gap
            });
            past.add(0.0, &before);
            past.add(0.0, &before);
        }
        rhythm.sign(now, false);
        let mut alarmed = false;
        for (place, gap) in gaps.iter().enumerate() {
            let limit = rhythm.limit(false, &past);
            alarmed |= limit.is_some_and(|limit| *gap > limit);
            late += usize::from(place == hangs && limit.is_none_or(|limit| limit > 3.0 * longest));
            now += gap;
            rhythm.sign(now, false);
        }
        false_alarms += usize::from(alarmed);
    }
    (false_alarms, late)
}

#[test]
fn a_thousand_healthy_runs_raise_no_alarm_and_hangs_are_found() {
    let (false_alarms, late) = stalls((10.0, 20.0), 1000, false);
    assert_eq!(false_alarms, 0);
    assert!(late <= 10, "{late} of 1000 hangs were found late");
    // With finished runs of the same step also where pauses are short.
    let (false_alarms, late) = stalls((2.0, 20.0), 1000, true);
    assert_eq!(false_alarms, 0);
    assert!(late <= 10, "{late} of 1000 hangs were found late");
}

fn quick() -> Limits {
    Limits { after: None, least: seconds(5.0), first: seconds(600.0) }
}

#[test]
fn both_clocks_stall() {
    let past = Past::new(&[], Habits::default(), Poll::default());
    let stalled = |patience: &Patience, now: i64, load| match patience.stall(at(now), &quick(), &past, load) {
        Stall::Is { clock, confirmed, .. } => Some((clock, confirmed)),
        Stall::None { .. } => None,
    };
    let mut silent = Patience::new(at(0));
    assert_eq!(stalled(&silent, 599, Load::Unknown), None);
    assert_eq!(stalled(&silent, 600, Load::Idle), Some((Clock::Silence, true)));
    for second in 0..100 {
        silent.output(at(second));
        silent.progress(at(second), f64::from(u32::try_from(second).expect("it is small")) / 1000.0);
    }
    // Some thirty seconds at a line a second.
    assert_eq!(stalled(&silent, 115, Load::Idle), None);
    assert_eq!(stalled(&silent, 130, Load::Busy), None);
    assert_eq!(stalled(&silent, 130, Load::Unknown), Some((Clock::Silence, false)));
    assert_eq!(stalled(&silent, 150, Load::Busy), Some((Clock::Silence, false)));
    let alarm = silent.next_alarm(at(100), &quick(), &past, Load::Unknown).expect("it has a limit");
    assert!(at(120) < alarm && alarm < at(130), "{alarm}");
    // A program that says again and again that it waits.
    let mut frozen = silent.clone();
    for second in 100..150 {
        frozen.output(at(second));
    }
    assert_eq!(stalled(&frozen, 150, Load::Idle), Some((Clock::Frozen, true)));
    // All is done, and it still cleans up.
    let mut over = silent.clone();
    over.progress(at(100), 1.0);
    for second in 100..150 {
        over.output(at(second));
    }
    assert_eq!(stalled(&over, 150, Load::Idle), None);
    // An announced pause may be longer, and is no rhythm.
    let mut quiet = silent.clone();
    quiet.quiet();
    assert_eq!(stalled(&quiet, 140, Load::Unknown), None);
    assert_eq!(stalled(&quiet, 170, Load::Unknown), Some((Clock::Silence, false)));
    // What the workflow declares counts for silence.
    let declared = Limits { after: Some(seconds(900.0)), ..quick() };
    assert!(matches!(silent.stall(at(990), &declared, &past, Load::Idle), Stall::None { .. }));
    assert!(matches!(silent.stall(at(1000), &declared, &past, Load::Idle), Stall::Is { .. }));
}

#[test]
fn time_stands_still_while_paused_asleep_or_turned_back() {
    let past = Past::new(&[], Habits::default(), Poll::default());
    let mut patience = Patience::new(at(0));
    for second in 0..60 {
        patience.output(at(second));
    }
    let none =
        |patience: &Patience, now| matches!(patience.stall(at(now), &quick(), &past, Load::Idle), Stall::None { .. });
    patience.pause(at(61));
    assert!(none(&patience, 5000));
    assert_eq!(patience.next_alarm(at(5000), &quick(), &past, Load::Idle), None);
    patience.unpause(at(5000));
    assert!((patience.age(at(5001)) - 62.0).abs() < 1e-9);
    assert!(none(&patience, 5010));
    patience.slept(at(9010), seconds(4000.0));
    assert!(none(&patience, 9011));
    assert!(!none(&patience, 9100));
    // A sleep that is told longer than it can have been, and a clock that goes backwards.
    patience.slept(at(9020), seconds(1e9));
    patience.output(at(100));
    assert!(patience.age(at(100)) >= 60.0);
    // What is kept goes on as it was.
    let text = serde_json::to_string(&patience).expect("it can be written");
    let back: Patience = serde_json::from_str(&text).expect("it can be read");
    assert_eq!(back, patience);
    assert!(text.len() < 4096, "{}", text.len());
}

#[test]
fn what_finished_runs_did_is_no_stall() {
    let mut habits = Habits::default();
    for _ in 0..2 {
        let mut before = Patience::new(at(0));
        before.output(at(1500));
        for second in 1500..1600 {
            before.output(at(second));
        }
        before.output(at(1800));
        before.teach(&mut habits);
    }
    let past = Past::new(&[], habits, Poll::default());
    let mut patience = Patience::new(at(0));
    let none =
        |patience: &Patience, now| matches!(patience.stall(at(now), &quick(), &past, Load::Idle), Stall::None { .. });
    assert!(none(&patience, 3000), "it began late before");
    for second in 1500..1520 {
        patience.output(at(second));
    }
    assert!(none(&patience, 1900), "it paused for 201 s before");
    assert!(!none(&patience, 2000));
}

fn stage(needs: &[usize], p50: f64, crew: usize) -> Stage {
    let left = Left { p10: p50 * 0.8, p50, p90: p50 * 1.25 };
    Stage { needs: needs.to_vec(), left, crew: Some(crew), begun: false, demand: Demand::default(), aside: false }
}

fn many() -> Places {
    Places { all: 1_000, crews: Vec::new(), host: Demand::BOUNDLESS }
}

#[test]
fn a_run_ends_with_its_longest_way() {
    let stages = [stage(&[], 100.0, 0), stage(&[0], 1000.0, 1), stage(&[0], 10.0, 2), stage(&[1, 2], 50.0, 3)];
    let (all, way) = whole(&stages, &many());
    assert_eq!(way, [0, 1, 3]);
    assert!((all.p50 - 1150.0).abs() < 60.0, "{all:?}");
    assert!(all.p10 > 900.0 && all.p90 < 1500.0 && all.p10 < all.p50 && all.p50 < all.p90, "{all:?}");
    // Of many that run at once the last one counts.
    let thirty: Vec<Stage> = (0..30).map(|_| stage(&[], 100.0, 0)).collect();
    assert!(whole(&thirty, &many()).0.p50 > 120.0);
    assert_eq!(whole(&[], &many()).0, Left { p10: 0.0, p50: 0.0, p90: 0.0 });
    // What cannot be is not waited for.
    assert!(whole(&[stage(&[1], 5.0, 0), stage(&[0, 77], 5.0, 0)], &many()).0.p50 > 0.0);
}

#[test]
fn no_more_goes_on_at_once_than_there_are_places() {
    let six: Vec<Stage> = (0..6).map(|_| stage(&[], 100.0, 1)).collect();
    let middle =
        |all: usize, crew: usize| whole(&six, &Places { all, crews: vec![9, crew], host: Demand::BOUNDLESS }).0.p50;
    let near = |value: f64, wanted: f64| (value / wanted - 1.0).abs() < 0.25;
    assert!(near(middle(1, 9), 600.0) && near(middle(9, 1), 600.0), "{} {}", middle(1, 9), middle(9, 1));
    assert!(near(middle(2, 9), 300.0) && near(middle(9, 3), 200.0) && near(middle(9, 9), 115.0));
    // Nobody has a place, and more run than there are: neither is waited for for ever.
    assert!(near(middle(0, 9), 600.0), "{}", middle(0, 9));
    let begun: Vec<Stage> = six.iter().map(|stage| Stage { begun: true, ..stage.clone() }).collect();
    let both: Vec<Stage> = begun.iter().chain(&six[..1]).cloned().collect();
    assert!(near(whole(&both, &Places { all: 2, crews: Vec::new(), host: Demand::BOUNDLESS }).0.p50, 210.0));
}

#[test]
fn what_others_have_of_the_host_is_waited_for() {
    let gpu = |n: u32| Demand { gpus: n, ..Demand::default() };
    let host = |gpus: u32| Places { host: gpu(gpus), ..many() };
    let near = |value: f64, wanted: f64| (value / wanted - 1.0).abs() < 0.25;
    let three: Vec<Stage> = (0..3).map(|crew| Stage { demand: gpu(1), ..stage(&[], 100.0, crew) }).collect();
    assert!(near(whole(&three, &host(1)).0.p50, 300.0) && near(whole(&three, &host(9)).0.p50, 108.0));
    // One of another run has the only GPU: it is waited for, and is on the way; its end is not that of this run.
    let other = Stage { crew: None, begun: true, aside: true, demand: gpu(1), ..stage(&[], 1000.0, 0) };
    let (left, way) = whole(&[three[0].clone(), other.clone()], &host(1));
    assert!(near(left.p50, 1100.0), "{left:?}");
    assert_eq!(way, [1, 0]);
    let (left, way) = whole(&[three[0].clone(), other.clone()], &host(2));
    assert!(near(left.p50, 100.0), "{left:?}");
    assert_eq!(way, [0]);
    // What no host has is not waited for for ever, and what wants nothing waits for nobody.
    assert!(near(whole(&three, &host(0)).0.p50, 300.0));
    assert!(near(whole(&[stage(&[], 100.0, 0), other], &host(1)).0.p50, 100.0));
}
