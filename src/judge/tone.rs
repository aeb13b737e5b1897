//! How a line says what it says: as a failure, as trouble that was overcome, or as work going on.

use std::sync::LazyLock;

use regex::Regex;

fn regex(pattern: &str) -> Regex {
    Regex::new(&super::rule::with_ascii_edges(pattern)).expect("a constant pattern is tested")
}

/// Words that say that something is grave; which of these and of `MILD` comes first tells what the line is.
static GRAVE: LazyLock<Regex> = LazyLock::new(|| {
    regex(r"(?i)\berror\b|\berr!|\bfatal\b|\bcritical\b|\bpanic\b|\bsevere\b|\bfailed\b|\w+(?:error|exception)\b")
});

/// Words that say that it is not.
static MILD: LazyLock<Regex> = LazyLock::new(|| {
    regex(r"(?i)\bwarn(?:ing)?\b|[a-z]warning\b|\bnotice\b|\binfo\b|\bdebug\b|\btrace\b|\bverbose\b|\bhint\b")
});

/// glog's and klog's letter, as torch and Kubernetes write it.
static GLOG: LazyLock<Regex> = LazyLock::new(|| regex(r"^(?:\[[^\]]*\]:? ?)?(?P<level>[WIEF])\d{4} \d\d:\d\d"));

/// Words of trouble that was met and goes on.
static GOING_ON: LazyLock<Regex> = LazyLock::new(|| {
    regex(
        r"(?i)\bretrying\b|\bwill (?:be )?retr(?:y|ied)|\bretry(?:ing)? in \d|\btrying again\b|\bretry(?: attempt)? #?\d|\(ignored\)|\bis ignored\b|\bignoring\b|\bskipp(?:ed|ing)\b|\bfalling back\b|\bfall back to\b|\brecovered\b|\bhandled\b|\bnon-fatal\b|\bnot fatal\b|\(optional\)|\brejected:|\bcontinuing\b|\btolerat|\bdeprecat|\breconnecting\b|\bresuming normal\b|\bbacking off\b|\bback-?off \d|\bexpected\b.{0,20}\bfailure\b",
    )
});

/// `attempt 2/5`.
static ATTEMPT: LazyLock<Regex> = LazyLock::new(|| {
    regex(
        r"(?i)\b(?:attempt|try|retry)\s*#?:?\s*(?P<n>\d{1,6})\s*(?:/|of|out of)\s*(?P<of>\d{1,6})|\bretry \((?P<n2>\d{1,6})/(?P<of2>\d{1,6})\)",
    )
});

/// Words with which programs say that they did what they were to do.
static SIGN: LazyLock<Regex> = LazyLock::new(|| {
    regex(
        r"(?i)\b(?:done|completed?|success|successful|successfully|succeeded|finished|saved|ready|written|wrote|loaded|passed|pass|built|installed|created|uploaded|downloaded|exported|synced|processed|up to date|up-to-date|ok|imported|deployed|converged|healthy|validated|migrated|inserted|published|applied|exiting normally|is up)\b|\b0 (?:failed|failures|errors|problems)\b|\bno (?:errors|failures|issues|problems)\b|\(\d+ rows?\)|^(?:INSERT|UPDATE|DELETE|COPY|CREATE|SELECT|COMMIT)\b ?[\dA-Z]",
    )
});

/// Words that turn a sign round.
static UNSIGN: LazyLock<Regex> = LazyLock::new(|| {
    regex(
        r"(?i)\bnot (?:\w+ )?(?:done|complete|successful|ready|found|ok|built|installed|saved|finish)|\bincomplete\b|\bunsuccessful|\b[1-9]\d* (?:failed|failures?|errors?)\b|\bfailed\b|\berror:|\bfailure\b|\bcould ?n.t\b|\bcannot\b|\baborted\b|\bunable\b|\bnever\b|\bwith (?:errors?|exit code [1-9])|\bto be ready\b|\bkilled\b|\bfalse\b|\b(?:ensure|make sure|please|must|should|if you)\b|\b(?:failed|unreachable|errors?|failures?|fail)\s*[=:]\s*[1-9]",
    )
});

/// Harmless counts that look like failures.
static ZERO: LazyLock<Regex> = LazyLock::new(|| {
    regex(
        r"(?i)(?:^|[^=:.\w])(?:0|no|without) (?:failed|failures?|errors?|problems)\b|\bfailed[:=] ?0\b|\bexpected failures ?[:=] ?\d+",
    )
});

/// A field for errors that has none: `"error": null`.
static NOTHING: LazyLock<Regex> = LazyLock::new(|| {
    regex(
        r#"(?i)\b(?:errors?|exceptions?|failures?|failed|aborted|cancell?ed|timed_?out)["']?\s*[:=]\s*(?:null|none|nil|false|0|\[\]|\{\}|""|'')\s*(?:,|;|\}|$)"#,
    )
});

/// Whether the line tells of trouble that was overcome, or was none.
pub(super) fn is_soft(line: &str) -> bool {
    // CMake looks for many things that need not be there; its errors begin otherwise.
    if line.starts_with("-- ") {
        return true;
    }
    if let Some(attempt) = ATTEMPT.is_match(line).then(|| ATTEMPT.captures(line)).flatten() {
        let number = |name| attempt.name(name).and_then(|digits| digits.as_str().parse::<u32>().ok());
        let n = number("n").or_else(|| number("n2"));
        // The last try is followed by no other.
        return n != number("of").or_else(|| number("of2"));
    }
    if GOING_ON.is_match(line) || NOTHING.is_match(line) {
        return true;
    }
    if let Some(letter) = GLOG.captures(line).and_then(|found| found.name("level")) {
        return matches!(letter.as_str(), "W" | "I");
    }
    MILD.find(line).is_some_and(|mild| GRAVE.find(line).is_none_or(|grave| mild.start() < grave.start()))
}

/// Whether a program says with it that it did what it was to do.
pub(super) fn is_sign(line: &str) -> bool {
    let rest = ZERO.replace_all(line, "0 problems");
    // What a frame or an indentation sets apart explains something; it is no last word.
    let speaks = |c: char| c.is_alphanumeric() || matches!(c, '[' | '(' | '✓' | '✔' | '=' | '-' | '*');
    rest.starts_with(speaks) && SIGN.is_match(&rest) && !UNSIGN.is_match(&rest)
}

/// Whether a program says with it that it did not do what it was to do.
pub(super) fn is_complaint(line: &str) -> bool {
    let rest = ZERO.replace_all(line, "0 problems");
    UNSIGN.is_match(&rest) && !is_soft(line)
}

/// Words of which a line of ordinary work has none.
pub(super) const TROUBLE: [&str; 25] = [
    "error",
    "fail",
    "exception",
    "traceback",
    "fatal",
    "abort",
    "denied",
    "cannot",
    "can't",
    "unable",
    "not found",
    "killed",
    "refused",
    "timed out",
    "timeout",
    "invalid",
    "missing",
    "panic",
    "terminat",
    "cancel",
    "exit code",
    "exit status",
    "stack trace",
    "for more information",
    "see logs",
];

/// Whether it has the shape of a line of work: no frame of a stack, no rule, no blank.
pub(super) fn is_work(line: &str) -> bool {
    let begins = line.bytes().next().is_some_and(|byte| byte.is_ascii_alphanumeric() || byte == b'[' || byte == b'(');
    begins && line.len() > 3 && line.contains(' ') && !line.starts_with("at ")
}

/// Whether the line is Python's place of a frame: the next one is source code, not output.
pub(super) fn is_frame(bare: &str) -> bool {
    bare.trim_start().starts_with("File \"") && bare.contains("\", line ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn trouble_that_was_overcome() {
        for (line, soft) in [
            ("waiting for db: connection refused (attempt 1/10)", true),
            ("connection refused (attempt 10/10)", false),
            ("WARNING OOM at batch size 64: CUDA out of memory", true),
            ("make: [Mk:2: all] Error 1 (ignored)", true),
            ("x.py:3: UserWarning: certificate verify failed", true),
            ("error: unused variable [-Werror], a warning", false),
            ("W1122 20:07:01.379 26741 api.py:1028] Sending SIGTERM", true),
            ("E1122 20:07:01.379 26741 api.py:1028] failed (exitcode: 1)", false),
            ("urllib3.exceptions.MaxRetryError: Max retries exceeded", false),
            ("curl: (7) Failed to connect", false),
            ("[INFO] BUILD", true),
            ("ERROR 12% wandb: Network error resolved after 0:01:02, resuming normal operation.", true),
            (r#"  "error": null,"#, true),
            (r#"  "aborted": false"#, true),
            (r#"{"status": "error", "error": "null pointer"}"#, false),
            ("-- Could NOT find Doxygen (missing: DOXYGEN_EXECUTABLE)", true),
        ] {
            assert_eq!(is_soft(line), soft, "{line}");
        }
    }

    #[test]
    fn signs_of_success() {
        for (line, sign) in [
            ("training complete; saved final.pt", true),
            ("synced 120 objects, 0 failed", true),
            ("loaded 9998 rows, rejected 2 (limit 100)", true),
            ("(1 row)", true),
            ("3 passed, 1 failed", false),
            ("web : ok=16 changed=9 unreachable=0 failed=1", false),
            ("not ready", false),
            ("the download is incomplete", false),
            ("ERROR: x", false),
        ] {
            assert_eq!(is_sign(line), sign, "{line}");
        }
    }

    #[test]
    fn a_place_of_a_frame() {
        assert!(is_frame("  File \"x\", line 1, in f"));
        assert!(!is_frame("  File \"x\" is missing"));
    }
}
