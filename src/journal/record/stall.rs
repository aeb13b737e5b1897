//! Stalls as they are stored.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::check::{read_hit, write_hit};
use super::stored::StoredHit;
use crate::model::{Sign, Stall, Time};

#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum StoredSign {
    Output,
    Progress,
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
        sign: match stall.sign {
            Sign::Output => StoredSign::Output,
            Sign::Progress => StoredSign::Progress,
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
        },
        since: Time::from_ms(stored.since_ms),
        limit: Duration::from_millis(stored.limit_ms),
        longest: stored.longest_ms.map(Duration::from_millis),
        cpu_permille: stored.cpu_permille,
        hits: stored.hits.into_iter().map(read_hit).collect(),
        tail: stored.tail,
    }
}
