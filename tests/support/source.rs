//! Reads Rust sources just well enough to know every path that they name.

use std::collections::BTreeSet;

/// A piece of source that matters here.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Token {
    Word(String),
    Colons,
    Open,
    Close,
    Comma,
    Other(char),
}

/// The source without comments, texts and characters.
fn tokens(source: &str) -> Vec<Token> {
    let chars: Vec<char> = source.chars().collect();
    let mut found = Vec::new();
    let mut at = 0;
    while at < chars.len() {
        let c = chars[at];
        let next = chars.get(at + 1).copied();
        if c == '/' && next == Some('/') {
            at += chars[at..].iter().take_while(|c| **c != '\n').count();
        } else if c == '/' && next == Some('*') {
            at = after_block_comment(&chars, at);
        } else if c == '"' {
            at = after_text(&chars, at);
        } else if let Some(end) = after_raw_text(&chars, at) {
            at = end;
        } else if c == '\'' {
            at = after_quote(&chars, at);
        } else if c.is_alphanumeric() || c == '_' {
            let word: String = chars[at..].iter().take_while(|c| c.is_alphanumeric() || **c == '_').collect();
            at += word.chars().count();
            found.push(Token::Word(word));
        } else {
            at += 1;
            match c {
                ':' if next == Some(':') => {
                    at += 1;
                    found.push(Token::Colons);
                }
                '{' => found.push(Token::Open),
                '}' => found.push(Token::Close),
                ',' => found.push(Token::Comma),
                c if c.is_whitespace() => {}
                c => found.push(Token::Other(c)),
            }
        }
    }
    found
}

fn after_block_comment(chars: &[char], start: usize) -> usize {
    let (mut depth, mut at) = (0_u32, start);
    while at + 1 < chars.len() {
        match (chars[at], chars[at + 1]) {
            ('/', '*') => (depth, at) = (depth + 1, at + 2),
            ('*', '/') => {
                (depth, at) = (depth - 1, at + 2);
                if depth == 0 {
                    return at;
                }
            }
            _ => at += 1,
        }
    }
    chars.len()
}

fn after_text(chars: &[char], start: usize) -> usize {
    let mut at = start + 1;
    while at < chars.len() && chars[at] != '"' {
        at += if chars[at] == '\\' { 2 } else { 1 };
    }
    at + 1
}

/// `r"…"`, `r#"…"#`, with a `b` or `c` before it.
fn after_raw_text(chars: &[char], start: usize) -> Option<usize> {
    if start > 0 && (chars[start - 1].is_alphanumeric() || chars[start - 1] == '_') {
        return None;
    }
    let mut at = start;
    if matches!(chars.get(at), Some('b' | 'c')) {
        at += 1;
    }
    if chars.get(at) != Some(&'r') {
        return None;
    }
    at += 1;
    let hashes = chars[at..].iter().take_while(|c| **c == '#').count();
    at += hashes;
    if chars.get(at) != Some(&'"') {
        return None;
    }
    at += 1;
    while at < chars.len() {
        if chars[at] == '"' && chars[at + 1..].iter().take(hashes).filter(|c| **c == '#').count() == hashes {
            return Some(at + 1 + hashes);
        }
        at += 1;
    }
    Some(chars.len())
}

/// A character, or the tick of a lifetime.
fn after_quote(chars: &[char], start: usize) -> usize {
    if chars.get(start + 1) == Some(&'\\') {
        let mut at = start + 3;
        while at < chars.len() && chars[at] != '\'' {
            at += 1;
        }
        at + 1
    } else if chars.get(start + 2) == Some(&'\'') {
        start + 3
    } else {
        start + 1
    }
}

/// Every path of the source as it is meant from the crate's root: groups spelt out, `super` and `self` resolved.
pub(crate) fn paths(source: &str, module: &[String]) -> BTreeSet<String> {
    let tokens = tokens(source);
    let mut found = BTreeSet::new();
    // Modules written inside the file: how deep the braces were, for each.
    let mut inline: Vec<(String, usize)> = Vec::new();
    let (mut depth, mut at) = (0, 0);
    while at < tokens.len() {
        match &tokens[at] {
            Token::Open => depth += 1,
            Token::Close => {
                depth -= 1;
                if inline.last().is_some_and(|(_, opened)| *opened == depth) {
                    inline.pop();
                }
            }
            Token::Word(word) if word == "mod" && tokens.get(at + 2) == Some(&Token::Open) => {
                if let Some(Token::Word(name)) = tokens.get(at + 1) {
                    inline.push((name.clone(), depth));
                }
            }
            // `pub(crate)`, `pub(super)`.
            Token::Word(_) if tokens.get(at + 1) == Some(&Token::Other(')')) && is_pub(&tokens, at) => {}
            Token::Word(_) => {
                let here: Vec<String> =
                    module.iter().cloned().chain(inline.iter().map(|(name, _)| name.clone())).collect();
                let mut spelt = Vec::new();
                at = read_path(&tokens, at, &mut Vec::new(), &mut spelt);
                found.extend(spelt.into_iter().map(|path| resolve(&path, &here)));
                continue;
            }
            Token::Colons | Token::Comma | Token::Other(_) => {}
        }
        at += 1;
    }
    found
}

fn is_pub(tokens: &[Token], at: usize) -> bool {
    at >= 2 && tokens[at - 1] == Token::Other('(') && tokens[at - 2] == Token::Word("pub".into())
}

/// Reads one path with its groups; gives the place after it.
fn read_path(tokens: &[Token], start: usize, before: &mut Vec<String>, found: &mut Vec<Vec<String>>) -> usize {
    let (mut at, kept) = (start, before.len());
    while let Some(Token::Word(word)) = tokens.get(at) {
        before.push(word.clone());
        at += 1;
        if tokens.get(at) != Some(&Token::Colons) {
            found.push(before.clone());
            break;
        }
        at += 1;
        match tokens.get(at) {
            Some(Token::Word(_)) => {}
            Some(Token::Open) => {
                at = read_group(tokens, at + 1, before, found);
                break;
            }
            _ => {
                found.push(before.clone());
                break;
            }
        }
    }
    before.truncate(kept);
    at.max(start + 1)
}

fn read_group(tokens: &[Token], start: usize, before: &mut Vec<String>, found: &mut Vec<Vec<String>>) -> usize {
    let mut at = start;
    while at < tokens.len() {
        match &tokens[at] {
            Token::Close => return at + 1,
            Token::Word(word) if word == "as" => at += 2,
            Token::Word(_) => at = read_path(tokens, at, before, found),
            Token::Other('*') => {
                found.push(before.clone());
                at += 1;
            }
            Token::Colons | Token::Comma | Token::Open | Token::Other(_) => at += 1,
        }
    }
    at
}

fn resolve(path: &[String], here: &[String]) -> String {
    let mut at = here.len();
    let mut rest = path;
    let mut inside = false;
    while let Some((first, after)) = rest.split_first() {
        match first.as_str() {
            "crate" if !inside => (at, inside) = (0, true),
            // Alone it may be a variable.
            "dogwatch" if !inside && path.len() > 1 => (at, inside) = (0, true),
            "self" => inside = true,
            "super" => (at, inside) = (at.saturating_sub(1), true),
            _ => break,
        }
        rest = after;
    }
    if !inside {
        return path.join("::");
    }
    let mut full = vec!["crate".to_owned()];
    full.extend_from_slice(&here[..at]);
    full.extend_from_slice(rest);
    full.join("::")
}
