//! Records that people hold: each is judged as the same run recorded by ourselves, or refused with
//! its file and line.
//!
//! The samples of Envoy, Caddy, Traefik, HAProxy, vegeta, hey, oha, k6, HAR and OpenTelemetry are
//! made by their documented formats. Those that the programs wrote themselves are beside: of nginx,
//! Apache and HAProxy in `gateways`, of hey and k6 in `tests/corpus/records`.

mod samples;

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::support::{ends, stderr, stdout, verify, words};
use flate2::Compression;
use flate2::write::GzEncoder;
use proptest::prelude::*;
use ratelimiter_api::{Key, NodeId, Operation, Outcome};
use ratelimiter_invariants::HistoryChecker;
use ratelimiter_verify::{
    FindingKind, PRESETS, RecordSettings, Records, RunJudge, RunStatus, StatusOutcomes,
    read_records, write_history,
};
use samples::{EPOCH, RUN, line, sample};
use tempfile::TempDir;

fn written(directory: &TempDir, name: &str, text: impl AsRef<[u8]>) -> PathBuf {
    let path = directory.path().join(name);
    std::fs::write(&path, text).unwrap();
    path
}

fn check(file: &Path, limit: &str, more: &[&str]) -> std::process::Output {
    let file = file.to_str().unwrap();
    verify(&[&["check", file, "--limit", limit], more].concat())
}

/// Excess is proved and denials are judged alike in every format.
#[test]
fn presets_are_judged_as_the_same_history() {
    let directory = tempfile::tempdir().unwrap();
    for preset in &PRESETS {
        let file = written(&directory, preset.name, sample(preset.name));
        let format = if preset.is_distinct {
            "auto"
        } else {
            preset.name
        };
        let flags = words("--complete true --fresh --key all", &["--format", format]);
        // Whole seconds of 13 checks leave open which of them lie within 2 s.
        let window = if preset.name == "k6-csv" { "10m" } else { "2s" };
        for (limit, code) in [(9, 3), (10, 0), (11, 3)] {
            let output = check(&file, &format!("{limit}/{window}"), &flags);
            ends(
                &output,
                code,
                format!("{} at {limit}: {}", preset.name, stdout(&output)),
            );
        }
        if preset.name != "history" {
            let text = stdout(&check(
                &file,
                "11/10m",
                &words("--key all", &["--format", format]),
            ));
            assert!(text.contains(&format!("read as {}", preset.name)), "{text}");
            let judged = !text.contains("denials are not judged");
            assert_eq!(judged, preset.lacks.is_empty(), "{text}");
        }
    }
}

/// Runs of hey 0.1.4 and k6 1.1.0, each 13 requests to nginx's `limit_req` with 10 tokens a minute,
/// beside nginx's own log of them. Of k6, the metrics that no check is made of are left out but for
/// those of the first request.
#[test]
fn real_records_are_judged_as_the_log_of_the_limiter() {
    let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/corpus/records");
    let log_format = "nginx:$remote_addr [$time_local] \"$request\" $status $msec $request_time";
    for tool in ["hey", "k6", "k6-csv"] {
        let records = corpus.join(format!("{tool}.records"));
        let log = corpus.join(format!("{tool}.nginx.log"));
        for (amount, code) in [(9, 3), (10, 0), (11, 3)] {
            let limit = format!("{amount}/1m token-bucket");
            let all = words("--complete true --fresh --key all --format", &[]);
            let of_tool = check(&records, &limit, &[&all[..], &["auto"]].concat());
            let text = stdout(&of_tool);
            assert!(
                text.contains(&format!("13 checks, read as {tool}\n")),
                "{text}"
            );
            ends(&of_tool, code, format!("{tool} at {amount}: {text}"));
            let of_log = check(&log, &limit, &[&all[..], &[log_format]].concat());
            ends(
                &of_log,
                code,
                format!("{tool}'s log at {amount}: {}", stdout(&of_log)),
            );
        }
    }
}

#[test]
fn keys_are_fields_headers_or_expressions() {
    let directory = tempfile::tempdir().unwrap();
    for (preset, key, found) in [
        ("caddy", "header:X-User", "u"),
        ("traefik", "header:X-User", "u"),
        ("har", "header:X-User", "u"),
        ("envoy", "user", "u"),
        ("envoy", "user of {user}", "user of u"),
        ("haproxy", "client|host", "10.0.0.7"),
        (
            "haproxy",
            "{client|host} {request}",
            "10.0.0.7 GET /u HTTP/1.1",
        ),
        ("vegeta", "url", "http://u/"),
    ] {
        let file = written(&directory, preset, sample(preset));
        let shows = |text: &str| {
            text.lines()
                .any(|line| line.ends_with(&format!(" {found}")))
        };
        let text = stdout(&check(&file, "10/2s", &["--key", key]));
        assert!(shows(&text), "{preset} {key}: {text}");
        let hidden = stdout(&check(&file, "9/2s", &["--key", key, "--hide-keys"]));
        assert!(hidden.contains(" key-1") && !shows(&hidden), "{hidden}");
    }
    let file = written(&directory, "caddy", sample("caddy"));
    for (more, reason) in [
        (&[][..], "by what does the limiter count"),
        (&["--key", "header:X-None"], "0 checks"),
    ] {
        let output = check(&file, "10/2s", more);
        let said = stdout(&output) + &stderr(&output);
        assert!(said.contains(reason), "{said}");
    }
}

#[test]
fn totals_are_refused_with_the_option_for_records() {
    let directory = tempfile::tempdir().unwrap();
    for (text, words) in [
        (
            r#"{"root_group":{},"metrics":{}}"#,
            "k6 run --out json=FILE",
        ),
        (
            "Running 30s test @ http://x\n  12 threads and 400 connections",
            "hey -o csv",
        ),
        ("This is ApacheBench, Version 2.3", "totals of ab"),
        (
            "Summary:\n  Slowest:\t0.01 secs\n  Requests/sec:\t9\n",
            "hey -o csv",
        ),
        (
            r#"{"summary":{"successRate":1.0}}"#,
            "oha --output-format csv",
        ),
        ("Transactions:\t10 hits\nAvailability:\t100.00 %", "siege"),
        (
            "Requests      [total, rate, throughput]  1, 1, 1",
            "vegeta encode --to json",
        ),
        (
            "1.2.3.4 - - [30/Nov/2026:21:50:48 +0000] \"GET / HTTP/1.1\" 200 2 \"-\" \"-\"",
            "--format nginx:combined",
        ),
        ("nothing that is known", "--format"),
    ] {
        let file = written(&directory, "totals", text);
        let output = check(&file, "10/2s", &["--key", "all"]);
        ends(&output, 1, text);
        assert!(stderr(&output).contains(words), "{}", stderr(&output));
        assert_eq!(stderr(&output).lines().count(), 1);
    }
}

/// A common log has whole seconds and no begin: it decides what it can.
#[test]
fn whole_seconds_decide_what_they_can() {
    let directory = tempfile::tempdir().unwrap();
    let log: String = (0..30)
        .map(|n| {
            let second = 10 + n / 10;
            format!("1.2.3.4 - - [30/Nov/2026:21:50:{second} +0000] \"GET /\" 200 2 \"-\" \"-\"\n")
        })
        .collect();
    let file = written(&directory, "access.log", log);
    let common = ["--format", "nginx:combined", "--key", "remote_addr"];
    let without = check(&file, "10/1m", &common);
    assert!(stderr(&without).contains("--takes"), "{}", stderr(&without));
    let takes = [&common[..], &["--takes", "500ms"]].concat();
    ends(&check(&file, "29/1m", &takes), 3, "30 in a minute");
    ends(&check(&file, "30/1m", &takes), 0, "30 in a minute");
    let open = check(&file, "15/1s", &takes);
    ends(&open, 4, "seconds are too coarse");
    assert!(stdout(&open).contains("longer window"), "{}", stdout(&open));
}

#[test]
fn files_of_several_nodes_are_merged() {
    let directory = tempfile::tempdir().unwrap();
    let half = |rest: usize| -> String {
        let lines = RUN.iter().enumerate().filter(|(n, _)| n % 2 == rest);
        lines
            .map(|(_, (at, status))| line("caddy", EPOCH + at, *status) + "\n")
            .collect()
    };
    let mut packed = GzEncoder::new(Vec::new(), Compression::default());
    packed.write_all(half(1).as_bytes()).unwrap();
    let even = written(&directory, "even.log", half(0));
    let odd = written(&directory, "odd.log.gz", packed.finish().unwrap());
    let odd = odd.to_str().unwrap();
    let more = words(
        "--key all --complete true --fresh --uncertainty 5ms",
        &[odd],
    );
    for (limit, code) in [(9, 3), (10, 0), (11, 3)] {
        let output = check(&even, &format!("{limit}/2s"), &more);
        ends(&output, code, stdout(&output));
    }
    let violated = stdout(&check(&even, "9/2s", &more));
    assert!(
        violated.contains("even.log") && violated.contains("odd.log.gz"),
        "{violated}"
    );
    let hey = written(&directory, "hey", sample("hey"));
    let output = check(&hey, "10/2s", &["--key", "all", odd]);
    assert!(
        stderr(&output).contains("another instant"),
        "{}",
        stderr(&output)
    );
}

#[test]
fn own_verdict_of_the_limiter_goes_first() {
    let directory = tempfile::tempdir().unwrap();
    let log = "k 200 100.000 0.001 PASSED\nk 404 100.001 0.001 DELAYED\n\
               k 429 100.002 0.001 REJECTED\nk 200 100.003 0.001 -\n";
    let file = written(&directory, "access.log", log);
    let format = "nginx:$k $status $msec $request_time $limit_req_status";
    let text = stdout(&check(&file, "1/1s", &["--format", format, "--key", "k"]));
    assert!(
        text.contains("VIOLATED            2      1     0"),
        "{text}"
    );
}

#[test]
fn what_if_tells_who_is_hit_and_the_least_limit() {
    let directory = tempfile::tempdir().unwrap();
    let file = written(&directory, "caddy", sample("caddy"));
    let file = file.to_str().unwrap();
    let more = ["what-if", file, "--key", "header:X-User", "--hide-keys"];
    let output = verify(&[&more[..], &["--limit", "5/2s", "--limit", "1/100ms fixed"]].concat());
    ends(&output, 0, stderr(&output));
    let text = stdout(&output);
    for words in [
        "5/2s would have denied 8 of 13 checks (61.54 %), of 1 of 1 keys",
        "at        0.500 s  8 of 13 checks denied  key-1",
        "--limit '13/2s'",
        "Callers who are denied behave differently",
    ] {
        assert!(text.contains(words), "{words}: {text}");
    }
}

/// Each is one line with file and line, in bounded memory.
#[test]
fn hostile_files_are_refused_by_line() {
    let directory = tempfile::tempdir().unwrap();
    let good = line("caddy", EPOCH, 200);
    let mut bomb = GzEncoder::new(Vec::new(), Compression::best());
    bomb.write_all(format!("{good}\n").as_bytes()).unwrap();
    let zeros = vec![b'0'; 1 << 20];
    (0..100).for_each(|_| bomb.write_all(&zeros).unwrap());
    let mut cut = GzEncoder::new(Vec::new(), Compression::default());
    cut.write_all(format!("{good}\n").repeat(50_000).as_bytes())
        .unwrap();
    let cut = cut.finish().unwrap();
    let local =
        |hour| line("haproxy", EPOCH, 200).replace("2026:21:50", &format!("2026:{hour}:50"));
    for (name, text, words) in [
        (
            "truncated",
            format!("{good}\n{}", &good[..40]).into_bytes(),
            "line 2: no JSON object",
        ),
        (
            "mixed",
            format!("{good}\n\n1.2.3.4 - - x\n").into_bytes(),
            "line 3: no JSON object",
        ),
        (
            "other",
            format!("{good}\n{{\"msg\":\"handled request\"}}").into_bytes(),
            "line 2: end",
        ),
        (
            "backwards",
            "begin,end,status\n9,4,200\n".into(),
            "line 2: its end is before its begin",
        ),
        (
            "twice",
            format!("{}\n{}\n", local("03"), local("02")).into(),
            "line 2: a local time went back",
        ),
        (
            "long",
            [good.as_bytes(), b"\n", &b"1".repeat(100 << 20)].concat(),
            "line 2: a line has at most",
        ),
        (
            "binary",
            [good.as_bytes(), b"\n\xff\xfe\0\0"].concat(),
            "line 2: ",
        ),
        ("bomb", bomb.finish().unwrap(), "line 2: a line has at most"),
        ("cut", cut[..cut.len() / 2].to_vec(), "line "),
    ] {
        let file = written(&directory, name, text);
        let format = match name {
            "backwards" => "csv:begin=begin,end=end,status=status,unit=ms",
            _ => "auto",
        };
        let output = check(&file, "10/2s", &["--key", "all", "--format", format]);
        ends(&output, 1, name);
        let said = stderr(&output);
        assert!(
            said.contains(words) && said.contains(name),
            "{name}: {said}"
        );
        assert_eq!(said.lines().count(), 1, "{said}");
    }
    // Any order is as good, and so is any zone.
    let zoned = |at: &str| format!("{at},1,200\n");
    let csv = "begin,duration,status\n".to_owned()
        + &zoned("2026-11-30T23:00:01+02:00")
        + &zoned("2026-11-30T21:00:00Z");
    let file = written(&directory, "zones", csv);
    let format = "csv:begin=begin,duration=duration,status=status,unit=ms";
    let output = check(&file, "1/10s", &["--key", "all", "--format", format]);
    ends(&output, 3, stdout(&output));
}

/// Bytes changed anywhere: the records are read, or refused on one line. `PROPTEST_CASES=100000`
/// tries that many.
#[test]
fn mutated_records_are_read_or_refused() {
    let directory = tempfile::tempdir().unwrap();
    let presets = prop::sample::select(Vec::from_iter(&PRESETS));
    let changes = prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..4);
    proptest!(|(preset in presets, changes in changes, cut in any::<prop::sample::Index>())| {
        let mut text = sample(preset.name).into_bytes();
        for (at, byte) in changes {
            let at = at.index(text.len());
            text[at] = byte;
        }
        text.truncate(text.len() - cut.index(text.len()) / 8);
        let file = written(&directory, "mutated", text);
        let settings = RecordSettings { key: Some("all".into()), ..settings(preset.name) };
        match read_records(&[file], &settings) {
            Ok(records) => {
                judge(LIMITS[0]).histories(records.histories).unwrap();
            }
            Err(error) => prop_assert_eq!(error.to_string().lines().count(), 1),
        }
    });
}

fn settings(format: &str) -> RecordSettings {
    let [allowed, denied] = ["200", "429"].map(|set| set.parse().unwrap());
    RecordSettings {
        format: format.parse().unwrap(),
        key: None,
        takes: None,
        outcomes: StatusOutcomes::new(&allowed, &denied, &"503".parse().unwrap()),
        demand_only: false,
        hide_keys: false,
        bytes_read: Default::default(),
    }
}

/// A limit in every form.
const LIMITS: [&str; 5] = [
    "3/40ms",
    "3/40ms fixed",
    "3/40ms fixed aligned",
    "3/40ms token-bucket",
    "3/40ms two-period",
];

fn judge(limit: &str) -> RunJudge {
    let limit: ratelimiter_invariants::Contract = limit.parse().unwrap();
    RunJudge {
        checker: HistoryChecker::new(limit),
        fail_on: vec![
            FindingKind::Excess,
            FindingKind::Denials,
            FindingKind::Claims,
        ],
        decides_within: None,
        fresh: true,
        judges_claims: true,
        deadline: None,
    }
}

fn statuses(judge: &RunJudge, records: Records) -> Vec<(Key, RunStatus)> {
    let verdict = judge.histories(records.histories).unwrap();
    verdict
        .judged
        .into_iter()
        .map(|one| (one.key, one.status))
        .collect()
}

fn operations() -> impl Strategy<Value = Vec<Operation>> {
    use Outcome::{Allowed, Denied, Failed, Unknown};
    let outcome = prop::sample::select(vec![Allowed, Allowed, Denied, Failed, Unknown]);
    let one = (
        0..2_u8,
        0..200_u64,
        0..9_u64,
        outcome,
        1..3_u32,
        prop::option::of(0..4_i64),
    );
    let operation = one.prop_map(|(key, at, took, outcome, cost, left)| {
        let [invoke, complete] = [at, at + took].map(Duration::from_millis);
        let key = Key::new(format!("k{key}")).unwrap();
        let mut op = Operation::new(key, NodeId::new("n"), invoke, complete, outcome).costing(cost);
        op.claims.remaining = left;
        op
    });
    prop::collection::vec(operation, 1..40)
}

fn exported(operations: &[Operation]) -> Vec<u8> {
    let mut file = Vec::new();
    write_history(operations, &mut file).unwrap();
    file
}

#[test]
fn an_exported_history_imports_with_the_same_verdict() {
    let directory = tempfile::tempdir().unwrap();
    let words = "begin=invoke_ms,end=complete_ms,unit=ms,resolution=0s,key=key,outcome=outcome,\
                 cost=cost";
    let limits = prop::sample::select(LIMITS.to_vec());
    proptest!(|(operations in operations(), limit in limits)| {
        let own: Vec<Operation> = operations
            .iter()
            .cloned()
            .map(|op| Operation { claims: Default::default(), ..op })
            .collect();
        let csv = own.iter().fold("invoke_ms,complete_ms,key,outcome,cost\n".to_owned(), |csv, op| {
            let outcome = serde_json::to_value(op.outcome).unwrap();
            let [invoke, complete] = [op.invoke, op.complete].map(|time| time.as_millis());
            let (key, outcome, cost) = (&op.key, outcome.as_str().unwrap(), op.cost);
            csv + &format!("{invoke},{complete},\"{key}\",{outcome},{cost}\n")
        });
        let files = [
            ("history".to_owned(), exported(&own)),
            (format!("json:{words}"), exported(&own)),
            (format!("csv:{words}"), csv.into_bytes()),
        ];
        let judged = files.map(|(format, text)| {
            let file = written(&directory, "records", text);
            let records = read_records(&[file], &settings(&format)).unwrap();
            statuses(&judge(limit), records)
        });
        prop_assert_eq!(&judged[0], &judged[1]);
        prop_assert_eq!(&judged[0], &judged[2]);
    });
}

#[test]
fn removing_checks_never_adds_an_accusation() {
    let directory = tempfile::tempdir().unwrap();
    let limits = prop::sample::select(LIMITS.to_vec());
    let kept = prop::collection::vec(any::<bool>(), 40);
    proptest!(|(operations in operations(), kept in kept, limit in limits)| {
        let judge = judge(limit).of_incomplete();
        let accused = |operations: &[Operation]| -> Vec<Key> {
            let file = written(&directory, "records", exported(operations));
            let records = read_records(&[file], &settings("history")).unwrap();
            let judged = statuses(&judge, records).into_iter();
            let violated = judged.filter(|(_, status)| *status == RunStatus::Violated);
            violated.map(|(key, _)| key).collect()
        };
        let fewer = operations.iter().zip(kept).filter(|(_, kept)| *kept);
        let fewer: Vec<Operation> = fewer.map(|(op, _)| op.clone()).collect();
        let before = accused(&operations);
        prop_assert!(accused(&fewer).iter().all(|key| before.contains(key)));
    });
}

/// The document's table and list of words are those of the program.
#[test]
fn document_has_every_preset() {
    let document = include_str!("../../../../../docs/history.md");
    for preset in PRESETS.iter().filter(|preset| preset.name != "history") {
        let lacks = if preset.lacks.is_empty() {
            "nothing"
        } else {
            preset.lacks
        };
        let clock = if preset.own_clock {
            "its start"
        } else {
            "1970"
        };
        let row = format!(
            "| `{}` | {} | {clock} | {} | {lacks} |",
            preset.name, preset.written_by, preset.resolution
        );
        assert!(document.contains(&row), "docs/history.md lacks\n{row}");
    }
}
