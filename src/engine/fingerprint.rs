//! What makes two questions the same one: the kind, the step, the rule, and the error text without what differs by accident.
//! Pure.

use crate::model::{EscalationKind, StepId};

/// Eight hex digits that are the same for questions that ask the same.
pub(super) fn fingerprint(kind: EscalationKind, step: &StepId, rule: Option<&str>, line: &str) -> String {
    let kind = match kind {
        EscalationKind::Failed => "failed",
        EscalationKind::Unknown => "unknown",
        EscalationKind::CannotStart => "cannot_start",
        EscalationKind::Gate => "gate",
        EscalationKind::Stalled => "stalled",
    };
    let text = [kind, step.as_str(), rule.unwrap_or(""), &normalised(line)].join("\0");
    blake3::hash(text.as_bytes()).to_hex().chars().take(8).collect()
}

/// The line with every path, number, time and hex text replaced, and blanks as one.
fn normalised(line: &str) -> String {
    line.split_whitespace().map(word).collect::<Vec<_>>().join(" ")
}

fn word(word: &str) -> String {
    let bare = word.trim_matches(|c: char| !c.is_alphanumeric() && c != '/' && c != '~' && c != '.');
    if bare.contains('/') {
        return word.replace(bare, "<path>");
    }
    let mut out = String::new();
    // Runs of letters and digits, with what stands between them kept.
    let mut rest = word;
    while let Some(first) = rest.chars().next() {
        let is_run = |c: char| c.is_ascii_alphanumeric() || c == '_';
        let end = rest.find(|c| is_run(c) != is_run(first)).unwrap_or(rest.len());
        let (piece, after) = rest.split_at(end);
        out.push_str(&if is_run(first) { run(piece) } else { piece.to_owned() });
        rest = after;
    }
    // What is left between two numbers is part of a number, a date or a time.
    while let Some(shorter) = ["#.#", "#:#", "#-#", "#,#"].iter().find(|two| out.contains(**two)) {
        out = out.replace(shorter, "#");
    }
    out
}

/// Letters and digits without a break: a number, a hex text, or a name that may have numbers in it.
fn run(piece: &str) -> String {
    let hex = piece.strip_prefix("0x").unwrap_or(piece);
    let is_hex = hex.chars().all(|c| c.is_ascii_hexdigit()) && hex.chars().any(|c| c.is_ascii_digit());
    if is_hex && (hex.len() >= 6 || hex.len() < piece.len()) {
        return "#".into();
    }
    let mut out = String::new();
    let mut in_number = false;
    for c in piece.chars() {
        let digit = c.is_ascii_digit();
        if digit && !in_number {
            out.push('#');
        } else if !digit {
            out.push(c);
        }
        in_number = digit;
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_differs_by_accident_is_replaced() {
        for (line, normal) in [
            ("Tried to allocate 2.50 GiB. GPU 0 has", "Tried to allocate # GiB. GPU # has"),
            ("File \"/w/a/train.py\", line 211", "File \"<path>\", line #"),
            ("2026-11-23T00:38:18.120Z  ERROR x", "#T#Z ERROR x"),
            ("at 0x7ffd00aa: id 9c41aef012", "at #: id #"),
            ("loss is nan", "loss is nan"),
            ("dead beef", "dead beef"),
            ("ckpt_1800.pt is short", "ckpt_#.pt is short"),
        ] {
            assert_eq!(normalised(line), normal);
        }
    }

    #[test]
    fn what_matters_makes_another_one() {
        let step = |name| StepId::new(name).expect("legal");
        let of = |kind, name, rule, line| fingerprint(kind, &step(name), rule, line);
        let one = of(EscalationKind::Failed, "train", Some("oom"), "allocate 2.5 GiB");
        assert_eq!(one.len(), 8);
        assert_eq!(one, of(EscalationKind::Failed, "train", Some("oom"), "allocate 17.0 GiB"));
        for other in [
            of(EscalationKind::Unknown, "train", Some("oom"), "allocate 2.5 GiB"),
            of(EscalationKind::Failed, "eval", Some("oom"), "allocate 2.5 GiB"),
            of(EscalationKind::Failed, "train", None, "allocate 2.5 GiB"),
            of(EscalationKind::Failed, "train", Some("oom"), "free 2.5 GiB"),
        ] {
            assert_ne!(one, other);
        }
    }
}
