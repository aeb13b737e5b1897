//! Bytes that come in any pieces, cut into lines. Keeps no more than one window of an unfinished line.

/// Longer lines are judged in windows of this many bytes.
const WINDOW: usize = 8 * 1024;

/// Two windows share this many bytes, so that what stands at a seam is seen.
const SHARED: usize = 256;

/// One piece of output: a line, or a window of a long one.
pub(super) struct Piece<'b> {
    pub(super) bytes: &'b [u8],
    /// Counted from 1.
    pub(super) number: u64,
}

/// The unfinished line.
#[derive(Debug, Default)]
pub(super) struct Lines {
    open: Vec<u8>,
    /// Lines that are over.
    over: u64,
}

impl Lines {
    /// Hands over every line that is complete; of a long one also what fills a window.
    pub(super) fn feed(&mut self, mut chunk: &[u8], mut each: impl FnMut(Piece<'_>)) {
        while let Some(end) = memchr::memchr(b'\n', chunk) {
            let (line, rest) = chunk.split_at(end);
            chunk = &rest[1..];
            let number = self.over + 1;
            if self.open.is_empty() {
                let last = windows(line, number, &mut each);
                each(Piece { bytes: last, number });
            } else {
                self.extend(line, &mut each);
                each(Piece { bytes: &self.open, number });
                self.open.clear();
            }
            self.over = number;
        }
        self.extend(chunk, &mut each);
    }

    /// Hands over a last line that has no end.
    pub(super) fn finish(&mut self, each: impl FnOnce(Piece<'_>)) {
        if !self.open.is_empty() {
            each(Piece { bytes: &self.open, number: self.over + 1 });
            self.open.clear();
        }
    }

    fn extend(&mut self, mut more: &[u8], each: &mut impl FnMut(Piece<'_>)) {
        let number = self.over + 1;
        while self.open.len() + more.len() > WINDOW {
            let (now, later) = more.split_at(WINDOW - self.open.len());
            self.open.extend_from_slice(now);
            more = later;
            each(Piece { bytes: &self.open, number });
            self.open.drain(..WINDOW - SHARED);
        }
        self.open.extend_from_slice(more);
    }
}

/// Hands over the full windows of a line; what is left is its last one.
fn windows<'b>(mut line: &'b [u8], number: u64, each: &mut impl FnMut(Piece<'_>)) -> &'b [u8] {
    while line.len() > WINDOW {
        each(Piece { bytes: &line[..WINDOW], number });
        line = &line[WINDOW - SHARED..];
    }
    line
}
