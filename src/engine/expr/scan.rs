//! The text of expressions: where they are in a template, and where what they refer to stands in them. Evaluates nothing.

use std::ops::Range;

use super::path::{self, Mention, is_name};
use super::{ExprError, LONGEST};
use crate::model::{Part, Template};

/// Cuts a text at its `${{ … }}`. A `}}` inside quotes or braces does not end an expression.
pub fn split(text: &str) -> Result<Template, ExprError> {
    let parts = pieces(text)?;
    Ok(Template(parts.into_iter().map(|(part, _)| part).collect()))
}

/// Like [`split`], with the place of each part's text.
pub fn pieces(text: &str) -> Result<Vec<(Part, Range<usize>)>, ExprError> {
    let mut parts = Vec::new();
    let mut at = 0;
    while let Some(found) = text[at..].find("${{") {
        let open = at + found;
        if open > at {
            parts.push((Part::Text(text[at..open].into()), at..open));
        }
        let inner = open + 3;
        let Some(end) = closing(&text[inner..]).map(|n| inner + n) else {
            return Err(ExprError::new("`${{` is never closed").at(open..inner).hint("close it with `}}`"));
        };
        let source = text[inner..end].trim();
        if source.is_empty() {
            return Err(ExprError::new("there is no expression between `${{` and `}}`").at(open..end + 2));
        }
        let start = inner + text[inner..end].len() - text[inner..end].trim_start().len();
        parts.push((Part::Expression(source.into()), start..start + source.len()));
        at = end + 2;
    }
    if at < text.len() {
        parts.push((Part::Text(text[at..].into()), at..text.len()));
    }
    Ok(parts)
}

/// Where the `}}` that ends an expression begins.
fn closing(text: &str) -> Option<usize> {
    let mut depth = 0usize;
    let mut quote = None;
    let mut chars = text.char_indices();
    while let Some((i, c)) = chars.next() {
        match (quote, c) {
            (Some(_), '\\') => drop(chars.next()),
            (Some(q), c) if c == q => quote = None,
            (None, '\'' | '"') => quote = Some(c),
            (None, '{') => depth += 1,
            (None, '}') if depth > 0 => depth -= 1,
            (None, '}') if text[i..].starts_with("}}") => return Some(i),
            (_, _) => {}
        }
    }
    None
}

/// An expression with its references replaced.
pub(super) struct Scanned<'a> {
    pub(super) source: &'a str,
    /// As long as `source`, byte for byte.
    pub(super) code: String,
    pub(super) mentions: Vec<(Mention, Range<usize>)>,
    /// Every other name that is not an attribute.
    pub(super) names: Vec<Range<usize>>,
}

impl<'a> Scanned<'a> {
    pub(super) fn new(source: &'a str) -> Result<Self, ExprError> {
        if source.len() > LONGEST {
            return Err(ExprError::new(format!("the expression is longer than {LONGEST} bytes")).at(0..source.len()));
        }
        let mut scanned = Self { source, code: String::with_capacity(source.len()), mentions: vec![], names: vec![] };
        let mut at = 0;
        while let Some(c) = source[at..].chars().next() {
            let end = match c {
                '\'' | '"' => at + quoted(&source[at..]),
                c if is_name(c) => at + source[at..].find(|c| !is_name(c)).unwrap_or(source.len() - at),
                c => at + c.len_utf8(),
            };
            at = if c.is_ascii_alphabetic() || c == '_' { scanned.name(at..end)? } else { scanned.copy(at..end) };
        }
        Ok(scanned)
    }

    fn copy(&mut self, range: Range<usize>) -> usize {
        self.code.push_str(&self.source[range.clone()]);
        range.end
    }

    /// Takes the name in `range`, with the rest of its path when it begins a reference.
    fn name(&mut self, range: Range<usize>) -> Result<usize, ExprError> {
        let word = &self.source[range.clone()];
        let attribute = self.source[..range.start].trim_end().ends_with('.');
        if attribute {
            return Ok(self.copy(range));
        }
        if word.len() > 1 && word[1..].bytes().all(|b| b.is_ascii_digit()) && word.starts_with('_') {
            return Err(ExprError::new(format!("there is nothing called `{word}` in expressions")).at(range));
        }
        let (mention, end) = match word {
            "params" | "matrix" | "steps" => path::path(self.source, &range)?,
            "best" => path::best(self.source, &range)?,
            "same" => path::same(self.source, &range)?,
            _ => {
                self.names.push(range.clone());
                return Ok(self.copy(range));
            }
        };
        self.code.push_str(&placeholder(self.mentions.len(), end - range.start));
        self.mentions.push((mention, range.start..end));
        Ok(end)
    }
}

/// How long the quoted text at the start of `text` is.
fn quoted(text: &str) -> usize {
    let mut chars = text.char_indices();
    let quote = chars.next().map(|(_, quote)| quote);
    while let Some((i, c)) = chars.next() {
        if c == '\\' {
            chars.next();
        } else if Some(c) == quote {
            return i + 1;
        }
    }
    text.len()
}

/// The name that stands for the `n`th reference, as long as it. [`Scanned::name`] refuses it in sources.
pub(super) fn placeholder(n: usize, length: usize) -> String {
    format!("_{n:0width$}", width = length - 1)
}
