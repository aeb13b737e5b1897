//! Open questions: their order, and which of them ask the same. Pure; nothing here is said by the engine again.

use std::collections::BTreeMap;

use super::Model;
use crate::wire::client::EscalationView;

/// Open questions that ask the same: rule, error text and step, by their fingerprint.
#[derive(Debug, Clone, PartialEq)]
pub struct Group<'a> {
    /// The most urgent first; never empty.
    pub questions: Vec<&'a EscalationView>,
}

/// A row of the inbox, by name: survives that others are answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum InboxRow {
    /// The head of several that ask the same: their fingerprint.
    Group(String),
    Question(u64),
}

impl<'a> Group<'a> {
    /// Why a question is not like most of its group: what it can be answered with differs.
    pub fn differs(&self, asked: &EscalationView) -> Option<String> {
        let usual = self.usual();
        let has = |words: &[&str], word: &str| words.contains(&word);
        let own = words_of(asked);
        if let Some(missing) = usual.iter().find(|word| !has(&own, word)) {
            return Some(if *missing == "resume" { "no checkpoint".into() } else { format!("no {missing}") });
        }
        let more = own.iter().find(|word| !has(&usual, word))?;
        Some(if *more == "resume" { "has a checkpoint".into() } else { format!("also {more}") })
    }

    /// The answers that most of the group can be given.
    fn usual(&self) -> Vec<&'a str> {
        let mut sets: Vec<(Vec<&str>, usize)> = Vec::new();
        for asked in &self.questions {
            let words = words_of(asked);
            match sets.iter_mut().find(|(one, _)| *one == words) {
                Some((_, count)) => *count += 1,
                None => sets.push((words, 1)),
            }
        }
        // Of equally many the first: it is the most urgent.
        let most = sets.iter().map(|(_, count)| *count).max();
        sets.into_iter().find(|(_, count)| Some(*count) == most).map(|(words, _)| words).unwrap_or_default()
    }
}

fn words_of(asked: &EscalationView) -> Vec<&str> {
    asked.choices.iter().map(|choice| choice.word.as_str()).collect()
}

impl Model {
    /// Open questions of all runs, the most urgent first: nearest deadline, then oldest. What was answered from here a
    /// moment ago is not open, also before the engine has said so.
    pub fn questions(&self) -> Vec<&EscalationView> {
        let answered = |id: u64| self.undo.as_ref().is_some_and(|undo| undo.ids.contains(&id));
        let mut open: Vec<&EscalationView> = self
            .inbox
            .iter()
            .filter(|asked| asked.answer.is_none() && asked.held.is_none() && !answered(asked.id))
            .collect();
        open.sort_by_key(|asked| (asked.deadline_ms.unwrap_or(i64::MAX), asked.opened_ms, asked.id));
        open
    }

    /// Those that `n` goes to: nobody snoozed them.
    pub fn awake(&self) -> Vec<&EscalationView> {
        self.questions().into_iter().filter(|asked| self.snoozed_until(asked.id).is_none()).collect()
    }

    /// Until when a question is passed over.
    pub fn snoozed_until(&self, id: u64) -> Option<i64> {
        self.snoozed.get(&id).copied().filter(|until| *until > self.now_ms)
    }

    /// A question by its number, open or not, where it is known.
    pub fn question(&self, id: u64) -> Option<&EscalationView> {
        let of_run = self.run.iter().flat_map(|run| &run.escalations);
        self.inbox.iter().chain(of_run).find(|asked| asked.id == id)
    }

    /// Open questions of the same run that ask the same as this one, itself first.
    pub fn same_in_run(&self, asked: &EscalationView) -> Vec<&EscalationView> {
        let same = |other: &&EscalationView| {
            other.run == asked.run && !asked.fingerprint.is_empty() && other.fingerprint == asked.fingerprint
        };
        let open = self.questions();
        let own = open.iter().copied().filter(|other| other.id == asked.id);
        let others = open.iter().copied().filter(|other| other.id != asked.id).filter(same);
        own.chain(others).collect()
    }

    /// Open questions in groups that ask the same, in the order of their most urgent.
    pub fn groups(&self) -> Vec<Group<'_>> {
        let mut groups: Vec<Group<'_>> = Vec::new();
        let mut places: BTreeMap<&str, usize> = BTreeMap::new();
        for asked in self.questions() {
            if let Some(place) = places.get(asked.fingerprint.as_str()).filter(|_| !asked.fingerprint.is_empty()) {
                groups[*place].questions.push(asked);
                continue;
            }
            places.insert(&asked.fingerprint, groups.len());
            groups.push(Group { questions: vec![asked] });
        }
        groups
    }

    /// The rows of the inbox: several that ask the same stand under a head.
    pub fn inbox_rows(&self) -> Vec<InboxRow> {
        let mut rows = Vec::new();
        for group in self.groups() {
            if group.questions.len() > 1 {
                rows.push(InboxRow::Group(group.questions[0].fingerprint.clone()));
            }
            rows.extend(group.questions.iter().map(|asked| InboxRow::Question(asked.id)));
        }
        rows
    }

    /// The questions that a row of the inbox stands for.
    pub fn of_row(&self, row: &InboxRow) -> Vec<&EscalationView> {
        match row {
            InboxRow::Question(id) => self.questions().into_iter().filter(|asked| asked.id == *id).collect(),
            InboxRow::Group(print) => {
                self.questions().into_iter().filter(|asked| asked.fingerprint == *print).collect()
            }
        }
    }

    /// The open questions that are marked, the most urgent first.
    pub fn chosen_questions(&self) -> Vec<&EscalationView> {
        self.questions().into_iter().filter(|asked| self.marked_questions.contains(&asked.id)).collect()
    }
}
