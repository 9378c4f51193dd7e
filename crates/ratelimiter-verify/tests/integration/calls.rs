//! Limiters of calls behind child processes: places in flight, costs known after the call, labels.

use std::process::Output;

use crate::support::{ends, stdout, verify, words};

/// A run on the limiter of `docs/examples/calls_adapter.py`.
fn run(limiter: &str, plan: &str, limits: &[&str]) -> Output {
    let directory = tempfile::tempdir().unwrap();
    let adapter = concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/../../docs/examples/calls_adapter.py"
    );
    let file = directory.path().join("calls.db");
    let command = format!("python3 {adapter} {} {limiter}", file.display());
    let limits = limits.iter().flat_map(|limit| ["--limit", limit]);
    let arguments: Vec<&str> = ["--command", &command].into_iter().chain(limits).collect();
    verify(&words(&format!("exec {plan}"), &arguments))
}

#[test]
fn places_in_flight_return_from_callers_and_nodes_that_are_gone() {
    let limit = ["5 in-flight returns=200ms lease=1s"];
    for (defect, phases) in [
        ("", &[][..]),
        ("one-more", &["calls", "failures"]),
        ("keeps-failures", &["failures"]),
        ("no-lease", &["hang-up"]),
    ] {
        let output = run(&format!("in-flight 5 {defect}"), "", &limit);
        ends(&output, if phases.is_empty() { 0 } else { 3 }, defect);
        let table = stdout(&output);
        for phase in ["calls", "failures", "hang-up", "killed"] {
            // Whether the node that is killed holds a place at that instant is chance.
            if (defect, phase) == ("no-lease", "killed") {
                continue;
            }
            let row = format!("\n{phase:<10} ");
            let row = table.split(&row).nth(1).unwrap();
            let verdict = row.split_whitespace().next().unwrap();
            let found = verdict == "VIOLATED";
            assert_eq!(
                found,
                phases.contains(&phase),
                "{phase} of {defect:?}: {table}"
            );
        }
    }
}

#[test]
fn cost_that_is_never_settled_is_an_excess() {
    let limit = ["10/2s charge=after settles=200ms lease=1s"];
    let plan = "--phase crossing --phase calls --phase failures";
    ends(&run("after 10", plan, &limit), 0, "settles");
    let output = run("after 10 never-settles", plan, &limit);
    ends(&output, 3, "never settles");
    assert!(stdout(&output).contains("18 of "), "{}", stdout(&output));
}

#[test]
fn limit_by_label_is_exceeded_by_several_keys() {
    let limits = ["5/2s", "12/2s by=user"];
    let plan = "--phase second --rest 2s";
    ends(&run("user 5 12", plan, &limits), 0, "both are kept");
    let output = run("user 5 12 no-user", plan, &limits);
    ends(&output, 3, "one does nothing");
    assert!(
        stdout(&output).contains("12/2s by=user"),
        "{}",
        stdout(&output)
    );
}
