//! The written record of a run, as one example in which everything went wrong at least once.

use dogwatch::model::{
    Choice, End, EnvironmentId, EscalationId, Hit, Isolation, OnUnknown, Order, StopReason, Value, What,
};
use dogwatch::report::record::record;

use crate::support::make::{checkpoint, lanes, person, retry, seconds, step, workflow};
use crate::support::story::{Story, lane, saved};

#[test]
fn the_record_tells_everything_and_means_nothing() {
    let mut train = step("train", &["prepare"]);
    train.lanes = lanes(2);
    train.has_matrix = true;
    train.retry = retry(2, 10);
    train.timeout = Some(seconds(3600));
    train.checkpoint = Some(checkpoint());
    let mut publish = step("publish", &["train"]);
    publish.on_unknown = OnUnknown::Ask;
    let mut flow = workflow(vec![step("prepare", &[]), train, publish, step("after", &["publish"])]);
    flow.description = Some("Learn <script>alert(1)</script>".into());
    flow.params.insert("model".into(), Value::Text("a|b`c".into()));
    let mut story = Story::of(flow);
    story.tell(What::EnvironmentReady {
        environment: EnvironmentId::default(),
        isolation: Isolation::None { why: "no \u{1b}[31mnamespaces".into() },
    });
    story.claimed("prepare").until(5).exits("prepare", 0).claimed("train").claimed("train.1");
    story.until(100).exits_with("train", |exit| {
        exit.end = End::Signal(9);
        exit.oom_kills = Some(1);
        exit.hits = vec![Hit { rule: 0, line_number: 812, line: "CUDA <b>out of memory</b>".into(), ..Hit::default() }];
        exit.tail = vec!["```".into(), "\u{1b}]0;owned\u{7}Killed".into(), "# not a heading".into()];
        exit.checkpoint = Some(saved("/w/ckpt_7|x", 7));
    });
    story.exits("train.1", 0).until(200).exits("train", 0);
    story.lost("publish");
    let note = Some("looked at it: [ok](http://evil)".into());
    let answer = story.run().decide(EscalationId(1), Choice::Retry, person("ann|x@host"), note).expect("it is open");
    story.tell(answer).until(300).exits_with("publish", |exit| {
        exit.end = End::Code(1);
        exit.missing = vec!["release".into()];
        exit.leaked = vec![(4242, "sleep`x`".into())];
    });
    let done = story.run().order(&lane("publish"), Order::Done, person("bob@host"), Some("by hand".into()));
    story.tell(done.expect("it may be ordered"));
    insta::assert_snapshot!("record_while_it_runs", record(story.run(), &story.events));
    story.exits_with("after", |exit| exit.stop = Some(StopReason::Stop));
    let text = record(story.run(), &story.events);
    assert!(text.contains("state: **stopped**"), "{text}");
    assert!(text.contains("- ended: 1970-01-01T00:05:00Z, after 5m00s"), "{text}");
    assert!(!text.contains('\u{1b}') && !text.contains('\u{7}'), "a control character came through");
}
