//! Points of a program that prints more numbers than anybody can look at: of each series so many a second are kept, those
//! that show it best. Pure; decides nothing else.
//!
//! Nothing is left out of what is not a flood. Of a flood the first and the last of each part are kept, and the least and the
//! largest, so that neither a peak nor the newest value is ever missing.

use std::collections::{HashMap, HashSet};

use crate::model::Time;
use crate::series::Point;

/// Points of a series that may come at once, and then in each second.
const AT_ONCE: i64 = 100_000;
const EACH_SECOND: i64 = 1_000;
/// So many of each series at least are kept of what comes together.
const LEAST: usize = 64;
/// Points that are kept of each part.
const OF_PART: usize = 5;

/// How many points of a series may come.
#[derive(Debug, Clone, Copy)]
struct Room {
    points: i64,
    at: Time,
}

/// See the module's description.
#[derive(Debug, Default)]
pub(super) struct Thin {
    rooms: HashMap<String, Room>,
}

impl Thin {
    /// What is kept of these, in their order.
    pub(super) fn thin(&mut self, points: Vec<(String, Point)>, now: Time) -> Vec<(String, Point)> {
        let mut places: HashMap<&str, Vec<usize>> = HashMap::new();
        for (place, (name, _)) in points.iter().enumerate() {
            places.entry(name).or_default().push(place);
        }
        let mut left_out: HashSet<usize> = HashSet::new();
        for (name, places) in places {
            let room = self.room(name, now);
            let most = usize::try_from(room.points).unwrap_or(0).max(LEAST);
            let came = places.len();
            if came > most {
                let kept = kept(&places, most, |place| points[place].1.value);
                left_out.extend(places.into_iter().filter(|place| !kept.contains(place)));
            }
            room.points = (room.points - i64::try_from(came.min(most)).unwrap_or(i64::MAX)).max(0);
        }
        if left_out.is_empty() {
            return points;
        }
        let kept = points.into_iter().enumerate().filter(|(place, _)| !left_out.contains(place));
        kept.map(|(_, point)| point).collect()
    }

    fn room(&mut self, name: &str, now: Time) -> &mut Room {
        let room = self.rooms.entry(name.to_owned()).or_insert(Room { points: AT_ONCE, at: now });
        let more = (now.as_ms() - room.at.as_ms()).max(0).saturating_mul(EACH_SECOND) / 1_000;
        (room.points, room.at) = (room.points.saturating_add(more).min(AT_ONCE), room.at.max(now));
        room
    }
}

/// Of these places the ends, the extremes and what is no number of equal parts, `most` at most.
fn kept(places: &[usize], most: usize, value: impl Fn(usize) -> f64) -> HashSet<usize> {
    let parts = (most / OF_PART).max(1);
    let mut kept = HashSet::with_capacity(most);
    for part in places.chunks(places.len().div_ceil(parts)) {
        let by_value = |one: &&usize, other: &&usize| value(**one).total_cmp(&value(**other));
        let numbers = || part.iter().filter(|place| !value(**place).is_nan());
        let none = part.iter().find(|place| value(**place).is_nan());
        let chosen = [part.first(), part.last(), numbers().min_by(by_value), numbers().max_by(by_value), none];
        kept.extend(chosen.into_iter().flatten().copied());
    }
    kept
}

#[cfg(test)]
mod tests {
    use super::*;

    fn points(from: i64, to: i64, value: impl Fn(i64) -> f64) -> Vec<(String, Point)> {
        (from..to).map(|step| ("loss".into(), Point { step, at_ms: step, value: value(step) })).collect()
    }

    #[test]
    fn what_is_no_flood_is_kept_whole() {
        let mut thin = Thin::default();
        let burst = points(0, 90_000, |_| 1.0);
        assert_eq!(thin.thin(burst.clone(), Time::from_ms(0)), burst);
        for second in 1..200 {
            let more = points(second * 900, second * 900 + 900, |_| 1.0);
            assert_eq!(thin.thin(more.clone(), Time::from_ms(second * 1_000)), more, "second {second}");
        }
    }

    #[test]
    fn of_a_flood_its_peaks_and_its_end_are_kept() {
        let mut thin = Thin::default();
        let (mut all, mut told) = (0, 0);
        for second in 0..20 {
            let from = second * 1_000_000;
            let peak = from + 500_123;
            let value = |step: i64| {
                if step == peak {
                    99.0
                } else if step == peak + 7 {
                    f64::NAN
                } else {
                    1.0
                }
            };
            let kept = thin.thin(points(from, from + 1_000_000, value), Time::from_ms(second * 1_000));
            let steps: Vec<i64> = kept.iter().map(|(_, point)| point.step).collect();
            assert!(steps.is_sorted() && steps.first() == Some(&from) && steps.last() == Some(&(from + 999_999)));
            assert!(kept.iter().any(|(_, point)| point.value.is_nan()), "what is no number is not left out");
            let peaks = kept.iter().filter(|(_, point)| point.value > 98.0).count();
            told += peaks;
            all += kept.len();
        }
        assert!(all <= 125_000, "{all} points of twenty million");
        assert_eq!(told, 20, "no peak gives way, not even to what is no number right beside it");
    }
}
