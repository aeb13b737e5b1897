//! The alerts of one live attempt: conditions on its numbers, and with which of them one began to hold. What was seen before
//! this engine lived it is told first, so that what holds since then is no news. Decides nothing.

use crate::gauge::alert::Condition;
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

    /// What was kept of the attempt before this engine lived: an alert that began after everybody was told last, and holds
    /// still, was not told by whoever saw it.
    pub(super) fn before(&mut self, mut points: Vec<(String, Point)>, told: Option<Time>) -> Option<Alerted> {
        points.sort_by_key(|(_, point)| point.at_ms);
        let mut newest: Vec<Option<(Alerted, Time)>> = vec![None; self.conditions.len()];
        for (metric, point) in &points {
            for ((spec, condition), newest) in self.conditions.iter_mut().zip(&mut newest) {
                if condition.see(metric, point.value) {
                    *newest = Some((alerted(spec, metric, point), Time::from_ms(point.at_ms)));
                }
            }
        }
        let holds = self.conditions.iter().zip(newest).filter(|((_, condition), _)| condition.is_held());
        holds.filter_map(|(_, newest)| newest).find(|(_, at)| told.is_none_or(|told| *at > told)).map(|(one, _)| one)
    }
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

    fn alerts(when: &str) -> Alerts {
        Alerts::new(vec![AlertSpec { when: when.into(), action: None, message: None }])
    }

    #[test]
    fn what_holds_since_before_this_engine_is_no_news() {
        let mut alerts = alerts("loss > 3 * min(loss, last=4)");
        let history = losses(&[1.0, 1.0, 9.0, 9.5]);
        assert_eq!(alerts.before(history, Some(Time::from_ms(2_000))), None);
        assert_eq!(alerts.see(&losses(&[9.0, 8.0])), None, "it holds as it did");
        assert_eq!(alerts.see(&losses(&[9.0, 9.0, 9.0, 9.0])), None, "the small ones are long ago");
        assert!(alerts.see(&losses(&[1.0, 9.0])).is_some(), "it begins anew");
    }

    #[test]
    fn what_nobody_was_told_of_is_told_late() {
        let history = || losses(&[1.0, f64::NAN, 1.0, 60.0, 61.0]);
        let told = alerts("loss > 50").before(history(), Some(Time::from_ms(1_500)));
        assert_eq!(told.map(|alerted| alerted.step), Some(3));
        assert_eq!(alerts("isnan(loss)").before(history(), None), None, "that is over");
    }
}
