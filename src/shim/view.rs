//! What the pane of a tmux session runs (`dogwatch view`): copies between its terminal and a shim. It holds nothing that
//! anybody needs: killed, it is started again and shows the same.

use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::{Mode, OFlags};
use rustix::net::{AddressFamily, SocketAddrUnix, SocketFlags, SocketType};
use rustix::termios::{OptionalActions, Termios, tcgetattr, tcgetwinsize, tcsetattr};

use crate::wire::shim::{Frame, Greeting, Opening, OtherBuild, Want};
use crate::{clock, spawn};

/// Longest greeting of a shim.
const GREETING: usize = 4096;
/// A terminal that does not answer by then never will.
const SETTLE_MS: i64 = 2_000;
/// How much is copied at once.
const BLOCK: usize = 16 * 1024;

/// Arguments of `dogwatch view`.
#[derive(Debug, Clone, clap::Args)]
pub struct ViewArgs {
    /// Key of the attempt.
    pub key: Option<String>,
    /// The control socket of its shim.
    #[arg(long)]
    pub socket: Option<PathBuf>,
    /// A file with the last picture of an attempt that has ended.
    #[arg(long)]
    pub file: Option<PathBuf>,
    /// Show nothing: for the session that keeps tmux alive.
    #[arg(long)]
    pub nothing: bool,
}

/// Why there is nothing to see.
#[derive(Debug, thiserror::Error)]
enum Error {
    #[error("cannot reach the shim at {path}: {source}; the step may have ended, see `dogwatch logs`")]
    Unreachable { path: PathBuf, source: std::io::Error },
    #[error("the shim speaks another language: {0}")]
    NotUnderstood(String),
    #[error(transparent)]
    OtherBuild(#[from] OtherBuild),
    #[error("the connection to the shim broke: {0}")]
    Broken(#[from] std::io::Error),
    #[error("the shim has ended without a word; the step's fate is unknown")]
    ShimGone,
    #[error("cannot read {path}: {source}")]
    File { path: PathBuf, source: std::io::Error },
}

/// The program `dogwatch view`.
pub fn main(args: &ViewArgs) -> ExitCode {
    let shown = match (&args.socket, &args.file) {
        _ if args.nothing => Ok(()),
        (Some(path), _) => follow(path),
        (None, Some(path)) => show_file(path),
        (None, None) => Err(Error::NotUnderstood("neither --socket nor --file is given".into())),
    };
    match shown {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            let key = args.key.as_deref().unwrap_or("dogwatch");
            let _ = write!(std::io::stdout(), "\r\n[{key}: {error}]\r\n");
            ExitCode::FAILURE
        }
    }
}

/// Only a file that is one: the directory is reachable for steps.
fn show_file(path: &Path) -> Result<(), Error> {
    let cannot = |source: std::io::Error| Error::File { path: path.into(), source };
    let file =
        rustix::fs::open(path, OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC, Mode::empty())
            .map_err(|error| cannot(error.into()))?;
    let mut picture = Vec::new();
    std::fs::File::from(file).read_to_end(&mut picture).map_err(cannot)?;
    let raw = Raw::begin();
    std::io::stdout().write_all(&picture).and_then(|()| std::io::stdout().flush())?;
    settle(&raw);
    Ok(())
}

/// The terminal without any treatment of what passes, until this is dropped.
struct Raw(Option<Termios>);

impl Raw {
    /// Where standard input is no terminal there is nothing to prepare.
    fn begin() -> Self {
        let before = tcgetattr(rustix::stdio::stdin()).ok();
        if let Some(mut raw) = before.clone() {
            raw.make_raw();
            let _ = tcsetattr(rustix::stdio::stdin(), OptionalActions::Now, &raw);
        }
        Self(before)
    }
}

impl Drop for Raw {
    fn drop(&mut self) {
        if let Some(before) = &self.0 {
            let _ = tcsetattr(rustix::stdio::stdin(), OptionalActions::Now, before);
        }
    }
}

/// Waits until the terminal has taken in all that was written. tmux loses the last output of a pane whose program ends
/// right after it; a terminal answers the question for the cursor's place only after it has read what came before.
fn settle(raw: &Raw) {
    if raw.0.is_none() || std::io::stdout().write_all(b"\x1b[6n").and_then(|()| std::io::stdout().flush()).is_err() {
        return;
    }
    let deadline = clock::boottime_ms() + SETTLE_MS;
    let mut answer = Vec::new();
    while !is_place(&answer) {
        let left = deadline - clock::boottime_ms();
        if left <= 0 {
            return;
        }
        let input = rustix::stdio::stdin();
        let timeout = Timespec { tv_sec: left / 1000, tv_nsec: (left % 1000) * 1_000_000 };
        let mut fds = [PollFd::from_borrowed_fd(input, PollFlags::IN)];
        let mut block = [0u8; 256];
        if poll(&mut fds, Some(&timeout)).is_ok_and(|found| found > 0) {
            match rustix::io::read(input, &mut block[..]) {
                Ok(read) if read > 0 => answer.extend_from_slice(&block[..read]),
                Ok(_) | Err(_) => return,
            }
        }
    }
}

/// Does it hold `ESC [ row ; column R`? Somebody may have typed before it.
fn is_place(answer: &[u8]) -> bool {
    let starts =
        answer.windows(2).enumerate().filter(|(_, pair)| pair == b"\x1b[").map(|(index, _)| &answer[index + 2..]);
    starts.into_iter().any(|rest| {
        let end = rest.iter().position(|byte| !byte.is_ascii_digit() && *byte != b';');
        end.is_some_and(|end| end > 0 && rest[end] == b'R')
    })
}

fn follow(path: &Path) -> Result<(), Error> {
    let mut shim = connect(path).map_err(|source| Error::Unreachable { path: path.into(), source })?;
    let greeting = greeting(&mut shim)?;
    let opening = serde_json::to_vec(&Opening { v: greeting.agree()?, want: Want::View })
        .map_err(|error| Error::NotUnderstood(error.to_string()))?;
    shim.write_all(&[&opening[..], b"\n"].concat())?;
    let raw = Raw::begin();
    let (resized, writer) = UnixStream::pair()?;
    resized.set_nonblocking(true)?;
    signal_hook::low_level::pipe::register(signal_hook::consts::SIGWINCH, writer)?;
    let mut size = (greeting.rows, greeting.cols);
    send_size(&mut shim, &mut size)?;
    Copying { shim, resized, inbox: Vec::new(), size, typing: true }.run()?;
    settle(&raw);
    Ok(())
}

fn connect(path: &Path) -> std::io::Result<UnixStream> {
    let (Some(parent), Some(name)) = (path.parent(), path.file_name()) else {
        return Err(std::io::Error::other("it is not a path of a file"));
    };
    let parent = rustix::fs::open(parent, OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())?;
    let address = SocketAddrUnix::new(Path::new(&spawn::proc_path(&parent)).join(name))?;
    let socket = rustix::net::socket_with(AddressFamily::UNIX, SocketType::STREAM, SocketFlags::CLOEXEC, None)?;
    rustix::net::connect(&socket, &address)?;
    Ok(UnixStream::from(socket))
}

/// One byte at a time, for what follows it is not a line any more.
fn greeting(shim: &mut UnixStream) -> Result<Greeting, Error> {
    let mut line = Vec::new();
    let mut byte = [0u8];
    while line.len() < GREETING {
        if shim.read(&mut byte)? == 0 {
            return Err(Error::ShimGone);
        }
        if byte[0] == b'\n' {
            return serde_json::from_slice(&line).map_err(|error| Error::NotUnderstood(error.to_string()));
        }
        line.push(byte[0]);
    }
    Err(Error::NotUnderstood("its greeting has no end".into()))
}

/// Tells the shim the size of this terminal if it is another one.
fn send_size(shim: &mut UnixStream, last: &mut (u16, u16)) -> std::io::Result<()> {
    if let Ok(size) = tcgetwinsize(rustix::stdio::stdout())
        && (size.ws_row, size.ws_col) != *last
        && size.ws_row > 0
        && size.ws_col > 0
    {
        *last = (size.ws_row, size.ws_col);
        let [r, c] = [size.ws_row.to_le_bytes(), size.ws_col.to_le_bytes()];
        shim.write_all(&Frame::Size.of(&[r[0], r[1], c[0], c[1]]))?;
    }
    Ok(())
}

/// The talk with the shim, once it has begun.
struct Copying {
    shim: UnixStream,
    /// Readable when the terminal has another size.
    resized: UnixStream,
    inbox: Vec<u8>,
    size: (u16, u16),
    /// False once nobody can type any more.
    typing: bool,
}

impl Copying {
    fn run(mut self) -> Result<(), Error> {
        loop {
            let input = rustix::stdio::stdin();
            let mut fds = vec![PollFd::new(&self.shim, PollFlags::IN), PollFd::new(&self.resized, PollFlags::IN)];
            if self.typing {
                fds.push(PollFd::from_borrowed_fd(input, PollFlags::IN));
            }
            // Interrupted by the very signal that the second one tells of.
            let _ = poll(&mut fds, None);
            let found: Vec<bool> = fds.iter().map(|fd| !fd.revents().is_empty()).collect();
            if found[1] {
                while self.resized.read(&mut [0u8; 64]).is_ok_and(|read| read > 0) {}
                send_size(&mut self.shim, &mut self.size)?;
            }
            if found.get(2) == Some(&true) {
                self.pass_typed()?;
            }
            if found[0] && self.show()? {
                return Ok(());
            }
        }
    }

    fn pass_typed(&mut self) -> Result<(), Error> {
        let mut block = [0u8; BLOCK];
        match rustix::io::read(rustix::stdio::stdin(), &mut block[..]) {
            Ok(0) => self.typing = false,
            Ok(read) => self.shim.write_all(&Frame::Input.of(&block[..read]))?,
            Err(rustix::io::Errno::INTR | rustix::io::Errno::AGAIN) => {}
            Err(_) => self.typing = false,
        }
        Ok(())
    }

    /// Shows what came; true after the last of it.
    fn show(&mut self) -> Result<bool, Error> {
        let mut block = [0u8; BLOCK];
        match self.shim.read(&mut block) {
            Ok(0) => return Err(Error::ShimGone),
            Ok(read) => self.inbox.extend_from_slice(&block[..read]),
            Err(error) if error.kind() == std::io::ErrorKind::Interrupted => return Ok(false),
            Err(error) => return Err(error.into()),
        }
        let mut out = std::io::stdout().lock();
        while let Some((frame, bytes)) =
            Frame::take(&mut self.inbox).map_err(|error| Error::NotUnderstood(error.to_string()))?
        {
            match frame {
                Frame::Output => out.write_all(&bytes)?,
                Frame::End => {
                    out.write_all(b"\r\n")?;
                    out.write_all(&bytes)?;
                    out.write_all(b"\r\n")?;
                    out.flush()?;
                    return Ok(true);
                }
                Frame::Input | Frame::Size => return Err(Error::NotUnderstood("it sends what only a view may".into())),
            }
        }
        out.flush()?;
        Ok(false)
    }
}
