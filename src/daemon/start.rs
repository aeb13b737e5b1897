//! How the engine starts and ends: lock, log, journal, fold, adoption, socket, loop. Owns that order.

use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;

use tokio::sync::{mpsc, watch};

use super::core::{Core, Parts};
use super::{Error, hub, lock};
use crate::client::CANNOT_START;
use crate::clock::{self, Clock};
use crate::environment::Sandbox;
use crate::faults::crash_point;
use crate::journal::Journal;
use crate::metrics::Metrics;
use crate::state_dir::StateDir;

/// How the engine is started.
#[derive(Debug, Clone)]
pub struct DaemonArgs {
    /// The folder of everything; one engine at a time has it.
    pub state_dir: StateDir,
}

/// `dogwatch engine run`: the engine itself, in the foreground, until it is told to stop.
pub fn main(args: DaemonArgs) -> ExitCode {
    let DaemonArgs { state_dir } = args;
    crate::spawn::keep_little_memory();
    match run(&state_dir) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            tracing::error!("{error}");
            report(&error);
            error.exit_code()
        }
    }
}

fn report(error: &Error) {
    use std::io::Write;
    // Nobody may be there to read it; the log has it too.
    drop(writeln!(std::io::stderr(), "{CANNOT_START}{error}"));
}

fn run(state: &StateDir) -> Result<(), Error> {
    let lock = Arc::new(lock::take(&state.engine_lock())?);
    let _log = open_log(&state.log_dir())?;
    tracing::info!(version = env!("CARGO_PKG_VERSION"), pid = std::process::id(), "engine starts");
    // A deliberate stop ends with the next start.
    drop(std::fs::remove_file(state.stopped_marker()));
    let boot_id = clock::boot_id();
    crash_point("engine.before-open");
    let mut journal = Journal::open(&state.journal(), &boot_id)?;
    crash_point("engine.after-open");
    let offset = journal.boot_offset(&boot_id, Clock::for_new_boot().offset)?;
    crash_point("engine.after-boot");
    let secret = secret(&state.path().join("secret"))?;
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .map_err(Error::io("cannot start threads for", state.path()))?;
    runtime.block_on(async {
        let (inputs, queue) = mpsc::unbounded_channel();
        let (changed, news) = watch::channel(journal.read().newest_event()?);
        let parts = Parts {
            state: state.clone(),
            clock: Clock { offset },
            boot_id,
            exe: std::env::current_exe().map_err(Error::io("cannot find the own binary, beside", state.path()))?,
            secret,
            vault: super::vault::Vault::new(&secret),
            sandbox: Arc::new(Sandbox::new()),
            inputs: inputs.clone(),
            changed,
            board: super::watch::Board::default(),
            host: crate::host::host(),
            metrics: metrics(state),
            took: super::watch::Took::default(),
        };
        let mut core = Core::new(parts, journal)?;
        core.forget_left_over();
        core.adopt_all();
        // Only now: who connects finds everything folded.
        crash_point("engine.before-listen");
        let listener = hub::listen(&state.socket())?;
        crash_point("engine.after-listen");
        let greeting = core.engine_view();
        tokio::spawn(hub::serve(listener, greeting, inputs.clone(), news));
        tokio::spawn(signals(inputs.clone()));
        tokio::spawn(removed(Arc::clone(&lock), inputs));
        core.run(queue).await;
        Ok::<(), Error>(())
    })?;
    if lock.is_ours() {
        drop(std::fs::remove_file(state.socket()));
    }
    tracing::info!("engine ends");
    Ok(())
}

/// What cannot be kept is said; nothing else waits for it.
fn metrics(state: &StateDir) -> Option<Metrics> {
    Metrics::open(state.path()).inspect_err(|error| tracing::error!("no metrics are kept: {error}")).ok()
}

/// TERM and INT end the engine like `engine stop`; HUP is nothing: closing a terminal stops nothing.
async fn signals(inputs: mpsc::UnboundedSender<super::core::Input>) {
    use tokio::signal::unix::{SignalKind, signal};
    let (Ok(mut term), Ok(mut int), Ok(mut hup)) =
        (signal(SignalKind::terminate()), signal(SignalKind::interrupt()), signal(SignalKind::hangup()))
    else {
        return;
    };
    loop {
        tokio::select! {
            _ = term.recv() => break,
            _ = int.recv() => break,
            _ = hup.recv() => {}
        }
    }
    drop(inputs.send(super::core::Input::Stop { deliberate: false }));
}

/// The state directory was taken away: there is nothing left to keep a record in, and the next engine would be a second one.
async fn removed(lock: Arc<lock::Lock>, inputs: mpsc::UnboundedSender<super::core::Input>) {
    lock.lost().await;
    tracing::error!("the lock has gone from the state directory, or the whole directory has: the engine ends");
    drop(inputs.send(super::core::Input::Stop { deliberate: false }));
}

fn open_log(dir: &Path) -> Result<tracing_appender::non_blocking::WorkerGuard, Error> {
    // The appender looks for old files before it makes the folder, and complains.
    std::fs::create_dir_all(dir).map_err(Error::io("cannot make", dir))?;
    let appender = tracing_appender::rolling::Builder::new()
        .rotation(tracing_appender::rolling::Rotation::DAILY)
        .filename_prefix("engine")
        .filename_suffix("log")
        .max_log_files(14)
        .build(dir)
        .map_err(|error| Error::io("cannot write the engine's log in", dir)(std::io::Error::other(error)))?;
    let (writer, guard) = tracing_appender::non_blocking(appender);
    let filter = tracing_subscriber::EnvFilter::try_from_env("DOGWATCH_LOG").unwrap_or_else(|_| "info".into());
    // Set once per process; a second engine in one process does not exist.
    drop(tracing_subscriber::fmt().with_writer(writer).with_ansi(false).with_env_filter(filter).try_init());
    Ok(guard)
}

/// The engine's own 32 bytes, from which each attempt's key follows. Made once.
pub(super) fn secret(path: &Path) -> Result<[u8; 32], Error> {
    use std::io::Write;
    use std::os::unix::fs::OpenOptionsExt;
    let wrong = || {
        Error::io("cannot use", path)(std::io::Error::other(
            "it does not hold 32 bytes; restore it from a backup, or remove it: attempts that live now are UNKNOWN then",
        ))
    };
    match std::fs::read(path) {
        Ok(bytes) => bytes.try_into().map_err(|_| wrong()),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            let bytes = clock::random_bytes::<32>();
            let fresh = path.with_extension("new");
            drop(std::fs::remove_file(&fresh));
            let mut file = std::fs::OpenOptions::new()
                .write(true)
                .create_new(true)
                .mode(0o600)
                .open(&fresh)
                .map_err(Error::io("cannot make", &fresh))?;
            file.write_all(&bytes).and_then(|()| file.sync_all()).map_err(Error::io("cannot write", &fresh))?;
            crash_point("engine.before-secret-rename");
            std::fs::rename(&fresh, path).map_err(Error::io("cannot make", path))?;
            crash_point("engine.after-secret-rename");
            Ok(bytes)
        }
        Err(error) => Err(Error::io("cannot read", path)(error)),
    }
}
