//! The operator's terminal: put into the screen's modes, and left exactly as it was found, also on a panic. Owns every byte
//! that reaches it; what is drawn are cells, never text from a step.

use std::io::Write;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};

use ratatui::backend::CrosstermBackend;
use ratatui::layout::{Position, Rect};
use ratatui::{Terminal, TerminalOptions, Viewport};
use rustix::termios::{OptionalActions, Termios, tcgetattr, tcgetwinsize, tcsetattr};

use crate::tui::model::Size;

/// Alternate screen, the title kept, clicks and wheel, pasted text marked, no cursor.
const ENTER: &[u8] = b"\x1b[?1049h\x1b[22;0t\x1b[?1000h\x1b[?1002h\x1b[?1006h\x1b[?2004h\x1b[?25l";
/// All of it taken back, and whatever a frame that was cut short may have left.
const LEAVE: &[u8] = b"\x18\x1b[0m\x1b[?1006l\x1b[?1002l\x1b[?1000l\x1b[?2004l\x1b[0 q\x1b[23;0t\x1b[?1049l\x1b[?25h";

/// The modes that the terminal had; held while it is ours.
static FOUND: Mutex<Option<Termios>> = Mutex::new(None);
static HOOKED: AtomicBool = AtomicBool::new(false);

/// The terminal while it is ours. Dropping it gives it back.
pub(super) struct Screen {
    terminal: Terminal<CrosstermBackend<std::io::BufWriter<std::io::Stdout>>>,
    size: Size,
    cursor: Option<Position>,
    title: String,
    mouse: bool,
}

impl Screen {
    /// Takes the terminal.
    pub(super) fn enter(mouse: bool) -> std::io::Result<Self> {
        hook();
        take(mouse)?;
        let size = size();
        match Self::on(size) {
            Ok(terminal) => Ok(Self { terminal, size, cursor: None, title: String::new(), mouse }),
            Err(why) => {
                give_back();
                Err(why)
            }
        }
    }

    fn on(size: Size) -> std::io::Result<Terminal<CrosstermBackend<std::io::BufWriter<std::io::Stdout>>>> {
        let out = std::io::BufWriter::with_capacity(64 * 1024, std::io::stdout());
        let viewport = Viewport::Fixed(area(size));
        Terminal::with_options(CrosstermBackend::new(out), TerminalOptions { viewport })
    }

    /// Draws a frame; `view` gives where the cursor stands, if it is to be seen.
    pub(super) fn draw(
        &mut self,
        view: impl FnOnce(&mut ratatui::buffer::Buffer) -> Option<Position>,
    ) -> std::io::Result<()> {
        if self.size.columns == 0 || self.size.rows == 0 {
            return Ok(());
        }
        let whole = area(self.size);
        let mut cursor = None;
        // A frame without a cursor hides it; one that stays hidden needs no word about it.
        self.terminal.draw(|frame| {
            cursor = view(frame.buffer_mut()).filter(|at| whole.contains(*at));
            if let Some(at) = cursor {
                frame.set_cursor_position(at);
            }
        })?;
        if cursor.is_some() != self.cursor.is_some() {
            // A bar while somebody types into a step, whatever shape it had.
            let shape: &[u8] = if cursor.is_some() { b"\x1b[6 q" } else { b"\x1b[0 q" };
            self.say(shape)?;
        }
        self.cursor = cursor;
        Ok(())
    }

    /// The terminal has another size.
    pub(super) fn resize(&mut self, size: Size) -> std::io::Result<()> {
        self.size = size;
        if size.columns == 0 || size.rows == 0 {
            return Ok(());
        }
        self.terminal.resize(area(size))
    }

    /// What stands there is not known any more.
    pub(super) fn forget(&mut self) -> std::io::Result<()> {
        // `Terminal::clear` asks the terminal where its cursor stands, and its answer would come as keys.
        self.terminal = Self::on(self.size)?;
        self.say(b"\x1b[0m\x1b[2J")
    }

    /// The title of the window; letters only ever, for it was cleaned before.
    pub(super) fn title(&mut self, title: &str) -> std::io::Result<()> {
        if self.title == title {
            return Ok(());
        }
        title.clone_into(&mut self.title);
        let safe: String = title.chars().filter(|letter| !letter.is_control()).take(120).collect();
        self.say(format!("\x1b]2;{safe}\x07").as_bytes())
    }

    /// A short sound.
    pub(super) fn bell(&mut self) -> std::io::Result<()> {
        self.say(b"\x07")
    }

    /// Puts text on the clipboard of the terminal (OSC 52).
    pub(super) fn clipboard(&mut self, text: &str) -> std::io::Result<()> {
        use base64::Engine as _;
        let coded = base64::engine::general_purpose::STANDARD.encode(text);
        self.say(format!("\x1b]52;c;{coded}\x07").as_bytes())
    }

    fn say(&mut self, bytes: &[u8]) -> std::io::Result<()> {
        let out = self.terminal.backend_mut();
        out.write_all(bytes)?;
        Write::flush(out)
    }

    /// To the shell that started us; comes back when it says so.
    pub(super) fn suspend(&mut self) -> std::io::Result<()> {
        give_back();
        // Not the whole group: the shell stops nothing else of ours.
        rustix::process::kill_process(rustix::process::getpid(), rustix::process::Signal::STOP)?;
        take(self.mouse)?;
        self.title.clear();
        self.resize(size())?;
        self.forget()
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        give_back();
    }
}

fn area(size: Size) -> Rect {
    Rect::new(0, 0, size.columns.max(1), size.rows.max(1))
}

/// The size of the terminal now.
pub(super) fn size() -> Size {
    tcgetwinsize(std::io::stdout())
        .or_else(|_| tcgetwinsize(std::io::stdin()))
        .map_or(Size { columns: 80, rows: 24 }, |size| Size::clamped(size.ws_col, size.ws_row))
}

fn take(mouse: bool) -> std::io::Result<()> {
    let found = tcgetattr(std::io::stdin())?;
    let mut raw = found.clone();
    raw.make_raw();
    *FOUND.lock().unwrap_or_else(std::sync::PoisonError::into_inner) = Some(found);
    tcsetattr(std::io::stdin(), OptionalActions::Now, &raw)?;
    let mut out = std::io::stdout();
    if mouse {
        out.write_all(ENTER)?;
    } else {
        let text = String::from_utf8_lossy(ENTER).replace("\x1b[?1000h\x1b[?1002h\x1b[?1006h", "");
        out.write_all(text.as_bytes())?;
    }
    out.flush()
}

/// Gives the terminal back. Harmless when it is not ours; writes without any lock that a panic may hold.
fn give_back() {
    let found = FOUND.lock().unwrap_or_else(std::sync::PoisonError::into_inner).take();
    let Some(found) = found else {
        return;
    };
    let mut rest = LEAVE;
    while !rest.is_empty() {
        match rustix::io::write(rustix::stdio::stdout(), rest) {
            Ok(written) => rest = &rest[written..],
            Err(rustix::io::Errno::INTR | rustix::io::Errno::AGAIN) => {}
            // The terminal is gone.
            Err(_) => break,
        }
    }
    // If this cannot be done there is no terminal left that could be wrong.
    let _ = tcsetattr(rustix::stdio::stdin(), OptionalActions::Now, &found);
}

/// A panic anywhere gives the terminal back before it says anything.
fn hook() {
    if HOOKED.swap(true, Ordering::SeqCst) {
        return;
    }
    let usual = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |info| {
        give_back();
        usual(info);
    }));
}
