//! Promises of every kind on recorded histories, as the command line judges them.

use std::process::Output;

use crate::support::{ends, stderr, stdout, verify, words};

/// A line of a history: request and answer in ms, the outcome, and other fields.
fn line(key: &str, [from, to]: [u64; 2], outcome: &str, more: &str) -> String {
    format!(
        "{{\"key\":\"{key}\",\"node\":\"n\",\"invoke_ms\":{from},\"complete_ms\":{to},\
         \"outcome\":\"{outcome}\"{more}}}\n"
    )
}

fn judged(limits: &[&str], history: &str) -> Output {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("history.jsonl");
    std::fs::write(&file, history).unwrap();
    let limits = limits.iter().flat_map(|limit| ["--limit", limit]);
    let arguments: Vec<&str> = [file.to_str().unwrap()].into_iter().chain(limits).collect();
    verify(&words("check --fresh", &arguments))
}

#[test]
fn limit_that_another_denied_is_not_filled() {
    // Three at once and three denied, in two rounds: a limiter that charges the long window for
    // the denials of the short one has none left in the second.
    let round = |at: u64, admitted: u64| -> String {
        let outcome = |n| if n < admitted { "allowed" } else { "denied" };
        (0..6)
            .map(|n| line("k", [at + n, at + n], outcome(n), ""))
            .collect()
    };
    let limits = ["3/1s", "6/10s"];
    ends(
        &judged(&limits, &(round(0, 3) + &round(1_100, 3))),
        0,
        "correct",
    );
    let wrong = judged(&limits, &(round(0, 3) + &round(1_100, 0)));
    ends(&wrong, 3, "wrong");
    let text = stdout(&wrong);
    assert!(text.contains("6 denials without cause"), "{text}");
    assert!(
        text.contains("at most 0 of 3 admissions") && text.contains("at most 3 of 6/10s"),
        "{text}"
    );
    assert!(text.contains("denied checks seem to be charged"), "{text}");
}

#[test]
fn broken_limit_is_named_among_several() {
    let user = ",\"labels\":{\"user\":\"u\"}";
    let calls = |keys: [&str; 4]| -> String {
        keys.iter()
            .zip(0..)
            .map(|(key, n)| line(key, [n, n], "allowed", user))
            .collect()
    };
    let limits = ["2/1s", "3/1s by=user"];
    let output = judged(&limits, &calls(["a", "a", "b", "b"]));
    ends(&output, 3, "by=user");
    assert!(
        stdout(&output).contains("limit 3/1s by=user"),
        "{}",
        stdout(&output)
    );
    let output = judged(&["3/1s by=tenant"], &calls(["a", "a", "b", "b"]));
    ends(&output, 4, "no such label");
    assert!(
        stdout(&output).contains("no check has the labels"),
        "{}",
        stdout(&output)
    );
}

#[test]
fn call_that_crosses_a_settled_cost_passes() {
    let calls = |count: u64| -> String {
        let used = ",\"used\":60";
        (0..count)
            .map(|n| line("k", [100 * n, 100 * n + 50], "allowed", used))
            .collect()
    };
    let limit = ["100/1m charge=after settles=10ms"];
    ends(&judged(&limit, &calls(2)), 0, "60 and 60 of 100");
    let output = judged(&limit, &calls(3));
    ends(&output, 3, "60 more");
    let text = stdout(&output);
    assert!(text.contains("180 of 100"), "{text}");
}

#[test]
fn calls_that_hold_their_places_are_counted() {
    let calls = |count: u64| -> String {
        let held = ",\"held_ms\":90";
        (0..count)
            .map(|n| line("k", [n, n + 100], "allowed", held))
            .collect()
    };
    ends(&judged(&["2 in-flight"], &calls(2)), 0, "two of two");
    let output = judged(&["2 in-flight"], &calls(3));
    ends(&output, 3, "three of two");
    assert!(
        stdout(&output).contains("in flight at one instant"),
        "{}",
        stdout(&output)
    );
    // Denied long after the last call ended.
    let late = calls(2) + &line("k", [900, 901], "denied", "");
    ends(
        &judged(&["2 in-flight returns=100ms"], &late),
        3,
        "place not returned",
    );
}

#[test]
fn waits_beyond_the_stated_one_are_found() {
    let calls = line("k", [0, 1], "allowed", "") + &line("k", [0, 700], "allowed", "");
    ends(
        &judged(&["1/500ms paced wait=1s"], &calls),
        0,
        "within its wait",
    );
    let output = judged(&["1/500ms paced wait=600ms"], &calls);
    ends(&output, 3, "beyond its wait");
    assert!(
        stdout(&output).contains("1 calls waited longer than 600 ms"),
        "{}",
        stdout(&output)
    );
}

#[test]
fn runs_refuse_promises_that_they_do_not_record() {
    for (limit, missing) in [
        ("10/1s charge=after", "the cost used"),
        ("5 in-flight", "the time for which a call holds its place"),
        ("10/1s by=user", "labels"),
    ] {
        let run = "resp --url redis://127.0.0.1:1 --command x --allowed-reply =1 --dry-run --limit";
        let output = verify(&words(run, &[limit]));
        ends(&output, 64, limit);
        assert!(stderr(&output).contains(missing), "{}", stderr(&output));
    }
}
