//! Stalls as they are stored.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::check::{read_hit, write_hit};
use super::stored::{StoredClockOrder, StoredHit};
use crate::model::{Action, Alerted, ClockOrder, Sign, Stall, Time};

#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum StoredSign {
    Output,
    Progress,
    Alert {
        when: String,
        message: Option<String>,
        action: Option<String>,
        metric: String,
        step: i64,
        /// As text: JSON knows no `nan`.
        value: String,
    },
}

#[derive(Debug, Serialize, Deserialize)]
pub(super) struct StoredStall {
    sign: StoredSign,
    since_ms: i64,
    limit_ms: u64,
    longest_ms: Option<u64>,
    cpu_permille: Option<u32>,
    #[serde(default)]
    hits: Vec<StoredHit>,
    #[serde(default)]
    tail: Vec<String>,
}

fn ms(span: Duration) -> u64 {
    u64::try_from(span.as_millis()).unwrap_or(u64::MAX)
}

pub(super) fn write(stall: &Stall) -> StoredStall {
    StoredStall {
        sign: match &stall.sign {
            Sign::Output => StoredSign::Output,
            Sign::Progress => StoredSign::Progress,
            Sign::Alert(alerted) => StoredSign::Alert {
                when: alerted.when.clone(),
                message: alerted.message.clone(),
                action: alerted.action.map(|action| action.as_str().to_owned()),
                metric: alerted.metric.clone(),
                step: alerted.step,
                value: alerted.value.to_string(),
            },
        },
        since_ms: stall.since.as_ms(),
        limit_ms: ms(stall.limit),
        longest_ms: stall.longest.map(ms),
        cpu_permille: stall.cpu_permille,
        hits: stall.hits.iter().map(write_hit).collect(),
        tail: stall.tail.clone(),
    }
}

pub(super) fn read(stored: StoredStall) -> Stall {
    Stall {
        sign: match stored.sign {
            StoredSign::Output => Sign::Output,
            StoredSign::Progress => Sign::Progress,
            StoredSign::Alert { when, message, action, metric, step, value } => Sign::Alert(Alerted {
                when,
                message,
                action: action.and_then(|word| Action::ALL.iter().find(|(known, _)| *known == word).map(|(_, it)| *it)),
                metric,
                step,
                value: value.parse().unwrap_or(f64::NAN),
            }),
        },
        since: Time::from_ms(stored.since_ms),
        limit: Duration::from_millis(stored.limit_ms),
        longest: stored.longest_ms.map(Duration::from_millis),
        cpu_permille: stored.cpu_permille,
        hits: stored.hits.into_iter().map(read_hit).collect(),
        tail: stored.tail,
    }
}

pub(super) fn write_order(order: ClockOrder) -> StoredClockOrder {
    match order {
        ClockOrder::More(span) => StoredClockOrder::More { ms: ms(span) },
        ClockOrder::Hold => StoredClockOrder::Hold,
        ClockOrder::GoOn => StoredClockOrder::GoOn,
        ClockOrder::NeverStall => StoredClockOrder::NeverStall,
    }
}

pub(super) fn read_order(stored: StoredClockOrder) -> ClockOrder {
    match stored {
        StoredClockOrder::More { ms } => ClockOrder::More(Duration::from_millis(ms)),
        StoredClockOrder::Hold => ClockOrder::Hold,
        StoredClockOrder::GoOn => ClockOrder::GoOn,
        StoredClockOrder::NeverStall => ClockOrder::NeverStall,
    }
}
