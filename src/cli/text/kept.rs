//! What was kept of environments, and what is left of them in container engines, as rows. Pure.

use super::{Row, Style, width};
use crate::faces::words::span;
use crate::model::size_words;
use crate::wire::client::{GcView, KeptView, LeftView};

/// Letters of an image's or a container's id that tell it from others.
const SHORT: usize = 12;

fn short(id: &str) -> &str {
    let id = id.strip_prefix("sha256:").unwrap_or(id);
    id.get(..SHORT).unwrap_or(id)
}

/// One row for each environment that was kept, oldest first.
pub fn environments(kept: &[KeptView], now_ms: i64) -> Vec<Row> {
    let columns = kept.iter().map(|one| width(&one.step_name)).max().unwrap_or(0).min(40);
    let row = |one: &KeptView| {
        let (style, shape) = match (one.bad, one.newest) {
            (true, _) => (Style::Bad, "×"),
            (false, true) => (Style::Good, "●"),
            (false, false) => (Style::Plain, "○"),
        };
        let marks = [(one.pinned, "pinned".to_owned()), (!one.says.is_empty(), one.says.clone())];
        let marks: Vec<String> = marks.into_iter().filter(|(is_so, _)| *is_so).map(|(_, mark)| mark).collect();
        Row::new()
            .add(style, shape)
            .space(1)
            .text("environment ")
            .add(Style::Bold, &one.environment)
            .text(" after ")
            .field(Style::Bold, &one.step_name, columns)
            .field(Style::Dim, &format!("{:>6}", span(now_ms - one.kept_ms)), 6)
            .space(2)
            .field(style, &format!("{:>9}", size_words(one.bytes)), 9)
            .space(2)
            .text(short(&one.image))
            .space(2)
            .add(if one.bad { Style::Bad } else { Style::Dim }, &marks.join(", "))
    };
    kept.iter().map(row).collect()
}

/// What no run needs any more, and what it costs.
pub fn left(view: &GcView) -> Vec<Row> {
    if view.left.is_empty() {
        return vec![Row::new().text("nothing is left that no run needs")];
    }
    let row = |one: &LeftView| {
        let age = one.age_ms.map_or_else(String::new, span);
        let size = one.bytes.map_or_else(String::new, size_words);
        Row::new()
            .field(Style::Bold, &one.kind, 10)
            .space(1)
            .text(short(&one.id))
            .space(2)
            .text(&one.run)
            .space(1)
            .add(Style::Dim, &one.environment)
            .space(2)
            .field(Style::Dim, &format!("{age:>6}"), 6)
            .space(2)
            .field(Style::Plain, &format!("{size:>9}"), 9)
            .space(2)
            .add(if one.bad { Style::Bad } else { Style::Plain }, &one.says)
    };
    let mut rows: Vec<Row> = view.left.iter().map(row).collect();
    let bytes: u64 = view.left.iter().filter_map(|one| one.bytes).sum();
    rows.push(Row::new().add(Style::Dim, &format!("{} in all", size_words(bytes))));
    rows
}
