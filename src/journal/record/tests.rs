//! What is written can be read again, and what an older dogwatch wrote, too.

use super::*;

fn read_text(body: &str) -> What {
    let run = RunId::new("abc234").expect("legal");
    read(&run, body, &|| Err("not asked for".into())).expect("it is understood")
}

fn stall() -> model::Stall {
    model::Stall {
        sign: model::Sign::Progress,
        since: Time::from_ms(4_000),
        limit: std::time::Duration::from_secs(900),
        longest: Some(std::time::Duration::from_millis(1_500)),
        cpu_permille: Some(3),
        hits: Vec::new(),
        tail: vec!["step 40".into()],
    }
}

#[test]
fn what_people_do_is_read_back_as_it_was_written() {
    let run = RunId::new("abc234").expect("legal");
    let lane = LaneId { step: StepId::new("train").expect("legal"), lane: Lane(2) };
    let attempt = AttemptId { run: run.clone(), lane, n: 3 };
    let ann = || model::Principal::Person("ann@host".into());
    let id = EscalationId(7);
    let until = Time::from_ms(5_000);
    let note = Some("why".to_owned());
    let metrics = vec![("loss".to_owned(), "1.9".to_owned())];
    let checkpoint = model::Checkpoint { path: "/c/7".into(), step: Some(7), metrics };
    let (path, mark) = (checkpoint.path.clone(), model::CheckpointMark::Chosen);
    let (flaw, digest) = (Some("it is empty".to_owned()), Some("d1".to_owned()));
    let lane = || attempt.lane.clone();
    let (reason, save) = (model::StopReason::Stop, Some(10));
    for what in [
        What::StopAsked { attempt: attempt.clone(), reason, by: ann(), save },
        What::CheckpointChecked { lane: lane(), checkpoint, flaw, digest },
        What::CheckpointMarked { lane: lane(), path: path.clone(), mark, by: ann() },
        What::CheckpointRemoved { lane: lane(), path, why: note.clone() },
        What::Held { escalation: id, choice: model::Choice::Skip, by: ann(), note, until },
        What::Undone { escalation: id, by: ann() },
        What::SecretsLost { lane: lane(), names: vec!["TOKEN".into()] },
        What::SecretsGiven { names: vec!["TOKEN".into()], by: ann() },
        What::Lasting { escalation: id, by: ann() },
        What::Extended { escalation: id, deadline: until, by: ann() },
        What::Attached { attempt: attempt.clone(), by: ann() },
        What::Detached { attempt: attempt.clone(), by: model::Principal::Rule, keys: Some(41) },
        What::Answered { escalation: id, choice: model::Choice::KeepWaiting, by: ann(), note: None },
        What::StopAsked { attempt: attempt.clone(), reason: model::StopReason::Stall, by: ann(), save: None },
        What::Judged { attempt: attempt.clone(), verdict: model::Verdict::Answered },
        What::Revived { attempt: attempt.clone() },
        What::Noted { attempt: attempt.clone(), note: "best so far".into(), offset: 41 },
        What::ClocksSet {
            attempt: attempt.clone(),
            order: model::ClockOrder::More(std::time::Duration::from_secs(900)),
            by: ann(),
        },
        What::ClocksSet { attempt: attempt.clone(), order: model::ClockOrder::NeverStall, by: ann() },
        What::Stalled { attempt, stall: Box::new(stall()) },
    ] {
        let body = write(&what).expect("it can be written");
        assert!(body.starts_with(&format!("{{\"{}\":", kind(&what))), "{body}");
        assert_eq!(read_text(&body), what);
    }
}

#[test]
fn a_diagnosis_is_read_back_as_it_was_written() {
    let line = |number| model::Evidence { rule: "cuda-oom".into(), line: "CUDA out of memory".into(), number };
    let exited = r#"{"exited":{"at":{"step":"a","lane":0,"n":1},"exit":{"end":{"code":1},"started_ms":1,
        "ended_ms":2,"stop":null,"leaked":[],"oom_kills":null,"missing":[],"hits":[],"tail":[],"checkpoint":null}}}"#;
    let What::Exited { attempt, mut exit } = read_text(exited) else { panic!("another event") };
    for (class, word) in model::Class::ALL.iter().map(|(word, class)| (*class, *word)) {
        exit.diagnosis = Some(Box::new(model::Diagnosis {
            class,
            advice: class.default_advice(),
            confidence: 0.93,
            rule: Some("cuda-oom".into()),
            role: Some(model::Role::Root),
            evidence: Some(line(7)),
            cascades: vec![line(9)],
            retry_after_s: None,
            explanation: class.words().into(),
        }));
        let what = What::Exited { attempt: attempt.clone(), exit: exit.clone() };
        let body = write(&what).expect("it can be written");
        assert!(body.contains(&format!("\"class\":\"{word}\"")), "{body}");
        assert_eq!(read_text(&body), what);
    }
}

/// As the first version wrote them.
#[test]
fn events_from_before_there_was_more_are_understood() {
    let opened = r#"{"opened":{"id":1,"lane":{"step":"a","lane":0},"attempt":1,"kind":"failed","title":"t",
        "evidence":["e"],"choices":["retry"],"deadline_ms":null,"on_deadline":null}}"#;
    let What::Opened { escalation } = read_text(opened) else { panic!("another event") };
    assert_eq!((escalation.matched, escalation.fingerprint.as_str()), (None, ""));
    let exited = r#"{"exited":{"at":{"step":"a","lane":0,"n":1},"exit":{"end":{"code":1},"started_ms":1,
        "ended_ms":2,"stop":null,"leaked":[],"oom_kills":null,"missing":[],"hits":[],"tail":[],"checkpoint":null}}}"#;
    let What::Exited { exit, .. } = read_text(exited) else { panic!("another event") };
    assert_eq!(exit.usage, None);
}
