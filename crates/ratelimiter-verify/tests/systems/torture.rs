//! `torture`: one defect a fault, each red in its own cell, and a limiter without any.

use std::fs;
use std::path::Path;
use std::process::Output;
use std::sync::Mutex;
use std::thread::scope;

use ratelimiter_verify::{CellProperty, CellVerdict, Scorecard};
use tempfile::TempDir;

use crate::support::{program, stderr};

/// Trials at a time; each mostly waits.
const WORKERS: usize = 8;

/// Fault, defect, window in seconds, and the property that the defect breaks under it.
const DEFECTS: &[(&str, &str, u32, CellProperty)] = &[
    ("barrier-burst", "two-steps", 2, CellProperty::Excess),
    ("overload", "one-at-a-time", 2, CellProperty::Answers),
    ("writes-held", "opens-at-silence", 2, CellProperty::Policy),
    ("replies-lost", "retries-as-new", 2, CellProperty::Growth),
    (
        "cut-between",
        "window-without-end",
        2,
        CellProperty::Denials,
    ),
    ("silence", "waits-for-ever", 2, CellProperty::Answers),
    ("reset", "never-reconnects", 2, CellProperty::Recovery),
    ("readonly", "opens-at-errors", 2, CellProperty::Policy),
    ("oom", "opens-at-errors", 2, CellProperty::Policy),
    (
        "noscript",
        "denies-without-script",
        2,
        CellProperty::Denials,
    ),
    ("loading", "sleeps-at-loading", 2, CellProperty::Answers),
    ("store-killed", "trusts-the-store", 8, CellProperty::Excess),
    ("node-killed", "counts-alone", 8, CellProperty::Excess),
    ("node-paused", "asks-its-peer", 2, CellProperty::Answers),
    ("node-restarted", "counts-alone", 8, CellProperty::Excess),
    ("keys-evicted", "trusts-the-store", 2, CellProperty::Excess),
    ("keys-flushed", "trusts-the-store", 2, CellProperty::Excess),
];

/// Faults under which a correct limiter is tried here; the rest takes a torture of its own.
const TRIED: &[&str] = &[
    "barrier-burst",
    "writes-held",
    "replies-lost",
    "silence",
    "readonly",
    "store-killed",
    "node-killed",
    "keys-flushed",
];

/// A directory with the limiter in Python and its system file.
pub(crate) fn system(defect: &str, window: u32) -> TempDir {
    let directory = tempfile::tempdir().unwrap();
    let write = |name: &str, text: &str| fs::write(directory.path().join(name), text).unwrap();
    write("limiter.py", include_str!("limiter.py"));
    write(
        "limiter.toml",
        &format!(
            "limit = '10/{window}s'\n\
             on_store_failure = 'fail'\n\
             [http]\n\
             url = 'http://127.0.0.1:{{port}}/?key={{key}}'\n\
             failed = '500-599'\n\
             deadline = '1s'\n\
             [nodes]\n\
             command = 'python3 limiter.py {defect} {{node}} {{port}} {{store_port}}'\n\
             count = 2\n\
             env = {{ WINDOW = '{window}' }}\n\
             [store]\n\
             start = 'redis'\n\
             count = 'ZCARD {{key}}'\n"
        ),
    );
    directory
}

pub(crate) fn torture(directory: &Path, arguments: &[&str]) -> Output {
    let first = ["torture", "limiter.toml", "--seed", "2", "--force"];
    program(&[&first, arguments].concat())
        .current_dir(directory)
        .output()
        .unwrap()
}

pub(crate) fn scorecard(directory: &Path) -> Scorecard {
    let text = fs::read_to_string(directory.join("torture/scorecard.json")).unwrap();
    Scorecard::read(&text).unwrap()
}

/// Plays one fault, and shows everything where the result is not the expected one.
fn expect(fault: &str, defect: &str, window: u32, broken: Option<CellProperty>) {
    let directory = system(defect, window);
    let output = torture(directory.path(), &["--fault", fault]);
    let printed = format!(
        "{}{}",
        String::from_utf8_lossy(&output.stdout),
        stderr(&output)
    );
    let card = scorecard(directory.path());
    let [trial] = card.trials.as_slice() else {
        panic!("{fault}: {printed}");
    };
    assert!(
        trial.effects.iter().any(|e| e.value > 0.0),
        "{fault}: {printed}"
    );
    match broken {
        Some(property) => {
            let cell = trial.cell(property).unwrap();
            assert_eq!(
                cell.verdict,
                CellVerdict::Broken,
                "{fault}, {defect}: {printed}"
            );
            assert_eq!(output.status.code(), Some(3), "{fault}: {printed}");
        }
        None => {
            assert_eq!(card.count(CellVerdict::Broken), 0, "{fault}: {printed}");
            assert!(card.count(CellVerdict::Held) >= 4, "{fault}: {printed}");
        }
    }
}

/// A condition ends the first of two faults.
fn stops_early(condition: &str, why: &str) {
    let directory = system("none", 2);
    let faults = ["--fault", "reset", "--fault", "silence"];
    let stop = ["--stop-when", condition];
    let output = torture(directory.path(), &[&faults[..], &stop].concat());
    let error = stderr(&output);
    assert_eq!(output.status.code(), Some(1), "{condition}: {error}");
    let told = error.contains("stopped: ") && error.contains(why);
    assert!(told, "{condition}: {error}");
    let card = scorecard(directory.path());
    assert_eq!((card.trials.len(), card.planned), (1, 2), "{condition}");
    assert!(card.partial.unwrap().contains(why), "{condition}");
}

/// A broken property that is not named by --fail-on has no exit code.
fn only_reports() {
    let directory = system("two-steps", 2);
    let named = ["--fault", "barrier-burst", "--fail-on", "recovery"];
    let output = torture(directory.path(), &named);
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    let card = scorecard(directory.path());
    let cell = card.trials[0].cell(CellProperty::Excess).unwrap();
    assert_eq!(cell.verdict, CellVerdict::Broken);
}

/// One test, so that no more systems than workers share the machine.
#[test]
fn each_defect_is_red_and_each_condition_ends() {
    let mut trials: Vec<Box<dyn FnOnce() + Send>> = vec![Box::new(only_reports)];
    for &(fault, defect, window, property) in DEFECTS {
        trials.push(Box::new(move || {
            expect(fault, defect, window, Some(property));
        }));
    }
    for fault in TRIED {
        trials.push(Box::new(|| expect(fault, "none", 2, None)));
    }
    for (condition, why) in [
        ("errors=20%", "checks were not decided"),
        ("latency=1us", "a check took"),
        ("health=http://127.0.0.1:9/", "is not well"),
    ] {
        trials.push(Box::new(move || stops_early(condition, why)));
    }
    let trials = Mutex::new(trials.into_iter());
    scope(|scope| {
        for _ in 0..WORKERS {
            scope.spawn(|| {
                loop {
                    let Some(trial) = trials.lock().unwrap().next() else {
                        return;
                    };
                    trial();
                }
            });
        }
    });
}

#[test]
fn every_fault_has_its_defect() {
    let help = program(&["torture", "--fault", "all"]).output().unwrap();
    let names = stderr(&help);
    let names = names.split_once("there are ").unwrap().1;
    let names = names.split_once(" (").unwrap().0.split(", ");
    // One store cannot fail over.
    for fault in names.filter(|name| *name != "failover") {
        assert!(DEFECTS.iter().any(|(name, ..)| *name == fault), "{fault}");
    }
}
