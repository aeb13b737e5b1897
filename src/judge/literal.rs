//! What every match of a pattern must contain, so that most lines are passed over without trying any pattern.

use std::cmp::Reverse;

use regex_syntax::hir::{Class, Hir, HirKind};

/// Shorter words are in too many lines to be worth looking for.
const SHORTEST: usize = 3;

/// A few letters in one place, as in `50[0234]`, make a word for each.
const MOST_RUNS: usize = 32;

/// As many as there are digits.
const MOST_LETTERS: u32 = 10;

/// More words than this are more work than the pattern itself.
const MOST: usize = 400;

/// So many sets of words are asked for: more find little that these do not.
pub(super) const SETS: usize = 3;

/// Sets of words in lower case: one of each, in any case of ASCII letters, is in every match. The best first, one to `SETS`.
pub(super) type Branch = Vec<Vec<String>>;

/// The branches of a pattern: every match is one of a branch. `None`: of one nothing is known.
///
/// A pattern that ignores case also takes the long s and the Kelvin sign for letters; such a line is passed over.
pub(super) fn branches(hir: &Hir) -> Option<Vec<Branch>> {
    let mut flat = Vec::new();
    flatten(std::slice::from_ref(hir), &mut flat);
    if let [only] = flat[..]
        && let HirKind::Alternation(parts) = only.kind()
    {
        let all: Option<Vec<Vec<Branch>>> = parts.iter().map(branches).collect();
        return all.map(|all| all.concat());
    }
    let sets = required(hir);
    (!sets.is_empty()).then(|| vec![sets])
}

fn required(hir: &Hir) -> Branch {
    match hir.kind() {
        HirKind::Literal(_) | HirKind::Class(_) => concat(std::slice::from_ref(hir)),
        HirKind::Repetition(repetition) if repetition.min > 0 => required(&repetition.sub),
        HirKind::Empty | HirKind::Look(_) | HirKind::Repetition(_) => Vec::new(),
        HirKind::Capture(capture) => required(&capture.sub),
        HirKind::Concat(parts) => concat(parts),
        HirKind::Alternation(parts) => alternation(parts),
    }
}

/// As many sets as each of the parts has: their words together.
fn alternation(parts: &[Hir]) -> Branch {
    let of_parts: Vec<Branch> = parts.iter().map(required).collect();
    let sets = of_parts.iter().map(Vec::len).min().unwrap_or(0);
    let together = |set: usize| {
        let mut all: Vec<String> = of_parts.iter().flat_map(|sets| sets[set].clone()).collect();
        all.sort();
        all.dedup();
        all
    };
    (0..sets).map(together).filter(|all| all.len() <= MOST).collect()
}

fn concat(parts: &[Hir]) -> Branch {
    let mut sets: Branch = Vec::new();
    let mut runs = vec![String::new()];
    let mut flat = Vec::new();
    flatten(parts, &mut flat);
    for part in flat {
        if let Some(longer) = texts_of(part).and_then(|texts| each_with_each(&runs, &texts)) {
            runs = longer;
            continue;
        }
        // What cannot be a part of the run before it may begin the next one.
        sets.push(std::mem::replace(&mut runs, texts_of(part).unwrap_or_else(|| vec![String::new()])));
        sets.extend(required_inside(part));
    }
    sets.push(runs);
    sets.retain(|words| shortest(words) >= SHORTEST && words.len() <= MOST);
    sets.sort_by_key(|words| Reverse(worth(words)));
    sets.dedup();
    sets.truncate(SETS);
    sets
}

/// Each of the one followed by each of the other, where these are a few.
fn each_with_each(runs: &[String], texts: &[String]) -> Option<Vec<String>> {
    let both = || runs.iter().flat_map(|run| texts.iter().map(move |text| format!("{run}{text}"))).collect();
    (runs.len() * texts.len() <= MOST_RUNS).then(both)
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

fn required_inside(part: &Hir) -> Vec<Vec<String>> {
    match part.kind() {
        HirKind::Repetition(_) | HirKind::Alternation(_) => required(part),
        HirKind::Empty
        | HirKind::Literal(_)
        | HirKind::Class(_)
        | HirKind::Look(_)
        | HirKind::Capture(_)
        | HirKind::Concat(_) => Vec::new(),
    }
}

/// All that matches, where that is a literal, a class of a few letters (each in one case or both), or a few of these.
fn texts_of(part: &Hir) -> Option<Vec<String>> {
    match part.kind() {
        HirKind::Literal(literal) => Some(vec![std::str::from_utf8(&literal.0).ok()?.to_ascii_lowercase()]),
        HirKind::Class(class) => letters(class).map(|letters| letters.into_iter().map(String::from).collect()),
        HirKind::Capture(capture) => texts_of(&capture.sub),
        HirKind::Alternation(parts) => {
            let all: Option<Vec<Vec<String>>> = parts.iter().map(texts_of).collect();
            all.map(|all| all.concat()).filter(|all| all.len() <= MOST_RUNS)
        }
        HirKind::Concat(parts) => {
            let mut flat = Vec::new();
            flatten(parts, &mut flat);
            let begun = vec![String::new()];
            flat.into_iter().try_fold(begun, |runs, part| each_with_each(&runs, &texts_of(part)?))
        }
        HirKind::Empty | HirKind::Look(_) | HirKind::Repetition(_) => None,
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
        if !end.is_ascii() || u32::from(end) - u32::from(start) >= MOST_LETTERS {
            return None;
        }
        letters.extend((start..=end).map(|letter| letter.to_ascii_lowercase()));
    }
    letters.sort_unstable();
    letters.dedup();
    (1..=MOST_LETTERS as usize).contains(&letters.len()).then_some(letters)
}

/// What a set says: longer words say more, then fewer of them.
fn worth(words: &[String]) -> (usize, usize, usize) {
    (shortest(words).min(8), usize::MAX - words.len(), shortest(words))
}

fn shortest(words: &[String]) -> usize {
    words.iter().map(|word| word.trim().len()).min().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_words_of_a_pattern() {
        let of = |pattern| branches(&regex_syntax::parse(pattern).expect("it is one"));
        let some = |all: &[&[&[&str]]]| -> Option<Vec<Branch>> {
            let set = |set: &&[&str]| set.iter().map(|word| (*word).to_owned()).collect();
            Some(all.iter().map(|sets| sets.iter().map(set).collect()).collect())
        };
        assert_eq!(of("No space left"), some(&[&[&["no space left"]]]));
        assert_eq!(of("(?i)No space"), some(&[&[&["no space"]]]));
        assert_eq!(of(r"\b(reset|refused) by"), some(&[&[&["reset by", "refused by"]]]));
        assert_eq!(of(r"a\d+b"), None);
        assert_eq!(of(r"(foo|b)xy"), some(&[&[&["fooxy", "bxy"]]]));
        assert_eq!(of(r"(out of memory)?x"), None);
        assert_eq!(of(r"abc|b\d"), None);
        assert_eq!(of(r"\b50[02]\b"), some(&[&[&["500", "502"]]]));
        assert_eq!(of(r"exit (?:code|status) \d+"), some(&[&[&["exit code ", "exit status "]]]));
        assert_eq!(of(r"(?i)[Kk]illed process"), some(&[&[&["killed process"]]]));
        assert_eq!(of(r"(?:error|fatal).*(?:denied|login)"), some(&[&[&["error", "fatal"], &["denied", "login"]]]));
        assert_eq!(of(r"\b(?:abc.*defg|klmno)\b"), some(&[&[&["defg"], &["abc"]], &[&["klmno"]]]));
        assert_eq!(of(r"error .{0,9}42[0-9]{2}"), some(&[&[&["error "]]]));
        assert_eq!(of(r"5(?:1[67]|99)\b"), some(&[&[&["516", "517", "599"]]]));
    }
}
