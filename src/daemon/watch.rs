//! Checkpoints as they are printed: follows the log of a live attempt whose step declares a pattern. Woken by the
//! kernel, never by a clock alone. What it misses is found again when the attempt ends.

use std::os::fd::OwnedFd;
use std::path::Path;
use std::time::Duration;

use regex::Regex;
use rustix::fs::inotify;
use tokio::net::unix::pipe::Receiver;

use super::core::{Input, Parts};
use super::ended::{Context, sighting};
use crate::attempt::log::{Log, Piece};
use crate::clock;
use crate::gauge::plain;
use crate::model::{Checkpoint, Event, What};

/// Between two looks at a log that is being written: what came meanwhile is read at once.
const PAUSE: Duration = Duration::from_millis(300);
const CHUNK: usize = 256 * 1024;
/// Checkpoints that are told of one look.
const AT_ONCE: usize = 16;

/// Follows this attempt until its engine ends or its log cannot be read. For steps without a pattern nothing is started.
pub(super) fn start(context: Context, parts: &Parts) {
    let step = context.workflow.steps.get(&context.step);
    let Some(pattern) = step.and_then(|step| Regex::new(&step.checkpoint.as_ref()?.pattern).ok()) else { return };
    let parts = parts.clone();
    tokio::spawn(async move {
        if let Err(error) = follow(&context, &pattern, &parts).await {
            tracing::warn!("checkpoints of {} are not followed: {error}", context.attempt);
        }
    });
}

async fn follow(context: &Context, pattern: &Regex, parts: &Parts) -> std::io::Result<()> {
    let path = context.run_dir.join(context.attempt.dir());
    let events = watch(&path)?;
    let (mut offset, mut rest) = (0, Vec::new());
    loop {
        let Some(dir) = context.open().map_err(std::io::Error::other)? else { return Ok(()) };
        let new = read_new(dir, &mut offset, &mut rest, pattern, context).map_err(std::io::Error::other)?;
        for (checkpoint, offset) in new.into_iter().filter(|(checkpoint, _)| context.is_there(&checkpoint.path)) {
            let what = What::CheckpointSeen { attempt: context.attempt.clone(), checkpoint, offset };
            parts.tell(Input::Fact(Event { run: context.attempt.run.clone(), at: parts.clock.now(), what }));
        }
        if path.join("exit.json").exists() {
            return Ok(());
        }
        events.readable().await?;
        // What the events say does not matter: something was written.
        let mut buffer = [0u8; 4096];
        while events.try_read(&mut buffer).is_ok() {}
        clock::sleep(PAUSE).await;
    }
}

fn watch(path: &Path) -> std::io::Result<Receiver> {
    let fd = inotify::init(inotify::CreateFlags::CLOEXEC | inotify::CreateFlags::NONBLOCK)?;
    let flags = inotify::WatchFlags::MODIFY | inotify::WatchFlags::CREATE | inotify::WatchFlags::MOVED_TO;
    inotify::add_watch(&fd, path, flags | inotify::WatchFlags::ONLYDIR)?;
    // Any descriptor that can be read and polled will do; an inotify one is read like a pipe.
    Receiver::from_owned_fd_unchecked(fd)
}

/// The checkpoints told of in what was written since, the newest last; of very many the newest.
fn read_new(
    dir: OwnedFd,
    offset: &mut u64,
    rest: &mut Vec<u8>,
    pattern: &Regex,
    context: &Context,
) -> Result<Vec<(Checkpoint, u64)>, crate::attempt::Error> {
    let mut log = Log::open(dir)?;
    let mut new: Vec<(Checkpoint, u64)> = Vec::new();
    while let Some(piece) = log.read(*offset, CHUNK)? {
        *offset = piece.next_offset();
        let Piece::Bytes { bytes, .. } = piece else {
            rest.clear();
            continue;
        };
        rest.extend_from_slice(&bytes);
        let whole = rest.iter().rposition(|byte| *byte == b'\n').map_or(0, |end| end + 1);
        let mut end = offset.saturating_sub(rest.len() as u64);
        for line in rest[..whole].split_inclusive(|byte| *byte == b'\n') {
            end += line.len() as u64;
            let line = plain::line(line.strip_suffix(b"\n").unwrap_or(line));
            if let Some(found) = sighting(pattern, &line, context) {
                new.retain(|(one, _)| one.path != found.path);
                new.push((found, end));
                let over = new.len().saturating_sub(AT_ONCE);
                new.drain(..over);
            }
        }
        rest.drain(..whole);
        if rest.len() > CHUNK {
            rest.clear();
        }
    }
    Ok(new)
}
