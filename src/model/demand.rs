//! What steps take of the host for themselves, and what it has.

use super::size_words;

/// What one attempt takes of the host for itself, or what all take together.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Demand {
    pub gpus: u32,
    /// Thousandths of a processor.
    pub milli_cpus: u64,
    /// In bytes.
    pub memory: u64,
}

/// One of the things that a [`Demand`] is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    Gpus,
    Processors,
    Memory,
}

impl Demand {
    /// More than any machine has: nothing is ever short.
    pub const BOUNDLESS: Self = Self { gpus: u32::MAX, milli_cpus: u64::MAX, memory: u64::MAX };

    pub fn is_none(self) -> bool {
        self == Self::default()
    }

    /// The parts of it, those that are asked for.
    pub fn kinds(self) -> impl Iterator<Item = Kind> {
        let all =
            [(Kind::Gpus, self.gpus > 0), (Kind::Processors, self.milli_cpus > 0), (Kind::Memory, self.memory > 0)];
        all.into_iter().filter(|(_, asked)| *asked).map(|(kind, _)| kind)
    }

    /// What of it is more than there is.
    pub fn beyond(self, there: Self) -> impl Iterator<Item = Kind> {
        self.kinds().filter(move |kind| match kind {
            Kind::Gpus => self.gpus > there.gpus,
            Kind::Processors => self.milli_cpus > there.milli_cpus,
            Kind::Memory => self.memory > there.memory,
        })
    }

    /// What is left when so much is taken.
    #[must_use]
    pub fn less(self, taken: Self) -> Self {
        Self {
            gpus: self.gpus.saturating_sub(taken.gpus),
            milli_cpus: self.milli_cpus.saturating_sub(taken.milli_cpus),
            memory: self.memory.saturating_sub(taken.memory),
        }
    }

    /// One part of it, in words: `2 GPUs`, `1.5 processors`, `4.0 GiB of memory`.
    pub fn words(self, kind: Kind) -> String {
        match kind {
            Kind::Gpus if self.gpus == 1 => "1 GPU".into(),
            Kind::Gpus => format!("{} GPUs", self.gpus),
            Kind::Processors if self.milli_cpus == 1000 => "1 processor".into(),
            Kind::Processors => {
                let (whole, part) = (self.milli_cpus / 1000, self.milli_cpus % 1000);
                let part = format!(".{part:03}");
                format!("{whole}{} processors", part.trim_end_matches('0').trim_end_matches('.'))
            }
            Kind::Memory => format!("{} of memory", size_words(self.memory)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_are_told_as_people_say_them() {
        let demand = Demand { gpus: 1, milli_cpus: 1500, memory: 4 << 30 };
        assert_eq!(demand.kinds().map(|kind| demand.words(kind)).collect::<Vec<_>>().len(), 3);
        assert_eq!(demand.words(Kind::Gpus), "1 GPU");
        assert_eq!(demand.words(Kind::Processors), "1.5 processors");
        assert_eq!(Demand { milli_cpus: 1000, ..demand }.words(Kind::Processors), "1 processor");
        assert_eq!(Demand { milli_cpus: 20_000, ..demand }.words(Kind::Processors), "20 processors");
        let there = Demand { gpus: 1, milli_cpus: 1000, memory: u64::MAX };
        assert_eq!(demand.beyond(there).collect::<Vec<_>>(), [Kind::Processors]);
    }
}
