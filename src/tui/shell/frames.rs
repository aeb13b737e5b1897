//! When the screen waits, for what, and when it draws: nothing is drawn that nobody waits for.

use std::os::fd::AsFd;

use rustix::event::{PollFd, PollFlags, Timespec, poll};

use super::pace::Pace;
use super::panes::book::Book;
use super::{ECHO_MS, HELD_MS, Shell};
use crate::clock::boottime_ms;
use crate::faults::panic_point;
use crate::tui::message::{LiveKind, Message};
use crate::tui::{update, view};

impl Shell {
    /// Until somebody has something to say, a log grows, the live terminal moves, or it is time for something.
    pub(super) fn wait(&mut self) -> std::io::Result<()> {
        let patience = self.patience_ms();
        let timeout = Timespec { tv_sec: patience / 1000, tv_nsec: (patience % 1000) * 1_000_000 };
        let (logs, live) = self.panes.fds();
        let mut fds = vec![
            PollFd::from_borrowed_fd(self.wake.as_fd(), PollFlags::IN),
            PollFd::from_borrowed_fd(logs, PollFlags::IN),
        ];
        if let Some((fd, writes)) = live {
            fds.push(PollFd::from_borrowed_fd(fd, if writes { PollFlags::IN | PollFlags::OUT } else { PollFlags::IN }));
        }
        match poll(&mut fds, Some(&timeout)) {
            Ok(_) => {}
            Err(rustix::io::Errno::INTR) => return Ok(()),
            Err(errno) => return Err(errno.into()),
        }
        let ready: Vec<bool> = fds.iter().map(|fd| !fd.revents().is_empty()).collect();
        drop(fds);
        if ready[0] {
            let mut count = [0u8; 8];
            // Somebody else's look may have taken it; the queue is looked at in any case.
            let _ = rustix::io::read(&self.wake, &mut count);
        }
        if ready[1] {
            self.dirty |= self.panes.grew();
        }
        if ready.get(2) == Some(&true) || self.panes.behind() {
            let (changed, ended) = self.panes.poll_live();
            self.dirty |= changed;
            if let Some((lane, kind)) = ended {
                self.panes.close(&lane, kind);
                if kind != LiveKind::Look {
                    self.tell(Message::LiveEnded { lane, kind });
                }
            }
        }
        Ok(())
    }

    /// How long nothing has to be done, in milliseconds.
    fn patience_ms(&self) -> i64 {
        let now = boottime_ms();
        let frame = self.dirty.then(|| self.due_ms());
        let held = self.holds().then(|| self.typed_ms + HELD_MS);
        let beat = self.model.ticks().then(|| now + 1_000 - (now + self.ahead_ms).rem_euclid(1_000));
        let busy = self.panes.behind() || self.panes.book.as_ref().is_some_and(Book::busy);
        let behind = busy.then_some(now);
        // While somebody attaches nothing is looked at.
        let look = self.panes.look_due_ms().filter(|_| self.model.attached.is_none());
        let over = self.model.expires_ms().map(|at| at - self.ahead_ms);
        let next = [frame, held, beat, behind, look, over].into_iter().flatten().min();
        next.map_or(3_600_000, |at| (at - now).max(0))
    }

    /// When the next frame may be drawn.
    fn due_ms(&self) -> i64 {
        let pace = Pace {
            drawn_ms: self.drawn_ms,
            sent_ms: self.sent_ms,
            echo: self.model.attached.is_some() && self.sent_ms < self.typed_ms + ECHO_MS,
            hurry: self.hurry,
            behind: self.panes.behind(),
            budget_ms: self.budget.due_ms(),
        };
        pace.due_ms()
    }

    pub(super) fn time_goes_on(&mut self) {
        let now = boottime_ms();
        if self.holds() && now >= self.typed_ms + HELD_MS {
            let before = self.watch.keys();
            let held = self.pointer.flush();
            let mut bytes = self.watch.feed(&held).pass;
            bytes.extend(self.watch.flush());
            self.pass(bytes, before);
        }
        let beat = (now + self.ahead_ms).div_euclid(1_000) != (self.drawn_ms + self.ahead_ms).div_euclid(1_000);
        let over = self.model.expires_ms().is_some_and(|at| at <= now + self.ahead_ms);
        if over || (self.model.ticks() && beat) {
            self.tell(Message::Tick);
        }
    }

    pub(super) fn draw_if_due(&mut self) -> std::io::Result<()> {
        let now = boottime_ms();
        if !self.dirty || now < self.due_ms() {
            return Ok(());
        }
        self.dirty = false;
        self.hurry = false;
        self.drawn_ms = now;
        self.model.now_ms = now + self.ahead_ms;
        let flood = self.panes.settle(&mut self.model);
        self.dirty = self.panes.unsettled();
        panic_point("screen.draw");
        let (model, panes) = (&self.model, &self.panes);
        let sent = self.screen.draw(|buf| view::view(model, panes, buf))?;
        if sent > 0 {
            // Writing may have taken long: the next frame is counted from its end.
            let now = boottime_ms();
            self.sent_ms = now;
            self.budget.spend(sent, flood, now);
        }
        // Writing may have taken long: what a prompt ignores is counted from here.
        self.model.now_ms = boottime_ms() + self.ahead_ms;
        update::drawn(&mut self.model);
        // Only by taking in what was written it is known how a program writes.
        self.look_at_terminal();
        self.screen.title(&view::title(&self.model))
    }
}
