//! The program against limiters that are right and limiters that are wrong, ours and others'.

use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use crate::support::fixed_answer::{answer_server, fixed_answer_server};
use crate::support::{
    Started, assert_junit, ends, program, stderr, stdout, verdict, verify, words,
};
use ratelimiter_cluster::{ClusterPlan, LocalCluster};

async fn cluster() -> LocalCluster {
    ClusterPlan::default().start().await.unwrap()
}

#[tokio::test]
async fn our_modes_are_told_apart() {
    let cluster = cluster().await;
    let results = tempfile::tempdir().unwrap();
    for (mode, code, word) in [
        ("atomic", 0, "Passed"),
        ("leased", 0, "Passed"),
        ("cached", 3, "Violated"),
    ] {
        let directory = results.path().join(mode);
        let endpoints: Vec<String> = cluster
            .endpoints()
            .iter()
            .map(ToString::to_string)
            .collect();
        let mut arguments = words("node --limit 10/1m --counting", &[mode]);
        endpoints
            .iter()
            .for_each(|endpoint| arguments.extend(["--node", endpoint]));
        arguments.extend(["--out", directory.to_str().unwrap()]);
        let output = verify(&arguments);
        ends(&output, code, mode);
        assert!(
            stdout(&output).contains(word),
            "{mode}: {}",
            stdout(&output)
        );

        let json = verdict(&directory);
        assert_eq!(json["version"], 2);
        assert_eq!(
            json["skipped"].as_array().unwrap().len(),
            7,
            "phases that wait for a window of 60 s"
        );
        let junit = std::fs::read_to_string(directory.join("junit.xml")).unwrap();
        assert_eq!(junit.contains("<failure"), code == 3, "{junit}");
        // The recorded history gives the same verdict.
        let history = directory.join("history.jsonl");
        let history = [history.to_str().unwrap()];
        let again = verify(&words("check --limit 10/1m", &history));
        ends(&again, code, mode);
    }
    cluster.shutdown().await;
}

#[tokio::test]
async fn a_library_is_judged_through_its_adapter() {
    // The pause between GET and INCR makes the race certain on any machine.
    let cluster = ClusterPlan::nodes(1).start().await.unwrap();
    let url = cluster.store_url().to_string();
    let (host, port) = url.trim_start_matches("redis://").rsplit_once(':').unwrap();
    let adapter = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/adapter.py");
    for (mode, code) in [("correct", 0), ("racy", 3)] {
        let command = format!(
            "python3 {} {host} {port} {mode} 10 60000 100",
            adapter.display()
        );
        let plan = "exec --limit 10/1m --multiplier 6 --phase burst --bursts 8 \
            --processes 6 --command";
        ends(&verify(&words(plan, &[&command])), code, mode);
    }
    cluster.shutdown().await;
}

#[tokio::test]
async fn a_script_is_judged_over_resp() {
    let cluster = ClusterPlan::nodes(1).start().await.unwrap();
    let url = cluster.store_url().to_string();
    let count = "local n = redis.call('INCR', KEYS[1]); redis.call('EXPIRE', KEYS[1], 60); return \
        n <= LIMIT and 1 or 0";
    for (limit, code) in [("10", 0), ("11", 3)] {
        let command = format!("EVAL \"{}\" 1 {{key}}", count.replace("LIMIT", limit));
        let plan = "resp --allowed-reply =1 --limit 10/1m";
        let output = verify(&words(plan, &["--url", &url, "--command", &command]));
        ends(&output, code, limit);
    }
    cluster.shutdown().await;
}

#[tokio::test]
async fn get_then_incr_is_told_from_incr() {
    let cluster = ClusterPlan::nodes(1).start().await.unwrap();
    let url = cluster.store_url().to_string();
    let (host, port) = url.trim_start_matches("redis://").rsplit_once(':').unwrap();
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/get_then_incr.py");
    for (mode, code) in [("correct", 0), ("racy", 3)] {
        let mut limiter = Started(
            Command::new("python3")
                .args([script.to_str().unwrap(), host, port, mode, "10", "200"])
                .stdout(Stdio::piped())
                .spawn()
                .unwrap(),
        );
        let mut listening = String::new();
        BufReader::new(limiter.0.stdout.take().unwrap())
            .read_line(&mut listening)
            .unwrap();
        let target = format!("redis://127.0.0.1:{}", listening.trim());
        // The counters of both modes are in one store.
        let plan = "resp --allowed-reply =1 --limit 10/1m --phase burst --multiplier 6";
        let target = [
            "--url",
            &target,
            "--command",
            "CHECK {key}",
            "--key-part",
            mode,
        ];
        ends(&verify(&words(plan, &target)), code, mode);
    }
    cluster.shutdown().await;
}

#[test]
fn answers_that_decide_nothing_end_the_run() {
    for (answer, advice) in [
        (
            "HTTP/1.1 500 Oops\r\nContent-Length: 0\r\n\r\n",
            "--denied 500",
        ),
        (
            "HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n",
            "--denied 404",
        ),
        (
            "HTTP/1.1 301 Moved\r\nLocation: https://localhost/\r\nContent-Length: 0\r\n\r\n",
            "a redirect decides nothing",
        ),
        (
            "no HTTP\r\n\r\n",
            "--http2 for a limiter that speaks HTTP/2 alone",
        ),
    ] {
        let url = format!("http://{}/{{key}}", fixed_answer_server(answer));
        let output = verify(&["http", "--url", &url, "--limit", "10/1m"]);
        ends(&output, 1, advice);
        assert!(stderr(&output).contains(advice), "{}", stderr(&output));
    }
}

const ALLOWED: &str = "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n";

#[test]
fn a_limit_by_a_forged_address_is_accused() {
    // Ten for each path and X-Forwarded-For.
    let counts = std::sync::Mutex::new(std::collections::HashMap::new());
    let address = answer_server(move |request| {
        let path = request.lines().next().unwrap_or_default();
        let field = |line: &&str| line.starts_with("x-forwarded-for:");
        let caller = (
            path.to_owned(),
            request.lines().find(field).map(str::to_owned),
        );
        let mut counts = counts.lock().unwrap();
        let count = counts.entry(caller).or_insert(0);
        *count += 1;
        match *count {
            ..=10 => ALLOWED,
            _ => "HTTP/1.1 429 Too Many Requests\r\nContent-Length: 0\r\n\r\n",
        }
    });
    let url = format!("http://{address}/{{key}}");
    let plan = "http --limit 10/1m --phase fields --phase forged --url";
    ends(
        &verify(&words(plan, &[&url, "--key-part", "a"])),
        0,
        "trusted",
    );
    let forged = verify(&words(plan, &[&url, "--key-part", "b", "--untrusted"]));
    ends(&forged, 3, "untrusted");
    assert!(stdout(&forged).contains("20 of 10"), "{}", stdout(&forged));
}

#[test]
fn an_interrupted_run_is_judged_and_written() {
    // A server that allows everything, and counts.
    let asked = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&asked);
    let address = answer_server(move |_| {
        counted.fetch_add(1, Ordering::Relaxed);
        ALLOWED
    });
    let url = format!("http://{address}/{{key}}");
    let results = tempfile::tempdir().unwrap();
    let out = results.path().to_str().unwrap();
    let plan = "http --limit 10/10s --phase fields --phase overload --url";
    let child = program(&words(plan, &[&url, "--out", out]))
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let began = Instant::now();
    // Two probes and thirteen checks in turn; the others come over half a minute.
    while asked.load(Ordering::Relaxed) < 20 {
        assert!(began.elapsed() < Duration::from_secs(60), "too few checks");
        std::thread::yield_now();
    }
    let pid = child.id().to_string();
    Command::new("kill").args(["-INT", &pid]).status().unwrap();
    let output = child.wait_with_output().unwrap();
    ends(&output, 130, "Ctrl-C");
    assert!(stdout(&output).contains("VIOLATED"), "{}", stdout(&output));
    let partial = "Partial: interrupted with Ctrl-C. Checks are missing.";
    assert!(stdout(&output).contains(partial), "{}", stdout(&output));
    let read = |name: &str| std::fs::read_to_string(results.path().join(name)).unwrap();
    assert!(read("report.html").contains(partial));
    let cause = "interrupted with Ctrl-C";
    assert_eq!(verdict(results.path())["verdict"]["partial"], cause);
    assert!(read("journal.json").contains(r#""status": "interrupted""#));
    assert_junit(&read("junit.xml"));
    assert!(read("junit.xml").contains(r#"<error message="partial: interrupted with Ctrl-C""#));
    let history = read("history.jsonl");
    let sent = asked.load(Ordering::Relaxed);
    assert_eq!(history.lines().count(), sent, "every check is recorded");
    assert!(sent < 100, "{sent} checks after an interrupt");
}

#[test]
fn a_run_that_breaks_is_judged_and_written() {
    // The library ends with its thirtieth check, and does not start again.
    let results = tempfile::tempdir().unwrap();
    let adapter = "import json, sys\nopen(sys.argv[1], 'x')\nfor n in range(30):\n  \
        check = json.loads(input())\n  \
        print(json.dumps({'id': check['id'], 'allowed': True}), flush=True)";
    let out = results.path().to_str().unwrap();
    let adapter = shlex::try_quote(adapter).unwrap();
    let command = format!("python3 -c {adapter} {out}/started");
    let plan = "exec --limit 10/1m --processes 1 --phase burst --command";
    let output = verify(&words(plan, &[&command, "--out", out]));
    ends(&output, 1, "the process has ended");
    assert!(stderr(&output).contains("process-1"), "{}", stderr(&output));
    let json = verdict(results.path());
    assert_eq!(json["verdict"]["status"], "violated", "{json}");
    let partial = json["verdict"]["partial"].as_str().unwrap();
    assert!(partial.contains("burst: process-1"), "{partial}");
}

#[test]
fn a_record_from_the_middle_excuses_statements() {
    let line = |from: u32, outcome: &str, left: u32| {
        format!(
            "{{\"key\":\"k\",\"node\":\"n\",\"invoke_ms\":{from},\"complete_ms\":{},\
             \"outcome\":\"{outcome}\",\"claims\":{{\"remaining\":{left}}}}}\n",
            from + 1
        )
    };
    let results = tempfile::tempdir().unwrap();
    let path = results.path().join("history.jsonl");
    let path = path.to_str().unwrap();
    let contradiction = "n denied a check of cost 1 and stated 3 remaining";
    // Quota from before the record may return at any time; from within it, not before a window.
    let (quota, none) = (line(10, "denied", 3), line(10, "denied", 0));
    for (denial, fresh, code) in [(&quota, "", 0), (&quota, "--fresh", 3), (&none, "", 0)] {
        std::fs::write(path, line(0, "allowed", 4) + denial).unwrap();
        let output = verify(&words(
            "check --limit 10/1m",
            &[path, fresh][..1 + fresh.len().min(1)],
        ));
        ends(&output, code, fresh);
        assert_eq!(stdout(&output).contains(contradiction), code == 3);
    }
}

#[tokio::test]
async fn a_burst_fits_into_the_limit_of_open_files() {
    let cluster = ClusterPlan::nodes(1).start().await.unwrap();
    let node = cluster.endpoints()[0].to_string();
    let run = "node --counting atomic --limit 150/60s --phase burst --bursts 1 --node";
    for (files, code, word) in [("100", 0, "150 of 150"), ("20", 1, "ulimit -n")] {
        let limited = format!("ulimit -n {files}; exec \"$0\" \"$@\"");
        let output = Command::new("sh")
            .args(["-c", &limited, env!("CARGO_BIN_EXE_ratelimiter-verify")])
            .args(words(run, &[&node]))
            .output()
            .unwrap();
        ends(&output, code, files);
        let text = stdout(&output) + &stderr(&output);
        assert!(text.contains(word), "{files}: {text}");
    }
    cluster.shutdown().await;
}

#[test]
fn costs_are_played_where_a_program_reads_them() {
    let plan = "exec --command true --limit 10/2s --phase costs --phase fields --dry-run";
    let skipped = stdout(&verify(&words(plan, &[])));
    assert!(
        skipped.contains("skipped: costs: requests have no {cost}; exec needs --has-cost"),
        "{skipped}"
    );
    let played = stdout(&verify(&words(plan, &["--has-cost"])));
    assert!(!played.contains("skipped"), "{played}");
}

#[test]
fn missing_limiter_is_doubted_before_it_is_accused() {
    let server = fixed_answer_server("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
    let url = format!("http://{server}/{{key}}");
    let output = verify(&[
        "http", "--url", &url, "--limit", "10/1m", "--phase", "burst",
    ]);
    ends(&output, 3, "");
    let text = stdout(&output);
    assert!(
        text.contains("Nothing was ever denied") && text.contains("Answers: 200"),
        "{text}"
    );
    assert!(!text.contains("[==="), "a proof is drawn: {text}");
    let told = ["--fail-on", "denials,claims"];
    let url = ["--url", &url];
    let told = verify(&words(
        "http --limit 10/1m --phase burst",
        &[&url[..], &told].concat(),
    ));
    ends(&told, 4, "nothing was denied");
    assert!(stdout(&told).contains("Not failed on, as told: more than 10/1m sliding"));
}
