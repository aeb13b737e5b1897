//! What steps have of the host for themselves: never more than there is over all runs, first come, first served, and
//! nothing is lost or doubled when the mind is folded anew.

use std::collections::BTreeSet;

use dogwatch::engine::{Engine, LaneState};
use dogwatch::model::{
    AttemptId, Choice, Command, ContainerSpec, Created, Demand, End, Event, Gpus, LostWhy, RunId, Selection, Step,
    Time, What, Workflow,
};

use crate::support::make::{created, person, retry, step, workflow};
use crate::support::story::{exit, lane};

fn gpus(name: &str, needs: &[&str], gpus: u32) -> Step {
    Step { demand: Demand { gpus, ..Demand::default() }, ..step(name, needs) }
}

fn id(name: &str) -> RunId {
    RunId::new(name).expect("legal")
}

/// Several runs on one host.
struct Host {
    engine: Engine,
    there: Demand,
    events: Vec<Event>,
    now: Time,
}

impl Host {
    fn with(gpus: u32) -> Self {
        let there = Demand { gpus, milli_cpus: 4000, memory: 1 << 30 };
        Self { engine: Engine::default().on(there), there, events: Vec::new(), now: Time::from_ms(0) }
    }

    fn begins(&mut self, run: &str, number: u64, flow: Workflow) -> &mut Self {
        let created = Created { number, ..created(flow, Selection::All) };
        self.tell(run, What::Created(Box::new(created)))
    }

    fn tell(&mut self, run: &str, what: What) -> &mut Self {
        self.note(Event { run: id(run), at: self.now, what });
        self.settle()
    }

    fn note(&mut self, event: Event) {
        self.engine.apply(&event);
        self.events.push(event);
    }

    fn settle(&mut self) -> &mut Self {
        for _ in 0..100 {
            let owed = self.engine.owed(self.now);
            if !matches!(owed.first(), Some(Command::Record(_))) {
                self.check();
                return self;
            }
            for command in owed {
                if let Command::Record(event) = command {
                    self.note(event);
                }
            }
        }
        panic!("decisions without end");
    }

    /// No GPU is had twice, nor more of anything than there is; and a mind that is folded anew knows the same.
    fn check(&self) {
        let mut folded = Engine::default().on(self.there);
        self.events.iter().for_each(|event| folded.apply(event));
        assert_eq!(folded, self.engine);
        let (mut had, mut all) = (BTreeSet::new(), Demand::default());
        for run in self.engine.runs() {
            for lane in run.lanes.iter().filter(|lane| run.holds(lane)) {
                let demand = run.step_of(lane).demand;
                assert_eq!(lane.gpus.len(), usize::try_from(demand.gpus).expect("small"), "{}", lane.id.step);
                all.milli_cpus += demand.milli_cpus;
                all.memory += demand.memory;
                for gpu in &lane.gpus {
                    assert!(*gpu < self.there.gpus && had.insert(*gpu), "GPU {gpu} is had twice");
                }
            }
        }
        assert_eq!(all.beyond(self.there).count(), 0, "{all:?}");
    }

    fn until(&mut self, second: i64) -> &mut Self {
        let end = Time::from_ms(second * 1000);
        while let Some(deadline) = self.engine.next_deadline().filter(|deadline| *deadline <= end) {
            assert!(deadline > self.now, "a deadline that has passed: {deadline}");
            self.now = deadline;
            self.settle();
        }
        self.now = end;
        self.settle()
    }

    fn state(&self, run: &str, name: &str) -> &LaneState {
        &self.engine.run(&id(run)).expect("the run").lane(&lane(name)).expect("a lane").state
    }

    fn runs(&self, run: &str, name: &str) -> bool {
        matches!(self.state(run, name), LaneState::Active { .. })
    }

    fn newest(&self, run: &str, name: &str) -> AttemptId {
        let n = self.engine.run(&id(run)).expect("the run").lane(&lane(name)).expect("a lane").n;
        AttemptId { run: id(run), lane: lane(name), n }
    }

    fn exits(&mut self, run: &str, name: &str, code: i32) -> &mut Self {
        let attempt = self.newest(run, name);
        self.tell(run, What::Claimed { attempt: attempt.clone() });
        let exit = Box::new(exit(End::Code(code), self.now));
        self.tell(run, What::Exited { attempt, exit })
    }

    fn shortage(&self, run: &str, name: &str) -> Option<String> {
        let held = self.engine.run(&id(run)).expect("the run");
        self.engine.shortages(self.now).of(held, held.lane(&lane(name)).expect("a lane"))
    }
}

#[test]
fn two_runs_want_the_one_gpu_and_each_has_it_alone() {
    let mut host = Host::with(1);
    let flow = || workflow(vec![gpus("train", &[], 1), step("other", &[])]);
    host.begins("aaaa22", 1, flow()).begins("bbbb22", 2, flow());
    assert!(host.runs("aaaa22", "train") && !host.runs("bbbb22", "train") && host.runs("bbbb22", "other"));
    assert_eq!(host.shortage("bbbb22", "train").as_deref(), Some("waits for 1 GPU: train of test #1 has it"));
    assert_eq!(host.shortage("aaaa22", "train"), None);
    host.exits("aaaa22", "train", 0);
    assert!(host.runs("bbbb22", "train"));
}

#[test]
fn a_waiting_retry_holds_nothing_and_comes_after_who_waited() {
    let mut host = Host::with(1);
    let mut train = gpus("train", &[], 1);
    train.retry = retry(3, 10);
    host.begins("aaaa22", 1, workflow(vec![train]));
    host.until(1).begins("bbbb22", 1, workflow(vec![gpus("eval", &[], 1)]));
    host.exits("aaaa22", "train", 1);
    assert!(host.runs("bbbb22", "eval"), "the retry that waits holds no GPU");
    // Its time comes, and the GPU is another's: nothing happens, and nobody asks all the time.
    host.until(60);
    assert!(matches!(host.state("aaaa22", "train"), LaneState::Delayed { .. }));
    assert_eq!(host.engine.next_deadline(), None);
    assert_eq!(host.shortage("aaaa22", "train").as_deref(), Some("waits for 1 GPU: eval of test #1 has it"));
    host.exits("bbbb22", "eval", 0);
    assert!(host.runs("aaaa22", "train"));
}

#[test]
fn who_wants_much_is_not_overtaken_by_those_who_want_little() {
    let mut host = Host::with(2);
    host.begins("aaaa22", 1, workflow(vec![gpus("one", &[], 1)]));
    host.until(1).begins("bbbb22", 2, workflow(vec![gpus("two", &[], 2)]));
    host.until(2).begins("cccc22", 3, workflow(vec![gpus("late", &[], 1), step("plain", &[])]));
    assert!(!host.runs("cccc22", "late"), "one GPU is free, but somebody waits for two");
    assert!(host.runs("cccc22", "plain"), "what wants none is not held up");
    host.until(3).exits("aaaa22", "one", 0);
    assert!(host.runs("bbbb22", "two") && !host.runs("cccc22", "late"));
    host.exits("bbbb22", "two", 0);
    assert!(host.runs("cccc22", "late"));
}

#[test]
fn processors_and_memory_are_booked_too() {
    let mut host = Host::with(0);
    let wants =
        |name: &str, milli_cpus, memory| Step { demand: Demand { gpus: 0, milli_cpus, memory }, ..step(name, &[]) };
    let flow = vec![wants("a", 3000, 0), wants("b", 1500, 0), wants("c", 0, 1 << 29), wants("d", 0, 600 << 20)];
    host.begins("aaaa22", 1, workflow(flow));
    let running = ["a", "b", "c", "d"].map(|name| host.runs("aaaa22", name));
    assert_eq!(running, [true, false, true, false]);
    assert_eq!(host.shortage("aaaa22", "b").as_deref(), Some("waits for 1.5 processors: a has it"));
    host.exits("aaaa22", "a", 0).exits("aaaa22", "c", 0);
    assert!(host.runs("aaaa22", "b") && host.runs("aaaa22", "d"));
}

#[test]
fn what_can_never_be_had_is_asked_about_and_holds_nobody_up() {
    let mut host = Host::with(1);
    host.begins("aaaa22", 1, workflow(vec![gpus("huge", &[], 2), gpus("small", &[], 1)]));
    assert!(host.runs("aaaa22", "small"));
    let run = host.engine.run(&id("aaaa22")).expect("the run");
    let asked = &run.questions.values().next().expect("a question").escalation;
    assert_eq!(asked.evidence, ["it wants 2 GPUs, and this host has 1 GPU"]);
}

#[test]
fn what_may_still_live_keeps_its_gpu_and_what_ended_with_its_host_does_not() {
    for (why, keeps) in [(LostWhy::ShimDied, true), (LostWhy::HostRestarted, false)] {
        let mut host = Host::with(1);
        host.begins("aaaa22", 1, workflow(vec![gpus("train", &[], 1)]));
        host.begins("bbbb22", 2, workflow(vec![gpus("eval", &[], 1)]));
        let attempt = host.newest("aaaa22", "train");
        host.tell("aaaa22", What::Claimed { attempt: attempt.clone() });
        host.tell("aaaa22", What::Lost { attempt, why, evidence: Vec::new(), checkpoint: None });
        assert_eq!(host.runs("bbbb22", "eval"), !keeps, "{why:?}");
        let run = host.engine.run(&id("aaaa22")).expect("the run");
        let question = run.questions.values().next().expect("a question").escalation.id;
        let answer = run.decide(question, Choice::Fail, person("ann"), None).expect("it may be answered");
        host.tell("aaaa22", answer);
        assert!(host.runs("bbbb22", "eval"));
    }
}

#[test]
fn a_step_sees_the_gpus_that_it_has_as_its_container_counts_them() {
    let mut host = Host::with(4);
    let mut flow = workflow(vec![gpus("a", &[], 1), gpus("b", &[], 2)]);
    let mut inside = ContainerSpec::of("cuda".into());
    inside.gpus = Gpus::Ids(vec!["3".into(), "1".into(), "2".into()]);
    flow.environment.container = Some(inside);
    host.begins("aaaa22", 1, flow).begins("bbbb22", 2, workflow(vec![gpus("plain", &[], 1), step("none", &[])]));
    let seen = |run: &str, name: &str| {
        let attempt = host.newest(run, name);
        let env = host.engine.run(&id(run)).expect("the run").environment(&attempt).expect("an environment");
        env.get("CUDA_VISIBLE_DEVICES").cloned()
    };
    assert_eq!(host.engine.run(&id("aaaa22")).expect("the run").lanes[1].gpus, [1, 2]);
    assert_eq!((seen("aaaa22", "a"), seen("aaaa22", "b")), (Some("0".into()), Some("1,2".into())));
    assert_eq!((seen("bbbb22", "plain"), seen("bbbb22", "none")), (Some("0".into()), None));
}

/// Many runs that come and go at random, on a host that has too little for all of them.
#[test]
fn nothing_is_ever_over_booked_and_nobody_waits_for_ever() {
    let mut dice = crate::support::dice::dice_for(7, "booking");
    for round in 0..200 {
        let mut host = Host::with(u32::try_from(dice.between(1, 4)).expect("small"));
        let names = ["aaaa22", "bbbb22", "cccc22", "dddd22"];
        for (name, number) in names.into_iter().zip(1..) {
            let steps = (0..dice.between(1, 5)).map(|n| {
                let most = u64::from(host.there.gpus);
                let mut one = gpus(&format!("s{n}"), &[], u32::try_from(dice.between(0, most)).expect("small"));
                one.demand.milli_cpus = dice.between(0, 4) * 1000;
                one.retry = retry(3, dice.between(1, 20));
                one
            });
            let flow = workflow(steps.collect());
            host.until(i64::try_from(number).expect("small")).begins(name, number, flow);
        }
        let mut second = 10;
        let over =
            |host: &Host| host.engine.runs().all(|run| matches!(run.phase, dogwatch::engine::Phase::Ended { .. }));
        while !over(&host) {
            second += 1;
            assert!(second < 5000, "round {round}: somebody waits for ever");
            host.until(second);
            let live: Vec<(String, String)> = host
                .engine
                .runs()
                .flat_map(|run| {
                    run.live_attempts().map(|(attempt, _)| (run.id.to_string(), attempt.lane.step.to_string()))
                })
                .collect();
            if let Some((run, name)) = dice.pick(&live).cloned() {
                // The third attempt ends well: nobody is asked.
                let third = host.newest(&run, &name).n >= 3;
                let code = i32::from(!third && dice.per_mille(300));
                host.exits(&run, &name, code);
            }
        }
    }
}
