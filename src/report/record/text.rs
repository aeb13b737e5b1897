//! Text of steps and people made harmless for Markdown, HTML and terminals; moments as people write them. Pure.

use crate::model::Time;

/// One line of text in a paragraph or a table's cell: shown as it was written, and nothing but shown.
pub(super) fn inline(text: &str) -> String {
    let mut safe = String::with_capacity(text.len() + 8);
    let mut rest = text;
    while let Some(c) = rest.chars().next() {
        let after = &rest[c.len_utf8()..];
        match c {
            '\n' | '\r' | '\t' => safe.push(' '),
            c if is_hidden(c) => {}
            // A bare address becomes a link in many viewers.
            ':' if after.starts_with("//") => safe.push_str("\\:"),
            '.' if safe.ends_with("www") => safe.push_str("\\."),
            '\\' | '`' | '*' | '_' | '[' | ']' | '(' | ')' | '<' | '>' | '#' | '|' | '~' | '&' | '!' | '$' | '@' => {
                safe.push('\\');
                safe.push(c);
            }
            c => safe.push(c),
        }
        rest = after;
    }
    // A number with a dot, or a dash, at the start would begin a list.
    let begins_list = safe.starts_with(|c: char| c.is_ascii_digit() || "-+=:".contains(c));
    if begins_list && text == text.trim_start() {
        let digits = safe.chars().take_while(char::is_ascii_digit).count();
        if digits == 0 || safe[digits..].starts_with(['.', ')']) {
            safe.insert(digits, '\\');
        }
    }
    safe
}

/// Lines as a block in which nothing means anything: the fence is longer than any that the text holds.
pub(super) fn block<'a>(lines: impl IntoIterator<Item = &'a str>) -> String {
    let mut body = String::new();
    let mut longest = 2;
    for line in lines {
        let mut run = 0;
        for c in line.chars() {
            run = if c == '`' { run + 1 } else { 0 };
            longest = longest.max(run);
            match c {
                '\t' => body.push_str("    "),
                c if is_hidden(c) => {}
                c => body.push(c),
            }
        }
        body.push('\n');
    }
    let fence = "`".repeat(longest + 1);
    format!("{fence}text\n{body}{fence}\n")
}

/// Characters that control a terminal, or make text look like another one.
fn is_hidden(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}')
        || matches!(c, '\u{e0000}'..='\u{e007f}')
}

/// `2026-11-22T21:35:07Z`.
pub(super) fn iso(time: Time) -> String {
    let seconds = time.as_ms().div_euclid(1000);
    let (year, month, day) = civil(seconds.div_euclid(86_400));
    let of_day = seconds.rem_euclid(86_400);
    let (hour, minute, second) = (of_day / 3600, of_day % 3600 / 60, of_day % 60);
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}Z")
}

/// Year, month and day of a day counted from 1970-01-01. Years are counted from March, so that the leap day is the last.
fn civil(days: i64) -> (i64, i64, i64) {
    let shifted = days + 719_468;
    let era = shifted.div_euclid(146_097);
    let of_era = shifted.rem_euclid(146_097);
    let year_of_era = (of_era - of_era / 1460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let from_march = (5 * of_year + 2) / 153;
    let day = of_year - (153 * from_march + 2) / 5 + 1;
    let month = if from_march < 10 { from_march + 3 } else { from_march - 9 };
    let year = year_of_era + era * 400 + i64::from(month <= 2);
    (year, month, day)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn days_are_those_of_the_calendar() {
        let cases = [
            (0, "1970-01-01T00:00:00Z"),
            (951_782_400_000, "2000-02-29T00:00:00Z"),
            (1_709_251_199_999, "2024-02-29T23:59:59Z"),
            (1_795_383_307_000, "2026-11-22T21:35:07Z"),
            (-1, "1969-12-31T23:59:59Z"),
        ];
        for (ms, told) in cases {
            assert_eq!(iso(Time::from_ms(ms)), told);
        }
    }

    #[test]
    fn nothing_in_a_text_means_anything() {
        let cases = [
            ("a|b <img src=x> `c` [l](u)", "a\\|b \\<img src=x\\> \\`c\\` \\[l\\]\\(u\\)"),
            ("\u{1b}[31mred\u{7}", "\\[31mred"),
            ("see https://x.y and www.z.w", "see https\\://x.y and www\\.z.w"),
            ("1. one", "1\\. one"),
            ("- dash\nnext", "\\- dash next"),
            ("\u{202e}evil", "evil"),
        ];
        for (text, safe) in cases {
            assert_eq!(inline(text), safe);
        }
        assert_eq!(block(["a", "````", "\u{1b}[2Jb"]), "`````text\na\n````\n[2Jb\n`````\n");
    }
}
