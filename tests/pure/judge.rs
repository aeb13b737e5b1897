//! The judge: rules against their examples, misleading cases, facts, hostile bytes, and the operator's own rules.

#[path = "judge/cases.rs"]
mod cases;
#[path = "judge/own.rs"]
mod own;
#[path = "judge/stream.rs"]
mod stream;

use dogwatch::config::rules;
use dogwatch::judge::{Facts, Judge};
use dogwatch::model::{Diagnosis, Role, RuleSpec};

/// Judges a whole text.
fn judged(text: &str, facts: &Facts) -> Diagnosis {
    let mut judge = Judge::new(&rules::built_in());
    judge.bytes(text.as_bytes());
    judge.end(facts)
}

fn facts_of(rule: &RuleSpec) -> Facts {
    Facts::of_code(rule.exit_codes.first().copied().unwrap_or(1))
}

#[test]
fn the_built_in_rules_can_be_read() {
    let source = include_str!("../../config/rules.toml");
    let rules = rules::parse(source, "config/rules.toml").unwrap_or_else(|problems| panic!("{problems}"));
    assert!(rules.len() > 100, "{} rules", rules.len());
}

#[test]
fn each_rule_is_judged_by_its_example() {
    let mut wrong = Vec::new();
    for rule in rules::built_in_specs() {
        if rule.pattern.is_none() {
            continue;
        }
        if rule.example.is_empty() || rule.means.is_empty() {
            wrong.push(format!("{}: no example, or no meaning", rule.id));
            continue;
        }
        let mut judge = Judge::new(&rules::built_in());
        judge.bytes(rule.example.as_bytes());
        judge.bytes(b"\n");
        if !judge.matches().any(|(id, count)| id == rule.id && count > 0) {
            wrong.push(format!("{}: its example does not match", rule.id));
        }
        let said = judge.end(&facts_of(&rule));
        if rule.role != Role::Confirmation && said.class != rule.class {
            wrong.push(format!("{}: judged {} by {:?}, not {}", rule.id, said.class, said.rule, rule.class));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn no_built_in_rule_is_tried_on_every_line() {
    let slow: Vec<String> = rules::built_in().slow().map(str::to_owned).collect();
    assert!(slow.is_empty(), "no word is in all that these match: {slow:?}");
}
