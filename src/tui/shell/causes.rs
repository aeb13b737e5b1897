//! What follows from the model's messages outside of it: requests, terminals, logs, copies. Does what an [`Effect`] says and
//! decides nothing.

use super::panes::book::Book;
use super::{Left, Shell, Wish, copy, feed, panes};
use crate::tui::message::{Effect, LiveKind, LogNews, Message, Purpose, Refused};
use crate::tui::model::LaneKey;
use crate::tui::{draw, view};
use crate::wire::client::LogPlace;

impl Shell {
    /// The engine said where a log lies: of a pane, or of the log that is open.
    pub(super) fn placed(&mut self, lane: LaneKey, attempt: Option<u32>, place: Result<LogPlace, Refused>) {
        self.dirty = true;
        let opens = self.panes.book.as_ref().is_some_and(|book| book.lane == lane && book.dir().is_none());
        match place {
            Ok(place) => {
                if opens && let Some(book) = &mut self.panes.book {
                    book.open(place.dir.clone().into());
                    let news = LogNews::Open { lane: lane.clone(), attempt: place.attempt };
                    self.tell(Message::Log(news));
                }
                self.panes.placed(lane, place.attempt, Some(place));
            }
            Err(refused) if opens => self.tell(Message::Log(LogNews::Refused(refused))),
            Err(_) => {
                if let Some(attempt) = attempt {
                    self.panes.placed(lane, attempt, None);
                }
            }
        }
    }

    pub(super) fn cause(&mut self, effect: Effect) {
        let done = match effect {
            Effect::Ask { .. } | Effect::ExportMetrics { .. } => {
                if let Some(request) = feed::request(effect) {
                    self.feed.request(request);
                }
                Ok(())
            }
            Effect::Watch { run } => {
                self.look.run = Some(run);
                self.feed.look(self.look.clone());
                Ok(())
            }
            Effect::OpenLive { lane, kind, take_over } => {
                let size = panes::size_for(&self.model, &lane);
                let number = self.model.attached.as_ref().map_or(0, |attached| attached.number);
                self.feed.request(feed::Request::Live { lane, kind, number, size, take_over });
                Ok(())
            }
            Effect::CloseLive { lane, kind, keys } => {
                self.panes.close(&lane, kind);
                if kind == LiveKind::Attach {
                    let ask = crate::wire::client::Ask::Detach { run: lane.run, step: lane.name, keys: Some(keys) };
                    self.feed.request(feed::Request::Ask { why: Purpose::Quiet, ask: Box::new(ask) });
                }
                Ok(())
            }
            Effect::Write { lane, kind, bytes } => {
                if !self.panes.write(&lane, kind, &bytes) {
                    self.model.complain("the program does not read what is typed: this was not sent");
                    self.dirty = true;
                }
                Ok(())
            }
            Effect::Copy(text) => self.copy(&text),
            Effect::CopyPicked(picked) => {
                let size = self.model.size;
                let mut buf = ratatui::buffer::Buffer::empty(ratatui::layout::Rect::new(0, 0, size.columns, size.rows));
                view::view(&self.model, &self.panes, &mut buf);
                self.copy(&picked.text(&buf))
            }
            Effect::OpenLog { lane, attempt } => {
                self.panes.book = Some(Book::new(lane.clone()));
                self.feed.request(feed::Request::Log { lane, attempt });
                Ok(())
            }
            Effect::CloseLog => {
                self.panes.book = None;
                Ok(())
            }
            Effect::Search { pattern, from, back } => {
                let wrong = self.panes.book.as_mut().and_then(|book| book.search(&pattern, from, back));
                if let Some(message) = wrong {
                    self.tell(message);
                }
                Ok(())
            }
            Effect::CopyLine { line } => match self.panes.book.as_ref().and_then(|book| book.text(line)) {
                Some(text) => self.copy(&text),
                None => Ok(()),
            },
            Effect::StartFile { path } => {
                self.start(Wish::File(path));
                Ok(())
            }
            Effect::Exec { command } => {
                self.start(Wish::Command(command));
                Ok(())
            }
            Effect::Demo => {
                self.start(Wish::Demo);
                Ok(())
            }
            Effect::Starter => {
                let result = (self.starter)(Wish::Starter).map(|_| crate::wire::client::Reply::Done {
                    words: "dogwatch.toml was written; look at it, then o opens it".into(),
                });
                self.tell(Message::Answered { why: Purpose::Starter, result });
                Ok(())
            }
            Effect::Redraw => {
                self.screen.forget();
                Ok(())
            }
            Effect::Suspend => self.suspend(),
            Effect::Bell => self.screen.bell(),
            Effect::Title(title) => self.screen.title(&draw::clean(&title)),
            Effect::Leave { words } => {
                self.left = Some(Left::Asked(words));
                Ok(())
            }
        };
        if let Err(why) = done {
            self.left = Some(Left::Broken(format!("the terminal cannot be written: {why}")));
        }
    }

    /// Starts a workflow that the command line can load.
    fn start(&mut self, wish: Wish) {
        match (self.starter)(wish) {
            Ok(Some(start)) => {
                let ask = Box::new(crate::wire::client::Ask::StartRun(Box::new(start)));
                self.feed.request(feed::Request::Ask { why: Purpose::Open, ask });
            }
            Ok(None) => {}
            Err(refused) => self.tell(Message::Answered { why: Purpose::Open, result: Err(refused) }),
        }
    }

    fn copy(&mut self, text: &str) -> std::io::Result<()> {
        let words = match copy::through_tmux(text) {
            copy::Tmux::Copied => "copied".to_owned(),
            copy::Tmux::None => {
                self.screen.clipboard(text)?;
                "copied, where the terminal lets programs do that (OSC 52)".to_owned()
            }
            copy::Tmux::Failed(why) => {
                self.screen.clipboard(text)?;
                format!("tmux did not take it ({why}); handed to the terminal instead")
            }
        };
        self.model.say(words);
        Ok(())
    }
}
