//! A damaged journal is refused with its name, never misread, and made anew from the runs' own folders; nothing runs twice.

use std::path::Path;
use std::sync::Arc;

use dogwatch::journal::{Error, Journal, RunRow};
use dogwatch::model::{Created, Event, Principal, RunId, Selection, Time, What, Workflow};

use crate::house::{House, until, words};

const SOURCE: &str = "version = 1\n[steps.a]\nrun = 'true'\n";
const SEEDS: u64 = 200;

fn workflow() -> Arc<Workflow> {
    let loaded = dogwatch::config::parse(SOURCE, "w.toml", Path::new("/w"), &[]);
    Arc::new(loaded.unwrap_or_else(|problems| panic!("{problems}")).workflow)
}

fn id() -> RunId {
    RunId::new("abc234").expect("legal")
}

fn row() -> RunRow {
    RunRow {
        id: id(),
        name: "w".into(),
        number: 1,
        created: Time::from_ms(1),
        ended: None,
        result: None,
        dir: "/runs/abc234".into(),
        source: SOURCE.into(),
        file: "w.toml".into(),
        base: "/w".into(),
        params: Vec::new(),
    }
}

/// What a journal says, whole.
type Told = (Vec<RunRow>, Vec<(u64, Event)>);

fn told(path: &Path) -> Result<Told, Error> {
    let journal = Journal::open(path, "boot")?;
    let events = journal.read().events(&id(), 0, &|| Ok(workflow()))?;
    Ok((journal.read().runs(100)?, events))
}

fn events(from: i64, count: i64) -> Vec<Event> {
    let by = || Principal::Person("ann@host".into());
    let what = |n: i64| if n % 2 == 0 { What::Paused { by: by() } } else { What::Unpaused { by: by() } };
    (from..from + count).map(|n| Event { run: id(), at: Time::from_ms(n), what: what(n) }).collect()
}

/// A sound journal, half of it in its file and half in its WAL; the three files.
fn sound(folder: &Path) -> [Vec<u8>; 3] {
    let path = folder.join("journal.db");
    let created = Created {
        number: 1,
        workflow: workflow(),
        dir: "/runs/abc234".into(),
        selection: Selection::All,
        env: std::collections::BTreeMap::from([("PATH".into(), "/bin".into())]),
        by: Principal::Person("ann@host".into()),
        no_cache: false,
    };
    let first = Event { run: id(), at: Time::from_ms(1), what: What::Created(Box::new(created)) };
    let mut journal = Journal::open(&path, "boot").expect("a new one");
    journal.commit(&[first], &[row()], &[]).expect("it is written");
    for n in 0..20 {
        journal.commit(&events(n * 10, 10), &[], &[]).expect("it is written");
    }
    journal.close().expect("all is in the file");
    let mut journal = Journal::open(&path, "boot").expect("the same one");
    for n in 20..30 {
        journal.commit(&events(n * 10, 10), &[], &[]).expect("it is written");
    }
    ["journal.db", "journal.db-wal", "journal.db.mark"]
        .map(|name| std::fs::read(folder.join(name)).expect("it is there"))
}

/// The same numbers for the same seed.
struct Dice(u64);

impl Dice {
    fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }

    fn below(&mut self, n: u64) -> u64 {
        for _ in 0..4 {
            self.0 ^= self.0 << 13;
            self.0 ^= self.0 >> 7;
            self.0 ^= self.0 << 17;
        }
        self.0 % n
    }
}

fn damage(files: &mut [Vec<u8>; 3], dice: &mut Dice) -> &'static str {
    let flip = |bytes: &mut Vec<u8>, dice: &mut Dice| {
        for _ in 0..=dice.below(8) {
            let place = dice.below(bytes.len() as u64);
            bytes[usize::try_from(place).expect("small")] ^= 1 << dice.below(8);
        }
    };
    match dice.below(4) {
        0 => {
            flip(&mut files[0], dice);
            "bits of the file"
        }
        1 => {
            flip(&mut files[1], dice);
            "bits of the WAL"
        }
        2 => {
            let length = dice.below(files[1].len() as u64);
            files[1].truncate(usize::try_from(length).expect("small"));
            "a WAL that is cut off"
        }
        _ => {
            let length = dice.below(files[0].len() as u64);
            files[0].truncate(usize::try_from(length).expect("small"));
            "a file that is cut off"
        }
    }
}

#[test]
fn a_damaged_journal_is_refused_with_its_name_and_never_misread() {
    let folder = tempfile::tempdir().expect("a folder");
    let good = sound(folder.path());
    let put = |folder: &Path, files: &[Vec<u8>; 3]| {
        for (name, bytes) in ["journal.db", "journal.db-wal", "journal.db.mark"].iter().zip(files) {
            std::fs::write(folder.join(name), bytes).expect("it can be written");
        }
        folder.join("journal.db")
    };
    let calm = tempfile::tempdir().expect("a folder");
    let calm = told(&put(calm.path(), &good)).expect("it is sound");
    assert_eq!(calm.1.len(), 301);
    let (mut refused, mut unharmed) = (std::collections::BTreeMap::new(), 0);
    for seed in 0..SEEDS {
        let mut dice = Dice::new(seed);
        let mut files = good.clone();
        let what = damage(&mut files, &mut dice);
        let here = tempfile::tempdir().expect("a folder");
        let path = put(here.path(), &files);
        match told(&path) {
            // What was hit says nothing: free room, or a page that the WAL has anew.
            Ok(found) => {
                assert!(found == calm, "seed {seed}: {what}: it was misread");
                unharmed += 1;
            }
            Err(Error::Damaged { path: named, why }) => {
                assert_eq!(named, path, "seed {seed}: {what}");
                assert!(!why.is_empty());
                *refused.entry(what).or_insert(0) += 1;
            }
            Err(error) => {
                let words = error.to_string();
                assert!(words.contains("journal"), "seed {seed}: {what}: {words}");
                *refused.entry(what).or_insert(0) += 1;
            }
        }
    }
    let all: u64 = refused.values().sum();
    eprintln!("of {SEEDS} damaged journals {all} were refused ({refused:?}), {unharmed} had lost nothing");
    assert!(all > SEEDS / 2 && refused.len() == 4, "{refused:?}");
}

/// The journal is gone, a step lives, one has lost its shim, one has ended, one waits, and another run is over.
#[test]
fn recover_makes_a_new_journal_and_nothing_runs_twice() {
    let house = House::new();
    house.workflow("[steps.early]\nrun = 'echo \"start $DOGWATCH_KEY\" >> effects'\n");
    house.start();
    assert_eq!(house.wait(), Some(0));
    std::fs::remove_file(house.work().join("effects")).expect("it was written");
    house.workflow(
        "[workflow]\nname = \"second\"\n\
         [steps.first]\nrun = 'echo \"start $DOGWATCH_KEY\" >> effects'\n\
         [steps.lives]\nneeds = [\"first\"]\nrun = 'echo \"start $DOGWATCH_KEY\" >> effects; until test -e go; do sleep 0.05; done; echo lived'\n\
         [steps.lost]\nneeds = [\"first\"]\nrun = 'echo \"start $DOGWATCH_KEY\" >> effects; until test -e die; do sleep 0.05; done; kill -9 $PPID; sleep 20'\n\
         [steps.last]\nneeds = [\"lives\"]\nrun = 'echo \"start $DOGWATCH_KEY\" >> effects'\n",
    );
    house.start();
    until("both run", || house.lane("lives")["state"] == "running" && house.lane("lost")["state"] == "running");
    std::fs::write(house.state().join("engine.stopped"), b"").expect("it can be written");
    house.kill_engine();
    std::fs::write(house.work().join("die"), "").expect("it can be written");
    until("its shim is gone", || house.shims().len() == 1);
    let journal = house.state().join("journal.db");
    let size = std::fs::metadata(&journal).expect("it is there").len();
    let mut bytes = std::fs::read(&journal).expect("it is read");
    let zeros = bytes.len() / 3..bytes.len() / 2;
    bytes[zeros].fill(0);
    std::fs::write(&journal, &bytes).expect("it can be written");
    drop(std::fs::remove_file(house.state().join("journal.db-wal")));

    let refused = house.dogwatch(&["status"]);
    assert!(!refused.status.success());
    for word in ["journal.db is damaged", "dogwatch recover"] {
        assert!(words(&refused).contains(word), "{word:?} is not in\n{}", words(&refused));
    }
    let first = words(&refused).lines().find(|line| line.starts_with("error")).map(str::to_owned).unwrap_or_default();
    assert!(
        first.contains("dogwatch recover") && !first.contains("***"),
        "what to do stands in the first line: {first}"
    );
    assert_eq!(std::fs::metadata(&journal).expect("it is there").len(), size, "it was not changed");
    let said = house.said(&["recover"]);
    for word in ["it is kept as", "1 run(s) that are over, 1 that go on", "dogwatch unpause second#1"] {
        assert!(said.contains(word), "{word:?} is not in\n{said}");
    }
    assert!(house.state().join("journal.db.damaged-0").exists());
    until("what lost its shim is UNKNOWN", || house.lane("lost")["state"] == "unknown");
    assert_eq!(house.lane("first")["state"], "succeeded", "{}", house.said(&["status"]));
    assert_eq!(house.lane("lives")["state"], "running", "{}", house.said(&["status"]));
    std::fs::write(house.work().join("go"), "").expect("it can be written");
    until("what lived has ended", || house.lane("lives")["state"] == "succeeded");
    assert!(house.log("lives/0/a1").contains("lived"));
    assert_eq!(house.lane("last")["state"], "waiting", "the run is paused");
    let runs = house.said(&["runs"]);
    assert!(runs.contains("succeeded"), "{runs}");
    house.said(&["unpause", "second#1"]);
    until("the last one has run", || house.lane("last")["state"] == "succeeded");
    let question = house.json(&["inbox"]).expect("a question")["id"].as_u64().expect("a number");
    house.said(&["decide", &question.to_string(), "skip"]);
    assert_eq!(house.wait(), Some(0), "{}", house.said(&["status"]));
    let effects = house.effects();
    assert!(effects.len() == 4 && effects.values().all(|count| *count == 1), "{effects:?}");
    house.said(&["engine", "stop"]);
    assert!(house.said(&["recover"]).contains("nothing was changed"));
}

/// An older journal is read, and gets its sums: from then on it is guarded, too.
#[test]
fn a_journal_of_an_older_version_is_read_and_guarded_from_then_on() {
    let folder = tempfile::tempdir().expect("a folder");
    let files = sound(folder.path());
    let here = tempfile::tempdir().expect("a folder");
    let path = here.path().join("journal.db");
    std::fs::write(&path, &files[0]).expect("it can be written");
    // As version 3 left it: no sums, and no mark.
    let old = rusqlite::Connection::open(&path).expect("it opens");
    old.execute_batch(
        "ALTER TABLE events DROP COLUMN sum; ALTER TABLE runs DROP COLUMN sum; ALTER TABLE boots DROP COLUMN sum;
         PRAGMA user_version = 3;",
    )
    .expect("it was younger");
    drop(old);
    let (runs, events) = told(&path).expect("it is read");
    assert_eq!((runs, events.len()), (vec![row()], 201));
    let now = rusqlite::Connection::open(&path).expect("it opens");
    now.execute("UPDATE events SET at = at + 1 WHERE seq = 77", []).expect("somebody changes it");
    drop(now);
    let error = told(&path).expect_err("it is refused").to_string();
    assert!(error.contains("event 77 is not as it was written") && error.contains("journal.db"), "{error}");
}
