//! The writing side of the log, for the shim.
//!
//! It never fails and never waits: what the disk does not take is dropped and counted, and tried anew with the next
//! bytes. A step must not notice that the disk is full.

use std::collections::VecDeque;
use std::os::fd::OwnedFd;

use rustix::fs::{AtFlags, Mode, OFlags, openat, unlinkat};
use rustix::io::Errno;

use super::{Stamp, TIMES, segment_name, times};

/// Beyond this length of `log.times` a new size alone is not noted: somebody plays with the window.
const MOST_STAMPS: u64 = 8 * 1024 * 1024;

/// Appends to the log of one attempt.
#[derive(Debug)]
pub struct Writer {
    dir: OwnedFd,
    half: u64,
    /// The file that is being appended to and the offset at which it is full.
    current: Option<(OwnedFd, u64)>,
    /// Starts of the segments after the head, oldest first.
    segments: VecDeque<u64>,
    offset: u64,
    dropped: u64,
    /// Dropped since the last marker, and why.
    unmarked: Option<(u64, Errno)>,
    times: Option<OwnedFd>,
    times_len: u64,
    stamped: Option<Stamp>,
}

impl Writer {
    /// A writer for the attempt directory `dir`, keeping `half` bytes of the start and of the end.
    pub fn new(dir: OwnedFd, half: u64) -> Self {
        Self {
            dir,
            half: half.max(2),
            current: None,
            segments: VecDeque::new(),
            offset: 0,
            dropped: 0,
            unmarked: None,
            times: None,
            times_len: 0,
            stamped: None,
        }
    }

    /// Length of the stream so far.
    pub fn offset(&self) -> u64 {
        self.offset
    }

    /// Bytes that no disk space was found for.
    pub fn dropped(&self) -> u64 {
        self.dropped
    }

    /// Appends `bytes`; `now` is the time and the size of the terminal.
    pub fn append(&mut self, bytes: &[u8], now: Stamp) {
        if let Err((rest, why)) = self.mark().and_then(|()| self.put(bytes)) {
            let lost = if rest == usize::MAX { bytes.len() } else { rest } as u64;
            self.dropped += lost;
            self.unmarked = Some((self.unmarked.map_or(0, |(before, _)| before) + lost, why));
        }
        self.stamp(now);
    }

    /// Says in the log that something is missing, if so. `Err` carries `usize::MAX`: nothing of the caller's was taken.
    fn mark(&mut self) -> Result<(), (usize, Errno)> {
        let Some((lost, why)) = self.unmarked else {
            return Ok(());
        };
        let start = self.offset;
        let line = format!("\r\n[dogwatch: {lost} bytes of output are lost here: {}]\r\n", std::io::Error::from(why));
        match self.put(line.as_bytes()) {
            Ok(()) => {
                self.unmarked = None;
                Ok(())
            }
            Err((_, why)) => {
                self.take_back(start);
                Err((usize::MAX, why))
            }
        }
    }

    /// Removes half a marker, unless a segment ended in it.
    fn take_back(&mut self, start: u64) {
        if let Some((file, _)) = &self.current {
            let segment = self.segments.back().copied().unwrap_or(0);
            if start >= segment && rustix::fs::ftruncate(file, start - segment).is_ok() {
                self.offset = start;
            }
        }
    }

    /// Writes all of `bytes`, or tells how many were not taken.
    fn put(&mut self, bytes: &[u8]) -> Result<(), (usize, Errno)> {
        let mut rest = bytes;
        while !rest.is_empty() {
            let offset = self.offset;
            let (file, full_at) = self.file().map_err(|why| (rest.len(), why))?;
            let room = usize::try_from(full_at - offset).unwrap_or(usize::MAX).min(rest.len());
            let written = rustix::io::retry_on_intr(|| rustix::io::write(file, &rest[..room]))
                .map_err(|why| (rest.len(), why))?;
            self.offset += written as u64;
            rest = &rest[written..];
        }
        Ok(())
    }

    /// The file that the next byte belongs in.
    fn file(&mut self) -> Result<(&OwnedFd, u64), Errno> {
        if self.current.as_ref().is_none_or(|(_, full_at)| *full_at == self.offset) {
            let flags =
                OFlags::WRONLY | OFlags::APPEND | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
            if self.offset > 0 {
                self.forget_oldest();
            }
            let file = openat(&self.dir, segment_name(self.offset), flags, Mode::RUSR | Mode::WUSR)?;
            let size = if self.offset == 0 { self.half } else { self.half / 2 };
            if self.offset > 0 {
                self.segments.push_back(self.offset);
            }
            self.current = Some((file, self.offset + size));
        }
        let (file, full_at) = self.current.as_ref().ok_or(Errno::BADF)?;
        Ok((file, *full_at))
    }

    /// Drops segments from the front as long as the others cover `half` bytes.
    fn forget_oldest(&mut self) {
        while let Some(second) = self.segments.get(1)
            && self.offset - second >= self.half
            && let Some(oldest) = self.segments.pop_front()
        {
            let _ = unlinkat(&self.dir, segment_name(oldest), AtFlags::empty());
        }
    }

    fn stamp(&mut self, now: Stamp) {
        let now = Stamp { offset: self.offset, ..now };
        let due = self.stamped.is_none_or(|last| {
            now.offset > last.offset && now.boottime_ms - last.boottime_ms >= times::distance_ms(self.times_len)
        });
        if due {
            self.write_stamp(now);
        }
    }

    /// Notes that the terminal has another size now.
    pub fn resized(&mut self, now: Stamp) {
        if self.times_len < MOST_STAMPS {
            self.write_stamp(Stamp { offset: self.offset, ..now });
        }
    }

    /// Failing is harmless: the next one will do.
    fn write_stamp(&mut self, now: Stamp) {
        if self.times.is_none() {
            let flags =
                OFlags::WRONLY | OFlags::APPEND | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
            self.times = openat(&self.dir, TIMES, flags, Mode::RUSR | Mode::WUSR).ok();
        }
        let line = now.line();
        if let Some(times) = &self.times {
            match rustix::io::write(times, line.as_bytes()) {
                Ok(written) if written == line.len() => {
                    self.times_len += line.len() as u64;
                    self.stamped = Some(now);
                }
                Ok(_) | Err(_) => {
                    let _ = rustix::fs::ftruncate(times, self.times_len);
                }
            }
        }
    }

    /// Brings what was written to the disk; failing is harmless, for the exit record does not depend on it.
    pub fn sync(&mut self) {
        let _ = self.mark();
        if let Some((file, _)) = &self.current {
            let _ = rustix::fs::fdatasync(file);
        }
    }
}
