//! How a prompt looks: everything that is needed to answer, without scrolling. Choices and what happens without an answer
//! are never given up; evidence gives way first, the least important before the rest. Pure.

use ratatui::buffer::Buffer;
use ratatui::layout::{Position, Rect};

use super::lines::{Block, Kind, share, squeeze};
use super::told::{consequence, evidence, later_effect, later_word, title};
use super::{Offer, Prompt, offers};
use crate::faces::words::{gib, span};
use crate::tui::draw::{Frame, Pen, Weight, blank, clean, fit, middle, row, width};
use crate::tui::keys::Place;
use crate::tui::model::Model;
use crate::tui::panel::centred;
use crate::tui::theme::Role;
use crate::tui::view;
use crate::wire::client::{EscalationView, Strength};

/// Wider lines are hard to read.
const WIDEST: u16 = 110;

/// Draws it; gives the place of the cursor while a note is being written.
pub fn draw(model: &Model, prompt: &Prompt, room: Rect, buf: &mut Buffer) -> Option<Position> {
    let Some(asked) = model.question(prompt.id) else {
        let area = centred(room, 60, 3);
        blank(buf, area);
        let inner = Frame::heavy("▲").draw(buf, &model.manner.theme, area);
        Pen::new(buf, &model.manner.theme, row(inner, 0))
            .space(1)
            .text(Role::Dim, "this question was answered meanwhile");
        return None;
    };
    let Placed { area, age, named, tight, fits, blocks, given } = placed(model, prompt, asked, room);
    blank(buf, area);
    let foot = if tight { consequence(model, asked) } else { foot(model) };
    let head = head(asked, named, fits, tight);
    let frame = Frame { weight: Weight::Heavy, role: Role::Attention, title: &head, right: &age, foot: &foot };
    let inner = frame.draw(buf, &model.manner.theme, area);
    let mut cursor = None;
    let mut line = 0;
    for (block, lines) in blocks.iter().zip(given) {
        cursor = one(model, prompt, (block, lines), Rect { y: inner.y + line, ..inner }, buf).or(cursor);
        line += u16::try_from(lines).unwrap_or(0);
    }
    cursor
}

/// A prompt in its room: its frame, and how many lines each of its blocks has there.
struct Placed {
    area: Rect,
    age: String,
    /// Columns for its title.
    named: usize,
    /// Without room for a line of its own what happens without an answer stands in the frame.
    tight: bool,
    /// The whole title has room.
    fits: bool,
    blocks: Vec<Block>,
    given: Vec<usize>,
}

fn placed(model: &Model, prompt: &Prompt, asked: &EscalationView, room: Rect) -> Placed {
    let outer = centred(room, WIDEST, room.height);
    let columns = usize::from(outer.width).saturating_sub(4);
    let rows = usize::from(room.height).saturating_sub(2);
    let tight = rows < offers(asked).len() + 3;
    let age = format!("{} ago", span(model.now_ms - asked.opened_ms));
    let named = usize::from(outer.width).saturating_sub(width(&age) + 8);
    let fits = width(&clean(&asked.title)) <= named;
    let blocks = blocks(model, prompt, asked, (columns, rows), (tight, fits));
    let given = share(&blocks, columns, rows);
    let height = u16::try_from(given.iter().sum::<usize>() + 2).unwrap_or(room.height);
    Placed { area: centred(room, WIDEST, height), age, named, tight, fits, blocks, given }
}

/// The choice whose lines stand at a place of the screen.
pub fn choice_at(model: &Model, prompt: &Prompt, room: Rect, (x, y): (u16, u16)) -> Option<usize> {
    let asked = model.question(prompt.id)?;
    let placed = placed(model, prompt, asked, room);
    let inside = x > placed.area.x && x + 1 < placed.area.right() && y + 1 < placed.area.bottom();
    let mut line = usize::from(y.checked_sub(placed.area.y + 1).filter(|_| inside)?);
    for (block, lines) in placed.blocks.iter().zip(placed.given) {
        if line < lines {
            return block.choice;
        }
        line -= lines;
    }
    None
}

/// The frame's title: the whole one where it fits, else the step alone, else both ends of it.
fn head(asked: &EscalationView, room: usize, fits: bool, tight: bool) -> String {
    let shape = if asked.kind == "gate" { "◆" } else { "▲" };
    let room = room.saturating_sub(2);
    if fits || tight {
        return format!("{shape} {}", middle(&clean(&asked.title), room));
    }
    format!("{shape} {}", fit(&clean(title(asked).0), room))
}

/// The keys that help to decide, from the table.
fn foot(model: &Model) -> String {
    let helping = |action: &crate::tui::keys::Action| view::in_frame(*action);
    let words: Vec<String> = view::hinted(model)
        .into_iter()
        .filter(|binding| helping(&binding.action))
        .map(|binding| format!("{} {}", binding.key_words(), binding.hint.clone().unwrap_or_default()))
        .collect();
    words.join("  ")
}

/// Draws a block in its lines, which begin at the area's top.
fn one(
    model: &Model,
    prompt: &Prompt,
    (block, lines): (&Block, usize),
    area: Rect,
    buf: &mut Buffer,
) -> Option<Position> {
    let theme = &model.manner.theme;
    match block.kind {
        Kind::Rule if lines > 0 => {
            Pen::new(buf, theme, row(area, 0)).text(Role::Border, &"─".repeat(usize::from(area.width)));
            None
        }
        Kind::Field if lines > 0 => {
            let mut pen = Pen::new(buf, theme, row(area, 0));
            for (role, text) in &block.head {
                pen.text(*role, text);
            }
            let left = u16::try_from(pen.left()).unwrap_or(0);
            let rest = Rect { x: area.right() - left, width: left, height: 1, ..area };
            prompt.writing.as_ref()?.draw(theme, Role::Plain, "", rest, buf)
        }
        Kind::Text | Kind::Rule | Kind::Field => {
            let columns = usize::from(area.width).saturating_sub(block.indent() + 1);
            for (place, words) in squeeze(&block.text, columns, lines).iter().enumerate() {
                let here = row(area, u16::try_from(place).unwrap_or(u16::MAX));
                let mut pen = Pen::new(buf, theme, here);
                if place == 0 {
                    for (role, text) in &block.head {
                        pen.text(*role, text);
                    }
                } else {
                    pen.space(block.indent());
                }
                pen.text(block.role, words);
            }
            None
        }
    }
}

/// Everything that could be shown, in its order, with what is given up first.
fn blocks(
    model: &Model,
    prompt: &Prompt,
    asked: &EscalationView,
    (columns, rows): (usize, usize),
    (tight, fits): (bool, bool),
) -> Vec<Block> {
    let one = || vec![(Role::Plain, " ".to_owned())];
    let mut blocks = Vec::new();
    if !fits && !tight {
        blocks.push(Block::new(one(), Role::Strong, title(asked).1, &[2, 7, 15]));
    }
    let about = format!("{}  e{}", asked.run_name, asked.id);
    let watched = model.run.as_ref().is_some_and(|run| run.line.id == asked.run);
    blocks.push(Block::new(one(), Role::Dim, about, if watched { &[15] } else { &[5] }));
    blocks.push(Block::gap(Kind::Rule, &[16]));
    let proofs = proofs(asked);
    if !proofs.is_empty() {
        blocks.extend(proofs);
        blocks.push(Block::gap(Kind::Rule, &[16]));
    }
    blocks.extend(facts(model, asked, columns));
    blocks.extend(own_words(model, prompt, asked));
    blocks.push(Block::gap(Kind::Text, &[14]));
    blocks.extend(choices(prompt, asked, rows));
    if !tight {
        blocks.push(Block::gap(Kind::Text, &[14]));
        blocks.push(Block::new(one(), Role::Plain, consequence(model, asked), &[1, 15]));
    }
    blocks
}

fn proofs(asked: &EscalationView) -> Vec<Block> {
    let decisive = matches!(asked.kind.as_str(), "gate" | "unknown" | "cannot_start");
    // Of a step that lives nothing else says what is wrong with it.
    let stalled = asked.kind == "stalled";
    let mut notes = 0;
    evidence(asked)
        .into_iter()
        .map(|proof| {
            let ranks: &'static [u8] = match proof.away {
                _ if proof.focus && stalled => &[3, 6, 9, 12, 15],
                _ if proof.focus => &[3, 10, 15],
                None if stalled => {
                    notes += 1;
                    match notes {
                        1 => &[5, 13],
                        // Why it is taken to stand still.
                        2 => &[3, 6, 7, 12],
                        _ => &[12],
                    }
                }
                None if decisive => &[6, 14],
                None => {
                    notes += 1;
                    // Whole where there is room, at last before what stands farther from the evidence.
                    if notes == 1 { &[9, 16, 18] } else { &[12, 16, 18] }
                }
                Some(1) => &[11],
                Some(2) => &[13],
                Some(_) => &[17],
            };
            let mark = if proof.matched { "▸ " } else { "  " };
            let indent = if proof.away.is_some() { mark } else { "" };
            let role = if proof.focus { Role::Strong } else { Role::Plain };
            Block::new(vec![(Role::Attention, format!(" {indent}"))], role, proof.text, ranks)
        })
        .collect()
}

/// Labels stand in a column of their own.
fn facts(model: &Model, asked: &EscalationView, columns: usize) -> Vec<Block> {
    let now = machine_now(model, asked).map(|text| ("now", text));
    let told = asked.facts.iter().map(|fact| (fact.label.as_str(), fact.text.clone()));
    let all: Vec<(&str, String)> = told.chain(now).collect();
    let longest = all.iter().map(|(label, _)| width(&clean(label))).max().unwrap_or(0).min(columns / 3);
    all.into_iter()
        .enumerate()
        .map(|(place, (label, text))| {
            // What is lost by going back, or what starts then.
            let first = label == "checkpoint" || label == "starts then" || (place == 0 && label != "now");
            let ranks: &'static [u8] = if first { &[4, 8, 15] } else { &[11, 15] };
            let label = fit(&clean(label), longest);
            let filled = format!(" {label}{}  ", " ".repeat(longest.saturating_sub(width(&label))));
            Block::new(vec![(Role::Dim, filled)], Role::Plain, text, ranks)
        })
        .collect()
}

/// The machine as it is now, where the question is of the run that is looked at.
fn machine_now(model: &Model, asked: &EscalationView) -> Option<String> {
    model.run.as_ref().filter(|run| run.line.id == asked.run && asked.kind != "gate")?;
    let machine = &model.resources.as_ref()?.machine;
    let mut parts: Vec<String> = machine
        .gpus
        .iter()
        .enumerate()
        .map(|(n, gpu)| format!("GPU{n} {}/{}G", gib(gpu.memory_used), gib(gpu.memory_total)))
        .collect();
    let used = machine.memory_total.saturating_sub(machine.memory_available);
    parts.push(format!("RAM {}/{}G", gib(used), gib(machine.memory_total)));
    parts.push(format!("disk {}G free", gib(machine.disk_free)));
    Some(parts.join("  "))
}

/// What was said here already: a note, and whom the answer is for.
fn own_words(model: &Model, prompt: &Prompt, asked: &EscalationView) -> Vec<Block> {
    let mut blocks = Vec::new();
    if prompt.all {
        let names: Vec<&str> = model.same_in_run(asked).iter().map(|other| other.step.as_str()).collect();
        let key = model.manner.keys.words_of(Place::Prompt, crate::tui::keys::Action::SameForAll);
        let words =
            format!("the answer is for {} questions ({key}: only for this one): {}", names.len(), names.join(", "));
        blocks.push(Block::new(vec![(Role::Attention, " all   ".into())], Role::Strong, words, &[2, 14]));
    }
    if prompt.lasting {
        let key = model.manner.keys.words_of(Place::Prompt, crate::tui::keys::Action::SameForRun);
        let words = format!("the answer is for this failure whenever it comes in this run ({key}: only for now)");
        blocks.push(Block::new(vec![(Role::Attention, " run   ".into())], Role::Strong, words, &[2, 14]));
    }
    let head = || vec![(Role::Dim, " note  ".to_owned())];
    if prompt.writing.is_some() {
        blocks.push(Block { kind: Kind::Field, ..Block::new(head(), Role::Strong, "", &[0]) });
    } else if let Some(note) = &prompt.note {
        blocks.push(Block::new(head(), Role::Strong, note.clone(), &[5, 15]));
    }
    if let Some(draft) = prompt.draft.as_ref().filter(|_| prompt.writing.is_none()) {
        let key = model.manner.keys.words_of(Place::Prompt, crate::tui::keys::Action::Comment);
        let words = format!("not finished, not sent ({key}): {draft}");
        blocks.push(Block::new(head(), Role::Dim, words, &[10]));
    }
    blocks
}

/// Numbered; where not even they have room, those round the marked one.
fn choices(prompt: &Prompt, asked: &EscalationView, rows: usize) -> Vec<Block> {
    let all = offers(asked).into_iter().map(|offer| {
        let (word, effect, alone) = match offer {
            Offer::Later => (later_word(asked).to_owned(), later_effect(asked).to_owned(), false),
            Offer::One(choice) if choice.strength == Strength::Typed => {
                (choice.word.clone(), format!("asks for the run's name; {}", choice.effect), true)
            }
            Offer::One(choice) => (choice.word.clone(), choice.effect.clone(), false),
            Offer::Back(_) => ("send back…".into(), "run again from a step you pick, then it asks again".into(), true),
        };
        if alone && (prompt.all || prompt.lasting) {
            return (word, "not for several at once: answer them one by one".to_owned(), Role::Dim);
        }
        (word, effect, Role::Plain)
    });
    let all: Vec<_> = all.collect();
    let longest = all.iter().map(|(word, ..)| width(&clean(word))).max().unwrap_or(0).min(24);
    let first = crate::tui::draw::first_shown(prompt.cursor, all.len(), rows.max(1));
    all.into_iter()
        .enumerate()
        .map(|(place, (word, effect, role))| {
            let shown = place >= first && place < first + rows.max(1);
            let ranks: &'static [u8] = if shown { &[0, 13, 15] } else { &[] };
            let marked = if place == prompt.cursor { " ❯ " } else { "   " };
            let word = fit(&clean(&word), longest);
            let filled = format!("{word}{}  ", " ".repeat(longest.saturating_sub(width(&word))));
            let head =
                vec![(Role::Focus, marked.into()), (Role::Key, format!("{} ", place + 1)), (Role::Strong, filled)];
            Block { choice: Some(place), ..Block::new(head, role, effect, ranks) }
        })
        .collect()
}
