//! What the judge is told of an attempt's end, and with which rules it judges. Decides nothing.

use std::path::Path;

use rustix::fs::statvfs;

use crate::config::rules;
use crate::judge::{Facts, Judge};
use crate::model::{End, Outside, StopReason, Workflow};

/// Less free space than this is none: programs give up before the last byte.
const NO_ROOM: u64 = 1024 * 1024;

/// A judge with the rules of the workflow and the operator's own before the built-in ones.
pub(super) fn judge(workflow: &Workflow) -> Judge {
    let own = rules::place(|name| std::env::var_os(name));
    let of_workflow = || rules::of_workflow(&workflow.rules).unwrap_or_else(|_| rules::built_in());
    Judge::new(&rules::load(own.as_deref(), &workflow.rules).unwrap_or_else(|problems| {
        tracing::error!("failures are judged without your own rules: {problems}");
        of_workflow()
    }))
}

/// The facts of a bad end; `None` where nothing is to be explained: it ended well, or somebody had it ended.
pub(super) fn facts(end: End, stop: Option<StopReason>, oom_kills: Option<u64>, places: &[&Path]) -> Option<Facts> {
    if matches!(stop, Some(StopReason::Stop | StopReason::Stall | StopReason::Alert | StopReason::Unneeded))
        || (end == End::Code(0) && stop.is_none())
    {
        return None;
    }
    // That it was ended says nothing of why it was not ready; what it printed may.
    let (exit_code, signal) = match end {
        _ if stop == Some(StopReason::NotReady) => (Some(1), None),
        End::Code(code) => (Some(code), None),
        End::Signal(signal) => (None, Some(signal)),
    };
    // The counter is that of the whole environment: only who was killed can have been meant.
    let killed = matches!(end, End::Signal(9) | End::Code(137));
    Some(Facts {
        exit_code,
        signal,
        oom: killed && oom_kills.is_some_and(|kills| kills > 0),
        timed_out: stop == Some(StopReason::Timeout),
        disk_full: places.iter().any(|place| is_full(place)),
        device_error: false,
    })
}

/// Of an attempt whose environment was ended with it. An engine that was started anew explains itself.
pub(super) fn facts_outside(outside: Outside) -> Option<Facts> {
    let oom = match outside {
        // What the log says of an end by itself is judged with the log.
        Outside::EngineRestarted | Outside::GpusLost | Outside::SharedMemoryFull => return None,
        Outside::Killed => false,
        Outside::OutOfMemory => true,
    };
    Some(Facts { signal: Some(9), oom, ..Facts::default() })
}

/// No space or no inodes are left where this lies.
fn is_full(place: &Path) -> bool {
    statvfs(place).is_ok_and(|about| {
        about.f_bavail.saturating_mul(about.f_frsize) < NO_ROOM || (about.f_files > 0 && about.f_favail == 0)
    })
}
