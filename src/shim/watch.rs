//! The loop of a shim: terminal -> log and views, orders in, the step's end out. One poll, nobody is waited for.

use std::collections::VecDeque;
use std::os::fd::OwnedFd;
use std::process::ExitCode;
use std::rc::Rc;

use base64::Engine as _;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use rustix::process::{Pid, Signal, WaitOptions, WaitStatus, wait};

use super::descend;
use super::end::{Ending, Phase};
use super::newcomers::Newcomer;
use super::views::{Recent, View, Wish};
use super::{Error, Owned, step};
use crate::attempt::log::{Stamp, Writer, again};
use crate::attempt::record::signal_name;
use crate::secrets::Mask;
use crate::wire::keeper::StopReason;
use crate::wire::lines::{Lines, Lost};
use crate::wire::shim::{End, Frame, FromShim, MAX_FRAME, ToShim};
use crate::{clock, faults, spawn};

/// The most that waits to be typed; beyond it the step is not reading.
const TYPED: usize = 64 * 1024;
/// After so long a program is asked to draw anew what a view has lost: at most twice a second, also in a flood.
const REPAINT_MS: i64 = 500;
/// How much is read from the terminal before the log gets it.
const BATCH: usize = MAX_FRAME;

/// See the module's description.
pub(super) struct Watch {
    pub(super) owned: Owned,
    pub(super) log: Writer,
    /// Hides the values of the step's secrets; `None` where it has none.
    mask: Option<Mask>,
    pub(super) recent: Recent,
    pub(super) ending: Ending,
    pub(super) step: Option<Pid>,
    pub(super) views: Vec<View>,
    pub(super) keepers: Vec<Lines>,
    pub(super) newcomers: Vec<Newcomer>,
    pub(super) listener: Option<OwnedFd>,
    typed: VecDeque<u8>,
    pub(super) size: (u16, u16),
    epoch: u64,
    batch: Vec<u8>,
    /// When the step's program is asked to draw its screen anew (boot time, milliseconds).
    repaint: Option<i64>,
}

/// What poll found.
pub(super) struct Ready {
    terminal: PollFlags,
    children: bool,
    listener: bool,
    keepers: Vec<PollFlags>,
    newcomers: Vec<PollFlags>,
    views: Vec<PollFlags>,
}

impl Watch {
    /// Starts the step.
    pub(super) fn new(owned: Owned, keeper: Lines, listener: Option<OwnedFd>) -> Result<Self, Error> {
        let launch = &owned.order.launch;
        let log = Writer::new(again(&owned.dir)?, launch.log_half);
        let mask = Some(Mask::new(launch.secrets.values())).filter(|mask| !mask.is_idle());
        let (size, epoch) = ((launch.rows, launch.cols), launch.epoch);
        let mut watch = Self {
            ending: Ending::begin(),
            owned,
            log,
            mask,
            recent: Recent::default(),
            step: None,
            views: Vec::new(),
            keepers: vec![keeper],
            newcomers: Vec::new(),
            listener,
            typed: VecDeque::new(),
            size,
            epoch,
            batch: vec![0; BATCH],
            repaint: None,
        };
        watch.start();
        Ok(watch)
    }

    fn start(&mut self) {
        faults::crash_point("shim.before-spawn");
        match step::start(&self.owned.order.launch, &self.owned.pty, &mut self.owned.oom_score) {
            Ok(pid) => self.step = Some(pid),
            Err(not_started) => {
                self.take_output(format!("[dogwatch: {}]\r\n", not_started.why).as_bytes());
                self.ending.end = Some(not_started.end);
            }
        }
        faults::crash_point("shim.after-spawn");
    }

    /// Until the step has ended and that is on disk.
    pub(super) fn run(mut self) -> ExitCode {
        while self.advance() {
            let ready = self.wait();
            if ready.terminal.intersects(PollFlags::IN | PollFlags::HUP | PollFlags::ERR) {
                self.pump(BATCH);
            }
            if ready.children {
                self.reap();
            }
            self.serve(&ready);
            self.have_repainted();
        }
        self.close();
        ExitCode::SUCCESS
    }

    pub(super) fn wait(&self) -> Ready {
        let readable = |waiting: bool| {
            if waiting { PollFlags::IN | PollFlags::OUT } else { PollFlags::IN }
        };
        let mut fds = vec![
            PollFd::new(&self.owned.pty.master, readable(!self.typed.is_empty())),
            PollFd::new(&self.owned.children, PollFlags::IN),
        ];
        fds.extend(self.keepers.iter().map(|keeper| PollFd::new(keeper, readable(keeper.is_waiting()))));
        fds.extend(self.newcomers.iter().map(|one| PollFd::new(&one.lines, readable(one.lines.is_waiting()))));
        fds.extend(self.views.iter().map(|view| PollFd::new(view, readable(view.is_waiting()))));
        fds.extend(self.listener.iter().map(|listener| PollFd::new(listener, PollFlags::IN)));
        let newcomers = self.newcomers.iter().map(|one| one.until);
        let until = self.ending.next_deadline().into_iter().chain(newcomers).chain(self.repaint).min();
        let left = until.map(|until| (until - clock::boottime_ms()).max(0));
        let timeout = left.map(|left| Timespec { tv_sec: left / 1000, tv_nsec: (left % 1000) * 1_000_000 });
        // Interrupted or refused for want of memory: everything is looked at anew in the next turn.
        let _ = poll(&mut fds, timeout.as_ref());
        let mut found = fds.iter().map(PollFd::revents);
        let mut next = || found.next().unwrap_or(PollFlags::empty());
        let mut some = |number: usize| (0..number).map(|_| next()).collect::<Vec<_>>();
        let fixed = some(2);
        let (keepers, newcomers, views) =
            (some(self.keepers.len()), some(self.newcomers.len()), some(self.views.len()));
        let listener = some(1)[0];
        Ready {
            terminal: fixed[0],
            children: !fixed[1].is_empty(),
            listener: !listener.is_empty(),
            keepers,
            newcomers,
            views,
        }
    }

    /// Takes what the terminal holds, at most `limit` bytes; tells how many there were.
    pub(super) fn pump(&mut self, limit: usize) -> usize {
        let mut filled = 0;
        let mut batch = std::mem::take(&mut self.batch);
        while filled < limit.min(batch.len()) {
            match rustix::io::read(&self.owned.pty.master, &mut batch[filled..]) {
                Ok(0) => break,
                Ok(read) => filled += read,
                Err(Errno::INTR) => {}
                // AGAIN: that is all for now. The kernel flushes a terminal before it says so.
                Err(_) => break,
            }
        }
        if filled > 0 {
            self.take_output(&batch[..filled]);
        }
        self.batch = batch;
        filled
    }

    fn take_output(&mut self, bytes: &[u8]) {
        match &mut self.mask {
            None => self.put_out(bytes),
            Some(mask) => {
                let shown = mask.push(bytes);
                self.put_out_all(&shown);
            }
        }
    }

    /// What was held back because it may have become a secret: nothing more comes, as far as is known.
    pub(super) fn let_out(&mut self) {
        if let Some(rest) = self.mask.as_mut().map(Mask::rest) {
            self.put_out_all(&rest);
        }
    }

    /// Much may come out at once.
    fn put_out_all(&mut self, bytes: &[u8]) {
        bytes.chunks(MAX_FRAME).for_each(|piece| self.put_out(piece));
    }

    fn put_out(&mut self, bytes: &[u8]) {
        self.log.append(bytes, self.stamp());
        self.recent.push(bytes);
        if !self.views.is_empty() {
            let frame: Rc<[u8]> = Frame::Output.of(bytes).into();
            let recent = &self.recent;
            self.views.retain_mut(|view| {
                view.show(&frame);
                view.flush(recent).is_ok()
            });
        }
    }

    fn stamp(&self) -> Stamp {
        let (rows, cols) = self.size;
        Stamp { offset: 0, boottime_ms: clock::boottime_ms(), wall_ms: clock::wall_ms(), rows, cols }
    }

    /// Collects everything that has ended: the step, and whatever it abandoned.
    pub(super) fn reap(&mut self) {
        let mut block = [0u8; 64];
        while rustix::io::read(&self.owned.children, &mut block[..]).is_ok_and(|read| read > 0) {}
        while let Ok(Some((pid, status))) = wait(WaitOptions::NOHANG) {
            if Some(pid) == self.step
                && let Some(end) = end_of(status)
            {
                self.ending.end = Some(end);
            }
        }
    }

    fn serve(&mut self, ready: &Ready) {
        self.serve_views(&ready.views);
        self.serve_keepers(&ready.keepers);
        self.serve_newcomers(&ready.newcomers);
        if ready.listener {
            self.accept();
        }
        if ready.terminal.contains(PollFlags::OUT) {
            self.type_on();
        }
    }

    pub(super) fn serve_views(&mut self, found: &[PollFlags]) {
        let mut wishes = Vec::new();
        let mut found = found.iter();
        let recent = &self.recent;
        self.views.retain_mut(|view| {
            let found = found.next().copied().unwrap_or(PollFlags::empty());
            if found.intersects(PollFlags::IN | PollFlags::HUP | PollFlags::ERR) {
                match view.receive() {
                    Ok(said) => wishes.extend(said),
                    Err(_) => return false,
                }
            }
            !found.contains(PollFlags::OUT) || view.flush(recent).is_ok()
        });
        self.grant(wishes);
    }

    /// A view that fell behind shows a part of what was drawn. A program that has the screen to itself is told that its
    /// terminal has changed, as if somebody had resized it: it draws everything anew, and nothing else of it changes.
    fn have_repainted(&mut self) {
        let now = clock::boottime_ms();
        // Each of them is asked.
        let fresh = self.views.iter_mut().map(View::takes_fresh).filter(|fresh| *fresh).count();
        if fresh > 0 && self.recent.is_torn() && self.repaint.is_none() {
            self.repaint = Some(now + REPAINT_MS);
        }
        if self.repaint.is_some_and(|due| due <= now) {
            self.repaint = None;
            if let Ok(group) = rustix::termios::tcgetpgrp(&self.owned.pty.master) {
                // Nobody is there any more: then there is nothing to draw.
                let _ = rustix::process::kill_process_group(group, Signal::WINCH);
            }
        }
    }

    pub(super) fn grant(&mut self, wishes: Vec<Wish>) {
        for wish in wishes {
            match wish {
                Wish::Type(bytes) => self.type_in(&bytes),
                Wish::Resize { rows, cols } => self.resize(rows, cols),
            }
        }
    }

    fn serve_keepers(&mut self, found: &[PollFlags]) {
        let mut orders = Vec::new();
        let mut found = found.iter();
        self.keepers.retain_mut(|keeper| {
            let found = found.next().copied().unwrap_or(PollFlags::empty());
            found.is_empty() || hear(keeper, &mut orders).is_ok()
        });
        for order in orders {
            self.obey(order);
        }
    }

    pub(super) fn obey(&mut self, order: ToShim) {
        let (ToShim::Stop { epoch, .. } | ToShim::Input { epoch, .. }) = &order;
        if *epoch < self.epoch {
            let why = format!("the order is of an older engine (epoch {epoch}, a newer one is {})", self.epoch);
            return self.tell(&FromShim::Declined { why });
        }
        self.epoch = *epoch;
        match order {
            ToShim::Stop { grace_ms, reason, save, .. } => self.stop(grace_ms, reason, save),
            ToShim::Input { bytes, .. } => match base64::engine::general_purpose::STANDARD.decode(&bytes) {
                Ok(bytes) => self.type_in(&bytes),
                Err(error) => self.tell(&FromShim::Declined { why: format!("the input is not base64: {error}") }),
            },
        }
    }

    fn stop(&mut self, grace_ms: u64, reason: StopReason, save: Option<i32>) {
        let Some(step) = self.step else { return };
        let now = clock::boottime_ms();
        if let Some(signal) = save.filter(|_| self.ending.may_save()) {
            let told = descend::ask_to_save(signal);
            let name = signal_name(signal);
            if told > 0 {
                self.ending.save(reason, grace_ms, now);
                let words =
                    format!("[dogwatch: {name} to {told} process(es), so that they save; {grace_ms} ms for it]");
                return self.take_output(format!("{words}\r\n").as_bytes());
            }
            self.take_output(format!("[dogwatch: none of its processes handles {name}]\r\n").as_bytes());
        }
        if self.ending.stop(reason, grace_ms, now) {
            descend::ask_to_end(step);
        }
    }

    pub(super) fn tell(&mut self, message: &FromShim) {
        self.keepers.retain_mut(|keeper| keeper.say(message).is_ok());
    }

    fn type_in(&mut self, bytes: &[u8]) {
        if self.typed.len() + bytes.len() > TYPED {
            return self.tell(&FromShim::Declined { why: "the step does not read what is typed".into() });
        }
        self.typed.extend(bytes);
        self.type_on();
    }

    fn type_on(&mut self) {
        while !self.typed.is_empty() {
            let (first, _) = self.typed.as_slices();
            match rustix::io::write(&self.owned.pty.master, first) {
                Ok(written) => drop(self.typed.drain(..written)),
                Err(Errno::INTR) => {}
                Err(_) => return,
            }
        }
    }

    fn resize(&mut self, rows: u16, cols: u16) {
        let size = (rows.max(2), cols.max(2));
        if size == self.size || spawn::set_size(&self.owned.pty.master, size.0, size.1).is_err() {
            return;
        }
        self.size = size;
        self.log.resized(self.stamp());
        self.tell(&FromShim::Sized { rows: size.0, cols: size.1 });
    }

    /// What to do next; false when the shim has nothing left to do.
    fn advance(&mut self) -> bool {
        let now = clock::boottime_ms();
        let left = if self.ending.needs_census() { descend::descendants() } else { Vec::new() };
        match self.ending.next(now, left) {
            Phase::Running | Phase::Waiting => true,
            Phase::Saved => {
                if let Some(step) = self.step {
                    descend::ask_to_end(step);
                }
                true
            }
            Phase::Ask(left) => {
                descend::signal_all(&left, Signal::TERM);
                descend::signal_all(&left, Signal::CONT);
                true
            }
            Phase::Kill(left) => {
                descend::signal_all(&left, Signal::KILL);
                true
            }
            Phase::Record(left) => self.record(left),
        }
    }
}

fn end_of(status: WaitStatus) -> Option<End> {
    status.exit_status().map(End::Code).or_else(|| status.terminating_signal().map(End::Signal))
}

pub(super) fn hear(keeper: &mut Lines, orders: &mut Vec<ToShim>) -> Result<(), Lost> {
    let received = keeper.receive();
    while let Some(order) = keeper.take()? {
        orders.push(order);
    }
    received?;
    keeper.flush()
}
