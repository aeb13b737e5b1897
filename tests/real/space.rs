//! A state directory that is full, or read-only: a small file system of its own. Needs root, as CI has; without it these
//! tests fail and say so, for a skipped test of a full disk is no test.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::house::{House, until, within, words};

/// A tmpfs; gone when this is dropped.
struct Small {
    path: PathBuf,
}

impl Small {
    fn mount(path: &Path) -> Self {
        std::fs::create_dir_all(path).expect("a folder");
        let small = Self { path: path.to_owned() };
        small.mount_with("size=96m,mode=700", &["-t", "tmpfs", "tmpfs"]);
        small
    }

    fn mount_with(&self, options: &str, arguments: &[&str]) {
        let mut command = Command::new("mount");
        command.args(["-o", options]).args(arguments).arg(&self.path);
        let output = command.output().expect("mount starts");
        assert!(output.status.success(), "this test needs root, to mount a small file system: {}", words(&output));
    }

    /// Not one page is left.
    fn fill(&self) {
        use std::io::Write;
        let mut file = std::fs::File::create(self.path.join("fill")).expect("a file");
        let block = vec![b'x'; 64 * 1024];
        for size in [block.len(), 4096, 1] {
            while file.write_all(&block[..size]).is_ok() {}
        }
    }

    fn make_room(&self) {
        std::fs::remove_file(self.path.join("fill")).expect("the file that fills it");
    }
}

impl Drop for Small {
    fn drop(&mut self) {
        // Lazily: something may just be ending.
        let _ = Command::new("umount").arg("-l").arg(&self.path).output();
    }
}

/// `first` ends while the disk is full, `second` goes on all the time, `third` may start only when there is room again.
const WORKFLOW: &str = r#"
[workflow]
name = "full"
[steps.first]
allow_failure = true
run = '''
echo "start $DOGWATCH_KEY" >> effects
until [ -e go-first ]; do sleep 0.05; done
echo "end $DOGWATCH_KEY" >> effects
exit 7
'''
[steps.second]
run = '''
echo "start $DOGWATCH_KEY" >> effects
until [ -e go-second ]; do echo tick >> ticks; echo tick; sleep 0.05; done
echo "end $DOGWATCH_KEY" >> effects
exit 0
'''
[steps.third]
needs = ["first"]
run = 'echo "start $DOGWATCH_KEY" >> effects; echo "end $DOGWATCH_KEY" >> effects'
"#;

fn touch(house: &House, name: &str) {
    std::fs::write(house.work().join(name), b"").expect("the workspace has room");
}

#[test]
fn a_full_state_directory_stops_new_steps_only_and_the_run_goes_on_by_itself() {
    let house_root = House::new();
    let small = Small::mount(&house_root.root().join("s"));
    let house = &house_root;
    house.workflow(WORKFLOW);
    house.start();
    until("both run", || house.effects().len() == 2 && house.text("ticks").lines().count() > 2);
    small.fill();
    touch(house, "go-first");
    until("the first has ended", || house.effects().len() == 3);
    until("its exit record is on the full disk", || house.attempts()["first/0/a1"].join("exit.json").exists());
    until("the trouble is told", || {
        house.json(&["engine", "status"]).is_some_and(|engine| engine["trouble"].is_string())
    });
    let told = house.said(&["engine", "status"]);
    assert!(told.contains("full"), "{told}");
    let status = house.status();
    assert!(status["trouble"].as_str().is_some_and(|words| words.contains("nothing new starts")), "{status}");
    // Running ones go on, and nothing starts.
    let ticks = house.text("ticks").lines().count();
    until("the second goes on", || house.text("ticks").lines().count() > ticks + 20);
    assert!(house.effects().keys().all(|line| !line.contains("third")), "{:?}", house.effects());
    // An engine that is started on a full disk is no worse.
    small.make_room();
    until("the third has run", || house.effects().keys().any(|line| line.contains("end") && line.contains("third")));
    touch(house, "go-second");
    assert_eq!(house.wait(), Some(0));
    assert_eq!(house.lane("first")["exit"], "code 7");
    assert!(house.effects().values().all(|count| *count == 1) && house.effects().len() == 6, "{:?}", house.effects());
    assert!(house.status()["trouble"].is_null());
    end(house_root, small);
}

#[test]
fn an_engine_killed_on_a_full_disk_finds_everything_when_there_is_room() {
    let house_root = House::new();
    let small = Small::mount(&house_root.root().join("s"));
    let house = &house_root;
    house.workflow(WORKFLOW);
    house.start();
    until("both run", || house.effects().len() == 2);
    small.fill();
    house.kill_engine();
    touch(house, "go-first");
    until("the first has ended", || house.attempts()["first/0/a1"].join("exit.json").exists());
    let refused = house.dogwatch(&["engine", "start"]);
    assert!(!within(500, || house.effects().keys().any(|line| line.contains("third"))), "{}", words(&refused));
    small.make_room();
    touch(house, "go-second");
    house.said(&["engine", "start"]);
    assert_eq!(house.wait(), Some(0));
    assert_eq!(house.lane("first")["exit"], "code 7");
    assert!(house.effects().values().all(|count| *count == 1) && house.effects().len() == 6, "{:?}", house.effects());
    end(house_root, small);
}

/// While anything is open for writing the kernel refuses to make a file system read-only, so this one is so from the start.
#[test]
fn a_read_only_state_directory_is_refused_with_the_reason() {
    let house_root = House::new();
    let small = Small::mount(&house_root.root().join("s"));
    let house = &house_root;
    house.workflow(WORKFLOW);
    house.said(&["engine", "start"]);
    house.said(&["engine", "stop"]);
    until("it has gone", || house.engine().is_none());
    small.mount_with("remount,ro", &[]);
    let refused = house.dogwatch(&["run", "w.toml", "--detach"]);
    assert!(!refused.status.success());
    assert!(words(&refused).to_lowercase().contains("read-only"), "{}", words(&refused));
    small.mount_with("remount,rw", &[]);
    touch(house, "go-first");
    touch(house, "go-second");
    house.start();
    assert_eq!(house.wait(), Some(0));
    end(house_root, small);
}

/// The house ends before its ground is taken away.
fn end(house: House, small: Small) {
    house.end_all();
    drop(small);
    drop(house);
}
