//! One tmux server and the commands given to it: started, watched, restarted; one command at a time, each with a deadline.
//!
//! Nothing here waits: a command is a child process whose end the keeper reaps. Nothing goes through a shell, and no name
//! that is not made of the letters of a key reaches tmux.

use std::collections::VecDeque;
use std::fs::File;
use std::io::Read;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{
    Pid, PidfdFlags, Signal, WaitOptions, WaitStatus, kill_process, pidfd_open, pidfd_send_signal, waitpid,
};

use crate::{clock, faults};

/// A command that takes longer is killed: something is wrong with the server.
const COMMAND_MS: i64 = 5_000;
/// After a start that failed, the next one is tried after this long, then twice as long, and so on.
const FIRST_PAUSE_MS: i64 = 500;
const LONGEST_PAUSE_MS: i64 = 60_000;
/// How long the end of the keeper waits for tmux.
const GOODBYE_MS: i64 = 1_000;
/// The session that is always there. No key can have this name.
const ANCHOR: &str = "anchor";

/// A terminal, not a multiplexer for people: no keys, no status line, nothing that a program in a pane could use to
/// reach the terminal behind it. (A global `window-size manual` crashes tmux 3.3a; windows are fixed one by one.)
const CONFIG: &str = "\
set -g prefix None
set -g prefix2 None
unbind -a -T prefix
unbind -a -T root
unbind -a -T copy-mode
unbind -a -T copy-mode-vi
set -s escape-time 0
set -s exit-empty off
set -s set-clipboard off
set -g history-limit 2000
set -g status off
set -g mouse off
set -g set-titles off
set -g update-environment ''
set -g default-size 120x40
set -g default-terminal tmux-256color
set -g destroy-unattached off
set -g detach-on-destroy on
set -wg allow-passthrough off
set -wg allow-rename off
set -wg automatic-rename off
set -wg remain-on-exit on
set -wg remain-on-exit-format ''
";

/// Variables that tmux needs where it was brought along with its libraries.
const BROUGHT: [&str; 6] = ["PATH", "LD_LIBRARY_PATH", "LOCPATH", "TERMINFO", "TERMINFO_DIRS", "HOME"];

#[derive(Debug)]
enum Server {
    Down,
    Starting,
    Up { life: OwnedFd },
    Broken { why: String, again_at: i64, pause: i64 },
}

#[derive(Debug)]
enum Purpose<P> {
    Start,
    /// A server of an earlier keeper is there: which one?
    Ask,
    Of(P),
}

#[derive(Debug)]
struct Running<Q> {
    purpose: Q,
    pid: u32,
    output: File,
    kill_at: i64,
}

/// What has become of a command or of the server.
#[derive(Debug)]
pub(super) enum News<P> {
    Started,
    CannotStart(String),
    /// All commands that were waiting are forgotten.
    Died,
    Done(P),
    Failed(P, String),
}

/// See the module's description. `P` is what the owner wants to remember with a command.
#[derive(Debug)]
pub(super) struct Tmux<P> {
    program: PathBuf,
    socket: PathBuf,
    config: PathBuf,
    /// What the pane of the anchor session runs.
    anchor: Vec<String>,
    server: Server,
    queue: VecDeque<(P, Vec<String>)>,
    running: Option<Running<Purpose<P>>>,
}

impl<P> Tmux<P> {
    pub(super) fn new(program: PathBuf, runtime_dir: &Path, anchor: Vec<String>) -> Self {
        Self {
            program,
            socket: runtime_dir.join("tmux.sock"),
            config: runtime_dir.join("tmux.conf"),
            anchor,
            server: Server::Down,
            queue: VecDeque::new(),
            running: None,
        }
    }

    pub(super) fn is_up(&self) -> bool {
        matches!(self.server, Server::Up { .. })
    }

    /// A tmux command with the environment and the options that every one of them has.
    pub(super) fn command(&self) -> Command {
        let mut command = Command::new(&self.program);
        command.env_clear().env("LANG", "C.UTF-8").env("LC_ALL", "C.UTF-8").env("TERM", "xterm-256color");
        command.envs(BROUGHT.iter().filter_map(|name| Some((name, std::env::var_os(name)?))));
        command.arg("-u").arg("-S").arg(&self.socket);
        command
    }

    /// Starts the server unless it runs, is being started, or has just failed to start: then why.
    pub(super) fn want_server(&mut self, now: i64) -> Result<(), String> {
        let pause = match &self.server {
            Server::Up { .. } | Server::Starting => return Ok(()),
            Server::Broken { why, again_at, .. } if now < *again_at => return Err(why.clone()),
            Server::Broken { pause, .. } => *pause,
            Server::Down => FIRST_PAUSE_MS,
        };
        let started = std::fs::write(&self.config, CONFIG).and_then(|()| {
            let mut command = self.command();
            command.arg("-f").arg(&self.config);
            command.args(["new-session", "-d", "-s", ANCHOR, "-c", "/", "-P", "-F", "#{pid}"]).args(&self.anchor);
            start(command, Purpose::Start)
        });
        match started {
            Ok(running) => {
                self.server = Server::Starting;
                // A command that was given to a dead server is of no interest any more.
                self.running = Some(running);
                Ok(())
            }
            Err(error) => {
                let why = format!("tmux ({}) cannot be started: {error}", self.program.display());
                self.give_up(why.clone(), now, pause);
                Err(why)
            }
        }
    }

    fn give_up(&mut self, why: String, now: i64, pause: i64) {
        self.server = Server::Broken { why, again_at: now + pause, pause: (pause * 2).min(LONGEST_PAUSE_MS) };
    }

    /// Gives the server a command, after those before it.
    pub(super) fn submit(&mut self, purpose: P, arguments: &[&str]) {
        self.queue.push_back((purpose, arguments.iter().map(|argument| (*argument).to_owned()).collect()));
    }

    /// Readable when the server has died.
    pub(super) fn life(&self) -> Option<&OwnedFd> {
        match &self.server {
            Server::Up { life } => Some(life),
            Server::Down | Server::Starting | Server::Broken { .. } => None,
        }
    }

    pub(super) fn next_deadline(&self) -> Option<i64> {
        let again = match &self.server {
            Server::Broken { again_at, .. } => Some(*again_at),
            Server::Down | Server::Starting | Server::Up { .. } => None,
        };
        self.running.as_ref().map(|running| running.kill_at).into_iter().chain(again).min()
    }

    /// Starts the next command, kills one that hangs, notices that the server is gone.
    pub(super) fn turn(&mut self, now: i64) -> Vec<News<P>> {
        if self.life().is_some_and(is_readable) {
            self.server = Server::Down;
            self.queue.clear();
            self.running = None;
            return vec![News::Died];
        }
        if let Some(running) = &mut self.running
            && now >= running.kill_at
            && let Some(pid) = i32::try_from(running.pid).ok().and_then(Pid::from_raw)
        {
            // The reaper reports it; until then it is not killed again.
            let _ = kill_process(pid, Signal::KILL);
            running.kill_at = i64::MAX;
        }
        if self.running.is_some() || !self.is_up() {
            return Vec::new();
        }
        let Some((purpose, arguments)) = self.queue.pop_front() else { return Vec::new() };
        let mut command = self.command();
        command.args(arguments);
        match start(command, ()) {
            Ok(Running { pid, output, kill_at, .. }) => {
                self.running = Some(Running { purpose: Purpose::Of(purpose), pid, output, kill_at });
                Vec::new()
            }
            Err(error) => vec![News::Failed(purpose, format!("tmux cannot be started: {error}"))],
        }
    }

    /// A child of the keeper has ended; perhaps it was ours.
    pub(super) fn reaped(&mut self, pid: u32, status: WaitStatus) -> Vec<News<P>> {
        let Some(mut running) = self.running.take_if(|running| running.pid == pid) else { return Vec::new() };
        let mut output = [0u8; 4096];
        let read = running.output.read(&mut output).unwrap_or(0);
        let said = String::from_utf8_lossy(&output[..read]).trim().to_owned();
        let worked = status.exit_status() == Some(0);
        match running.purpose {
            Purpose::Start if !worked && said.contains("duplicate session") => self.ask_who(),
            Purpose::Start | Purpose::Ask => vec![self.started(worked, &said)],
            // The owner forgets it with everything else.
            Purpose::Of(_) if self.life().is_some_and(is_readable) => self.turn(clock::boottime_ms()),
            Purpose::Of(purpose) if worked => vec![News::Done(purpose)],
            Purpose::Of(purpose) => vec![News::Failed(purpose, words(said))],
        }
    }

    fn ask_who(&mut self) -> Vec<News<P>> {
        let mut command = self.command();
        command.args(["display-message", "-p", "-t", "=anchor:", "#{pid}"]);
        match start(command, Purpose::Ask) {
            Ok(running) => {
                self.running = Some(running);
                Vec::new()
            }
            Err(error) => vec![self.started(false, &error.to_string())],
        }
    }

    fn started(&mut self, worked: bool, said: &str) -> News<P> {
        let pid = said.lines().last().and_then(|line| line.parse().ok()).and_then(Pid::from_raw);
        let life = pid.and_then(|pid| pidfd_open(pid, PidfdFlags::empty()).ok());
        match life {
            Some(life) if worked => {
                self.server = Server::Up { life };
                News::Started
            }
            Some(_) | None => {
                let why = format!("tmux did not start: {}", words(said.into()));
                self.give_up(why.clone(), clock::boottime_ms(), FIRST_PAUSE_MS);
                News::CannotStart(why)
            }
        }
    }

    /// Ends the server, also one of an earlier keeper and one that is just being started. The last thing that a keeper
    /// does, so it may wait a little.
    pub(super) fn end(&mut self) {
        // Whatever is being done is done first: a session that is made while the server ends keeps it for ever.
        if let Some(Running { pid, .. }) = self.running.take() {
            wait_a_little(pid);
        }
        let mut command = self.command();
        command.arg("kill-server");
        if self.socket.exists()
            && let Ok(Running { pid, .. }) = start(command, ())
        {
            wait_a_little(pid);
        }
        if let Some(life) = self.life() {
            let mut fds = [PollFd::new(life, PollFlags::IN)];
            let gone = poll(&mut fds, Some(&Timespec { tv_sec: GOODBYE_MS / 1000, tv_nsec: 0 })).is_ok_and(|n| n > 0);
            if !gone {
                let _ = pidfd_send_signal(life, Signal::KILL);
            }
        }
    }
}

/// Until the child with this pid has ended, but not for long.
fn wait_a_little(pid: u32) {
    let deadline = clock::boottime_ms() + GOODBYE_MS;
    let pid = i32::try_from(pid).ok().and_then(Pid::from_raw);
    while clock::boottime_ms() < deadline && matches!(waitpid(pid, WaitOptions::NOHANG), Ok(None)) {
        clock::pause(std::time::Duration::from_millis(2));
    }
}

fn words(said: String) -> String {
    if said.is_empty() { "it gave no reason".into() } else { said }
}

fn is_readable(descriptor: &OwnedFd) -> bool {
    let mut fds = [PollFd::new(descriptor, PollFlags::IN)];
    poll(&mut fds, Some(&Timespec { tv_sec: 0, tv_nsec: 0 })).is_ok_and(|found| found > 0)
}

fn start<Q>(mut command: Command, purpose: Q) -> std::io::Result<Running<Q>> {
    let (output, input) = rustix::pipe::pipe_with(rustix::pipe::PipeFlags::CLOEXEC)?;
    rustix::io::ioctl_fionbio(&output, true)?;
    command.stdin(Stdio::null()).stdout(Stdio::from(input.try_clone()?)).stderr(Stdio::from(input));
    // The server, each session, each window: whatever happens to tmux happens by such a command.
    faults::crash_point("keep.before-tmux");
    let child = command.spawn()?;
    faults::crash_point("keep.after-tmux");
    Ok(Running { purpose, pid: child.id(), output: output.into(), kill_at: clock::boottime_ms() + COMMAND_MS })
}
