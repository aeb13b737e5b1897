//! Screens for tests of the pages: models that have heard of runs, keys that are pressed, pictures read back as text.

use crossterm::event::{KeyCode, KeyEvent, KeyModifiers};
use dogwatch::tui::keys::Keys;
use dogwatch::tui::message::{Effect, Link, Message, News};
use dogwatch::tui::model::{Found, LaneKey, Manner, Model, Size};
use dogwatch::tui::page::panes::Pictures;
use dogwatch::tui::theme::Theme;
use dogwatch::tui::update::update;
use dogwatch::tui::view;
use dogwatch::wire::client::{EventView, RunLine, RunState, RunView, StepView};
use ratatui::buffer::Buffer;
use ratatui::layout::{Position, Rect};
use ratatui::text::Line;

use super::shown::NOW;

/// A run that began an hour ago; its id is `run<number>`.
pub(crate) fn run_line(name: &str, number: u64, state: RunState) -> RunLine {
    let ended_ms = state.ended().then_some(NOW - 600_000);
    RunLine {
        id: format!("run{number}"),
        name: name.into(),
        number,
        state,
        created_ms: NOW - 3_600_000,
        ended_ms,
        steps: 3,
        steps_done: 1,
        paused: false,
        asking: 0,
    }
}

/// That run whole, with these steps.
pub(crate) fn run_view(line: RunLine, steps: Vec<StepView>) -> RunView {
    RunView {
        line,
        by: "ops@gpu-box".into(),
        dir: "/state/runs/run42".into(),
        workspace: "/data/tiny-lm".into(),
        file: "dogwatch.toml".into(),
        params: Vec::new(),
        isolation: None,
        now_ms: NOW,
        steps,
        escalations: Vec::new(),
        trouble: None,
        seq: 1,
        check_again_in_s: None,
        left: None,
    }
}

/// A record, `ago` seconds old.
pub(crate) fn event(seq: u64, ago: i64, kind: &str, step: &str, words: &str) -> EventView {
    EventView { seq, at_ms: NOW - ago * 1000, kind: kind.into(), step: step.into(), attempt: None, text: words.into() }
}

/// How an operator without a file of his own has it, in UTC.
pub(crate) fn manner() -> Manner {
    Manner {
        keys: Keys::built_in(),
        theme: Theme::default(),
        zone: jiff::tz::TimeZone::UTC,
        readonly: false,
        motion: true,
        let_go: "Ctrl-]".into(),
        operator: "ops@gpu-box".into(),
        found: Found::default(),
    }
}

/// A screen of 80x24 that is connected and has heard of these runs; it looks at none.
pub(crate) fn screen(runs: Vec<RunLine>) -> Model {
    let mut model = Model::new(manner(), Size { columns: 80, rows: 24 }, NOW);
    tell(&mut model, News::Link(Link::Up));
    tell(&mut model, News::Runs(runs));
    model
}

/// A screen that looks at a run.
pub(crate) fn screen_of(run: RunView) -> Model {
    let mut model = screen(vec![run.line.clone()]);
    tell(&mut model, News::Run(Box::new(run)));
    model
}

/// The engine says something anew.
pub(crate) fn tell(model: &mut Model, news: News) -> Vec<Effect> {
    update(model, Message::News(Box::new(news)))
}

/// Keys are pressed, written as `j j <enter> R tiny <esc>`: names in brackets, anything else letter by letter; `<space>` is
/// a space. Gives what all of them caused.
pub(crate) fn press(model: &mut Model, keys: &str) -> Vec<Effect> {
    let mut caused = Vec::new();
    for word in keys.split(' ').filter(|word| !word.is_empty()) {
        let one = word.strip_prefix('<').and_then(|word| word.strip_suffix('>'));
        let all: Vec<KeyEvent> = match one {
            Some(name) => vec![crokey::parse(name).expect("a test names a key").into()],
            None => word.chars().map(letter).collect(),
        };
        for key in all {
            caused.extend(update(model, Message::Key(key)));
        }
    }
    caused
}

/// As a terminal reports a letter.
fn letter(letter: char) -> KeyEvent {
    let shift = if letter.is_uppercase() { KeyModifiers::SHIFT } else { KeyModifiers::NONE };
    KeyEvent::new(KeyCode::Char(letter), shift)
}

/// Pictures made by hand: every pane shows these lines, and so does the log that is open.
#[derive(Debug, Default)]
pub(crate) struct Shown {
    pub(crate) pane: Vec<String>,
    pub(crate) log: Vec<String>,
}

impl Pictures for Shown {
    fn paint(&self, _lane: &LaneKey, area: Rect, _back: usize, buf: &mut Buffer) -> Option<Option<Position>> {
        if self.pane.is_empty() {
            return None;
        }
        for (y, line) in (area.y..area.bottom()).zip(&self.pane) {
            buf.set_stringn(area.x, y, line, usize::from(area.width), ratatui::style::Style::new());
        }
        Some(None)
    }

    fn log_lines(&self, first: u64, count: usize) -> Vec<Line<'static>> {
        let first = usize::try_from(first).expect("a log of a test is short");
        self.log.iter().skip(first).take(count).map(|line| Line::raw(line.clone())).collect()
    }
}

/// The whole screen, drawn.
pub(crate) fn drawn(model: &Model, pictures: &Shown) -> Buffer {
    let Size { columns, rows } = model.size;
    let mut buf = Buffer::empty(Rect::new(0, 0, columns, rows));
    let cursor = view::view(model, pictures, &mut buf);
    if let Some(at) = cursor {
        assert!(at.x < columns && at.y < rows, "the cursor is outside of the screen: {at:?}");
    }
    buf
}

/// A buffer's lines, without the spaces at their ends.
pub(crate) fn lines(buf: &Buffer) -> Vec<String> {
    (buf.area.y..buf.area.bottom())
        .map(|y| {
            let mut line = String::new();
            let mut skip = 0;
            for x in buf.area.x..buf.area.right() {
                // A wide letter covers the cell after it.
                if skip > 0 {
                    skip -= 1;
                    continue;
                }
                let symbol = buf[(x, y)].symbol();
                skip = unicode_width::UnicodeWidthStr::width(symbol).saturating_sub(1);
                line.push_str(symbol);
            }
            line.trim_end().to_owned()
        })
        .collect()
}

/// The screen as text.
pub(crate) fn text(model: &Model, pictures: &Shown) -> String {
    lines(&drawn(model, pictures)).join("\n")
}

/// The screen at another size.
pub(crate) fn text_at(model: &Model, pictures: &Shown, columns: u16, rows: u16) -> String {
    let mut model = model.clone();
    model.size = Size { columns, rows };
    text(&model, pictures)
}

/// Nothing on the screen controls a terminal, turns the direction of writing or hides; every frame is whole: each line of
/// it is as wide as the screen or ends before.
pub(crate) fn harmless(model: &Model, pictures: &Shown) {
    let buf = drawn(model, pictures);
    for cell in buf.content() {
        for letter in cell.symbol().chars() {
            let bad = letter.is_control()
                || matches!(letter, '\u{200b}'..='\u{200c}' | '\u{200e}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}');
            assert!(!bad, "{:?} is on the screen", cell.symbol());
        }
    }
    for line in lines(&buf) {
        let wide = unicode_width::UnicodeWidthStr::width(line.as_str());
        assert!(wide <= usize::from(model.size.columns), "{wide} columns: {line:?}");
    }
}
