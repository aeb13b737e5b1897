//! Notes that a program makes by `dogwatch report note`, as they come into the journal: without what a terminal would obey,
//! short, and not too many. Decides nothing.

use std::fmt::Write;

use crate::gauge::plain;
use crate::model::Time;

/// Characters of a note; the rest is left out.
pub(super) const LONGEST: usize = 500;
/// So many may come at once, and then one in each of these spans.
const AT_ONCE: i64 = 20;
const EACH_MS: i64 = 6_000;

/// How many more notes of an attempt are taken.
#[derive(Debug, Clone, Copy)]
pub(super) struct Notes {
    /// Notes that may come now, as milliseconds that were saved up for them.
    room_ms: i64,
    at: Option<Time>,
    /// Notes since the last one that was taken.
    left_out: u32,
}

impl Notes {
    pub(super) fn new() -> Self {
        Self { room_ms: AT_ONCE * EACH_MS, at: None, left_out: 0 }
    }

    /// The note as it is recorded; `None` for one that says nothing, or comes too soon after many others.
    pub(super) fn take(&mut self, text: &str, now: Time) -> Option<String> {
        let mut note = clean(text);
        if note.is_empty() {
            return None;
        }
        let gone = self.at.replace(now).map_or(0, |before| (now.as_ms() - before.as_ms()).max(0));
        self.room_ms = self.room_ms.saturating_add(gone).min(AT_ONCE * EACH_MS);
        if self.room_ms < EACH_MS {
            self.left_out += 1;
            return None;
        }
        self.room_ms -= EACH_MS;
        if self.left_out > 0 {
            // Writing to a text cannot fail.
            let _ = write!(note, " ({} notes before it came too fast and are left out)", self.left_out);
            self.left_out = 0;
        }
        Some(note)
    }
}

/// One line, and no longer than [`LONGEST`].
fn clean(text: &str) -> String {
    let lines = plain::lines(text.as_bytes());
    let words: Vec<String> = lines
        .map(|line| line.split_whitespace().collect::<Vec<_>>().join(" "))
        .filter(|line| !line.is_empty())
        .collect();
    let line = words.join(" / ");
    match line.char_indices().nth(LONGEST) {
        Some((end, _)) => format!("{}…", &line[..end]),
        None => line,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_note_is_one_short_line_that_no_terminal_obeys() {
        let mut notes = Notes::new();
        let mut take = |text: &str| notes.take(text, Time::from_ms(0));
        assert_eq!(
            take("epoch 3:\t\x1b[31mbest\x1b[0m so far\n\n next \u{7}"),
            Some("epoch 3: best so far / next".into())
        );
        assert_eq!((take(" \n\t"), take("")), (None, None));
        let long = take(&"é".repeat(3_000)).expect("it is cut, not refused");
        assert_eq!(long.chars().count(), LONGEST + 1);
        assert!(!take("a\u{202e}b").expect("a note").contains('\u{202e}'));
    }

    #[test]
    fn a_program_that_notes_all_the_time_does_not_fill_the_journal() {
        let mut notes = Notes::new();
        // A hundred a second, for an hour.
        let taken = (0..360_000).filter_map(|n| notes.take(&format!("note {n}"), Time::from_ms(n * 10)));
        let taken: Vec<String> = taken.collect();
        assert!((600..=621).contains(&taken.len()), "{}", taken.len());
        assert_eq!((taken[0].as_str(), taken[19].as_str()), ("note 0", "note 19"));
        assert!(taken[20].contains("notes before it came too fast and are left out"), "{}", taken[20]);
    }
}
