//! The pane that is a terminal: typed into, a shell beside a step, or only looked at. There is at most one.

use std::os::fd::{BorrowedFd, OwnedFd};

use ratatui::layout::Rect;

use super::look::{Step, Wanted};
use super::{Panes, Picture, inner};
use crate::clock::boottime_ms;
use crate::screen::{Live, Size as Cells, Work};
use crate::tui::draw::{Room, layout};
use crate::tui::message::LiveKind;
use crate::tui::model::{LaneKey, Model, Size, Stage};
use crate::tui::page::panes::shown;
use crate::tui::shell::pointer::Wants;

/// See the module's description.
pub(super) struct LivePane {
    pub(super) lane: LaneKey,
    pub(super) kind: LiveKind,
    pub(super) live: Live,
    /// Where its cells stand on the screen.
    area: Rect,
    behind: bool,
    /// It has said something.
    pub(super) drawn: bool,
}

impl Panes {
    /// What is to be polled: the logs, and the live terminal with whether something waits to be written to it.
    pub(in crate::tui::shell) fn fds(&self) -> (BorrowedFd<'_>, Option<(BorrowedFd<'_>, bool)>) {
        (self.watch.fd(), self.live.as_ref().map(|pane| (pane.live.fd(), pane.live.wants_to_write())))
    }

    /// The live terminal said more than was taken in: do not wait.
    pub(in crate::tui::shell) fn behind(&self) -> bool {
        self.live.as_ref().is_some_and(|pane| pane.behind)
    }

    /// Before a frame: the live terminal gets the size of its pane, or, where it is only looked at, keeps up with its own.
    pub(super) fn fit_live(&mut self, model: &Model) {
        let looked = self.live.as_ref().filter(|pane| pane.kind == LiveKind::Look);
        let looked = looked.map(|pane| self.own_size(&pane.lane));
        if let Some(pane) = &mut self.live {
            let area = inner(model, &pane.lane);
            pane.area = area;
            if let Some(own) = looked {
                let _ = pane.live.resize(own);
            } else if area.width >= 2 && area.height >= 2 {
                // Where this fails the program has ended.
                let _ = pane.live.resize(Cells::new(area.height, area.width));
            }
        }
    }

    /// The size that the terminal of a lane has; who only looks at it changes nothing.
    fn own_size(&self, lane: &LaneKey) -> Cells {
        match self.passive.get(lane).map(|pane| &pane.picture) {
            Some(Picture::Tail(tail)) => tail.grid().size(),
            Some(Picture::Glance(_)) | None => Cells::new(40, 120),
        }
    }

    /// The selected or zoomed pane is looked at as a terminal while its program draws its screen itself; gives the one that
    /// has to be asked for, and its size.
    pub(in crate::tui::shell) fn look(&mut self, model: &Model, now_ms: i64) -> Option<(LaneKey, Size)> {
        // What is being asked for to be typed into takes its place when it is there.
        if model.attached.as_ref().is_some_and(|attached| attached.stage != Stage::Open) {
            return None;
        }
        let wanted = self.wants_look(model);
        match self.looks.want(wanted, now_ms)? {
            Step::Open(lane) => {
                let own = self.own_size(&lane);
                Some((lane, Size { columns: own.cols(), rows: own.rows() }))
            }
            Step::Close(lane) => {
                self.close(&lane, LiveKind::Look);
                None
            }
        }
    }

    fn wants_look(&self, model: &Model) -> Option<Wanted> {
        let step = model.lane().filter(|step| step.state.runs() && model.attached.is_none())?;
        let lane = model.lane_key(step);
        let room = layout(model).of(Room::Panes)?;
        let pane = self.passive.get(&lane).filter(|pane| pane.attempt == step.attempt && pane.scrolled.is_none())?;
        let Picture::Tail(tail) = &pane.picture else {
            return None;
        };
        (tail.grid().draws_itself() && shown(model, room).contains(&lane)).then_some((lane, step.attempt))
    }

    /// When [`Panes::look`] has something to do although nothing happens.
    pub(in crate::tui::shell) fn look_due_ms(&self) -> Option<i64> {
        self.looks.due_ms()
    }

    /// The terminal to look at came, or was refused.
    pub(in crate::tui::shell) fn looked(
        &mut self,
        lane: LaneKey,
        terminal: Option<OwnedFd>,
        model: &Model,
        now_ms: i64,
    ) {
        let Some(terminal) = terminal else {
            return self.looks.refused(now_ms);
        };
        // One that cannot be read is one that was refused; dropping it ends it.
        if self.looks.came(&lane, now_ms)
            && (self.live.is_some() || self.live(lane, LiveKind::Look, terminal, model).is_err())
        {
            self.looks.ended(now_ms);
        }
    }

    /// A terminal came from the engine.
    pub(in crate::tui::shell) fn live(
        &mut self,
        lane: LaneKey,
        kind: LiveKind,
        terminal: OwnedFd,
        model: &Model,
    ) -> std::io::Result<()> {
        let area = inner(model, &lane);
        let size = if kind == LiveKind::Look { self.own_size(&lane) } else { Cells::new(area.height, area.width) };
        let live = Live::new(terminal, size)?;
        if kind != LiveKind::Look {
            // One that was looked at gives way.
            self.looks.ended(boottime_ms());
        }
        self.live = Some(LivePane { lane, kind, live, area, behind: false, drawn: false });
        Ok(())
    }

    /// The live terminal can be read or written; gives which one has ended.
    pub(in crate::tui::shell) fn poll_live(&mut self) -> (bool, Option<(LaneKey, LiveKind)>) {
        let Some(pane) = &mut self.live else {
            return (false, None);
        };
        let mut work = Work::FRAME;
        let polled = pane.live.poll(&mut work);
        pane.behind = polled.behind;
        pane.drawn |= polled.changed && !pane.live.grid().is_empty();
        let ended = (pane.live.ended() && !polled.behind).then(|| (pane.lane.clone(), pane.kind));
        (polled.changed, ended)
    }

    /// Takes the live terminal away.
    pub(in crate::tui::shell) fn close(&mut self, lane: &LaneKey, kind: LiveKind) {
        if kind == LiveKind::Look {
            self.looks.ended(boottime_ms());
        }
        self.live.take_if(|pane| pane.lane == *lane && pane.kind == kind);
    }

    /// Types into it; false when the program does not take it.
    pub(in crate::tui::shell) fn write(&mut self, lane: &LaneKey, kind: LiveKind, bytes: &[u8]) -> bool {
        match &mut self.live {
            Some(pane) if pane.lane == *lane && pane.kind == kind => pane.live.write(bytes),
            Some(_) | None => true,
        }
    }

    /// Where the cells of the pane that is typed into stand, and what its program asked for.
    pub(in crate::tui::shell) fn typed_into(&self) -> (Rect, Wants) {
        let Some(pane) = self.live.as_ref().filter(|pane| pane.kind != LiveKind::Look) else {
            return (Rect::default(), Wants::default());
        };
        let modes = pane.live.grid().modes();
        (pane.area, Wants { mouse: modes.mouse.is_some(), paste: modes.bracketed_paste })
    }
}
