//! Reading of texts with expressions in them, and where in the file each expression is.

use toml::de::DeValue;

use super::read::{At, Item, Reader, scalar};
use crate::engine::expr::{self, ExprError};
use crate::model::{Part, Template};

/// What an expression is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Wanted {
    Condition,
    Text,
}

/// An expression that was read and is judged when all steps are known.
#[derive(Debug)]
pub(super) struct Use {
    pub(super) source: String,
    /// Where the source begins when it stands in the file byte for byte, else the place of the whole text.
    pub(super) at: At,
    pub(super) exact: bool,
    pub(super) wanted: Wanted,
    /// The step it belongs to.
    pub(super) step: Option<String>,
}

impl Use {
    /// The place of a piece of the expression.
    pub(super) fn place(&self, piece: Option<&At>) -> At {
        match piece {
            Some(piece) if self.exact => self.at.start + piece.start..self.at.start + piece.end,
            _ => self.at.clone(),
        }
    }
}

impl<'a> Reader<'a> {
    /// A text with `${{ … }}`; numbers and booleans are taken as their text is.
    pub(super) fn template(&mut self, item: &Item<'a>) -> Option<Template> {
        if let DeValue::Array(_) | DeValue::Table(_) | DeValue::Datetime(_) = item.value {
            self.wrong_type(item, "a text", None);
            return None;
        }
        if let Some(plain) = scalar(item.value) {
            return Some(Template(vec![Part::Text(plain)]));
        }
        let text = self.text(item)?;
        let pieces = match expr::pieces(text) {
            Ok(pieces) => pieces,
            Err(error) => {
                self.bad_expression(item, text, &error);
                return None;
            }
        };
        for (part, at) in &pieces {
            if let Part::Expression(source) = part {
                self.note_use(item, text, source, at.start, Wanted::Text);
            }
        }
        Some(Template(pieces.into_iter().map(|(part, _)| part).collect()))
    }

    /// The source of one expression, bare or as the only thing in `${{ … }}`.
    pub(super) fn expression(&mut self, item: &Item<'a>, wanted: Wanted) -> Option<String> {
        let text = self.filled(item)?;
        let (source, start) = match expr::pieces(text) {
            Ok(pieces) if text.contains("${{") => {
                let mut filled =
                    pieces.into_iter().filter(|(part, _)| !matches!(part, Part::Text(t) if t.trim().is_empty()));
                let (Some((Part::Expression(source), at)), None) = (filled.next(), filled.next()) else {
                    self.found
                        .error(&item.at, format!("{} must be one expression", item.title))
                        .hint("write the whole of it inside one ${{ }}, or without ${{ }}");
                    return None;
                };
                (source, at.start)
            }
            Ok(_) => (text.trim().to_owned(), text.len() - text.trim_start().len()),
            Err(error) => {
                self.bad_expression(item, text, &error);
                return None;
            }
        };
        self.note_use(item, text, &source, start, wanted);
        Some(source)
    }

    /// The place of a piece of a text, or of the whole of it when it is written with escapes.
    pub(super) fn inside(&self, item: &Item<'a>, text: &str, piece: At) -> At {
        inside(self.source, &item.at, text).map_or(item.at.clone(), |start| start + piece.start..start + piece.end)
    }

    fn bad_expression(&mut self, item: &Item<'a>, text: &str, error: &ExprError) {
        let at = error.at.clone().map_or(item.at.clone(), |at| self.inside(item, text, at));
        self.found.error(&at, format!("{}: {}", item.title, error.message)).hint_if(error.hint.clone());
    }

    fn note_use(&mut self, item: &Item<'a>, text: &str, source: &str, start: usize, wanted: Wanted) {
        let exact = inside(self.source, &item.at, text);
        let at = exact.map_or(item.at.clone(), |inner| inner + start..inner + start + source.len());
        self.uses.push(Use { source: source.into(), at, exact: exact.is_some(), wanted, step: self.step.clone() });
    }
}

/// Where a text's first byte is in the file, when it stands there without escapes.
fn inside(source: &str, at: &At, text: &str) -> Option<usize> {
    let raw = source.get(at.clone())?;
    let open = match raw {
        raw if raw.starts_with("\"\"\"") || raw.starts_with("'''") => {
            let after = &raw[3..];
            3 + if after.starts_with("\r\n") { 2 } else { usize::from(after.starts_with('\n')) }
        }
        _ => 1,
    };
    raw.get(open..)?.starts_with(text).then_some(at.start + open)
}
