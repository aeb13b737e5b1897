//! The operator's own rules: they come first, and every mistake is told with its place.

use dogwatch::config::{self, rules};
use dogwatch::judge::{Facts, Judge, Rules};
use dogwatch::model::{Advice, Class};

fn refused(text: &str) -> String {
    rules::parse(text, "rules.toml").expect_err("it is wrong").to_string()
}

const LICENSE: &str =
    "[[rules]]\nid = \"license\"\nclass = \"capacity\"\naction = \"retry\"\npattern = 'no seats left'\n";

#[test]
fn they_come_before_the_built_in_ones() {
    let own = rules::parse(LICENSE, "rules.toml").unwrap_or_else(|problems| panic!("{problems}"));
    let all = Rules::new(own, rules::built_in_specs()).expect("they can be used");
    for text in ["no seats left\n", "CUDA out of memory\nno seats left\nNo space left on device\n"] {
        let mut judge = Judge::new(&all);
        judge.bytes(text.as_bytes());
        let said = judge.end(&Facts::of_code(1));
        assert_eq!((said.class, said.advice, said.rule.as_deref()), (Class::Capacity, Advice::Retry, Some("license")));
        assert!(said.explanation.starts_with(Class::Capacity.words()), "{}", said.explanation);
    }
}

#[test]
fn a_mistake_is_told_with_its_place_and_what_to_do() {
    let rule = |more: &str| format!("[[rules]]\nid = \"a\"\nclass = \"network\"\n{more}\n");
    for (text, place, words) in [
        (rule("patern = 'x y z'"), "rules.toml:4:1", "did you mean `pattern`?"),
        (rule("pattern = '(x'"), "rules.toml:4:11", "unclosed group"),
        (rule("pattern = 'x*'"), "rules.toml:4:11", "matches every line"),
        (rule("pattern = 'xyz'\nrole = \"rot\""), "rules.toml:5:8", "did you mean \"root\"?"),
        (rule("pattern = 'xyz'\nexit_code = 300"), "rules.toml:5:13", "0 to 255"),
        (rule("pattern = 'xyz'\nsignal = \"KIL\""), "rules.toml:5:10", "no such signal"),
        (rule("pattern = 'xyz'\nexample = 'abc'"), "rules.toml:5:11", "does not match its example"),
        (rule("pattern = 3"), "rules.toml:4:11", "must be a text"),
        (rule("pattern = 'xyz'\nwithin = -1"), "rules.toml:5:10", "number of lines"),
        (rule(""), "rules.toml:1:1", "no `pattern`"),
        (
            "[[rules]]\nid = \"a\"\nclass = \"netwrk\"\npattern = 'x'".into(),
            "rules.toml:3:9",
            "did you mean \"network\"?",
        ),
        ("[[rules]]\nclass = \"network\"\npattern = 'x'".into(), "rules.toml:1:1", "no `id`"),
        ("[[rules]]\nid = \"a b\"\nclass = \"network\"\npattern = 'x'".into(), "rules.toml:2:6", "short name"),
        ([rule("pattern = 'x'"), rule("pattern = 'x'")].concat(), "rules.toml:6:6", "two rules"),
        ("[rules]\nid = \"a\"".into(), "rules.toml:1:2", "write [[rules]]"),
        ("rule = 1".into(), "rules.toml:1:1", "[[rules]]"),
        ("[[rules]\n".into(), "rules.toml:1:", "error"),
    ] {
        let told = refused(&text);
        assert!(told.contains(place), "{place} in:\n{told}");
        assert!(told.contains(words), "{words} in:\n{told}");
    }
}

/// A workflow with these rules.
fn flow(rules: &str) -> String {
    format!("version = 1\n[steps.a]\nrun = 'true'\n{rules}")
}

#[test]
fn a_workflow_has_rules_of_its_own_and_its_examples_are_tried() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("flow.toml");
    let load = |rules: &str| {
        std::fs::write(&path, flow(rules)).expect("a file");
        config::load(&path, &[]).map_err(|problems| problems.to_string())
    };
    let good = "[[rules]]\nid = \"a\"\nclass = \"capacity\"\npattern = 'no seats'\nexample = \"no seats left\"\n";
    let loaded = load(good).unwrap_or_else(|problems| panic!("{problems}"));
    assert_eq!(loaded.workflow.rules[0].id, "a");
    // They are frozen with the file, and come before the built-in ones.
    let frozen = config::parse(&loaded.source, "flow.toml", folder.path(), &[]).expect("it was read before");
    let mut judge = Judge::new(&rules::load(None, &frozen.workflow.rules).expect("they can be used"));
    judge.bytes(b"CUDA out of memory\nno seats left\n");
    assert_eq!(judge.end(&Facts::of_code(1)).rule.as_deref(), Some("a"));

    let needs = "[[rules]]\nid = \"a\"\nclass = \"capacity\"\npattern = 'no seats'\nneeds = 'license'\nexample = \"no seats left\"\n";
    let told = load(needs).expect_err("the example lacks what is needed");
    assert!(told.contains("flow.toml:9:11") && told.contains("judged unknown by no rule, not capacity"), "{told}");
    let other = "[[rules]]\nid = \"b\"\nclass = \"auth\"\nstrength = \"sure\"\npattern = 'left'\nexample = \"left\"\n";
    let told = load(&format!("{good}{other}")).expect_err("the stronger one takes its example");
    assert!(told.contains("flow.toml:8:11") && told.contains("judged auth by rule b, not capacity"), "{told}");
    // What another version judges otherwise can still be read where it was frozen.
    assert!(config::parse(&flow(needs), "flow.toml", folder.path(), &[]).is_ok());

    for (rules, place, words) in [
        ("[[rules]]\nid = \"a\"\nclass = \"capacity\"\npattern = 'x y'\n", "flow.toml:4:1", "no `example`"),
        ("[[rules]]\nid = \"a\"\nclas = \"capacity\"\n", "flow.toml:6:1", "did you mean `class`?"),
        ("[[rules]]\nid = \"a\"\nclass = \"none\"\n", "flow.toml:6:9", "no class \"none\""),
        ("[rules]\n", "flow.toml:4:2", "write [[rules]]"),
    ] {
        let told = load(rules).expect_err("it is wrong");
        assert!(told.contains(place) && told.contains(words), "{place}, {words} in:\n{told}");
    }
    let many: String = (0..201).map(|n| good.replace("\"a\"", &format!("\"a{n}\""))).collect();
    assert!(load(&many).expect_err("too many").contains("more than 200 rules"));
}

#[test]
fn a_pattern_that_is_too_large_or_too_deep_is_refused() {
    for pattern in ["(((a{100}){100}){100})".to_owned(), "(".repeat(5000), "a|".repeat(50_000)] {
        let text = format!("[[rules]]\nid = \"a\"\nclass = \"network\"\npattern = '{pattern}'\n");
        assert!(refused(&text).starts_with("error: "));
    }
}

#[test]
fn a_pattern_without_words_works_too() {
    let text = "[[rules]]\nid = \"digits\"\nclass = \"capacity\"\npattern = '^\\d+/\\d+$'\n";
    let own = rules::parse(text, "rules.toml").unwrap_or_else(|problems| panic!("{problems}"));
    let all = Rules::new(own, rules::built_in_specs()).expect("they can be used");
    assert_eq!(all.slow().collect::<Vec<_>>(), ["digits"]);
    let mut judge = Judge::new(&all);
    judge.line("20/20");
    assert_eq!(judge.end(&Facts::of_code(1)).rule.as_deref(), Some("digits"));
}
