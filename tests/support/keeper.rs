//! A keeper in a temporary directory, as the engine sees it: started, connected to, asked, watched.

use std::collections::BTreeMap;
use std::io::{IoSliceMut, Write};
use std::mem::MaybeUninit;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command};

use dogwatch::attempt;
use dogwatch::attempt::log::Log;
use dogwatch::attempt::record::ExitRecord;
use dogwatch::wire::keeper::{
    Ask, Asked, Event, Found, FromKeeper, Greeting, Hello, Launch, Outcome, Place, Reply, StopReason, Welcome, proof,
    spoken,
};
use rustix::net::{RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, recvmsg};

pub(crate) const SECRET: [u8; 32] = [7; 32];
pub(crate) const MAC_KEY: [u8; 32] = [9; 32];
/// Nothing in these tests takes longer on a working machine.
pub(crate) const DEADLINE_MS: i64 = 100_000;

pub(crate) fn now_ms() -> i64 {
    dogwatch::clock::boottime_ms()
}

/// A test that cannot be made here says so; in CI that is a failure, for the line of a passing test is seen by nobody.
pub(crate) fn skip(why: &str) {
    assert!(std::env::var_os("CI").is_none(), "SKIPPED, and CI must not skip: {why}");
    eprintln!("SKIPPED: {why}");
}

/// Asks again until it is so, or fails with `what`.
pub(crate) fn until(what: &str, mut is_so: impl FnMut() -> bool) {
    let deadline = now_ms() + DEADLINE_MS;
    while !is_so() {
        assert!(now_ms() < deadline, "not within {DEADLINE_MS} ms: {what}");
        // The shortest wait that leaves the processor to whom is waited for.
        let _ = rustix::event::poll(&mut [], Some(&rustix::event::Timespec { tv_sec: 0, tv_nsec: 5_000_000 }));
    }
}

/// A running keeper; it and all it started is gone when this is dropped.
pub(crate) struct Keep {
    pub(crate) dir: tempfile::TempDir,
    pub(crate) child: Child,
    run_dir: PathBuf,
}

impl Keep {
    pub(crate) fn start() -> Self {
        Self::start_with(&[], None)
    }

    /// As the first process of a sandbox, or `None` where namespaces are not permitted.
    pub(crate) fn start_in_sandbox() -> Option<Self> {
        let sandbox = [
            "bwrap",
            "--bind",
            "/",
            "/",
            "--dev-bind",
            "/dev",
            "/dev",
            "--proc",
            "/proc",
            "--unshare-pid",
            "--as-pid-1",
            "--unshare-ipc",
            "--cap-drop",
            "ALL",
            "--",
        ];
        let possible = Command::new(sandbox[0]).args(&sandbox[1..]).arg("true").status();
        if possible.is_ok_and(|status| status.success()) {
            return Some(Self::start_behind(&sandbox.join(" "), &[], None));
        }
        skip("bubblewrap cannot make a sandbox here");
        None
    }

    pub(crate) fn start_with(env: &[(&str, &str)], run_dir: Option<PathBuf>) -> Self {
        Self::start_behind("", env, run_dir)
    }

    fn start_behind(prefix: &str, env: &[(&str, &str)], run_dir: Option<PathBuf>) -> Self {
        let dir = tempfile::Builder::new().prefix("dwk").tempdir().expect("a temporary directory");
        let run_dir = run_dir.unwrap_or_else(|| dir.path().join("run"));
        std::fs::create_dir_all(&run_dir).expect("a run directory");
        std::fs::write(dir.path().join("secret"), SECRET).expect("a secret");
        let child = Self::spawn(prefix, dir.path(), &run_dir, env);
        let keep = Self { dir, child, run_dir };
        until("the keeper listens", || UnixStream::connect(keep.socket()).is_ok());
        keep
    }

    fn spawn(prefix: &str, dir: &Path, run_dir: &Path, env: &[(&str, &str)]) -> Child {
        let keep = "\"$0\" keep --run-dir \"$1\" --listen \"$2/keep.sock\" --secret-fd 3 --runtime-dir \"$2/rt\" --dogwatch \"$0\" 3<\"$2/secret\"";
        let script = format!("exec {prefix} {keep}");
        let mut command = Command::new("/bin/sh");
        command.args(["-c", &script, env!("CARGO_BIN_EXE_dogwatch")]).arg(run_dir).arg(dir);
        command.envs(env.iter().copied());
        command.spawn().expect("the keeper starts")
    }

    /// Kills the keeper alone and starts another one in the same place.
    pub(crate) fn restart(&mut self) {
        self.restart_with(&[]);
    }

    /// As [`Self::restart`], with these variables.
    pub(crate) fn restart_with(&mut self, env: &[(&str, &str)]) {
        self.child.kill().expect("the keeper is killed");
        self.child.wait().expect("the keeper is reaped");
        let _ = std::fs::remove_file(self.socket());
        self.child = Self::spawn("", self.dir.path(), &self.run_dir, env);
        until("the keeper listens again", || UnixStream::connect(self.socket()).is_ok());
    }

    pub(crate) fn socket(&self) -> PathBuf {
        self.dir.path().join("keep.sock")
    }

    pub(crate) fn connect(&self) -> Engine {
        Engine::connect(&self.socket(), 1).expect("the keeper welcomes its engine")
    }

    pub(crate) fn path(&self, place: &Place) -> PathBuf {
        self.run_dir.join(&place.dir)
    }

    pub(crate) fn dirfd(&self, place: &Place) -> OwnedFd {
        let run = attempt::open_run_dir(&self.run_dir).expect("the run directory");
        attempt::open(run, &place.dir)
            .expect("the attempt directory can be opened")
            .expect("the attempt directory is there")
    }

    pub(crate) fn exit(&self, place: &Place) -> Option<ExitRecord> {
        attempt::record::read(self.dirfd(place), &place.key, &MAC_KEY).expect("an authentic record or none")
    }

    pub(crate) fn log(&self, place: &Place) -> Vec<u8> {
        Log::open(self.dirfd(place)).expect("a log").read_all(0, usize::MAX).expect("the log is read")
    }

    pub(crate) fn log_text(&self, place: &Place) -> String {
        String::from_utf8(self.log(place)).expect("text")
    }
}

impl Drop for Keep {
    fn drop(&mut self) {
        if let Ok(mut engine) = Engine::connect(&self.socket(), u64::MAX) {
            let _ = engine.ask(Ask::Shutdown { force: true });
            let deadline = now_ms() + 10_000;
            while matches!(self.child.try_wait(), Ok(None)) && now_ms() < deadline {
                let _ = rustix::event::poll(&mut [], Some(&rustix::event::Timespec { tv_sec: 0, tv_nsec: 5_000_000 }));
            }
        }
        let _ = self.child.kill();
        let _ = self.child.wait();
        if !std::thread::panicking() {
            let tmux = self.dir.path().join("rt/tmux.sock");
            until("tmux has gone with its keeper", || UnixStream::connect(&tmux).is_err());
        }
    }
}

pub(crate) fn place(step: &str) -> Place {
    Place { key: format!("dw-abc123-{step}-0-a1"), dir: format!("{step}/0/a1") }
}

/// A step that runs this text with `/bin/sh`.
pub(crate) fn launch(step: &str, script: &str) -> Launch {
    Launch {
        place: place(step),
        argv: ["/bin/sh", "-c", script].map(String::from).to_vec(),
        env: BTreeMap::from([
            ("PATH".into(), "/usr/local/bin:/usr/bin:/bin".into()),
            ("DOGWATCH_KEY".into(), place(step).key),
        ]),
        cwd: "/".into(),
        rows: 40,
        cols: 120,
        mac_key: blake3::Hash::from_bytes(MAC_KEY).to_hex().to_string(),
        epoch: 1,
        log_half: 32 * 1024 * 1024,
        secrets: dogwatch::wire::secrets::Secrets::default(),
    }
}

/// The engine's side of a connection.
pub(crate) struct Engine {
    socket: UnixStream,
    inbox: Vec<u8>,
    next_id: u64,
    pub(crate) events: Vec<Event>,
    terminals: Vec<OwnedFd>,
}

impl Engine {
    pub(crate) fn connect(path: &Path, epoch: u64) -> Result<Self, String> {
        Self::connect_as(path, epoch, &SECRET)
    }

    pub(crate) fn connect_as(path: &Path, epoch: u64, secret: &[u8; 32]) -> Result<Self, String> {
        let socket = UnixStream::connect(path).map_err(|error| error.to_string())?;
        socket
            .set_read_timeout(Some(std::time::Duration::from_millis(DEADLINE_MS.unsigned_abs())))
            .expect("a deadline");
        let mut engine = Self { socket, inbox: Vec::new(), next_id: 1, events: Vec::new(), terminals: Vec::new() };
        let greeting: Greeting = serde_json::from_slice(&engine.line()?).map_err(|error| error.to_string())?;
        let hello =
            Hello { v: spoken().newest, nonce: "00ff".into(), proof: proof(secret, "engine", &greeting.nonce), epoch };
        engine.send(&hello);
        let line = engine.line()?;
        match serde_json::from_slice::<Welcome>(&line) {
            Ok(welcome) => {
                assert_eq!(welcome.proof, proof(secret, "keeper", "00ff"), "the keeper proves itself");
                Ok(engine)
            }
            Err(_) => Err(String::from_utf8_lossy(&line).into_owned()),
        }
    }

    pub(crate) fn send(&mut self, message: &impl serde::Serialize) {
        let mut line = serde_json::to_vec(message).expect("a message");
        line.push(b'\n');
        self.socket.write_all(&line).expect("the keeper reads");
    }

    fn line(&mut self) -> Result<Vec<u8>, String> {
        loop {
            if let Some(end) = self.inbox.iter().position(|byte| *byte == b'\n') {
                return Ok(self.inbox.drain(..=end).collect());
            }
            let mut block = vec![0u8; 65536];
            let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(4))];
            let mut ancillary = RecvAncillaryBuffer::new(&mut space);
            let received = loop {
                match recvmsg(&self.socket, &mut [IoSliceMut::new(&mut block)], &mut ancillary, RecvFlags::CMSG_CLOEXEC)
                {
                    Err(rustix::io::Errno::INTR) => {}
                    other => break other.map_err(|error| format!("nothing came: {error}"))?,
                }
            };
            for message in ancillary.drain() {
                if let RecvAncillaryMessage::ScmRights(descriptors) = message {
                    self.terminals.extend(descriptors);
                }
            }
            if received.bytes == 0 {
                return Err("the keeper closed the connection".into());
            }
            self.inbox.extend_from_slice(&block[..received.bytes]);
        }
    }

    fn hear(&mut self) -> Option<(u64, Outcome)> {
        let line = self.line().expect("the keeper speaks");
        match serde_json::from_slice(&line).expect("a message of the keeper") {
            FromKeeper::Answer { id, result } => Some((id, result)),
            FromKeeper::Event(event) => {
                self.events.push(event);
                None
            }
        }
    }

    pub(crate) fn ask(&mut self, ask: Ask) -> Outcome {
        let id = self.next_id;
        self.next_id += 1;
        self.send(&Asked { id, ask });
        loop {
            match self.hear() {
                Some((answered, outcome)) if answered == id => return outcome,
                Some(other) => panic!("an answer that nobody asked for: {other:?}"),
                None => {}
            }
        }
    }

    pub(crate) fn launch(&mut self, launch: Launch) -> Reply {
        self.reply(Ask::Launch(Box::new(launch)))
    }

    pub(crate) fn reply(&mut self, ask: Ask) -> Reply {
        match self.ask(ask) {
            Outcome::Reply(reply) => reply,
            Outcome::Refused(why) => panic!("refused: {why}"),
        }
    }

    pub(crate) fn stop(&mut self, place: &Place, grace_ms: u64) {
        assert_eq!(
            self.reply(Ask::Stop { key: place.key.clone(), grace_ms, reason: StopReason::Stop, save: None }),
            Reply::Done
        );
    }

    pub(crate) fn look_up(&mut self, place: &Place) -> Found {
        let Reply::Found(mut found) = self.reply(Ask::LookUp { attempts: vec![place.clone()] }) else {
            panic!("a look-up is answered by what was found");
        };
        found.remove(0)
    }

    /// The terminal that came with the last answer.
    pub(crate) fn terminal(&mut self) -> OwnedFd {
        self.terminals.remove(0)
    }

    /// Waits for an event of this kind; those before it stay in `events`.
    pub(crate) fn wait_for(&mut self, wanted: impl Fn(&Event) -> bool) -> Event {
        loop {
            if let Some(index) = self.events.iter().position(&wanted) {
                return self.events.remove(index);
            }
            assert!(self.hear().is_none(), "an answer that nobody asked for");
        }
    }

    pub(crate) fn wait_exited(&mut self, place: &Place) {
        let key = place.key.clone();
        let end = self
            .wait_for(|event| matches!(event, Event::Exited { key: k } | Event::ShimGone { key: k, .. } if *k == key));
        assert_eq!(end, Event::Exited { key });
    }
}
