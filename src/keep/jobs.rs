//! Commands beside the steps: probes, whose end somebody waits for, and shells on a terminal of their own.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::Read;
use std::os::fd::OwnedFd;
use std::process::{Command, Stdio};

use rustix::process::{Pid, Signal, WaitStatus, kill_process_group};

use crate::wire::keeper::Reply;
use crate::{clock, faults, spawn};

/// The most that is kept of a probe's output.
const OUTPUT: usize = 64 * 1024;
/// Probes at the same time.
const PROBES: usize = 64;
/// How long a probe's output is waited for after its end, if something it started still holds it open.
const LINGER_MS: i64 = 100;

/// A command to run.
#[derive(Debug)]
pub(super) struct Task {
    pub(super) argv: Vec<String>,
    pub(super) env: BTreeMap<String, String>,
    pub(super) cwd: String,
}

impl Task {
    fn command(&self) -> std::io::Result<Command> {
        let (program, arguments) =
            self.argv.split_first().ok_or_else(|| std::io::Error::other("the command is empty"))?;
        let mut command = Command::new(program);
        command.args(arguments).env_clear().envs(&self.env).current_dir(&self.cwd);
        Ok(command)
    }
}

/// Who asked, and under which number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Asker {
    pub(super) peer: u64,
    pub(super) id: u64,
}

/// A probe that runs.
#[derive(Debug)]
pub(super) struct Probe {
    asker: Asker,
    pid: u32,
    pub(super) output: File,
    seen: Vec<u8>,
    kill_at: i64,
    timed_out: bool,
    code: Option<i32>,
    /// When it ended, or its output did.
    silent: bool,
    give_up_at: Option<i64>,
}

/// All probes.
#[derive(Debug, Default)]
pub(super) struct Jobs {
    /// Shells that somebody works in, by process.
    pub(super) shells: std::collections::BTreeSet<u32>,
    pub(super) probes: Vec<Probe>,
}

impl Jobs {
    /// Starts a probe; its end is told by [`Jobs::finished`].
    pub(super) fn run(&mut self, asker: Asker, task: &Task, timeout_ms: u64) -> std::io::Result<()> {
        if self.probes.len() >= PROBES {
            return Err(std::io::Error::other(format!("{PROBES} commands run beside the steps already")));
        }
        let (output, input) = rustix::pipe::pipe_with(rustix::pipe::PipeFlags::CLOEXEC)?;
        rustix::io::ioctl_fionbio(&output, true)?;
        let mut command = task.command()?;
        command.stdin(Stdio::null()).stdout(Stdio::from(input.try_clone()?)).stderr(Stdio::from(input));
        spawn::in_own_session(&mut command);
        faults::crash_point("keep.before-probe");
        let child = command.spawn()?;
        faults::crash_point("keep.after-probe");
        self.probes.push(Probe {
            asker,
            pid: child.id(),
            output: output.into(),
            seen: Vec::new(),
            kill_at: clock::boottime_ms().saturating_add(i64::try_from(timeout_ms).unwrap_or(i64::MAX)),
            timed_out: false,
            code: None,
            silent: false,
            give_up_at: None,
        });
        Ok(())
    }

    pub(super) fn next_deadline(&self) -> Option<i64> {
        self.probes.iter().map(Probe::deadline).min()
    }

    /// Takes what probes have printed.
    pub(super) fn read(&mut self) {
        self.probes.iter_mut().for_each(Probe::read);
    }

    pub(super) fn reaped(&mut self, pid: u32, status: WaitStatus) {
        self.shells.remove(&pid);
        for probe in self.probes.iter_mut().filter(|probe| probe.pid == pid) {
            probe.code = status.exit_status().or_else(|| status.terminating_signal().map(|signal| 128 + signal));
            probe.give_up_at = Some(clock::boottime_ms() + LINGER_MS);
            probe.read();
        }
    }

    /// Kills what is too slow, and gives back what has ended.
    pub(super) fn finished(&mut self, now: i64) -> Vec<(Asker, Reply)> {
        let mut done = Vec::new();
        self.probes.retain_mut(|probe| {
            probe.kill_if_due(now);
            match probe.code {
                Some(code) if probe.silent || probe.give_up_at.is_some_and(|at| now >= at) => {
                    let output = String::from_utf8_lossy(&probe.seen).into_owned();
                    done.push((probe.asker, Reply::Ran { code, output, timed_out: probe.timed_out }));
                    false
                }
                Some(_) | None => true,
            }
        });
        done
    }
}

impl Probe {
    fn deadline(&self) -> i64 {
        match self.give_up_at {
            Some(at) => at,
            // Killed but not yet reaped: the kernel will tell.
            None if self.timed_out => i64::MAX,
            None => self.kill_at,
        }
    }

    fn read(&mut self) {
        let mut block = [0u8; 8192];
        while !self.silent {
            match self.output.read(&mut block) {
                Ok(0) => self.silent = true,
                Ok(read) => {
                    let room = OUTPUT - self.seen.len();
                    self.seen.extend_from_slice(&block[..read.min(room)]);
                }
                Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
                Err(_) => return,
            }
        }
    }

    /// Is there something to be heard of it?
    pub(super) fn is_heard(&self) -> bool {
        !self.silent
    }

    fn kill_if_due(&mut self, now: i64) {
        if self.code.is_none() && !self.timed_out && now >= self.kill_at {
            self.timed_out = true;
            if let Some(group) = i32::try_from(self.pid).ok().and_then(Pid::from_raw) {
                let _ = kill_process_group(group, Signal::KILL);
            }
        }
    }
}

/// Starts `task` on a new terminal and gives back the terminal's other side.
pub(super) fn on_new_terminal(task: &Task, rows: u16, cols: u16) -> std::io::Result<(OwnedFd, u32)> {
    let pty = spawn::open_pty(rows, cols)?;
    let mut command = task.command()?;
    spawn::on_terminal(&mut command, &pty)?;
    // Reaped by the keeper like everything else; hung up by the kernel when the last holder closes the master.
    faults::crash_point("keep.before-shell");
    let shell = command.spawn()?;
    faults::crash_point("keep.after-shell");
    Ok((pty.master, shell.id()))
}
