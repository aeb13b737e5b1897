//! Keys, mouse and signals, each on a thread that only reads. Owns how they are read: as keys, or while somebody types into
//! a step as bytes that nobody interprets.

use std::io::Read;
use std::os::fd::AsFd;
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use crossterm::event::Event as Terminal;
use rustix::event::{PollFd, PollFlags, poll};
use signal_hook::consts::{SIGCONT, SIGHUP, SIGINT, SIGQUIT, SIGTERM, SIGTSTP, SIGWINCH};

use super::{Event, To};
use crate::faults::panic_point;
use crate::tui::message::Message;

/// As long as crossterm looks for what has come: once it is over it does not look at all, and a key that it has read already
/// would wait for the next one. So it is longer than this thread is kept from going on, on a busy machine. Nothing waits for
/// it, what has come is told before.
///
/// It looks by `poll` (its feature `use-dev-tty`), not by its other way: that one forgets a key that it finds together with
/// a change of the size, until the next key comes.
const MOMENT: Duration = Duration::from_millis(20);

/// Set while keys are to be read as bytes.
pub(super) type Raw = Arc<AtomicBool>;

/// Starts reading the terminal. A panic of the thread ends the screen: nobody could leave it any more.
pub(super) fn keys(raw: Raw, to: To) -> std::io::Result<()> {
    let done = to.clone();
    std::thread::Builder::new().name("keys".into()).spawn(move || {
        let ended = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| read(&raw, &to)));
        let why = match ended {
            Ok(Ok(())) => return,
            Ok(Err(why)) => format!("the terminal cannot be read any more: {why}"),
            Err(_) => "reading the terminal failed; this is a defect of dogwatch".into(),
        };
        // Where nobody listens any more the screen is over already.
        let _ = done.send(Event::Gone(why));
    })?;
    Ok(())
}

fn read(raw: &Raw, to: &To) -> std::io::Result<()> {
    let stdin = std::io::stdin();
    let mut bytes = [0u8; 4096];
    loop {
        let mut fds = [PollFd::from_borrowed_fd(stdin.as_fd(), PollFlags::IN)];
        match poll(&mut fds, None) {
            Ok(_) => {}
            Err(rustix::io::Errno::INTR) => continue,
            Err(errno) => return Err(errno.into()),
        }
        if fds[0].revents().intersects(PollFlags::HUP | PollFlags::ERR | PollFlags::NVAL) {
            return Err(std::io::Error::other("it was hung up"));
        }
        panic_point("screen.input");
        if raw.load(Ordering::SeqCst) {
            let count = rustix::io::read(stdin.as_fd(), &mut bytes)?;
            if count == 0 {
                return Err(std::io::Error::other("it was closed"));
            }
            if to.send(Event::Bytes(bytes[..count].to_vec())).is_err() {
                return Ok(());
            }
            continue;
        }
        // All that came at once, also what came behind a key that attaches: left where it is it would be taken for keys of the
        // screen when that is read again. The update makes bytes of it.
        while crossterm::event::poll(MOMENT)? {
            let message = match crossterm::event::read()? {
                Terminal::Key(key) => Message::Key(key),
                Terminal::Mouse(mouse) => Message::Mouse(mouse),
                Terminal::Paste(text) => Message::Pasted(text),
                // The size comes with its signal.
                Terminal::Resize(..) | Terminal::FocusGained | Terminal::FocusLost => continue,
            };
            if to.send(Event::Message(message)).is_err() {
                return Ok(());
            }
        }
    }
}

/// Starts listening to signals.
pub(super) fn signals(to: To) -> std::io::Result<()> {
    let kinds = [SIGWINCH, SIGTERM, SIGHUP, SIGINT, SIGQUIT, SIGTSTP, SIGCONT];
    let mut heard = Vec::new();
    for kind in kinds {
        let (arrived, sent) = UnixStream::pair()?;
        signal_hook::low_level::pipe::register(kind, sent)?;
        heard.push((kind, arrived));
    }
    std::thread::Builder::new().name("signals".into()).spawn(move || {
        // Without signals the screen goes on; the terminal's end is seen by its reader.
        let _ = listen(&mut heard, &to);
    })?;
    Ok(())
}

fn listen(heard: &mut [(i32, UnixStream)], to: &To) -> std::io::Result<()> {
    loop {
        let mut fds: Vec<PollFd<'_>> =
            heard.iter().map(|(_, arrived)| PollFd::from_borrowed_fd(arrived.as_fd(), PollFlags::IN)).collect();
        match poll(&mut fds, None) {
            Ok(_) | Err(rustix::io::Errno::INTR) => {}
            Err(errno) => return Err(errno.into()),
        }
        let ready: Vec<bool> = fds.iter().map(|fd| !fd.revents().is_empty()).collect();
        drop(fds);
        for ((kind, arrived), _) in heard.iter_mut().zip(ready).filter(|(_, ready)| *ready) {
            let mut some = [0u8; 64];
            let _ = arrived.read(&mut some)?;
            let event = match *kind {
                SIGWINCH => Event::Resized,
                SIGTSTP => Event::Suspend,
                SIGCONT => Event::Resumed,
                other => Event::Leave(other),
            };
            if to.send(event).is_err() {
                return Ok(());
            }
        }
    }
}
