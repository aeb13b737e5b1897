//! Thousands of steps: what is said of them stays short, and nothing takes a way through all of them for each of them. Times
//! are measured by `cargo bench --bench scale`; what was quadratic or worse once would not end here.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use dogwatch::engine::{Engine, LaneState, Phase, Run};
use dogwatch::model::{
    Choice, Command, Created, Demand, End, Event, Exit, Principal, RunId, RunResult, Selection, Time, What, Workflow,
};
use dogwatch::patience::{Left, Places, Stage, whole};
use dogwatch::wire::client::{StepState, StepView};

/// What the engine's loop does, where every step ends well at once; until nothing is left to be done.
struct Life {
    engine: Engine,
    /// How many attempts of each step lived at once, at most.
    most: BTreeMap<String, usize>,
    /// The steps, as they were begun.
    begun: Vec<String>,
}

fn workflow(source: &str) -> Arc<Workflow> {
    let loaded = dogwatch::config::parse(source, "w.toml", Path::new("/w"), &[]);
    Arc::new(loaded.unwrap_or_else(|problems| panic!("{problems}")).workflow)
}

fn id() -> RunId {
    RunId::new("many22").expect("legal")
}

fn well(at: Time) -> Exit {
    Exit::new(End::Code(0), at, at)
}

impl Life {
    fn of(source: &str) -> Self {
        let created = Created {
            number: 1,
            workflow: workflow(source),
            dir: "/runs/many22".into(),
            selection: Selection::All,
            env: BTreeMap::new(),
            by: Principal::Person("ann@host".into()),
            no_cache: false,
        };
        let mut life = Self { engine: Engine::new(0), most: BTreeMap::new(), begun: Vec::new() };
        life.tell(1, What::Created(Box::new(created)));
        let mut now = 1;
        loop {
            now += 1;
            let commands = life.engine.owed(Time::from_ms(now));
            let mut launches = Vec::new();
            for command in commands {
                match command {
                    Command::Record(event) => {
                        life.engine.apply(&event);
                        launches.push(None);
                    }
                    Command::Launch(attempt) => launches.push(Some(attempt)),
                    Command::LookUp(..)
                    | Command::LookOut(_)
                    | Command::Stop { .. }
                    | Command::Probe(_)
                    | Command::Verify(_)
                    | Command::VerifyCheckpoints(_)
                    | Command::CheckCheckpoint(..)
                    | Command::RemoveCheckpoint(..)
                    | Command::CloseEnvironment(_) => {}
                }
            }
            if launches.is_empty() {
                return life;
            }
            life.count();
            for attempt in launches.into_iter().flatten() {
                life.begun.push(attempt.lane.step.to_string());
                life.tell(now, What::Claimed { attempt: attempt.clone() });
                life.tell(now, What::Exited { attempt, exit: Box::new(well(Time::from_ms(now))) });
            }
        }
    }

    fn tell(&mut self, at: i64, what: What) {
        self.engine.apply(&Event { run: id(), at: Time::from_ms(at), what });
    }

    fn run(&self) -> &Run {
        self.engine.run(&id()).expect("it was begun")
    }

    fn count(&mut self) {
        let mut live: BTreeMap<String, usize> = BTreeMap::new();
        for lane in self.run().lanes.iter().filter(|lane| matches!(lane.state, LaneState::Active { .. })) {
            *live.entry(lane.id.step.to_string()).or_default() += 1;
        }
        for (step, count) in live {
            let most = self.most.entry(step).or_default();
            *most = count.max(*most);
        }
    }
}

fn chain(n: usize) -> String {
    let steps = (0..n).map(|i| {
        let needs = i.checked_sub(1).map(|before| format!("needs = ['s{before}']\n")).unwrap_or_default();
        format!("[steps.s{i}]\n{needs}run = 'true'\n")
    });
    steps.collect()
}

#[test]
fn a_gate_behind_thousands_of_steps_offers_the_nearest_of_them() {
    let steps = chain(1_500);
    let life =
        Life::of(&format!("version = 1\n{steps}[steps.go]\nneeds = ['s1499']\napproval = {{ prompt = 'Go?' }}\n"));
    let question = life.run().questions.values().next().expect("the gate asks");
    let back: Vec<&str> = question
        .escalation
        .choices
        .iter()
        .filter(|choice| matches!(choice, Choice::SendBack(_)))
        .filter_map(|choice| Some(life.run().back_to(*choice)?.id.as_str()))
        .collect();
    assert_eq!((back.len(), back[0], back[19]), (20, "s1499", "s1480"));
    let gate = &question.escalation.lane.step;
    let again = life.run().sent_back(gate, question.escalation.choices[3]);
    let again: Vec<&str> = again.iter().map(|lane| lane.id.step.as_str()).collect();
    assert_eq!(again, ["s1498", "s1499"]);
}

/// A step whose lanes may not run all at once holds up none of those that stand behind it in the file.
#[test]
fn a_step_that_is_full_is_passed_over() {
    let life = Life::of(
        "version = 1\n[workflow]\nmax_parallel = 5\n\
         [steps.narrow]\nrun = 'true'\nmatrix = { n = [1, 2, 3, 4, 5, 6, 7, 8, 9], max_parallel = 2 }\n\
         [steps.wide]\nrun = 'true'\nmatrix = { n = [1, 2, 3, 4, 5, 6, 7, 8, 9] }\n\
         [steps.last]\nrun = 'true'\n",
    );
    assert!(matches!(life.run().phase, Phase::Ended { result: RunResult::Succeeded, .. }), "{:?}", life.run().phase);
    assert_eq!((life.most["narrow"], life.most["wide"]), (2, 3));
    assert_eq!(life.begun[..5], ["narrow", "narrow", "wide", "wide", "wide"]);
    assert_eq!(life.begun.last().map(String::as_str), Some("narrow"), "it is the one that takes longest");
}

#[test]
fn thousands_of_lanes_that_wait_for_places_are_not_looked_at_one_by_one() {
    let many = (0..3_000).fold(String::new(), |all, i| {
        all + &["[steps.s", &i.to_string(), "]\nneeds = ['first']\nrun = 'true'\n"].concat()
    });
    let gate = "[steps.ask]\napproval = { prompt = 'Go?' }\n";
    let life =
        Life::of(&format!("version = 1\n[workflow]\nmax_parallel = 2\n[steps.first]\nrun = 'true'\n{many}{gate}"));
    assert_eq!(life.begun.len(), 3_001);
    assert!(life.engine.consistent());
    // What takes no place was asked at once, however busy the run was.
    assert_eq!(life.run().questions.values().map(|asked| asked.opened.as_ms()).collect::<Vec<_>>(), [2]);
}

/// The time left of a run of thousands of steps, all of them known.
#[test]
fn what_is_left_of_thousands_of_steps_is_told() {
    let left = Left { p10: 9.0, p50: 10.0, p90: 11.0 };
    let stage =
        |needs, crew| Stage { needs, left, crew: Some(crew), begun: false, demand: Demand::default(), aside: false };
    let fan: Vec<Stage> = (0..20_000).map(|place| stage(Vec::new(), place)).collect();
    let places = Places { all: 10, crews: Vec::new(), host: Demand::BOUNDLESS };
    let (all, way) = whole(&fan, &places);
    assert!((19_000.0..21_000.0).contains(&all.p50) && all.p10 <= all.p50 && all.p50 <= all.p90, "{all:?}");
    assert!(!way.is_empty());
    let chain: Vec<Stage> =
        (0..5_000usize).map(|place| stage(place.checked_sub(1).into_iter().collect(), place)).collect();
    let (all, way) = whole(&chain, &places);
    assert!((48_000.0..52_000.0).contains(&all.p50), "{all:?}");
    assert_eq!(way.len(), 5_000);
}

/// The names of lanes are compared at every frame, without being made.
#[test]
fn a_lane_is_named_as_its_name_says_and_by_nothing_else() {
    let lanes = [("a", ""), ("a", "x=1"), ("a", "x=1]"), ("a[", ""), ("a[", "x"), ("ab", ""), ("b", "[x]")];
    let lanes = lanes.map(|(step, label)| crate::support::shown::step(step, label, StepState::Running));
    let mut met = 0;
    for name in lanes.iter().map(StepView::name).chain(["", "a[]", "a[x=1", "[x=1]", "a]"].map(str::to_owned)) {
        for lane in &lanes {
            assert_eq!(lane.is_named(&name), lane.name() == name, "{name:?} and {:?}", lane.name());
            met += usize::from(lane.is_named(&name));
        }
    }
    assert_eq!(met, lanes.len());
}
