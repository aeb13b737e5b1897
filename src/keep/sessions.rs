//! Which attempts are shown in tmux, and the terminals handed out on them.
//!
//! A session only shows: it runs `dogwatch view` on the shim's socket, so it can be made, lost and made again at any
//! time. An attempt that ends within [`YOUNG_MS`] gets none unless somebody asks. Everything is level-triggered: a server
//! that died is answered by wanting all sessions once more.

use std::collections::{BTreeMap, VecDeque};
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};

use rustix::process::{Pid, Signal, WaitStatus, kill_process};

use super::jobs::Asker;
use super::tmux::{News, Tmux};
use crate::wire::keeper::Event;
use crate::{faults, spawn};

/// Steps that are over by then need no session.
pub(super) const YOUNG_MS: i64 = 200;
/// Sessions of ended attempts that are kept.
const KEPT: usize = 32;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage {
    Wanted,
    Creating,
    Made,
    /// tmux refused; tried again only when somebody asks.
    Failed,
}

/// What a pane shows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Source {
    /// The control socket of a live shim.
    Shim(PathBuf),
    /// The last picture of an attempt that has ended.
    File(PathBuf),
}

#[derive(Debug)]
struct Session {
    stage: Stage,
    source: Source,
    rows: u16,
    cols: u16,
}

/// Somebody who waits for a terminal.
#[derive(Debug)]
struct Open {
    asker: Asker,
    key: String,
    rows: u16,
    cols: u16,
    readonly: bool,
    fitting: bool,
}

/// What a tmux command was for.
#[derive(Debug)]
pub(super) enum Purpose {
    Create(String),
    /// The window takes the size of the terminal that comes.
    Fit(Asker),
    /// Its outcome changes nothing.
    Tidy,
}

/// What the keeper has to do.
#[derive(Debug)]
pub(super) enum Effect {
    Tell(Event),
    Refuse(Asker, String),
    Hand(Asker, OwnedFd),
}

/// All sessions of this environment.
#[derive(Debug)]
pub(super) struct Sessions {
    tmux: Tmux<Purpose>,
    dogwatch: String,
    known: BTreeMap<String, Session>,
    /// Those whose attempt has ended, oldest first.
    ended: VecDeque<String>,
    opens: Vec<Open>,
    /// tmux clients of people who may type, by pid.
    clients: BTreeMap<u32, String>,
    died: bool,
}

impl Sessions {
    pub(super) fn new(program: PathBuf, dogwatch: &Path, runtime_dir: &Path) -> Self {
        let dogwatch = dogwatch.to_string_lossy().into_owned();
        // Two words at least: tmux gives a single one to a shell.
        let anchor = vec![dogwatch.clone(), "view".into(), "--nothing".into()];
        Self {
            tmux: Tmux::new(program, runtime_dir, anchor),
            dogwatch,
            known: BTreeMap::new(),
            ended: VecDeque::new(),
            opens: Vec::new(),
            clients: BTreeMap::new(),
            died: false,
        }
    }

    pub(super) fn has(&self, key: &str) -> bool {
        self.known.contains_key(key)
    }

    /// Makes sure that there is, or will be, a session of this attempt.
    pub(super) fn want(&mut self, key: &str, source: Source, (rows, cols): (u16, u16)) {
        if matches!(source, Source::File(_)) && !self.has(key) {
            self.ended.push_back(key.into());
        }
        let (rows, cols) = (rows.clamp(2, 1000), cols.clamp(2, 1000));
        self.known.entry(key.into()).or_insert(Session { stage: Stage::Wanted, source, rows, cols });
        self.drop_oldest();
    }

    /// Somebody wants a terminal on the session of this attempt, which is wanted already.
    pub(super) fn open(&mut self, asker: Asker, key: &str, (rows, cols): (u16, u16), readonly: bool) {
        if let Some(session) = self.known.get_mut(key).filter(|session| session.stage == Stage::Failed) {
            session.stage = Stage::Wanted;
        }
        let (rows, cols) = (rows.clamp(2, 1000), cols.clamp(2, 1000));
        self.opens.push(Open { asker, key: key.into(), rows, cols, readonly, fitting: false });
    }

    /// The step's terminal has this size now; a session that has to be made anew takes it.
    pub(super) fn sized(&mut self, key: &str, (rows, cols): (u16, u16)) {
        if let Some(session) = self.known.get_mut(key) {
            (session.rows, session.cols) = (rows, cols);
        }
    }

    /// The attempt has ended: its session stays for a while, showing the end.
    pub(super) fn ended(&mut self, key: &str) {
        if self.known.get(key).is_some_and(|session| matches!(session.stage, Stage::Wanted | Stage::Failed)) {
            // Never made, and nobody has asked for it.
            self.known.remove(key);
        } else if self.has(key) {
            self.ended.push_back(key.into());
        }
        self.drop_oldest();
    }

    fn drop_oldest(&mut self) {
        while self.ended.len() > KEPT
            && let Some(oldest) = self.ended.pop_front()
        {
            self.forget(&oldest);
        }
    }

    fn forget(&mut self, key: &str) {
        if self.known.remove(key).is_some() {
            self.tmux.submit(Purpose::Tidy, &["kill-session", "-t", &target(key)]);
        }
    }

    pub(super) fn life(&self) -> Option<&OwnedFd> {
        self.tmux.life()
    }

    pub(super) fn next_deadline(&self) -> Option<i64> {
        if self.is_needed() { self.tmux.next_deadline() } else { None }
    }

    fn is_needed(&self) -> bool {
        !self.opens.is_empty() || self.known.values().any(|session| session.stage != Stage::Made)
    }

    pub(super) fn end(&mut self) {
        self.tmux.end();
    }

    /// Does what can be done now.
    pub(super) fn turn(&mut self, now: i64) -> Vec<Effect> {
        let mut effects = Vec::new();
        let news = self.tmux.turn(now);
        self.note(news, &mut effects);
        // After a death the server is wanted at once, also when nothing else is.
        if (self.is_needed() || self.died)
            && let Err(why) = self.tmux.want_server(now)
        {
            self.refuse_all(&why, &mut effects);
        }
        if self.tmux.is_up() {
            self.create();
            self.serve(&mut effects);
            let news = self.tmux.turn(now);
            self.note(news, &mut effects);
        }
        effects
    }

    pub(super) fn reaped(&mut self, pid: u32, status: WaitStatus) -> Vec<Effect> {
        let mut effects = Vec::new();
        if let Some(key) = self.clients.remove(&pid)
            && !self.clients.values().any(|other| *other == key)
        {
            // Back to a fixed size, the one that he left it in as the shim told it: nobody who only looks may change it, and
            // tmux may have given it the size of such a one already.
            let sized = self.known.get(&key).map(|session| (session.rows.to_string(), session.cols.to_string()));
            if let Some((rows, cols)) = sized {
                self.tmux.submit(Purpose::Tidy, &["resize-window", "-t", &target(&key), "-x", &cols, "-y", &rows]);
            }
        }
        let news = self.tmux.reaped(pid, status);
        self.note(news, &mut effects);
        effects
    }

    fn note(&mut self, news: Vec<News<Purpose>>, effects: &mut Vec<Effect>) {
        for one in news {
            match one {
                News::Started => {
                    faults::crash_point("keep.after-tmux-start");
                    if std::mem::take(&mut self.died) {
                        effects.push(Effect::Tell(Event::TmuxRestarted));
                    }
                }
                News::CannotStart(why) => self.refuse_all(&why, effects),
                News::Died => self.start_over(),
                News::Done(purpose) => self.done(purpose, effects),
                News::Failed(Purpose::Create(key), why) if why.contains("duplicate session") => self.made(&key),
                News::Failed(purpose, why) => self.failed(purpose, &why, effects),
            }
        }
    }

    /// The server is gone, and with it all sessions. Those of live attempts, and those that somebody waits for, come back.
    fn start_over(&mut self) {
        self.died = true;
        self.clients.clear();
        let opens = &self.opens;
        self.known.retain(|key, session| {
            session.stage = Stage::Wanted;
            !self.ended.contains(key) || opens.iter().any(|open| open.key == *key)
        });
        let known = &self.known;
        self.ended.retain(|key| known.contains_key(key));
        self.opens.iter_mut().for_each(|open| open.fitting = false);
    }

    fn done(&mut self, purpose: Purpose, effects: &mut Vec<Effect>) {
        match purpose {
            Purpose::Create(key) => self.made(&key),
            Purpose::Fit(asker) => self.hand(asker, effects),
            Purpose::Tidy => {}
        }
    }

    fn made(&mut self, key: &str) {
        if let Some(session) = self.known.get_mut(key) {
            session.stage = Stage::Made;
        }
    }

    fn failed(&mut self, purpose: Purpose, why: &str, effects: &mut Vec<Effect>) {
        match purpose {
            Purpose::Create(key) => {
                if let Some(session) = self.known.get_mut(&key) {
                    session.stage = Stage::Failed;
                }
                self.refuse(|open| open.key == key, why, effects);
            }
            Purpose::Fit(asker) => self.refuse(|open| open.asker == asker, why, effects),
            Purpose::Tidy => {}
        }
    }

    fn refuse_all(&mut self, why: &str, effects: &mut Vec<Effect>) {
        self.refuse(|_| true, why, effects);
    }

    fn refuse(&mut self, which: impl Fn(&Open) -> bool, why: &str, effects: &mut Vec<Effect>) {
        let refused = self.opens.extract_if(.., |open| which(open));
        effects.extend(
            refused
                .map(|open| Effect::Refuse(open.asker, format!("the session of {} cannot be shown: {why}", open.key))),
        );
    }

    fn create(&mut self) {
        for (key, session) in self.known.iter_mut().filter(|(_, session)| session.stage == Stage::Wanted) {
            session.stage = Stage::Creating;
            let (how, path) = match &session.source {
                Source::Shim(path) => ("--socket", path),
                Source::File(path) => ("--file", path),
            };
            let (rows, cols, path) = (session.rows.to_string(), session.cols.to_string(), path.to_string_lossy());
            let view = [&*self.dogwatch, "view", key, how, &path];
            let mut arguments = vec!["new-session", "-d", "-s", key, "-c", "/", "-x", &cols, "-y", &rows];
            arguments.extend(view);
            let fixed = target(key);
            // The same size once more, which fixes it.
            arguments.extend([";", "resize-window", "-t", &fixed, "-x", &cols, "-y", &rows]);
            self.tmux.submit(Purpose::Create(key.clone()), &arguments);
        }
    }

    fn serve(&mut self, effects: &mut Vec<Effect>) {
        let mut ready = Vec::new();
        for open in &mut self.opens {
            match self.known.get(&open.key) {
                Some(session) if session.stage == Stage::Made && !open.fitting => {}
                Some(_) => continue,
                None => {
                    ready.push((open.asker, Some("it has just been dropped, ask again")));
                    continue;
                }
            }
            if open.readonly {
                ready.push((open.asker, None));
                continue;
            }
            open.fitting = true;
            let (window, rows, cols) = (target(&open.key), open.rows.to_string(), open.cols.to_string());
            let fit = ["resize-window", "-t", &window, "-x", &cols, "-y", &rows];
            self.tmux.submit(Purpose::Fit(open.asker), &fit);
        }
        for (asker, refused) in ready {
            match refused {
                None => self.hand(asker, effects),
                Some(why) => self.refuse(|open| open.asker == asker, why, effects),
            }
        }
    }

    fn hand(&mut self, asker: Asker, effects: &mut Vec<Effect>) {
        let Some(index) = self.opens.iter().position(|open| open.asker == asker) else { return };
        let open = self.opens.remove(index);
        if !open.readonly {
            // One writer at a time.
            self.let_go(Some(&open.key));
        }
        match self.attach(&open) {
            Ok((terminal, pid)) => {
                if !open.readonly {
                    self.clients.insert(pid, open.key);
                }
                effects.push(Effect::Hand(asker, terminal));
            }
            Err(error) => {
                let why = format!("the session of {} cannot be shown: tmux cannot be started: {error}", open.key);
                effects.push(Effect::Refuse(asker, why));
            }
        }
    }

    /// Ends the clients of people who may type into this session, or into any. Their terminals hang up. They are not asked:
    /// a client that is stopped could not answer.
    pub(super) fn let_go(&mut self, key: Option<&str>) {
        let chosen = |of: &String| key.is_none_or(|key| key == of.as_str());
        for (pid, _) in self.clients.iter().filter(|(_, of)| chosen(of)) {
            let pid = i32::try_from(*pid).ok().and_then(Pid::from_raw);
            faults::crash_point("keep.before-let-go");
            // Until it is reaped the number is its own.
            let _ = pid.map(|pid| kill_process(pid, Signal::KILL));
            faults::crash_point("keep.after-let-go");
        }
    }

    fn attach(&self, open: &Open) -> std::io::Result<(OwnedFd, u32)> {
        let pty = spawn::open_pty(open.rows, open.cols)?;
        let mut command = self.tmux.command();
        command.args(["attach-session", "-t", &format!("={}", open.key)]);
        if open.readonly {
            command.args(["-r", "-f", "ignore-size,read-only"]);
        } else {
            // From then on it follows the one who types; not before he is there, or whoever looks on would size it.
            command.args([";", "set-option", "-w", "-t", &target(&open.key), "window-size", "latest"]);
        }
        spawn::on_terminal(&mut command, &pty)?;
        faults::crash_point("keep.before-attach");
        let child = command.spawn()?;
        faults::crash_point("keep.after-attach");
        Ok((pty.master, child.id()))
    }
}

/// The window of a session by its exact name; a bare name would match by its beginning.
fn target(key: &str) -> String {
    format!("={key}:")
}
