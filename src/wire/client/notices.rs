//! Notices as clients see them.

use serde::{Deserialize, Serialize};

/// What was told to somebody outside, or is to be.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct NoticeView {
    pub run: String,
    /// `escalation`, `run.failed`, `run.succeeded` or `run.stopped`.
    pub event: String,
    /// `e7`.
    pub escalation: Option<String>,
    /// Which rule of the workflow, from 1.
    pub rule: usize,
    /// 0: the first time it is told.
    pub reminder: u32,
    /// The program, or the host of the address.
    pub to: String,
    pub summary: String,
    /// `due`, `sent`, `failed`, `joined` (another one that asks the same was told) or `needless` (answered before).
    pub state: String,
    pub tries: u32,
    /// How the last try ended; empty before.
    pub result: String,
    /// Its `Idempotency-Key`.
    pub key: String,
    pub made_ms: i64,
    /// When it is tried again.
    pub due_ms: Option<i64>,
    pub done_ms: Option<i64>,
}
