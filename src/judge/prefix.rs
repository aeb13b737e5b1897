//! What stands before a line that its program did not write: which worker it was, and the time at which somebody collected it.
//! Patterns that begin with a line would not see it otherwise, and the same words at another time would be other words.

/// The line without what says which worker wrote it, as torchrun, mpirun and srun put it before the text.
pub(super) fn of_no_worker(line: &str) -> &str {
    let Some(rest) = line.strip_prefix('[') else { return line };
    match rest.split_once(']') {
        Some((name, rest)) if name.len() <= 24 && is_worker(name) => {
            let rest = rest.strip_prefix("<stderr>").or_else(|| rest.strip_prefix("<stdout>")).unwrap_or(rest);
            let rest = rest.strip_prefix(':').unwrap_or(rest);
            rest.strip_prefix(' ').unwrap_or(rest)
        }
        Some(_) | None => line,
    }
}

/// The line as its program wrote it.
pub(super) fn bare(line: &str) -> &str {
    let line = of_no_worker(line);
    let line = match line.bytes().next() {
        Some(b'[') => bracketed(line),
        Some(b'#') => built(line),
        Some(b'(') => of_ray(line),
        Some(b'0'..=b'9') => stamped(line),
        Some(byte) if byte.is_ascii_alphabetic() => of_compose(line),
        Some(_) | None => None,
    }
    .unwrap_or(line);
    of_no_worker(line)
}

/// `rank3`, `1,0` or `7`: names of workers have a number; names of levels have none.
fn is_worker(name: &str) -> bool {
    name.ends_with(|c: char| c.is_ascii_digit())
        && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b',')
}

/// `[2026-01-02T03:04:05.678Z] ` or `[03:04:05] `.
fn bracketed(line: &str) -> Option<&str> {
    let (stamp, rest) = line[1..].split_once("] ")?;
    (is_moment(stamp) || has_shape(stamp, "00:00:00")).then_some(rest)
}

/// `2026-01-02T03:04:05.6789012Z `.
fn stamped(line: &str) -> Option<&str> {
    let (stamp, rest) = line.split_once(' ')?;
    is_moment(stamp).then_some(rest)
}

/// `BuildKit`'s `#12 3.456 `.
fn built(line: &str) -> Option<&str> {
    let mut parts = line[1..].splitn(3, ' ');
    let (step, time, rest) = (parts.next()?, parts.next()?, parts.next()?);
    let is_number = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    let is_time = time.split_once('.').is_some_and(|(whole, part)| is_number(whole) && is_number(part));
    (is_number(step) && is_time).then_some(rest)
}

/// Ray's `(Trainer pid=4242, ip=10.0.0.2) `.
fn of_ray(line: &str) -> Option<&str> {
    let (who, rest) = line[1..].split_once(") ")?;
    let (_, pid) = who.split_once("pid=")?;
    (who.len() <= 80 && pid.starts_with(|c: char| c.is_ascii_digit())).then_some(rest)
}

/// Compose's `web-1  | `: a name with a number.
fn of_compose(line: &str) -> Option<&str> {
    const LONGEST: usize = 48;
    let head = &line.as_bytes()[..line.len().min(LONGEST)];
    let bar = memchr::memchr(b'|', head)?;
    let name = line[..bar].trim_end();
    let (rest, number) = (line[bar + 1..].strip_prefix(' ')?, name.rsplit(['-', '_']).next()?);
    let is_name = name.len() < bar
        && (1..name.len()).contains(&number.len())
        && number.bytes().all(|byte| byte.is_ascii_digit())
        && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte));
    is_name.then_some(rest)
}

/// A moment as of RFC 3339, as far as it matters here.
fn is_moment(stamp: &str) -> bool {
    const SHAPE: &str = "0000-00-00T00:00:00";
    const LONGEST: usize = "0000-00-00T00:00:00.000000000+00:00".len();
    stamp.len() <= LONGEST
        && stamp.get(..SHAPE.len()).is_some_and(|whole| has_shape(whole, SHAPE))
        && stamp[SHAPE.len()..].bytes().all(|byte| byte.is_ascii_digit() || b".,Z+-:".contains(&byte))
}

/// Whether it is the same, with any digits for those of `shape`.
fn has_shape(text: &str, shape: &str) -> bool {
    let same = |(byte, of): (u8, u8)| if of == b'0' { byte.is_ascii_digit() } else { byte == of };
    text.len() == shape.len() && text.bytes().zip(shape.bytes()).all(same)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_wrote_it_and_when_is_no_part_of_a_line() {
        for (line, rest) in [
            ("[rank0]:   File \"x\", line 1", "  File \"x\", line 1"),
            ("[1,0]<stderr>: x", "x"),
            ("[a b] x", "[a b] x"),
            ("2026-01-02T03:04:05.1234567Z --- FAIL: TestX (0.1s)", "--- FAIL: TestX (0.1s)"),
            ("2026-01-02T03:04:05.123456789+01:00   File \"x\", line 1", "  File \"x\", line 1"),
            ("2026-01-02T03:04:05Z [rank3]: x", "x"),
            ("[2026-01-02T03:04:05.123Z] [ERROR] x", "[ERROR] x"),
            ("[03:04:05] test result: FAILED. 1 passed", "test result: FAILED. 1 passed"),
            ("2026-01-02 03:04:05 ERROR x", "2026-01-02 03:04:05 ERROR x"),
            ("03:04:05 x", "03:04:05 x"),
            ("[2026-01-02T03:04:05.123Z]", "[2026-01-02T03:04:05.123Z]"),
            ("#14 0.500 error: x", "error: x"),
            ("#14 [build 3/5] RUN make", "#14 [build 3/5] RUN make"),
            ("# 1.5 x", "# 1.5 x"),
            ("(Trainer pid=4242, ip=10.0.0.2) ValueError: x", "ValueError: x"),
            ("(no pid) x", "(no pid) x"),
            ("web-1  | Error: x", "Error: x"),
            ("id | name", "id | name"),
            ("row1 | x", "row1 | x"),
            ("web- | x", "web- | x"),
            ("é|", "é|"),
            ("", ""),
        ] {
            assert_eq!(bare(line), rest, "{line}");
        }
    }
}
