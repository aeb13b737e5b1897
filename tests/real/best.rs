//! What expressions know of earlier steps' numbers and lanes: which lane is best, and what decides on a number.

use crate::desk::Desk;

/// Four lanes: the first tells no number at last, the last has the smallest one but fails.
const FILE: &str = r#"
[steps.train]
run = '''
echo "step 1 loss=0.001"
case "$LR" in
    a) echo "step 2 loss=0.5"; printf 'step 3 loss=0.4' ;;
    b) echo "step 2 loss=0.3"; echo '{"step": 2, "eval": 0.7}' > "$DOGWATCH_DIR/m.jsonl" ;;
    c) echo "step 2 loss=0.2"; exit 1 ;;
    d) echo "step 2 loss=nan" ;;
esac
echo "$LR" > "$DOGWATCH_DIR/model"
'''
env = { LR = "${{ matrix.lr }}" }
outputs = { model = { path = "$DOGWATCH_DIR/model" } }
matrix = { lr = ["d", "a", "b", "c"] }
allow_failure = true
retry = { max_attempts = 1 }

[[steps.train.on_failure]]
action = "skip"

[steps.judge]
needs = ["train"]
if = "best(steps.train, by='loss', mode='min').metrics.loss < 0.35"
run = 'dogwatch report metric "eval/acc=0.9"; echo "$LANE $LR $LOSS $(cat "$MODEL") $(cat "$OTHER")" > "judged-$DOGWATCH_RUN"'
inputs = { MODEL = "${{ best(steps.train, by='loss', mode='min').outputs.model }}", OTHER = "${{ steps['train[lr=a]'].outputs.model }}" }
[steps.judge.env]
LANE = "${{ best(steps.train, by='loss', mode='min').lane }}"
LR = "${{ best(steps.train, by='loss', mode='max').matrix.lr }}"
LOSS = "${{ best(steps.train, by='loss', mode='min').metrics.loss }}"

[steps.never]
needs = ["judge"]
if = "steps.judge.metrics['eval/acc'] > 0.95"
run = "touch never"

[steps.gate]
needs = ["judge"]
[steps.gate.approval]
prompt = "Publish?"
show = ["steps.judge.metrics['eval/acc']", "best(steps.train, by='loss', mode='min').lane"]
"#;

const JUDGED: &str = "train[lr=b] a 0.3 b a\n";

#[test]
fn the_best_lane_is_the_one_that_succeeded_with_the_best_last_number() {
    let desk = Desk::new();
    desk.write("sweep", FILE);
    desk.run(&["run", "-q", "--detach"]).ends(0);
    desk.run(&["wait", "sweep#1", "--for", "escalation", "--timeout", "60s"]);
    let shown = desk.run(&["show", "e1"]).ends(0);
    assert!(shown.out.contains("metrics['eval/acc'] = 0.9"), "{}", shown.out);
    assert!(shown.out.contains(".lane = train[lr=b]"), "{}", shown.out);
    let judged = || {
        let files = std::fs::read_dir(desk.project()).expect("a folder").flatten();
        let file = files.into_iter().find(|file| file.file_name().to_string_lossy().starts_with("judged-"));
        file.map(|file| {
            let text = std::fs::read_to_string(file.path()).expect("text");
            std::fs::remove_file(file.path()).expect("removed");
            text
        })
    };
    assert_eq!(judged().as_deref(), Some(JUDGED));
    // Nothing of it is in the memory of an engine alone.
    desk.kill_engine();
    desk.run(&["approve", "sweep#1", "gate"]).ends(0);
    desk.run(&["wait", "sweep#1", "--timeout", "60s"]);
    assert!(!desk.project().join("never").exists(), "0.9 is not above 0.95");
    desk.run(&["resume", "sweep#1", "--from", "judge"]).ends(0);
    desk.run(&["wait", "sweep#1", "--for", "escalation", "--timeout", "60s"]);
    assert_eq!(judged().as_deref(), Some(JUDGED), "the same by an engine that read the journal");
}

#[test]
fn a_cached_lane_still_has_its_numbers_and_without_any_it_is_said() {
    let file = r#"
[steps.train]
run = 'echo "$LR" >> ran; echo "loss=0.$LR"; echo "$LR" > "$DOGWATCH_DIR/model"'
env = { LR = "${{ matrix.lr }}" }
outputs = { model = { path = "$DOGWATCH_DIR/model", cache = true } }
matrix = { lr = [3, 2, 4] }
"#;
    let asking = |series: &str| {
        let lane = format!("${{{{ best(steps.train, by='{series}', mode='min').matrix.lr }}}}");
        format!(
            "{file}\n[steps.use]\nneeds = [\"train\"]\nrun = 'echo \"$BEST\" > best'\nenv = {{ BEST = \"{lane}\" }}\n"
        )
    };
    let desk = Desk::new();
    let ran = || {
        let text = std::fs::read_to_string(desk.project().join("ran")).unwrap_or_default();
        drop(std::fs::remove_file(desk.project().join("ran")));
        text.lines().count()
    };
    desk.write("cached", file);
    desk.run(&["run", "-q"]).ends(0);
    assert_eq!(ran(), 3);
    // Nobody asked for it then: what is not known of a result is found out by running it again, once.
    desk.write("cached", &asking("loss"));
    for runs in [3, 0] {
        desk.run(&["run", "-q"]).ends(0);
        assert_eq!(ran(), runs);
        assert_eq!(desk.read("best"), "2\n");
        std::fs::remove_file(desk.project().join("best")).expect("removed");
    }
    desk.write("cached", &asking("accuracy"));
    desk.run(&["run", "-q", "--detach"]).ends(0);
    desk.run(&["wait", "cached#4", "--for", "escalation", "--timeout", "60s"]);
    let said = desk.run(&["show", "e1"]).ends(0).out;
    assert!(said.contains("no lane of train that has succeeded told a number `accuracy`"), "{said}");
}

/// Each sample's own file, whatever the order of the lanes and however many of them ask for it.
#[test]
fn a_lane_gets_what_the_lane_with_the_same_values_made() {
    let desk = Desk::new();
    desk.write(
        "samples",
        r#"
[steps.align]
env = { S = "${{ matrix.sample }}" }
run = 'echo "made of $S" > "$DOGWATCH_DIR/bam"'
outputs = { bam = { path = "$DOGWATCH_DIR/bam" } }
matrix = { sample = ["a", "b", "c"] }
[steps.quantify]
needs = ["align"]
inputs = { BAM = "${{ same(steps.align).outputs.bam }}" }
env = { WHICH = "${{ matrix.k }}${{ matrix.sample }}", FROM = "${{ same(steps.align).lane }}" }
run = 'echo "$FROM $(cat "$BAM")" > "quantified-$WHICH"'
matrix = { k = [1, 2], sample = ["c", "a"] }
"#,
    );
    desk.run(&["run", "-q", "--detach"]).ends(0);
    desk.run(&["wait", "samples#1", "--timeout", "60s"]).ends(0);
    for which in ["1a", "1c", "2a", "2c"] {
        let sample = &which[1..];
        let told = std::fs::read_to_string(desk.project().join(format!("quantified-{which}"))).expect("it was written");
        assert_eq!(told, format!("align[sample={sample}] made of {sample}\n"), "{which}");
    }
}
