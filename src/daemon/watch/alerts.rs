//! The alerts of one live attempt: conditions on its numbers, and with which of them one began to hold. What was seen before
//! this engine lived it is told first, so that what holds since then is no news. Decides nothing.

use crate::gauge::alert::{Condition, FAR};
use crate::model::{AlertSpec, Alerted, Time};
use crate::series::Point;

/// See the module's description.
#[derive(Debug)]
pub(super) struct Alerts {
    conditions: Vec<(AlertSpec, Condition)>,
}

impl Alerts {
    pub(super) fn new(specs: Vec<AlertSpec>) -> Self {
        let condition = |spec: AlertSpec| Some((spec.clone(), Condition::new(&spec.when).ok()?));
        Self { conditions: specs.into_iter().filter_map(condition).collect() }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.conditions.is_empty()
    }

    /// The first alert that begins with one of these.
    pub(super) fn see(&mut self, points: &[(String, Point)]) -> Option<Alerted> {
        let mut first = None;
        for (metric, point) in points {
            for (spec, condition) in &mut self.conditions {
                if condition.see(metric, point.value) && first.is_none() {
                    first = Some(alerted(spec, metric, point));
                }
            }
        }
        first
    }

    /// What was kept of the attempt before this engine lived, each series in its order: an alert that began after everybody
    /// was told last, and holds still, was not told by whoever saw it.
    pub(super) fn before(&mut self, series: &[(String, Vec<Point>)], told: Option<Time>) -> Option<Alerted> {
        let mut newest: Vec<Option<(Alerted, Time)>> = vec![None; self.conditions.len()];
        for (at, metric, point) in in_order(series) {
            for ((spec, condition), newest) in self.conditions.iter_mut().zip(&mut newest) {
                if condition.see(metric, point.value) {
                    *newest = Some((alerted(spec, metric, point), at));
                }
            }
        }
        let holds = self.conditions.iter().zip(newest).filter(|((_, condition), _)| condition.is_held());
        holds.filter_map(|(_, newest)| newest).find(|(_, at)| told.is_none_or(|told| *at > told)).map(|(one, _)| one)
    }
}

/// The points of all series as they came, and by when each had come. Two engines do not give a line the very same time: what
/// was read again may seem older than what stands before it, and is not.
fn in_order(series: &[(String, Vec<Point>)]) -> Vec<(Time, &str, &Point)> {
    let mut all: Vec<(Time, &str, &Point)> = Vec::new();
    for (metric, points) in series {
        // With what is left of a long one it only seems to begin.
        let cut = points.len() >= FAR;
        let mut came = i64::MIN;
        all.extend(points.iter().enumerate().map(|(place, point)| {
            came = came.max(point.at_ms);
            (Time::from_ms(if cut && place == 0 { 0 } else { came }), metric.as_str(), point)
        }));
    }
    all.sort_by_key(|(at, ..)| *at);
    all
}

fn alerted(spec: &AlertSpec, metric: &str, point: &Point) -> Alerted {
    let AlertSpec { when, action, message } = spec.clone();
    Alerted { when, message, action, metric: metric.to_owned(), step: point.step, value: point.value }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn losses(values: &[f64]) -> Vec<(String, Point)> {
        let point = |(value, n): (&f64, i64)| ("loss".to_owned(), Point { step: n, at_ms: n * 1_000, value: *value });
        values.iter().zip(0..).map(point).collect()
    }

    fn kept(values: &[f64]) -> Vec<(String, Vec<Point>)> {
        vec![("loss".to_owned(), losses(values).into_iter().map(|(_, point)| point).collect())]
    }

    fn alerts(when: &str) -> Alerts {
        Alerts::new(vec![AlertSpec { when: when.into(), action: None, message: None }])
    }

    #[test]
    fn what_holds_since_before_this_engine_is_no_news() {
        let mut alerts = alerts("loss > 3 * min(loss, last=4)");
        assert_eq!(alerts.before(&kept(&[1.0, 1.0, 9.0, 9.5]), Some(Time::from_ms(2_000))), None);
        assert_eq!(alerts.see(&losses(&[9.0, 8.0])), None, "it holds as it did");
        assert_eq!(alerts.see(&losses(&[9.0, 9.0, 9.0, 9.0])), None, "the small ones are long ago");
        assert!(alerts.see(&losses(&[1.0, 9.0])).is_some(), "it begins anew");
    }

    #[test]
    fn what_nobody_was_told_of_is_told_late() {
        let history = || kept(&[1.0, f64::NAN, 1.0, 60.0, 61.0]);
        let told = alerts("loss > 50").before(&history(), Some(Time::from_ms(1_500)));
        assert_eq!(told.map(|alerted| alerted.step), Some(3));
        assert_eq!(alerts("isnan(loss)").before(&history(), None), None, "that is over");
    }

    #[test]
    fn what_was_read_again_and_seems_older_begins_nothing() {
        let mut history = kept(&[1.0, 2.0, 3.0, 60.0, 61.0, 62.0]);
        // The second engine read from the fourth on, and gives these lines the times at which they were written.
        for (point, at_ms) in history[0].1[3..].iter_mut().zip([1_200, 1_900, 2_100]) {
            point.at_ms = at_ms;
        }
        assert_eq!(alerts("loss > 50").before(&history, Some(Time::from_ms(2_050))), None);
    }

    #[test]
    fn what_is_left_of_a_long_series_begins_nothing() {
        let history = kept(&vec![60.0; FAR]);
        assert!(alerts("loss > 50").before(&history, None).is_some(), "nobody was told of anything");
        let mut alerts = alerts("loss > 50");
        assert_eq!(alerts.before(&history, Some(Time::from_ms(500))), None);
        assert_eq!(alerts.see(&losses(&[61.0])), None, "it holds as it did");
    }
}
