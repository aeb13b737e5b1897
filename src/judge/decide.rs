//! The end: what was seen and what is known, weighed against each other.

use crate::model::{Advice, Class, Diagnosis, Evidence, Role, RuleSpec, Strength};

use super::facts::Facts;
use super::rules::{Rule, Rules};
use super::sighting::{EPISODE, Seen, Sighting};
use super::stream::Look;
use super::tone;

/// What trouble that was overcome loses.
const SOFT: i32 = 30;
/// What trouble loses after which work went on.
const LEFT_BEHIND: i32 = 25;
/// What the cause that a program names behind another failure gains.
const CAUSED: i32 = 5;
/// What the operator's own rules gain: they come first.
const OWN: i32 = 1000;
/// What is lost where only a fact speaks.
const NO_LINE: u64 = u64::MAX;
/// How many of the last lines are asked for signs of success.
const LAST_WORDS: usize = 3;
/// How many other lines are told.
const CASCADES: usize = 8;

/// A rule that may be the reason.
#[derive(Clone, Copy)]
struct Candidate<'l> {
    place: usize,
    rule: &'l Rule,
    /// `None`: the exit code or the signal alone is the sign.
    sighting: Option<&'l Sighting>,
    soft: bool,
    left_behind: bool,
    /// The last line that says so.
    last: u64,
}

impl Candidate<'_> {
    fn weight(&self) -> i32 {
        let if_so = |so: bool, loss: i32| if so { loss } else { 0 };
        self.rule.spec.strength.weight() - if_so(self.soft, SOFT) - if_so(self.left_behind, LEFT_BEHIND)
            + if_so(self.sighting.is_some_and(|sighting| sighting.caused), CAUSED)
            + if_so(self.rule.own, OWN)
    }

    fn number(&self) -> u64 {
        self.sighting.map_or(NO_LINE, |sighting| sighting.number)
    }

    /// Better ones are smaller.
    fn rank(&self) -> (i32, bool, u64, usize) {
        (-self.weight(), self.left_behind, self.number(), self.place)
    }

    fn class(&self) -> Class {
        self.rule.spec.class
    }
}

/// Judges.
pub(super) fn decide(rules: &Rules, look: &Look, facts: &Facts) -> Diagnosis {
    let bench = Bench { rules, look, facts };
    if facts.is_success() {
        let despite = |candidate: &Candidate<'_>| candidate.rule.spec.despite_success && !candidate.soft;
        return bench.best(Role::Root, despite).map_or_else(|| bench.success(), |root| bench.verdict(&root));
    }
    let root = bench.best(Role::Root, |_| true);
    if let Some((class, words)) = bench.fact(root.as_ref()) {
        return bench.by_fact(class, words);
    }
    if !facts.has_end() && bench.went_well() {
        return bench.success();
    }
    match root.or_else(|| bench.best(Role::Cascade, |_| true)) {
        Some(best) => bench.verdict(&best),
        None => bench.unknown(),
    }
}

struct Bench<'l> {
    rules: &'l Rules,
    look: &'l Look,
    facts: &'l Facts,
}

impl<'l> Bench<'l> {
    fn candidates(&self, role: Role) -> impl Iterator<Item = Candidate<'l>> {
        let (look, facts) = (self.look, self.facts);
        let rules = self.rules.0.rules.iter().enumerate();
        rules.filter(move |(_, rule)| rule.spec.role == role && rule.spec.admits(facts)).flat_map(
            move |(place, rule)| {
                let silent = Candidate { place, rule, sighting: None, soft: false, left_behind: false, last: NO_LINE };
                let found = &look.found[place];
                let of = move |seen: &'l Option<Seen>, soft| seen.as_ref().map(|seen| (seen, soft));
                let seen = [of(&found.hard, false), of(&found.soft, true)].into_iter().flatten();
                let seen = seen.filter_map(move |(seen, soft)| {
                    let sighting = [seen.begins(), &seen.first].into_iter().find(|one| look.allows(rule, one))?;
                    let left_behind = look.work >= seen.work + EPISODE;
                    Some(Candidate { sighting: Some(sighting), soft, left_behind, last: seen.last, ..silent })
                });
                // Without a pattern the fact that admits it is all there is.
                seen.chain(rule.pattern.is_none().then_some(silent))
            },
        )
    }

    fn best(&self, role: Role, fits: impl Fn(&Candidate<'l>) -> bool) -> Option<Candidate<'l>> {
        self.candidates(role).filter(fits).min_by_key(Candidate::rank)
    }

    /// The class that a fact proves, whatever the text says.
    fn fact(&self, root: Option<&Candidate<'_>>) -> Option<(Class, &'static str)> {
        let proven = root.is_some_and(|root| {
            root.sighting.is_some() && !root.soft && root.rule.spec.strength == Strength::Sure || root.rule.own
        });
        if self.facts.oom {
            return Some((Class::HostResource, "The kernel ended a process, for the memory limit was reached."));
        }
        if self.facts.timed_out {
            return Some((Class::Interrupted, "Its own time limit ended it."));
        }
        if self.facts.disk_full && !proven {
            return Some((Class::DiskFull, "What it writes to had no room left when it ended."));
        }
        (self.facts.device_error && !proven).then_some((Class::Hardware, "A device reported an error while it ran."))
    }

    /// Told by a fact; the best line of the same class is shown with it.
    fn by_fact(&self, class: Class, words: &str) -> Diagnosis {
        let same = |candidate: &Candidate<'_>| candidate.class() == class && candidate.sighting.is_some();
        let line = self.best(Role::Root, same).or_else(|| self.best(Role::Confirmation, same));
        let evidence = line.as_ref().and_then(evidence_of);
        let spec = line.map(|line| &line.rule.spec);
        let mut explanation = words.to_owned();
        if let Some(line) = &line {
            explanation.push(' ');
            explanation.push_str(&line.rule.spec.means);
        }
        let advice = line.as_ref().map_or_else(|| class.default_advice(), |line| line.rule.spec.advises());
        let advice = if advice == Advice::Escalate { class.default_advice() } else { advice };
        let cascades = self.set_aside(evidence.as_ref(), class);
        Diagnosis {
            class,
            advice,
            confidence: 0.97,
            rule: spec.map(|spec| spec.id.clone()),
            role: spec.map(|spec| spec.role),
            evidence,
            cascades,
            retry_after_s: None,
            explanation,
        }
    }

    fn verdict(&self, best: &Candidate<'_>) -> Diagnosis {
        let spec = &best.rule.spec;
        let evidence = evidence_of(best);
        let cascades = self.set_aside(evidence.as_ref(), spec.class);
        Diagnosis {
            class: spec.class,
            advice: spec.advises(),
            confidence: self.confidence(best),
            rule: Some(spec.id.clone()),
            role: Some(spec.role),
            evidence,
            retry_after_s: self.look.retry_after_s,
            explanation: self.explained(spec, &cascades),
            cascades,
        }
    }

    fn explained(&self, spec: &RuleSpec, cascades: &[Evidence]) -> String {
        let mut words = spec.means.clone();
        if spec.role == Role::Cascade {
            words.push_str(" What came before it is not in the output.");
        } else if let Some(last) = cascades.last() {
            let after = self.look.tail.back().map_or(0, |(number, _)| *number);
            if last.number + 4 >= after {
                words.push_str(" The last lines only follow from it.");
            }
        }
        words
    }

    fn confidence(&self, best: &Candidate<'_>) -> f64 {
        let class = best.class();
        let mut sure = best.rule.spec.strength.confidence();
        if best.soft || best.left_behind {
            sure -= 0.15;
        }
        if best.rule.spec.role == Role::Cascade {
            sure = sure.min(0.5);
        }
        if !self.facts.has_end() {
            sure -= 0.05;
        }
        let rivals = self.candidates(Role::Root).filter(|other| {
            other.class() != class && !other.soft && other.sighting.is_some() && other.weight() >= best.weight() - 10
        });
        if rivals.count() > 0 {
            sure -= 0.15;
        }
        let confirming = self.candidates(Role::Confirmation).filter(|one| one.class() == class).count();
        let same = self.candidates(Role::Root).filter(|one| one.class() == class && one.place != best.place).count();
        for _ in 0..(confirming + same).min(3) {
            sure += 0.03;
        }
        (sure.clamp(0.1, 0.99) * 100.0).round() / 100.0
    }

    /// What followed, and reasons that are set aside, in the order of the output.
    fn set_aside(&self, chosen: Option<&Evidence>, class: Class) -> Vec<Evidence> {
        let cascades = self.candidates(Role::Cascade).filter(|one| !one.soft);
        let rivals = self.candidates(Role::Root).filter(|one| !one.soft && one.class() != class);
        let mut all: Vec<Evidence> = cascades.chain(rivals).filter_map(|one| evidence_of(&one)).collect();
        all.retain(|one| chosen.is_none_or(|chosen| chosen.number != one.number));
        all.sort_by_key(|one| one.number);
        all.dedup_by(|later, earlier| later.number == earlier.number);
        all.truncate(CASCADES);
        all
    }

    /// Without an exit code: whether the text ends as that of a success does.
    fn went_well(&self) -> bool {
        let hard = [Role::Root, Role::Cascade].into_iter().flat_map(|role| self.candidates(role));
        let hard: Vec<_> = hard.filter(|one| !one.soft && one.sighting.is_some()).collect();
        // Who is told to leave saves what he has, and says that it is done.
        if hard.iter().any(|one| one.class() == Class::Interrupted && one.rule.spec.strength >= Strength::Strong) {
            return false;
        }
        let mut words = self.look.tail.iter().rev().take(LAST_WORDS);
        match hard.iter().map(|one| one.last).max() {
            // What it says last of it.
            Some(last) => words
                .take_while(|(number, _)| *number > last)
                .find(|(_, line)| tone::is_sign(line) || tone::is_complaint(line))
                .is_some_and(|(_, line)| tone::is_sign(line)),
            // Nothing is known to have failed that was not overcome.
            None => {
                words.clone().any(|(_, line)| tone::is_sign(line)) || !words.any(|(_, line)| tone::is_complaint(line))
            }
        }
    }

    fn success(&self) -> Diagnosis {
        let told = self.facts.is_success();
        let overcome = [Role::Root, Role::Cascade].into_iter().flat_map(|role| self.candidates(role));
        let overcome = overcome.filter(|one| one.sighting.is_some()).count();
        let signs = self.look.tail.iter().any(|(_, line)| tone::is_sign(line));
        let words = match (told, overcome > 0) {
            (true, false) => "It ended with exit code 0.",
            (true, true) => "It ended with exit code 0: what looks like trouble in the output was overcome.",
            (false, true) => "What looks like trouble in the output was overcome; its exit code is not known.",
            (false, false) => "Nothing in the output tells of a failure; its exit code is not known.",
        };
        let confidence = match (told, signs) {
            (true, _) => 0.98,
            (false, true) => 0.7,
            (false, false) => 0.4,
        };
        Diagnosis {
            class: Class::None,
            advice: Advice::None,
            confidence,
            rule: None,
            role: None,
            evidence: None,
            cascades: Vec::new(),
            retry_after_s: None,
            explanation: words.into(),
        }
    }

    fn unknown(&self) -> Diagnosis {
        let how = match (self.facts.ended_by(), self.facts.exit_code) {
            (Some(signal), _) => format!("signal {signal} ended it"),
            (None, Some(code)) => format!("it ended with exit code {code}"),
            (None, None) => "its exit code is not known".into(),
        };
        let last =
            if self.look.tail.is_empty() { "There is no output." } else { "The line is the last one of the output." };
        let evidence = self.look.tail.back().map(|(number, line)| Evidence {
            rule: String::new(),
            line: line.trim().to_owned(),
            number: *number,
        });
        Diagnosis {
            class: Class::Unknown,
            advice: Advice::Escalate,
            confidence: 0.2,
            rule: None,
            role: None,
            evidence,
            cascades: Vec::new(),
            retry_after_s: None,
            explanation: format!("No rule knows this failure: {how}. {last}"),
        }
    }
}

fn evidence_of(candidate: &Candidate<'_>) -> Option<Evidence> {
    let sighting = candidate.sighting?;
    Some(Evidence { rule: candidate.rule.spec.id.clone(), line: sighting.text.clone(), number: sighting.number })
}

impl Look {
    /// Whether what a rule asks for nearby is there, and what it forbids is not.
    fn allows(&self, rule: &Rule, sighting: &Sighting) -> bool {
        let near = |mark: usize| self.marks[mark].is_near(sighting.number, rule.spec.within);
        rule.needs.is_none_or(near) && !rule.unless.is_some_and(near)
    }
}
