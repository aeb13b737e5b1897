//! What every match of a pattern must contain, so that most lines are passed over without trying any pattern.

use regex_syntax::hir::{Class, Hir, HirKind};

/// Shorter words are in too many lines to be worth looking for.
const SHORTEST: usize = 3;

/// A few letters in one place, as in `50[0234]`, make a word for each.
const MOST_RUNS: usize = 16;

/// More words than this are more work than the pattern itself.
const MOST: usize = 400;

/// Words in lower case of which one, in any case of ASCII letters, is in every match. `None`: nothing is known.
///
/// A pattern that ignores case also takes the long s and the Kelvin sign for letters; such a line is passed over.
pub(super) fn required(hir: &Hir) -> Option<Vec<String>> {
    match hir.kind() {
        HirKind::Literal(_) | HirKind::Class(_) => concat(std::slice::from_ref(hir)),
        HirKind::Repetition(repetition) if repetition.min > 0 => required(&repetition.sub),
        HirKind::Empty | HirKind::Look(_) | HirKind::Repetition(_) => None,
        HirKind::Capture(capture) => required(&capture.sub),
        HirKind::Concat(parts) => concat(parts),
        HirKind::Alternation(parts) => {
            let mut all = Vec::new();
            for part in parts {
                all.extend(required(part)?);
            }
            all.sort();
            all.dedup();
            (all.len() <= MOST).then_some(all)
        }
    }
}

fn concat(parts: &[Hir]) -> Option<Vec<String>> {
    let mut best: Option<Vec<String>> = None;
    let mut runs = vec![String::new()];
    let mut flat = Vec::new();
    flatten(parts, &mut flat);
    for part in flat {
        let texts = texts_of(part);
        let fits = texts.as_ref().is_some_and(|texts| texts.len() * runs.len() <= MOST_RUNS);
        if let Some(texts) = texts.filter(|_| fits) {
            runs = runs.iter().flat_map(|run| texts.iter().map(move |text| format!("{run}{text}"))).collect();
            continue;
        }
        better(&mut best, std::mem::replace(&mut runs, vec![String::new()]));
        if let Some(words) = required_inside(part) {
            better(&mut best, words);
        }
    }
    better(&mut best, runs);
    best
}

/// The parts one after another, with groups and what has no width opened or left out.
fn flatten<'h>(parts: &'h [Hir], flat: &mut Vec<&'h Hir>) {
    for part in parts {
        match part.kind() {
            HirKind::Empty | HirKind::Look(_) => {}
            HirKind::Concat(inner) => flatten(inner, flat),
            HirKind::Capture(capture) => flatten(std::slice::from_ref(&*capture.sub), flat),
            HirKind::Literal(_) | HirKind::Class(_) | HirKind::Repetition(_) | HirKind::Alternation(_) => {
                flat.push(part);
            }
        }
    }
}

fn required_inside(part: &Hir) -> Option<Vec<String>> {
    match part.kind() {
        HirKind::Repetition(_) | HirKind::Alternation(_) => required(part),
        HirKind::Empty
        | HirKind::Literal(_)
        | HirKind::Class(_)
        | HirKind::Look(_)
        | HirKind::Capture(_)
        | HirKind::Concat(_) => None,
    }
}

/// The text of a literal, or of a class of a few letters, each in one case or both.
fn texts_of(part: &Hir) -> Option<Vec<String>> {
    match part.kind() {
        HirKind::Literal(literal) => Some(vec![std::str::from_utf8(&literal.0).ok()?.to_ascii_lowercase()]),
        HirKind::Class(class) => letters(class).map(|letters| letters.into_iter().map(String::from).collect()),
        HirKind::Empty
        | HirKind::Look(_)
        | HirKind::Repetition(_)
        | HirKind::Capture(_)
        | HirKind::Concat(_)
        | HirKind::Alternation(_) => None,
    }
}

/// The lower case of the ASCII letters of a class, where there are a few.
fn letters(class: &Class) -> Option<Vec<char>> {
    let mut ranges: Vec<(char, char)> = match class {
        Class::Unicode(class) => class.ranges().iter().map(|range| (range.start(), range.end())).collect(),
        Class::Bytes(class) => class.ranges().iter().map(|range| (range.start().into(), range.end().into())).collect(),
    };
    // The long s and the Kelvin sign.
    ranges.retain(|(start, end)| start.is_ascii() || start != end);
    let mut letters = Vec::new();
    for (start, end) in ranges {
        if !end.is_ascii() || u32::from(end) - u32::from(start) >= 8 {
            return None;
        }
        letters.extend((start..=end).map(|letter| letter.to_ascii_lowercase()));
    }
    letters.sort_unstable();
    letters.dedup();
    (1..=8).contains(&letters.len()).then_some(letters)
}

/// Takes `words` where they say more: longer ones, then fewer.
fn better(best: &mut Option<Vec<String>>, words: Vec<String>) {
    let worth = |words: &[String]| {
        let shortest = words.iter().map(|word| word.trim().len()).min().unwrap_or(0);
        (shortest.min(8), usize::MAX - words.len(), shortest)
    };
    let (shortest, ..) = worth(&words);
    if shortest < SHORTEST || words.len() > MOST {
        return;
    }
    if best.as_ref().is_none_or(|best| worth(&words) > worth(best)) {
        *best = Some(words);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_words_of_a_pattern() {
        let of = |pattern| required(&regex_syntax::parse(pattern).expect("it is one"));
        let words = |all: &[&str]| Some(all.iter().map(|word| (*word).to_owned()).collect::<Vec<_>>());
        assert_eq!(of("No space left"), words(&["no space left"]));
        assert_eq!(of("(?i)No space"), words(&["no space"]));
        assert_eq!(of(r"\b(reset|refused) by"), words(&["refused", "reset"]));
        assert_eq!(of(r"a\d+b"), None);
        assert_eq!(of(r"(foo|b)x"), None);
        assert_eq!(of(r"(out of memory)?x"), None);
        assert_eq!(of(r"\b50[02]\b"), words(&["500", "502"]));
        assert_eq!(of(r"exit (?:code|status) \d+"), words(&["exit "]));
        assert_eq!(of(r"(?i)[Kk]illed process"), words(&["killed process"]));
    }
}
