//! The operator's terminal: put into the screen's modes, and left exactly as it was found, also on a panic. Owns every byte
//! that reaches it; what is drawn are cells, never text from a step.

pub mod budget;
pub mod cells;

use std::io::Write;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};

use ratatui::buffer::Buffer;
use ratatui::layout::{Position, Rect};
use rustix::termios::{OptionalActions, Termios, tcgetattr, tcgetwinsize, tcsetattr};

use self::cells::Cells;
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
    cells: Cells,
    out: std::io::Stdout,
    size: Size,
    cursor: Option<Position>,
    title: String,
    mouse: bool,
}

impl Screen {
    /// Takes the terminal.
    pub(super) fn enter(mouse: bool) -> std::io::Result<Self> {
        hook();
        take(mouse).inspect_err(|_| give_back())?;
        let size = size();
        Ok(Self {
            cells: Cells::new(area(size)),
            out: std::io::stdout(),
            size,
            cursor: None,
            title: String::new(),
            mouse,
        })
    }

    /// Draws a frame; `view` gives where the cursor stands, if it is to be seen. How many bytes that were.
    pub(super) fn draw(&mut self, view: impl FnOnce(&mut Buffer) -> Option<Position>) -> std::io::Result<usize> {
        if self.size.columns == 0 || self.size.rows == 0 {
            return Ok(0);
        }
        let whole = self.cells.area();
        let mut cursor = None;
        let mut bytes = self.cells.frame(|buf| cursor = view(buf).filter(|at| whole.contains(*at))).to_vec();
        match (self.cursor, cursor) {
            (None, None) => {}
            (Some(_), None) => bytes.extend_from_slice(b"\x1b[?25l\x1b[0 q"),
            (before, Some(at)) => {
                // Hidden while the cells are written.
                if before.is_some() && !bytes.is_empty() {
                    bytes.splice(0..0, *b"\x1b[?25l");
                }
                if before != cursor || !bytes.is_empty() {
                    bytes.extend(format!("\x1b[{};{}H\x1b[?25h", at.y + 1, at.x + 1).bytes());
                }
                if before.is_none() {
                    // A bar while somebody types into a step, whatever shape it had.
                    bytes.extend_from_slice(b"\x1b[6 q");
                }
            }
        }
        self.cursor = cursor;
        if !bytes.is_empty() {
            self.say(&bytes)?;
        }
        Ok(bytes.len())
    }

    /// The size that is drawn for.
    pub(super) fn size(&self) -> Size {
        self.size
    }

    /// The terminal has another size.
    pub(super) fn resize(&mut self, size: Size) {
        self.size = size;
        self.forget();
    }

    /// What stands there is not known any more.
    pub(super) fn forget(&mut self) {
        self.cells = Cells::new(area(self.size));
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
        self.out.write_all(bytes)?;
        self.out.flush()
    }

    /// To the shell that started us; comes back when it says so.
    pub(super) fn suspend(&mut self) -> std::io::Result<()> {
        give_back();
        // Not the whole group: the shell stops nothing else of ours.
        rustix::process::kill_process(rustix::process::getpid(), rustix::process::Signal::STOP)?;
        take(self.mouse)?;
        self.title.clear();
        self.cursor = None;
        self.resize(size());
        Ok(())
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
