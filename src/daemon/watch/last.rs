//! The last values of the series that a workflow's expressions ask for, as the log, the files and the reports of an attempt
//! tell when it is over. Blocks on the disk; decides nothing.

use std::collections::BTreeMap;
use std::os::fd::OwnedFd;
use std::path::Path;

use super::CHUNK;
use super::sights::Sights;
use crate::attempt::log::{Log, Piece};
use crate::model::{EnvironmentSpec, Number, Step, Time, reports_of};

/// Where an attempt has what it told.
#[derive(Debug, Clone, Copy)]
pub(in crate::daemon) struct Teller<'a> {
    pub(in crate::daemon) step: &'a Step,
    pub(in crate::daemon) environment: &'a EnvironmentSpec,
    /// The step's own folder.
    pub(in crate::daemon) work: &'a str,
    /// The attempt's number.
    pub(in crate::daemon) attempt: u32,
}

impl Teller<'_> {
    /// A path of the file, with the step's own folder filled in, as it is on this host.
    pub(in crate::daemon) fn own(&self, path: &str) -> String {
        path.strip_prefix("$DOGWATCH_DIR")
            .map_or_else(|| self.environment.on_host(path), |rest| format!("{}{rest}", self.work))
    }

    /// The last value of each series that is asked for and was told. `dir` is the attempt's, `is_there` says which files of
    /// the step may be read.
    pub(in crate::daemon) fn last(&self, dir: OwnedFd, is_there: impl Fn(&str) -> bool) -> BTreeMap<String, Number> {
        let mut last = BTreeMap::new();
        if self.step.asked.is_empty() {
            return last;
        }
        let mut sights = Sights::new(&self.step.metrics, |path| self.own(path));
        sights.pin(self.step.asked.iter().cloned());
        let at = Time::from_ms(0);
        if let Err(error) = self.log(dir, &mut sights, &mut last) {
            tracing::warn!("numbers of step {} that are asked for: its log cannot be read: {error}", self.step.id);
        }
        let (mut read, mut before) = (BTreeMap::new(), None);
        while before.as_ref() != Some(&read) {
            before = Some(read.clone());
            sights.files(&mut read, at, &is_there);
            self.keep(&mut sights, &mut last);
        }
        let reports = Path::new(self.work).join(reports_of(self.attempt));
        let (mut offset, mut before) = (0, None);
        while before != Some(offset) {
            before = Some(offset);
            sights.reports(&reports, &mut offset, at);
            self.keep(&mut sights, &mut last);
        }
        last
    }

    fn log(
        &self,
        dir: OwnedFd,
        sights: &mut Sights,
        last: &mut BTreeMap<String, Number>,
    ) -> Result<(), crate::attempt::Error> {
        let mut log = Log::open(dir)?;
        let (mut offset, at) = (0, Time::from_ms(0));
        while let Some(piece) = log.read(offset, CHUNK)? {
            offset = piece.next_offset();
            match piece {
                Piece::Bytes { bytes, .. } => sights.output(&bytes, at),
                Piece::Gap { .. } => sights.cut(),
            }
            self.keep(sights, last);
        }
        // What it printed last may have no end.
        sights.output(b"\n", at);
        self.keep(sights, last);
        Ok(())
    }

    fn keep(&self, sights: &mut Sights, last: &mut BTreeMap<String, Number>) {
        let asked = sights.take().into_iter().filter(|(name, _)| self.step.asked.contains(name));
        last.extend(asked.map(|(name, point)| (name, Number(point.value))));
    }
}
