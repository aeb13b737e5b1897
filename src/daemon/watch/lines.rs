//! Lines that are whole: what is left of one after a gap, or of one that is too long to be kept, is none. Knows no log.

/// Longer lines are left out, in bytes.
const LONGEST: usize = 256 * 1024;

/// Cuts a stream with gaps into its whole lines.
#[derive(Debug, Default)]
pub(super) struct WholeLines {
    /// The line that has no end yet.
    rest: Vec<u8>,
    /// The beginning of this line is missing.
    cut: bool,
}

impl WholeLines {
    /// More of the stream, up to the offset `next`: tells each whole line without its end, and the offset behind it.
    pub(super) fn feed(&mut self, bytes: &[u8], next: u64, mut each: impl FnMut(&[u8], u64)) {
        self.rest.extend_from_slice(bytes);
        let first = next.saturating_sub(self.rest.len() as u64);
        let mut begin = 0;
        while let Some(length) = memchr::memchr(b'\n', &self.rest[begin..]) {
            let end = begin + length;
            if !std::mem::take(&mut self.cut) {
                each(&self.rest[begin..end], first + end as u64 + 1);
            }
            begin = end + 1;
        }
        self.rest.drain(..begin);
        if self.rest.len() > LONGEST {
            self.gap();
        }
    }

    /// Something was left out here.
    pub(super) fn gap(&mut self) {
        self.rest.clear();
        self.cut = true;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(lines: &mut WholeLines, bytes: &[u8], next: u64) -> Vec<(String, u64)> {
        let mut all = Vec::new();
        lines.feed(bytes, next, |line, end| all.push((String::from_utf8_lossy(line).into_owned(), end)));
        all
    }

    #[test]
    fn half_a_line_is_none() {
        let mut lines = WholeLines::default();
        let one = |text: &str, end| vec![(text.to_owned(), end)];
        assert_eq!(told(&mut lines, b"first\nsaved ", 12), one("first", 6));
        assert_eq!(told(&mut lines, b"ckpt-1\nsaved ck", 27), one("saved ckpt-1", 19));
        // The end of the line and the beginning of another one are left out.
        lines.gap();
        assert_eq!(told(&mut lines, b"pt-99\nsaved ckpt-100\n", 1022), one("saved ckpt-100", 1022));
        let long = vec![b'x'; LONGEST + 1];
        assert_eq!(told(&mut lines, &long, 300_000), []);
        assert_eq!(told(&mut lines, b"saved ckpt-2\nsaved ckpt-3\n", 300_026), one("saved ckpt-3", 300_026));
    }
}
