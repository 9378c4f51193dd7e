//! The story as CI plays it: real nodes, a real store, real faults.

use std::time::Duration;

use crate::support::{Running, Scratch, demo, ends, events, measured, run, stderr, stdout};
use ratelimiter_cluster::ClusterPlan;
use ratelimiter_store::Link;
use serde_json::Value;

fn expected(events: &[Value], name: &str) -> bool {
    let last = events
        .iter()
        .rev()
        .find(|e| e["event"] == "expected" && e["name"] == name);
    last.unwrap_or_else(|| panic!("no expectation is named {name}"))["occurred"]
        .as_bool()
        .unwrap()
}

/// The cells of the tables with this first heading.
fn tables(events: &[Value], heading: &str) -> Vec<Vec<Vec<String>>> {
    let named = |e: &&Value| e["event"] == "table" && e["headings"][0] == heading;
    let cells = |row: &Value| serde_json::from_value(row["cells"].clone()).unwrap();
    let rows = |e: &Value| e["rows"].as_array().unwrap().iter().map(cells).collect();
    events.iter().filter(named).map(rows).collect()
}

#[test]
fn eleven_chapters_two_anomalies_and_a_recovery() {
    let scratch = Scratch::new();
    let log = Scratch::new();
    let path = format!("{}/story.jsonl", log.path());
    let arguments = [
        "run", "--json", "--for", "3s", "--remedy", "--record", &path,
    ];
    let output = demo(&arguments)
        .env("TMPDIR", scratch.path())
        .output()
        .unwrap();
    ends(&output, 0, "");
    let events = events(&output);
    let readme = include_str!("../../README.md");
    let chapters = events[0]["chapters"].as_array().unwrap();
    assert_eq!(chapters.len(), 11);
    for (i, chapter) in chapters.iter().enumerate() {
        let row = format!("{}. **{}**", i + 1, chapter["title"].as_str().unwrap());
        assert!(readme.contains(&row), "the README lacks {row}");
    }
    let entered = events.iter().filter(|e| e["event"] == "entered").count();
    assert_eq!(entered, 11);

    assert!(expected(&events, "counter drift") && expected(&events, "ghost allowing"));
    assert!(
        measured(&events, "maximum drift") > 10.0,
        "beyond the tolerance"
    );
    assert!(
        measured(&events, "counter drift detected after") > 0.6,
        "the grace is part of it"
    );
    assert!(measured(&events, "drift after recovery").abs() < f64::EPSILON);
    assert!(
        measured(&events, "burst allowed") > 10.0,
        "more than the limit"
    );
    assert!(measured(&events, "ghost allowing detected after") > 0.0);
    assert!(
        measured(&events, "write pause") >= 3.0,
        "the measured pause, not the requested one"
    );
    assert_eq!(events.last().unwrap()["outcome"]["kind"], "completed");

    // The encore: the diagnosed settings help, and a reset lets the limit pass once more.
    assert!(expected(&events, "help against counter drift"));
    assert!(expected(&events, "help against ghost allowing"));
    let counting = tables(&events, "counting");
    let [.., pause, burst] = &counting[..] else {
        panic!("no tables of the encore: {counting:?}")
    };
    // Node and store are read one after the other.
    assert_eq!(pause[1][0], "leased, deny");
    let drift: u64 = pause[1][1].parse().unwrap();
    assert!(
        drift <= 2,
        "{drift} is beyond the tolerance of a limit of ten"
    );
    assert_eq!(burst[1][..4], ["atomic", "0", "10", "10"]);
    assert_eq!(burst[2][..4], ["atomic, reset", "10", "20", "20"]);

    // The acts stay apart: while writes were held back, no limit was exceeded.
    let burst = events
        .iter()
        .position(|e| e["event"] == "marked" && e["label"] == "burst")
        .unwrap();
    let ghosts = |e: &&Value| e["event"] == "found" && e["name"] == "ghost_allowing";
    assert_eq!(events[..burst].iter().find(ghosts), None);
    scratch.is_clean();

    // The log in the file is the one that was printed, and a pipe gets its lines.
    assert_eq!(std::fs::read(&path).unwrap(), output.stdout);
    let lines = run(&["replay", &path]);
    ends(&lines, 0, "");
    let lines = stdout(&lines);
    assert!(
        lines.contains("Chapter 11 of 11: Demo Complete")
            && lines.contains("completed: everything"),
        "{lines}"
    );
    let pictures = run(&["pictures", &path, "--out", log.path()]);
    ends(&pictures, 0, "");
    assert_eq!(
        std::fs::read_dir(log.path()).unwrap().count(),
        1 + 11 + 3,
        "log, chapters, end, film and cast"
    );
}

#[test]
fn later_chapters_play_what_they_build_on() {
    // A quote and a backslash would end a string of JSON too early.
    let output = run(&["run", "--json", "--from", "8", "--key", r#"odd "key\"#]);
    ends(&output, 0, "");
    let events = events(&output);
    let entered: Vec<_> = events
        .iter()
        .filter(|e| e["event"] == "entered")
        .map(|e| e["chapter"].as_u64().unwrap() + 1)
        .collect();
    assert_eq!(entered, [3, 8, 9, 10, 11]);
    assert!(expected(&events, "ghost allowing"));
    assert!(
        measured(&events, "burst allowed") > 10.0,
        "more than the limit"
    );
}

#[test]
fn recording_on_a_full_disk_fails() {
    let arguments = [
        "run",
        "--from",
        "8",
        "--headless",
        "--record",
        "/dev/full",
        "--force",
    ];
    let output = run(&arguments);
    ends(&output, 1, "the story goes on, and the run fails");
    assert!(stdout(&output).contains("completed: everything"));
    let error = crate::support::stderr(&output);
    assert!(
        error.contains("the recording stopped: write /dev/full: No space left"),
        "{error}"
    );
}

#[test]
fn atomic_counting_admits_exactly_the_limit() {
    let output = run(&["run", "--json", "--for", "2s", "--counting", "atomic"]);
    ends(&output, 2, "");
    let events = events(&output);
    assert!((measured(&events, "burst allowed") - 10.0).abs() < f64::EPSILON);
    assert!(!expected(&events, "ghost allowing"));
    assert!(
        events.iter().all(|e| e["name"] != "ghost_allowing"),
        "no false alarm"
    );
    let outcome = &events.last().unwrap()["outcome"];
    assert_eq!(
        outcome["expectations"],
        serde_json::json!(["ghost allowing"])
    );
    for row in &tables(&events, "counting")[0] {
        let [mode, _, over, ..] = &row[..] else {
            panic!("no columns: {row:?}")
        };
        match mode.as_str() {
            "atomic" | "leased" => assert_eq!(over, "0", "{mode}"),
            "cached" => assert_ne!(over, "0", "{mode}"),
            _ => {}
        }
    }
}

#[test]
fn leased_counting_plays_all_chapters() {
    let output = run(&["run", "--json", "--for", "2s", "--counting", "leased"]);
    // Its denials in the pause may be as many as a drift; the burst is what it has to pass.
    assert!(
        matches!(output.status.code(), Some(0 | 2)),
        "{}",
        crate::support::stderr(&output)
    );
    let events = events(&output);
    assert_eq!(
        events.iter().filter(|e| e["event"] == "entered").count(),
        11
    );
    assert!((measured(&events, "burst allowed") - 10.0).abs() < f64::EPSILON);
    assert!(
        events
            .iter()
            .all(|e| e["name"] != "ghost_allowing" && e["name"] != "overspent"),
        "no alarm"
    );
}

#[test]
fn a_proxy_holds_writes_without_client_pause() {
    let output = run(&["run", "--json", "--for", "3s", "--fault", "proxy"]);
    ends(&output, 0, "");
    let events = events(&output);
    assert!(expected(&events, "counter drift") && expected(&events, "ghost allowing"));
    assert!(
        measured(&events, "write pause") >= 2.5,
        "the measured time of held test writes"
    );
    assert!(measured(&events, "drift after recovery").abs() < f64::EPSILON);
    let pause = events
        .iter()
        .find(|e| e["event"] == "measured" && e["name"] == "write pause")
        .unwrap();
    let detail = pause["detail"].as_str().unwrap();
    assert!(
        detail.starts_with("0 of ") && detail.contains("commands held back"),
        "{pause}"
    );
}

#[tokio::test]
async fn a_refused_pause_names_the_proxy() {
    let cluster = ClusterPlan::default().start().await.unwrap();
    let store = cluster.store_url();
    let user = redis::cmd("ACL")
        .arg(&[
            "SETUSER",
            "app",
            "on",
            ">pw",
            "~*",
            "+@all",
            "-client|pause",
        ])
        .to_owned();
    Link::new(store.clone())
        .query::<()>(&user, Duration::from_secs(5))
        .await
        .unwrap();
    let limited = store.to_string().replace("redis://", "redis://app:pw@");
    let endpoints = cluster
        .endpoints()
        .into_iter()
        .map(|endpoint| endpoint.to_string())
        .collect::<Vec<_>>();
    let mut arguments = vec!["run", "--headless", "--store", &limited];
    endpoints
        .iter()
        .for_each(|endpoint| arguments.extend(["--node", endpoint]));
    let output = run(&arguments);
    ends(&output, 1, "");
    let lines = stdout(&output);
    let named = |line: &&str| line.contains("client|pause") && line.contains("--fault proxy");
    assert!(lines.lines().any(|line| named(&line)), "{lines}");

    arguments.extend(["--fault", "proxy"]);
    let output = run(&arguments);
    ends(&output, 64, "");
    assert!(
        stderr(&output).contains("inject resp"),
        "{}",
        stderr(&output)
    );
}

#[test]
fn closed_output_ends_the_run_cleanly() {
    let scratch = Scratch::new();
    let mut child = demo(&["run", "--headless"])
        .env("TMPDIR", scratch.path())
        .stdout(std::process::Stdio::piped())
        .stderr(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    drop(child.stdout.take());
    assert_eq!(child.wait().unwrap().code(), Some(1));
    scratch.is_clean();
}

#[test]
fn lines_are_for_people() {
    let mut running = Running::start(&["run", "--headless", "--for", "1s"]);
    running.until("Chapter 1 of 11: Welcome");
    running.until("Chapter 4 of 11: Counter Drift Chaos");
    running.until("the store takes no writes");
    running.until("Summary");
    // A pause of one second can be shorter than the grace of the drift; then the demo reports no
    // drift.
    assert!(matches!(running.end(), Some(0 | 2)));
}
