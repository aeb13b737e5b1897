//! Recovery: what follows from a judged failure by rule, by class, within its budget, and when a person is asked.

use dogwatch::engine::policy;
use dogwatch::model::{
    Action, Alternative, Arithmetic, AttemptId, Autonomy, Change, Choice, Class, ContainerSpec, Diagnosis, End,
    EscalationId, Evidence, Exit, Match, Part, Raise, Raising, Resource, Role, Step, StopReason, Template,
};
use indexmap::IndexMap;

use crate::support::make::{checkpoint, retry, rule, step, workflow};
use crate::support::story::{Story, saved};

fn said(class: Class, line: &str) -> Box<Diagnosis> {
    Box::new(Diagnosis {
        class,
        advice: class.default_advice(),
        confidence: 0.9,
        rule: Some("a-rule".into()),
        role: Some(Role::Root),
        evidence: Some(Evidence { rule: "a-rule".into(), line: line.into(), number: 3 }),
        cascades: Vec::new(),
        retry_after_s: None,
        explanation: "It is so.".into(),
    })
}

fn text(text: &str) -> Template {
    Template(vec![Part::Text(text.into())])
}

/// A step that says nothing about `retry`.
fn silent(change: impl FnOnce(&mut Step)) -> Story {
    let mut train = step("train", &[]);
    train.retry_said = false;
    train.env = [("BATCH".to_owned(), text("16"))].into();
    let other = |env: &[(&str, &str)], requires_approval| Alternative {
        description: Some("Another way".into()),
        script: Some("python other.py".into()),
        env: env.iter().map(|(name, value)| ((*name).to_owned(), text(value))).collect::<IndexMap<_, _>>(),
        timeout: None,
        requires_approval,
    };
    train.alternatives.insert("half".into(), other(&[("BATCH", "8")], false));
    train.alternatives.insert("lora".into(), other(&[], true));
    change(&mut train);
    Story::of(workflow(vec![train, step("eval", &["train"])]))
}

fn fails(story: &mut Story, class: Class, line: &str) {
    fails_with(story, class, line, |_| {});
}

fn fails_with(story: &mut Story, class: Class, line: &str, change: impl FnOnce(&mut Exit)) {
    story.claimed("train").exits_with("train", |exit| {
        exit.end = End::Code(1);
        exit.diagnosis = Some(said(class, line));
        change(exit);
    });
}

/// Lets the failure come again and again, and counts how often the step is started.
fn starts(story: &mut Story, class: Class, line: impl Fn(u32) -> String) -> u32 {
    for n in 1..50 {
        fails(story, class, &line(n));
        let next = story.engine.next_deadline();
        let Some(next) = next else { return n };
        story.until(next.as_ms() / 1000 + 1);
    }
    panic!("it goes on for ever");
}

fn why_not(story: &Story, n: u64) -> String {
    story.run().questions[&EscalationId(n)].escalation.evidence[0].clone()
}

#[test]
fn no_class_starts_a_step_more_often_than_its_table_says() {
    let table = [
        ("network", 5),
        ("rate_limit", 6),
        ("lock_contention", 5),
        ("capacity", 6),
        ("hardware", 3),
        ("collective_hang", 2),
        ("interrupted", 3),
    ];
    for (word, class) in Class::ALL {
        let most = table.iter().find(|(known, _)| *known == word).map_or(1, |(_, most)| *most);
        let same = starts(&mut silent(|_| {}), class, |_| "the same".into());
        assert_eq!(same, most, "{word}");
        // Failures that are always another one are bounded, too.
        let other = starts(&mut silent(|_| {}), class, |n| format!("another {}", "x".repeat(n as usize)));
        assert!(other <= most * policy::ALL_PRINTS, "{word}: {other}");
    }
}

#[test]
fn budgets_are_of_each_failure_not_of_all_together() {
    let mut story = silent(|_| {});
    for (class, line) in [(Class::Network, "refused"), (Class::RateLimit, "429"), (Class::Network, "refused")] {
        fails(&mut story, class, line);
        story.until(story.engine.next_deadline().expect("it is tried again").as_ms() / 1000 + 1);
    }
    assert_eq!(story.run().lanes[0].of, Some(5));
    assert_eq!(story.newest("train").n, 4);
}

#[test]
fn what_is_asked_to_wait_for_is_waited_for() {
    let mut story = silent(|_| {});
    fails_with(&mut story, Class::RateLimit, "429", |exit| {
        exit.diagnosis.as_mut().expect("it is judged").retry_after_s = Some(777);
    });
    assert_eq!(story.engine.next_deadline().map(|at| at.as_ms() / 1000), Some(777));
}

#[test]
fn progress_begins_a_budget_anew_and_none_ends_it() {
    let mut story = silent(|step| step.checkpoint = Some(checkpoint()));
    for n in 1..20 {
        fails_with(&mut story, Class::Interrupted, "SIGTERM", |exit| {
            exit.checkpoint = Some(saved(&format!("/w/ckpt_{n}"), n));
        });
        story.until(story.engine.next_deadline().expect("there was progress").as_ms() / 1000 + 1);
    }
    for more in [true, false] {
        fails_with(&mut story, Class::Interrupted, "SIGTERM", |exit| {
            exit.checkpoint = Some(saved("/w/ckpt_19", 19));
        });
        assert_eq!(story.engine.next_deadline().is_some(), more);
        story.until(story.engine.next_deadline().map_or(0, |at| at.as_ms() / 1000 + 1));
    }
}

#[test]
fn a_written_retry_holds_in_place_of_the_defaults_and_what_comes_back_is_not_repeated() {
    let said =
        |class| starts(&mut silent(|step| (step.retry, step.retry_said) = (retry(4, 1), true)), class, |_| "x".into());
    assert_eq!(said(Class::Network), 4);
    assert_eq!(said(Class::Unknown), 4);
    // Once it may have been chance.
    assert_eq!(said(Class::Environment), 2);
    // Never what locks accounts.
    assert_eq!(said(Class::Auth), 1);
    let once = |class| starts(&mut silent(|step| step.retry_said = true), class, |_| "x".into());
    assert_eq!(once(Class::Network), 1, "one attempt is what was written");
}

#[test]
fn rules_match_by_class_and_change_variables_each_time() {
    let mut story = silent(|train| {
        let mut halve = rule("oom", Match { class: vec![Class::DeviceOom], ..Match::default() }, Action::RetryModified);
        halve.retry = Some(retry(9, 0));
        halve.change = vec![Change { variable: "BATCH".into(), by: Arithmetic::Divide(2.0) }];
        train.on_failure = vec![halve];
    });
    let batch =
        |story: &Story| story.run().environment(&story.newest("train")).expect("it has values")["BATCH"].clone();
    let mut seen = vec![batch(&story)];
    for _ in 0..4 {
        fails(&mut story, Class::DeviceOom, "out of memory");
        seen.push(batch(&story));
    }
    assert_eq!(seen, ["16", "8", "4", "2", "1"]);
    fails(&mut story, Class::DeviceOom, "out of memory");
    assert!(why_not(&story, 1).ends_with("not repeated: BATCH = \"1\": / 2 leads below 1"));
}

#[test]
fn a_limit_of_the_container_is_raised_each_time_up_to_its_most_and_each_attempt_has_a_container_of_its_own() {
    let gib = |n: u64| n << 30;
    let mut more = rule("oom", Match { class: vec![Class::HostResource], ..Match::default() }, Action::RetryModified);
    more.retry = Some(retry(9, 0));
    more.raise = vec![Raise { resource: Resource::Memory, by: Raising::Times(2.0), most: Some(gib(5)) }];
    let mut train = step("train", &[]);
    train.on_failure = vec![more];
    let mut flow = workflow(vec![train]);
    let mut container = ContainerSpec::of("image".into());
    container.memory = Some(gib(2));
    flow.environment.container = Some(container);
    let mut story = Story::of(flow);
    assert_eq!(story.run().site(&story.newest("train")).own, None, "the first one has what all have");
    for (n, limit) in [(2, gib(4)), (3, gib(5))] {
        fails(&mut story, Class::HostResource, "Killed");
        let newest = story.newest("train");
        let site = story.run().site(&newest);
        assert_eq!(site.own, Some((newest.lane.clone(), n)));
        let raised = story.run().raised(&newest.lane, n).expect("it was raised");
        assert_eq!(raised.get(&Resource::Memory), Some(&limit));
        // Where the others ran stays what it was, and what only they had is over.
        for before in 1..n {
            let earlier = story.run().site(&AttemptId { n: before, ..newest.clone() });
            assert_eq!(earlier.own.as_ref().map(|(_, n)| *n), (before > 1).then_some(before));
            assert!(before == 1 || story.run().is_left(&earlier), "the container of attempt {before} may go");
        }
        assert!(!story.run().is_left(&site), "that of attempt {n} is in use");
    }
    fails(&mut story, Class::HostResource, "Killed");
    assert!(why_not(&story, 1).ends_with("not repeated: memory is 5.0 GiB, and the rule raises it no more"));
    // A person's retry has what the last one had.
    story.answers(1, Choice::Retry);
    let newest = story.newest("train");
    assert_eq!(story.run().raised(&newest.lane, 4).and_then(|all| all.get(&Resource::Memory)), Some(&gib(5)));
}

#[test]
fn an_alternative_is_taken_by_rule_and_only_by_a_person_where_it_says_so() {
    let with = |name: &str| {
        let name = name.to_owned();
        silent(move |train| {
            let mut other = rule("other", Match::default(), Action::Alternative);
            other.alternative = Some(name);
            other.retry = Some(retry(5, 0));
            train.on_failure = vec![other];
        })
    };
    let mut story = with("half");
    fails(&mut story, Class::Divergence, "nan");
    let lane = &story.run().lanes[0];
    assert_eq!(story.run().script_of(lane), Some("python other.py"));
    assert_eq!(story.run().environment(&story.newest("train")).expect("it has values")["BATCH"], "8");
    fails(&mut story, Class::Divergence, "nan");
    assert!(why_not(&story, 1).ends_with("not repeated: alternative \"half\" has failed as well"));

    let mut story = with("lora");
    fails(&mut story, Class::Divergence, "nan");
    let asked = &story.run().questions[&EscalationId(1)].escalation;
    assert!(asked.evidence[0].ends_with("not repeated: the alternative requires approval"));
    assert_eq!(asked.choices[0], Choice::Accept);
    story.answers(1, Choice::Accept);
    assert_eq!(story.run().lanes[0].patch.words(), "lora");
    // It is over: the next question offers the other one.
    fails(&mut story, Class::Divergence, "nan");
    let words: Vec<_> = story.run().questions[&EscalationId(2)].escalation.choices.clone();
    let words: Vec<_> = words.into_iter().map(|choice| story.run().word(choice).into_owned()).collect();
    assert_eq!(words[0], "alternative:half");
    story.answers(2, Choice::Alternative { step: 0, place: 0 });
    assert_eq!(story.run().lanes[0].patch.words(), "half");
}

#[test]
fn a_rule_that_skips_lets_the_rest_go_on() {
    let mut story = silent(|train| train.on_failure = vec![rule("never mind", Match::default(), Action::Skip)]);
    fails(&mut story, Class::CodeConfig, "Traceback");
    assert_eq!(story.newest("eval").n, 1);
}

#[test]
fn how_much_dogwatch_may_do_is_heeded() {
    let of = |autonomy| {
        let mut story = silent(|step| step.autonomy = autonomy);
        fails(&mut story, Class::Network, "refused");
        story
    };
    assert!(of(Autonomy::Act).run().questions.is_empty());
    let mut story = of(Autonomy::Ask);
    let asked = story.run().questions[&EscalationId(1)].escalation.clone();
    assert_eq!((asked.choices[0], asked.proposal.is_some()), (Choice::Accept, true));
    story.answers(1, Choice::Accept);
    assert_eq!(story.newest("train").n, 2);
    let story = of(Autonomy::Observe);
    let asked = &story.run().questions[&EscalationId(1)].escalation;
    assert!(
        asked.evidence[0].ends_with(
            "not repeated: autonomy = \"observe\"; it would have been: another attempt, by network by default"
        )
    );
    assert!(!asked.choices.contains(&Choice::Accept));
}

#[test]
fn nothing_is_repeated_beside_what_still_lives_nor_after_a_persons_hands() {
    let mut story = silent(|_| {});
    fails_with(&mut story, Class::Network, "refused", |exit| exit.leaked = vec![(42, "server".into())]);
    assert!(
        why_not(&story, 1)
            .ends_with("not repeated: server (42) of this attempt still lives: two at once would be worse")
    );
    // A limit that was reached from the start is reached again.
    let mut story = silent(|_| {});
    fails_with(&mut story, Class::Interrupted, "", |exit| exit.stop = Some(StopReason::Timeout));
    assert!(why_not(&story, 1).ends_with("not repeated: it would begin from the start, and reach the same limit"));
    // What may be something else is nothing to act on.
    let mut story = silent(|_| {});
    fails_with(&mut story, Class::Network, "refused", |exit| {
        exit.diagnosis.as_mut().expect("it is judged").confidence = 0.3;
    });
    assert!(why_not(&story, 1).ends_with("not repeated: it may be network, and that is not sure enough to act on"));
}

#[test]
fn an_answer_can_be_written_as_a_rule_that_the_file_takes() {
    let mut story = silent(|step| step.checkpoint = Some(checkpoint()));
    fails_with(&mut story, Class::Environment, "No module", |exit| exit.checkpoint = Some(saved("/w/ckpt_1", 1)));
    let asked = &story.run().questions[&EscalationId(1)].escalation;
    let lane = &story.run().lanes[0];
    let mut rules = 0;
    for choice in &asked.choices {
        let Some(text) = dogwatch::report::rule::rule(story.run(), lane, asked, *choice) else { continue };
        let file = format!(
            "version = 1\n[steps.train]\nrun = 'true'\ncheckpoint = {{ pattern = '(?P<path>.*)' }}\n\
             [steps.train.alternatives.half]\nenv = {{ A = '1' }}\n[steps.train.alternatives.lora]\nenv = {{ A = '2' }}\n{text}"
        );
        let loaded = dogwatch::config::parse(&file, "a.toml", std::path::Path::new("/w"), &[]);
        let loaded = loaded.unwrap_or_else(|problems| panic!("{text}\n{problems}"));
        let rule = &loaded.workflow.steps[0].on_failure[0];
        assert_eq!(rule.matcher.class, [Class::Environment], "{text}");
        rules += 1;
    }
    // Resume, two alternatives, retry, skip and stop-run.
    assert_eq!(rules, 6);
}

/// A written rule that resumes: interrupted every day, it goes on as long as it gets on, and not by the name of a file.
#[test]
fn a_rule_that_resumes_begins_its_budget_anew_with_each_step_forward() {
    let resumes = |step: &mut Step| {
        step.checkpoint = Some(checkpoint());
        step.on_failure = vec![rule("again", Match::default(), Action::Resume)];
        step.retry = retry(3, 1);
    };
    let mut story = silent(resumes);
    let mut round = |path: String, at: i64| {
        fails_with(&mut story, Class::Interrupted, "SIGTERM", |exit| exit.checkpoint = Some(saved(&path, at)));
        let next = story.engine.next_deadline();
        story.until(next.map_or(0, |next| next.as_ms() / 1000 + 1));
        next.is_some()
    };
    assert!((1..20).all(|n| round(format!("/w/ckpt_{n}"), n)), "it gets on");
    // Saved anew each time, and never further.
    let again = (0..9).take_while(|n| round(format!("/w/other_{n}"), 19)).count();
    assert_eq!(again, 1, "two of three attempts were made of the budget since the last step forward");
}
