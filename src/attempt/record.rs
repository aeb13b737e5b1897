//! The exit record: how an attempt ended, written once by its shim, readable by nobody as anything else.
//!
//! One line of JSON whose last member is `mac`: the keyed BLAKE3 hash of the same line without that member, so exactly
//! the bytes that are in the file are authenticated and a reader of another version checks them all the same.
//! The room was allocated with the claim; writing it needs no new block, so a full disk loses no exit.

use std::os::fd::{AsFd, BorrowedFd};

use rustix::fs::{AtFlags, FileType, statat};
use serde::{Deserialize, Serialize};

use super::claim::{Claim, RESERVE, RESERVED};
use super::{Error, read_small};
use crate::faults;
use crate::wire::keeper::StopReason;
use crate::wire::shim::End;

/// Version of `exit.json`.
pub const VERSION: u32 = 1;

const NAME: &str = "exit.json";
/// No record is longer.
const LIMIT: usize = 64 * 1024;
const MAC: &str = ",\"mac\":\"";

/// How an attempt ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ExitRecord {
    pub v: u32,
    pub key: String,
    pub epoch: u64,
    pub boot_id: String,
    pub end: End,
    pub start_boottime_ms: i64,
    pub start_wall_ms: i64,
    pub end_boottime_ms: i64,
    pub end_wall_ms: i64,
    /// Set when dogwatch ended it.
    pub stop: Option<StopReason>,
    /// What of the attempt's processes was still alive.
    pub leaked: Vec<Leaked>,
    /// How many more leaked than the list has room for.
    pub leaked_more: u32,
    pub rusage: Usage,
    /// How many processes the kernel killed for want of memory in the environment meanwhile, if it tells.
    pub oom_kills: Option<u64>,
    /// Length of the output as a stream, also what is no longer kept.
    pub log_bytes: u64,
    /// Output that could not be written.
    pub log_dropped_bytes: u64,
}

/// A process that outlived its attempt.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Leaked {
    pub pid: u32,
    pub comm: String,
}

/// What the attempt's processes used, as far as they were waited for.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Usage {
    pub user_ms: u64,
    pub system_ms: u64,
    pub max_rss_kib: u64,
}

/// The bytes of a record, sealed, and short enough for the room that was reserved.
fn seal(record: &ExitRecord, mac_key: &[u8; 32]) -> Result<Vec<u8>, serde_json::Error> {
    let mut record = record.clone();
    loop {
        let mut line = serde_json::to_vec(&record)?;
        if line.len() + MAC.len() + 70 > RESERVED && record.leaked.pop().is_some() {
            record.leaked_more += 1;
            continue;
        }
        let mac = blake3::keyed_hash(mac_key, &line).to_hex();
        line.pop();
        line.extend_from_slice(MAC.as_bytes());
        line.extend_from_slice(mac.as_bytes());
        line.extend_from_slice(b"\"}\n");
        return Ok(line);
    }
}

/// The record in `bytes` if it is authentic.
fn unseal(bytes: &[u8], key: &str, mac_key: &[u8; 32]) -> Result<ExitRecord, String> {
    let line = bytes.split(|byte| *byte == b'\n').next().unwrap_or_default();
    let text = std::str::from_utf8(line).map_err(|_| "it is not text".to_owned())?;
    let (body, mac) = text
        .strip_suffix("\"}")
        .and_then(|text| text.rsplit_once(MAC))
        .ok_or_else(|| "it carries no authentication code".to_owned())?;
    let body = format!("{body}}}");
    let mac = blake3::Hash::from_hex(mac).map_err(|_| "its authentication code is malformed".to_owned())?;
    // `Hash` compares in constant time.
    if blake3::keyed_hash(mac_key, body.as_bytes()) != mac {
        return Err("its authentication code is wrong".into());
    }
    let record: ExitRecord = serde_json::from_str(&body).map_err(|error| format!("it cannot be read: {error}"))?;
    if record.key == key { Ok(record) } else { Err(format!("it belongs to {}", record.key)) }
}

/// Writes the record of the attempt in `dir` and makes it last.
///
/// The directory is not synced: should a power cut lose the rename, the bytes are still found under the name of the
/// reserve, with their authentication code.
pub fn write(dir: impl AsFd, claim: &Claim, record: &ExitRecord, mac_key: &[u8; 32]) -> Result<(), Error> {
    let line =
        seal(record, mac_key).map_err(|source| Error::io("write the exit record", std::io::Error::from(source)))?;
    let mut written = 0;
    while written < line.len() {
        written += rustix::io::retry_on_intr(|| rustix::io::pwrite(&claim.reserve, &line[written..], written as u64))
            .map_err(|source| Error::io("write the exit record", source))?;
    }
    // Only for the looks: a reader skips the blanks that are left of the reserve.
    let _ = rustix::fs::ftruncate(&claim.reserve, line.len() as u64);
    rustix::fs::fdatasync(&claim.reserve).map_err(|source| Error::io("sync the exit record", source))?;
    faults::crash_point("shim.before-exit-rename");
    rustix::fs::renameat(&claim.dir, RESERVE, dir, NAME).map_err(|source| Error::io("name the exit record", source))?;
    faults::crash_point("shim.after-exit-rename");
    Ok(())
}

/// Reads the exit record of `key` in `dir`; `None` when the attempt has not ended, as far as the disk tells.
pub fn read(dir: impl AsFd, key: &str, mac_key: &[u8; 32]) -> Result<Option<ExitRecord>, Error> {
    let dir = dir.as_fd();
    let tampered = |why: String| Error::Tampered { key: key.into(), why };
    match read_small(dir, NAME, LIMIT) {
        Ok(Some(bytes)) => unseal(&bytes, key, mac_key).map(Some).map_err(tampered),
        Ok(None) => Ok(read_reserve(dir, key, mac_key)),
        // Not a regular file, a link, somebody else's, too long: nobody but an intruder makes such a thing.
        Err(Error::Io { source, .. }) if source.raw_os_error().is_none_or(is_link) => Err(tampered(source.to_string())),
        Err(error) => Err(error),
    }
}

fn is_link(errno: i32) -> bool {
    errno == rustix::io::Errno::LOOP.raw_os_error()
}

/// A record that was written and synced but whose new name was lost. Anything else there means nothing: while the step
/// runs it is all blanks.
fn read_reserve(dir: BorrowedFd<'_>, key: &str, mac_key: &[u8; 32]) -> Option<ExitRecord> {
    unseal(&reserve(dir)?, key, mac_key).ok()
}

fn reserve(dir: BorrowedFd<'_>) -> Option<Vec<u8>> {
    let claim = rustix::fs::openat(dir, "claim", super::DIRECTORY, rustix::fs::Mode::empty()).ok()?;
    read_small(claim, RESERVE, LIMIT).ok()?
}

/// What the record says, whoever wrote it: for showing only.
pub fn peek(dir: impl AsFd) -> Option<ExitRecord> {
    let bytes = read_small(dir, NAME, LIMIT).ok()??;
    serde_json::from_slice(bytes.split(|byte| *byte == b'\n').next()?).ok()
}

impl ExitRecord {
    /// The end in words for the person at a pane.
    pub fn last_line(&self) -> String {
        end_in_words(Some(self.end), self.end_boottime_ms - self.start_boottime_ms)
    }
}

/// How it ended, and after how long, in brackets.
pub(crate) fn end_in_words(end: Option<End>, took_ms: i64) -> String {
    let seconds = took_ms / 1000;
    match end {
        Some(End::Code(code)) => format!("[exited {code} after {seconds}s]"),
        Some(End::Signal(number)) => format!("[killed by {} after {seconds}s]", signal_name(number)),
        None => format!("[does not end, after {seconds}s]"),
    }
}

/// `SIGKILL` for 9.
pub fn signal_name(number: i32) -> String {
    signal_hook::low_level::signal_name(number).map_or_else(|| format!("signal {number}"), Into::into)
}

/// Is there an exit record, as far as one can tell without its key? Also one whose new name was lost.
pub fn is_there(dir: impl AsFd) -> bool {
    let dir = dir.as_fd();
    statat(dir, NAME, AtFlags::SYMLINK_NOFOLLOW).is_ok_and(|stat| FileType::from_raw_mode(stat.st_mode).is_file())
        || reserve(dir).is_some_and(|bytes| bytes.starts_with(b"{") && bytes.contains(&b'\n'))
}

/// The 32 bytes that `text` is the hex form of.
pub fn key_from_hex(text: &str) -> Option<[u8; 32]> {
    blake3::Hash::from_hex(text).ok().map(|hash| *hash.as_bytes())
}
