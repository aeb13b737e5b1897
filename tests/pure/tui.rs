//! The operator's screen, driven by keys and news, its pictures read as text.

use crossterm::event::{KeyCode, KeyEvent, KeyModifiers};
use dogwatch::tui::message::{Effect, Message, News, Purpose, Refused};
use dogwatch::tui::model::Model;
use dogwatch::tui::update::update;
use dogwatch::wire::client::{EscalationView, Reply};

#[path = "tui/begun.rs"]
mod begun;
#[path = "tui/fits.rs"]
mod fits;
#[path = "tui/hints.rs"]
mod hints;
#[path = "tui/inbox.rs"]
mod inbox;
#[path = "tui/marks.rs"]
mod marks;
#[path = "tui/menus.rs"]
mod menus;
#[path = "tui/prompt.rs"]
mod prompt;
#[path = "tui/released.rs"]
mod released;
#[path = "tui/starts.rs"]
mod starts;
#[path = "tui/told.rs"]
mod told;
#[path = "tui/top.rs"]
mod top;

/// A key by its name: `n`, `A`, `enter`, `ctrl-u`.
fn key(name: &str) -> KeyEvent {
    let (modifiers, name) = match name.strip_prefix("ctrl-") {
        Some(name) => (KeyModifiers::CONTROL, name),
        None => (KeyModifiers::NONE, name),
    };
    let code = match name {
        "enter" => KeyCode::Enter,
        "esc" => KeyCode::Esc,
        "tab" => KeyCode::Tab,
        "backtab" => KeyCode::BackTab,
        "up" => KeyCode::Up,
        "down" => KeyCode::Down,
        "space" => KeyCode::Char(' '),
        "backspace" => KeyCode::Backspace,
        _ => KeyCode::Char(name.chars().next().expect("a key has a name")),
    };
    let shifted = matches!(code, KeyCode::Char(letter) if letter.is_uppercase());
    KeyEvent::new(code, if shifted { modifiers | KeyModifiers::SHIFT } else { modifiers })
}

/// Presses keys, one after another, and gives what they cause.
fn press(model: &mut Model, keys: &str) -> Vec<Effect> {
    keys.split(' ').flat_map(|name| update(model, Message::Key(key(name)))).collect()
}

/// Types a text.
fn type_in(model: &mut Model, text: &str) {
    for letter in text.chars() {
        let code = KeyCode::Char(letter);
        update(model, Message::Key(KeyEvent::new(code, KeyModifiers::NONE)));
    }
}

/// Time goes on.
fn wait(model: &mut Model, ms: i64) {
    model.now_ms += ms;
    update(model, Message::Tick);
}

fn news(model: &mut Model, news: News) -> Vec<Effect> {
    update(model, Message::News(Box::new(news)))
}

/// The engine's inbox is this now.
fn asked(model: &mut Model, questions: &[EscalationView]) -> Vec<Effect> {
    news(model, News::Inbox(questions.to_vec()))
}

fn answered(model: &mut Model, why: Purpose, reply: Reply) -> Vec<Effect> {
    update(model, Message::Answered { why, result: Ok(reply) })
}

fn refused(model: &mut Model, why: Purpose, words: &str) -> Vec<Effect> {
    update(model, Message::Answered { why, result: Err(Refused { words: words.into(), hint: None }) })
}

/// What the last line says.
fn said(model: &Model) -> String {
    model.flash.as_ref().map_or_else(String::new, |flash| flash.words.clone())
}
