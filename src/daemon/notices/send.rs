//! One try to tell somebody, from a thread of its own: a JSON object is posted, or a command is run. Blocks for as long as
//! its limits allow; keeps and decides nothing.

use std::io::Read;
use std::path::Path;
use std::time::Duration;

use serde_json::{Value, json};

use super::command;
use crate::faults::crash_point;
use crate::model::{NotifyRule, Occasion, Target};
use crate::report::notice::{Notice, clean};

/// From the look-up of the host's name to the end of the answer.
const LIMIT: Duration = Duration::from_secs(10);
/// What is read of an answer.
const MOST_READ: u64 = 4096;
/// What is shown of it.
const SHOWN: usize = 160;

/// What is sent.
#[derive(Debug, Clone)]
pub(super) struct Message {
    /// The same however often it is sent.
    pub(super) key: String,
    /// As [`address`] writes it.
    pub(super) target: String,
    pub(super) body: String,
}

/// A target as it is kept with a notice; commands start in the workspace.
pub(super) fn address(target: &Target, workspace: &str) -> String {
    match target {
        Target::Command(words) => json!({ "command": words, "dir": workspace }).to_string(),
        Target::Url(url) => json!({ "url": url }).to_string(),
    }
}

/// A kept target for people.
pub(in crate::daemon) fn target_words(kept: &str) -> String {
    target_of(kept).map_or_else(|| "?".into(), |(target, _)| clean(&target.to_string()))
}

/// The one line of a notice.
pub(in crate::daemon) fn summary(body: &str) -> String {
    let body: Value = serde_json::from_str(body).unwrap_or_default();
    body["summary"].as_str().unwrap_or_default().to_owned()
}

/// The target that was kept, and where its command starts.
fn target_of(kept: &str) -> Option<(Target, String)> {
    let value: Value = serde_json::from_str(kept).ok()?;
    if let Some(url) = value["url"].as_str() {
        return Some((Target::Url(url.to_owned()), String::new()));
    }
    let words = value["command"].as_array()?.iter().map(|word| word.as_str().map(str::to_owned));
    Some((Target::Command(words.collect::<Option<_>>()?), value["dir"].as_str()?.to_owned()))
}

/// Tries once: how it went, or why it did not.
pub(super) fn send(message: &Message) -> Result<String, String> {
    match target_of(&message.target) {
        Some((Target::Url(url), _)) => post(&url, message),
        Some((Target::Command(words), dir)) => command::run(&words, Path::new(&dir), message),
        None => Err("it is not known any more to whom".into()),
    }
}

fn post(url: &str, message: &Message) -> Result<String, String> {
    let config = ureq::Agent::config_builder()
        .timeout_global(Some(LIMIT))
        .http_status_as_error(false)
        // What is told goes to the host that the file names, and to no other one.
        .max_redirects(0)
        .user_agent(concat!("dogwatch/", env!("CARGO_PKG_VERSION")))
        .build();
    let agent = ureq::Agent::new_with_config(config);
    crash_point("notice.before-post");
    let answer = agent
        .post(url)
        .header("Content-Type", "application/json")
        .header("Idempotency-Key", &message.key)
        .send(&message.body);
    crash_point("notice.after-post");
    let mut answer = answer.map_err(|why| {
        let late = matches!(why, ureq::Error::Timeout(_));
        if late { format!("no answer within {} s", LIMIT.as_secs()) } else { why.to_string() }
    })?;
    let status = answer.status();
    if status.is_success() {
        return Ok(status.to_string());
    }
    if status.is_redirection() {
        let place = answer.headers().get("location").and_then(|place| place.to_str().ok()).unwrap_or("elsewhere");
        let host = Target::Url(place.to_owned());
        return Err(format!("{status}: it redirects to {host}, which is not followed; write the address meant"));
    }
    let mut bytes = Vec::new();
    // What could be read of it is enough.
    drop(answer.body_mut().as_reader().take(MOST_READ).read_to_end(&mut bytes));
    let words: String = clean(String::from_utf8_lossy(&bytes).trim()).chars().take(SHOWN).collect();
    Err(if words.is_empty() { status.to_string() } else { format!("{status}: {words}") })
}

/// Tries a rule now: one notice, of the first thing that it tells.
pub fn trial(rule: &NotifyRule, workflow: &str, workspace: &str) -> Result<String, String> {
    let occasion = rule.on.first().copied().unwrap_or(Occasion::Escalation);
    let notice = Notice::trial(workflow, occasion);
    let number = u64::from_le_bytes(crate::clock::random_bytes::<8>());
    send(&Message { key: format!("dw-test-{number:016x}"), target: address(&rule.to, workspace), body: notice.json() })
}
