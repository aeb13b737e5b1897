//! What a word of the command line can be, by the words before it. Owns no names: it reads the grammar of [`Line`]. Pure.

use std::collections::BTreeMap;

use clap::{Arg, ArgAction, Command, CommandFactory, ValueHint};

use crate::cli::args::Line;
use crate::tui::theme::Theme;

/// A word that could stand there, and what it means.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Candidate {
    pub word: String,
    pub about: String,
}

impl Candidate {
    pub(super) fn new(word: impl Into<String>, about: impl Into<String>) -> Self {
        Self { word: word.into(), about: about.into() }
    }
}

/// What a word can be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Wanted {
    These(Vec<Candidate>),
    Runs,
    Steps {
        run: String,
    },
    Questions,
    /// Gates that are open, and runs.
    Gates,
    Choices {
        question: String,
    },
    /// With `also`: words that stand for some.
    Checkpoints {
        run: String,
        step: String,
        also: &'static [(&'static str, &'static str)],
    },
    /// The shell knows them.
    Files,
    Nothing,
}

/// What the last word can become.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    pub wanted: Wanted,
    /// What stands before it in the same word: `--state=`.
    pub prefix: String,
    /// `--state-dir` and `--socket`, where they were said.
    pub state_dir: Option<String>,
    pub socket: Option<String>,
}

/// What there is of the word may say, too: a flag begins with `-`.
pub fn wanted(before: &[String], last: &str) -> Place {
    let whole = Line::command();
    let mut reader =
        Reader { whole: &whole, verbs: vec![&whole], said: BTreeMap::new(), places: 0, value: None, raw: false };
    for word in before {
        reader.word(word);
    }
    let (wanted, prefix) = reader.last(last);
    let said = |id: &str| reader.said.get(id).cloned();
    Place { wanted, prefix, state_dir: said("state_dir"), socket: said("socket") }
}

struct Reader<'c> {
    whole: &'c Command,
    /// The program, its verb, the verb's verb.
    verbs: Vec<&'c Command>,
    /// The values by their names in the grammar.
    said: BTreeMap<String, String>,
    /// How many of the verb's places are taken.
    places: usize,
    /// The flag whose value comes next.
    value: Option<&'c Arg>,
    /// Behind `--` nothing is a flag.
    raw: bool,
}

impl<'c> Reader<'c> {
    fn verb(&self) -> &'c Command {
        self.verbs.last().copied().unwrap_or(self.whole)
    }

    fn word(&mut self, word: &str) {
        if let Some(flag) = self.value.take() {
            self.said.insert(flag.get_id().to_string(), word.to_owned());
        } else if self.raw {
            self.places += 1;
        } else if word == "--" {
            self.raw = true;
        } else if let Some(long) = word.strip_prefix("--") {
            match long.split_once('=') {
                Some((name, value)) => {
                    if let Some(flag) = self.long(name) {
                        self.said.insert(flag.get_id().to_string(), value.to_owned());
                    }
                }
                None => self.value = self.long(long),
            }
        } else if word.len() > 1 && word.starts_with('-') {
            self.shorts(&word[1..]);
        } else if let Some(verb) = self.verb().find_subcommand(word).filter(|_| self.places == 0) {
            self.verbs.push(verb);
        } else {
            if let Some(place) = self.place() {
                self.said.insert(place.get_id().to_string(), word.to_owned());
            }
            self.places += 1;
        }
    }

    /// `-fm` and what it says for `m`, where it says it in the same word.
    fn shorts(&mut self, letters: &str) {
        for (at, letter) in letters.char_indices() {
            let Some(flag) = self.flag(|flag| flag.get_short() == Some(letter)) else {
                continue;
            };
            let rest = &letters[at + letter.len_utf8()..];
            if rest.is_empty() {
                self.value = Some(flag);
            } else {
                self.said.insert(flag.get_id().to_string(), rest.to_owned());
            }
            return;
        }
    }

    fn long(&self, name: &str) -> Option<&'c Arg> {
        self.flag(|flag| flag.get_long() == Some(name))
    }

    /// The flag of this verb, or of all, that takes a value.
    fn flag(&self, is_it: impl Fn(&Arg) -> bool) -> Option<&'c Arg> {
        let takes = |flag: &&Arg| matches!(flag.get_action(), ArgAction::Set | ArgAction::Append) && is_it(flag);
        self.verb().get_arguments().chain(self.whole.get_arguments()).find(takes)
    }

    /// The place that the next word takes; a list takes all that come.
    fn place(&self) -> Option<&'c Arg> {
        let all = || self.verb().get_positionals();
        let last = all().last().filter(|last| matches!(last.get_action(), ArgAction::Append));
        all().nth(self.places).or(last)
    }

    fn last(&self, last: &str) -> (Wanted, String) {
        if let Some(flag) = self.value {
            return (self.value_of(flag), String::new());
        }
        if let Some((name, _)) = last.strip_prefix("--").and_then(|long| long.split_once('=')).filter(|_| !self.raw) {
            let wanted = self.long(name).map_or(Wanted::Nothing, |flag| self.value_of(flag));
            return (wanted, format!("--{name}="));
        }
        if last.starts_with('-') && !self.raw {
            return (Wanted::These(self.flags()), String::new());
        }
        let verbs = self.verb().get_subcommands().filter(|verb| !verb.is_hide_set());
        let verbs: Vec<Candidate> =
            verbs.map(|verb| Candidate::new(verb.get_name(), about(verb.get_about()))).collect();
        if !verbs.is_empty() && self.places == 0 {
            return (Wanted::These(verbs), String::new());
        }
        (self.place().map_or(Wanted::Nothing, |place| self.value_of(place)), String::new())
    }

    fn flags(&self) -> Vec<Candidate> {
        let all = self.verb().get_arguments().chain(self.whole.get_arguments()).filter(|flag| !flag.is_hide_set());
        let mut found: Vec<Candidate> = all
            .filter_map(|flag| Some(Candidate::new(format!("--{}", flag.get_long()?), about(flag.get_help()))))
            .chain([Candidate::new("--help", "Print help")])
            .collect();
        found.sort_by(|one, other| one.word.cmp(&other.word));
        found.dedup_by(|one, other| one.word == other.word);
        found
    }

    fn value_of(&self, arg: &Arg) -> Wanted {
        let values = arg.get_possible_values();
        // A switch has values for the grammar; nobody writes them.
        if !values.is_empty() && matches!(arg.get_action(), ArgAction::Set | ArgAction::Append) {
            let one = |value: &clap::builder::PossibleValue| Candidate::new(value.get_name(), about(value.get_help()));
            return Wanted::These(values.iter().map(one).collect());
        }
        if !matches!(arg.get_value_hint(), ValueHint::Unknown) {
            return Wanted::Files;
        }
        let said = |id: &str| self.said.get(id).cloned();
        let run = said("run").or_else(|| said("what")).unwrap_or_else(|| "@last".into());
        let verb = self.verbs.get(1).map_or("", |verb| verb.get_name());
        match (verb, arg.get_id().as_str()) {
            ("run", "again") | (_, "run") => Wanted::Runs,
            ("report" | "run", _) => Wanted::Nothing,
            ("approve" | "reject", "what") => Wanted::Gates,
            (_, "step") | ("resume", "from") => Wanted::Steps { run },
            ("retry", "from") => Wanted::Checkpoints { run, step: said("step").unwrap_or_default(), also: BEGINNINGS },
            ("resume", "checkpoint") => Wanted::Checkpoints { run, step: said("from").unwrap_or_default(), also: &[] },
            (_, "which") => Wanted::Checkpoints { run, step: said("step").unwrap_or_default(), also: &[] },
            (_, "escalation") => Wanted::Questions,
            (_, "choice") => Wanted::Choices { question: said("escalation").unwrap_or_default() },
            ("wait", "conditions") => these(&["done", "escalation", "checkpoint"]),
            (_, "theme") => Wanted::These(Theme::names().map(|name| Candidate::new(name, "")).collect()),
            ("exec", "command") => Wanted::Files,
            // Names that are typed so that nothing is lost by accident are among these.
            (_, _) => Wanted::Nothing,
        }
    }
}

const BEGINNINGS: &[(&str, &str)] = &[("start", "from the beginning"), ("checkpoint", "the newest one")];

fn these(words: &[&str]) -> Wanted {
    Wanted::These(words.iter().map(|word| Candidate::new(*word, "")).collect())
}

/// The first line of what the grammar says.
fn about(said: Option<&clap::builder::StyledStr>) -> String {
    said.map(ToString::to_string).and_then(|text| text.lines().next().map(str::to_owned)).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asks(words: &str) -> Wanted {
        place(words).wanted
    }

    fn place(words: &str) -> Place {
        let words: Vec<String> = words.split(' ').map(str::to_owned).collect();
        let (last, before) = words.split_last().expect("there is one");
        wanted(before, last)
    }

    fn words(wanted: Wanted) -> Vec<String> {
        let Wanted::These(all) = wanted else { panic!("{wanted:?}") };
        all.into_iter().map(|candidate| candidate.word).collect()
    }

    #[test]
    fn each_place_wants_what_it_holds() {
        let steps = |run: &str| Wanted::Steps { run: run.into() };
        for (line, wanted) in [
            ("status ", Wanted::Runs),
            ("logs tiny", Wanted::Runs),
            ("run --again ", Wanted::Runs),
            ("run --again=t", Wanted::Runs),
            ("logs tiny#1 tr", steps("tiny#1")),
            ("metrics tiny#1 ", steps("tiny#1")),
            ("logs -f --tail 5 tiny#1 ", steps("tiny#1")),
            ("done -m why tiny#1 ", steps("tiny#1")),
            ("done -mwhy tiny#1 ", steps("tiny#1")),
            ("resume tiny#1 --from ", steps("tiny#1")),
            ("approve tiny#1 ", steps("tiny#1")),
            ("checkpoints tiny#1 verify ", steps("tiny#1")),
            ("approve ", Wanted::Gates),
            ("decide ", Wanted::Questions),
            ("decide e7 ", Wanted::Choices { question: "e7".into() }),
            ("decide e7 stop-run --confirm ", Wanted::Nothing),
            ("decide e7 retry x", Wanted::Nothing),
            ("report metric ", Wanted::Nothing),
            ("report checkpoint x --step ", Wanted::Nothing),
            ("validate f", Wanted::Files),
            ("validate f g", Wanted::Files),
            ("run ", Wanted::Files),
            ("--state-dir ", Wanted::Files),
            ("exec -- ", Wanted::Files),
            ("exec -- make --", Wanted::Files),
            ("nonsense x", Wanted::Nothing),
        ] {
            assert_eq!(asks(line), wanted, "{line}");
        }
        assert_eq!(
            asks("retry tiny#1 train --from "),
            Wanted::Checkpoints { run: "tiny#1".into(), step: "train".into(), also: BEGINNINGS }
        );
    }

    #[test]
    fn verbs_flags_and_values_are_those_of_the_grammar() {
        let verbs = words(asks(""));
        assert!(verbs.contains(&"run".into()) && verbs.contains(&"completions".into()), "{verbs:?}");
        assert!(!verbs.contains(&"shim".into()) && !verbs.contains(&"complete".into()), "{verbs:?}");
        assert!(words(asks("engine st")).contains(&"status".into()));
        let flags = words(asks("logs --f"));
        assert!(flags.contains(&"--follow".into()) && flags.contains(&"--json".into()), "{flags:?}");
        assert!(words(asks("checkpoints tiny#1 ")).contains(&"verify".into()));
        assert!(words(asks("runs --state ")).contains(&"failed".into()));
        let place = place("--socket /s --state-dir=/x runs --state=");
        assert_eq!((place.prefix.as_str(), place.state_dir.as_deref()), ("--state=", Some("/x")));
        assert_eq!(place.socket.as_deref(), Some("/s"));
        assert!(words(place.wanted).contains(&"failed".into()));
    }
}
