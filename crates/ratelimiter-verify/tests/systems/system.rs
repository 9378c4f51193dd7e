//! The system file: its errors, its schema, and what it brings up.

use std::collections::BTreeSet;
use std::fs;
use std::io::{BufRead as _, BufReader};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::support::{Started, ends, program, stderr, stdout};
use crate::torture::{scorecard, system, torture};

/// The program's error about a file with this text.
fn refused(text: &str) -> String {
    let directory = tempfile::tempdir().unwrap();
    fs::write(directory.path().join("limiter.toml"), text).unwrap();
    let output = program(&["run"])
        .current_dir(directory.path())
        .env("SECRET", "hunter2")
        .output()
        .unwrap();
    ends(&output, 64, "");
    let error = stderr(&output);
    assert!(!error.contains("hunter2"), "{error}");
    error
}

#[test]
fn errors_have_the_line_and_the_nearest_word() {
    let whole = "limit = '10/2s'\n[http]\nurl = 'http://127.0.0.1:1/{key}'\n";
    for (text, expected) in [
        (
            "limits = '10/2s'".to_owned(),
            "limiter.toml:1: unknown field `limits`",
        ),
        ("limits = '10/2s'".to_owned(), "did you mean \"limit\"?"),
        (
            format!("{whole}[nodes]\ncuont = 2"),
            "limiter.toml:5: unknown field `cuont`",
        ),
        (
            format!("{whole}[nodes]\ncuont = 2"),
            "did you mean \"count\"?",
        ),
        (
            format!("{whole}alowed = '200'"),
            "limiter.toml:4: unexpected argument 'alowed'",
        ),
        (format!("{whole}alowed = '200'"), "'allowed'"),
        (format!("{whole}allowed = '${{SECRET}}'"), "***"),
        (
            format!("{whole}body = '${{NO_SUCH}}'"),
            "${NO_SUCH}, and there is no such variable",
        ),
        (format!("{whole}[store]"), "[store] needs one of start"),
        (
            format!("on_store_failure = 'dny'\n{whole}"),
            "did you mean \"deny\"?",
        ),
        (
            "limit = '10/2s'".to_owned(),
            "one table says how a check is asked",
        ),
        (
            format!("{whole}[nodes]\ncommand = 'x {{store}}'"),
            "[store] does not",
        ),
        ("limit = ".to_owned(), "limiter.toml:1:"),
    ] {
        let error = refused(&text);
        assert!(error.contains(expected), "{expected}: {error}");
    }
}

#[test]
fn a_new_user_edits_nothing() {
    let directory = tempfile::tempdir().unwrap();
    let limiter = include_str!("../../systems/limiter.py");
    fs::write(directory.path().join("limiter.py"), limiter).unwrap();
    let run = |words: &[&str]| {
        let output = program(words).current_dir(directory.path()).output();
        output.unwrap()
    };
    ends(&run(&["init"]), 0, "");
    ends(
        &run(&["init"]),
        1,
        "limiter.toml exists: --force replaces it",
    );
    let output = run(&["run", "limiter.toml", "--phase", "burst", "--bursts", "1"]);
    ends(&output, 0, "");
    assert!(stdout(&output).contains("10 of 10"), "{}", stdout(&output));
}

#[test]
fn an_interrupted_torture_is_a_partial_scorecard() {
    let directory = system("none", 2);
    let mut child = program(&["torture", "--fault", "reset", "--fault", "silence"])
        .current_dir(directory.path())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    assert!(lines.any(|line| line.unwrap().starts_with("silence ")));
    let id = child.id().to_string();
    assert!(
        Command::new("kill")
            .args(["-INT", &id])
            .status()
            .unwrap()
            .success()
    );
    lines.for_each(drop);
    assert_eq!(child.wait().unwrap().code(), Some(130));
    let card = scorecard(directory.path());
    assert_eq!((card.trials.len(), card.planned), (1, 2));
    assert!(card.partial.is_some());
    let whole = torture(
        directory.path(),
        &[
            "--cell",
            "silence/policy",
            "--against",
            "torture/scorecard.json",
        ],
    );
    let text = stdout(&whole);
    assert!(
        text.contains("no cell changed its verdict"),
        "{text}{}",
        stderr(&whole)
    );
    assert_eq!(scorecard(directory.path()).trials[0].cells.len(), 1);
}

/// Processes whose arguments or directory of logs are in this directory.
fn left(directory: &str) -> Vec<String> {
    let ps = Command::new("ps")
        .args(["-eo", "pid=,args="])
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&ps.stdout).into_owned();
    let mine = text
        .lines()
        .filter(|line| line.contains(directory) && !line.contains("<defunct>"));
    mine.map(ToOwned::to_owned).collect()
}

#[test]
fn nothing_is_left_after_a_kill() {
    let directory = system("none", 2);
    let path = directory.path().to_str().unwrap();
    let file = directory.path().join("limiter.toml");
    let text = fs::read_to_string(&file).unwrap();
    let marked = text.replace("python3 limiter.py", &format!("python3 {path}/limiter.py"));
    fs::write(&file, marked).unwrap();
    for faults in [0, 1] {
        let child = program(&[
            "torture",
            "limiter.toml",
            "--fault",
            "reset",
            "--fault",
            "silence",
            "--force",
        ])
        .current_dir(path)
        .env("TMPDIR", path)
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
        let mut child = Started(child);
        let lines = BufReader::new(child.0.stdout.take().unwrap()).lines();
        let shown = lines
            .map_while(Result::ok)
            .filter(|line| line.contains(" left)") || line.starts_with("fault"));
        assert_eq!(shown.take(faults + 1).count(), faults + 1);
        // The store, and two nodes.
        assert!(left(path).len() >= 3, "{:?}", left(path));
        drop(child);
        let until = Instant::now() + Duration::from_secs(20);
        while !left(path).is_empty() {
            assert!(Instant::now() < until, "{:?}", left(path));
            std::thread::yield_now();
        }
    }
}

/// The names that stand between backticks behind `expected`.
fn expected_names(error: &str) -> BTreeSet<String> {
    let names = error.split_once("expected").unwrap().1.split('`');
    names.skip(1).step_by(2).map(ToOwned::to_owned).collect()
}

/// The long flags of a command.
fn flags(command: &str) -> BTreeSet<String> {
    let help = program(&[command, "--help"]).output().unwrap();
    let text = stdout(&help);
    let flags = text
        .lines()
        .map(str::trim)
        .filter_map(|line| line.strip_prefix("--"));
    let names = flags.map(|line| line.split([' ', '.']).next().unwrap().to_owned());
    names.collect()
}

#[test]
fn the_schema_has_the_words_of_the_parser() {
    let schema = include_str!("../../../../docs/system.schema.json");
    let schema: Value = serde_json::from_str(schema).unwrap();
    let names = |value: &Value| -> BTreeSet<String> {
        value["properties"]
            .as_object()
            .unwrap()
            .keys()
            .cloned()
            .collect()
    };
    assert_eq!(names(&schema), expected_names(&refused("no_such_word = 1")));
    for table in ["nodes", "store"] {
        let whole = format!("limit = '10/2s'\n[{table}]\nno_such_word = 1");
        let of_parser = expected_names(&refused(&whole));
        assert_eq!(names(&schema["properties"][table]), of_parser, "{table}");
    }
    for command in ["http", "node", "resp", "exec"] {
        let words: BTreeSet<String> = names(&schema["properties"][command])
            .into_iter()
            .map(|name| name.replace('_', "-"))
            .collect();
        // The promise, and the arguments of a command line alone, stand elsewhere.
        let elsewhere = ["limit", "help", "out", "force", "dry-run", "key-part"];
        let mut of_command = flags(command);
        elsewhere
            .iter()
            .for_each(|name| assert!(of_command.remove(*name) || *name == "help"));
        assert_eq!(words, of_command, "{command}");
    }
}
