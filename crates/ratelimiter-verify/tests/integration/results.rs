//! The files that a run leaves, and a fault during it.

use std::path::Path;

use crate::support::{assert_junit, ends, program, stderr, stdout, verdict, verify, words};
use ratelimiter_cluster::ClusterPlan;
use serde_json::Value;

const COUNT: &str = "EVAL \"local n = redis.call('INCR', KEYS[1]); redis.call('EXPIRE', KEYS[1], \
    60); return n <= 10 and 1 or 0\" 1 {key}";

fn file(path: &str) -> Value {
    let path = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../..")
        .join(path);
    serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap()
}

/// The parts of JSON Schema that `docs/verdict.schema.json` uses; where a value does not fit, its
/// place.
fn misfit(root: &Value, schema: &Value, value: &Value, place: &str) -> Option<String> {
    if let Some(name) = schema["$ref"].as_str() {
        let definition = root.pointer(name.trim_start_matches('#')).unwrap();
        return misfit(root, definition, value, place);
    }
    if let Some(forms) = schema["oneOf"].as_array() {
        let fitting = forms
            .iter()
            .filter(|form| misfit(root, form, value, place).is_none())
            .count();
        return (fitting != 1).then(|| format!("{place}: {fitting} forms fit {value}"));
    }
    let fits = match (&schema["const"], schema["enum"].as_array(), &schema["type"]) {
        (Value::Null, None, Value::String(name)) => is(value, name),
        (Value::Null, None, Value::Array(names)) => {
            names.iter().any(|name| is(value, name.as_str().unwrap()))
        }
        (Value::Null, Some(values), _) => values.contains(value),
        (constant, None, _) => constant == value,
        _ => false,
    };
    if !fits {
        return Some(format!("{place}: {value}"));
    }
    if let (Some(fields), Some(properties)) = (value.as_object(), schema["properties"].as_object())
    {
        let required = schema["required"].as_array().into_iter().flatten();
        if let Some(missing) = required
            .map(|name| name.as_str().unwrap())
            .find(|name| !fields.contains_key(*name))
        {
            return Some(format!("{place} lacks {missing}"));
        }
        return fields
            .iter()
            .find_map(|(name, field)| match properties.get(name) {
                Some(schema) => misfit(root, schema, field, &format!("{place}/{name}")),
                None => Some(format!("{place}/{name} is not described")),
            });
    }
    value.as_array().and_then(|items| {
        items
            .iter()
            .find_map(|item| misfit(root, &schema["items"], item, &format!("{place}/-")))
    })
}

fn is(value: &Value, name: &str) -> bool {
    match name {
        "null" => value.is_null(),
        "boolean" => value.is_boolean(),
        "string" => value.is_string(),
        "integer" => value.is_i64() || value.is_u64(),
        "number" => value.is_number(),
        "array" => value.is_array(),
        "object" => value.is_object(),
        other => panic!("no such type: {other}"),
    }
}

fn assert_described(verdict: &Value) {
    let schema = file("docs/verdict.schema.json");
    assert_eq!(misfit(&schema, &schema, verdict, ""), None);
}

#[tokio::test]
async fn a_fault_that_loses_counts_is_accused() {
    let cluster = ClusterPlan::nodes(1).start().await.unwrap();
    let url = cluster.store_url().to_string();
    let (host, port) = url.trim_start_matches("redis://").rsplit_once(':').unwrap();
    let flush = format!(
        "python3 -c \"import socket; s = socket.create_connection(('{host}', {port})); \
         s.sendall(b'FLUSHALL\\r\\n'); s.recv(9)\""
    );
    let slow = format!(
        "{}; sleep 2",
        flush.replace("FLUSHALL", "CLIENT PAUSE 1500 ALL")
    );
    let results = tempfile::tempdir().unwrap();
    for (during, code, exit_code) in [
        (&*slow, 0, 0),
        ("sleep 0.1", 4, 0),
        (&flush, 3, 0),
        ("exit 7", 4, 7),
    ] {
        let directory = results.path().join(format!("{code}-{exit_code}"));
        let plan = "resp --allowed-reply =1 --limit 10/1m --phase fault --phase burst";
        let target = ["--url", &url, "--command", COUNT, "--during", during];
        let out = ["--out", directory.to_str().unwrap()];
        let output = verify(&words(plan, &[&target[..], &out].concat()));
        ends(&output, code, during);

        let json = verdict(&directory);
        assert_described(&json);
        let class = json["verdict"]["hypothesis"]["class"].as_str();
        assert_eq!(class, (code == 3).then_some("state-lost"));
        for file in ["report.html", "junit.xml", "summary.md"] {
            let text = std::fs::read_to_string(directory.join(file)).unwrap();
            assert_eq!(text.contains("Seems to be state-lost"), code == 3, "{file}");
        }
        let faulty: Vec<&Value> = json["verdict"]["judged"]
            .as_array()
            .unwrap()
            .iter()
            .filter(|one| one["phase"] == "fault")
            .collect();
        assert_eq!(faulty.len(), 2);
        let band = &faulty[0]["fault"];
        assert_eq!(band["exit_code"], exit_code, "{band}");
        assert!(
            band["start_ms"].as_f64() < band["end_ms"].as_f64(),
            "{band}"
        );
        assert!(
            stdout(&output).contains("fault from"),
            "{}",
            stdout(&output)
        );
        let no_effect = stdout(&output).contains("no effect of the fault was seen");
        let expected = during == "sleep 0.1";
        assert!(no_effect == expected || code == 3, "{}", stdout(&output));

        let journal: Value =
            serde_json::from_slice(&std::fs::read(directory.join("journal.json")).unwrap())
                .unwrap();
        assert_eq!(journal["status"], "completed");
        assert_eq!(journal["deviated"], code == 3);
        assert_eq!(
            journal["steady_states"]["after"]["steady_state_met"],
            code == 0
        );
        let command = json["command"].as_array().unwrap();
        assert!(command.contains(&"--during".into()) && !command.contains(&during.into()));
        let junit = std::fs::read_to_string(directory.join("junit.xml")).unwrap();
        let names = ["burst 1", "burst 5", "fault 2"].map(|n| format!("name=\"{n}\""));
        assert_junit(&junit);
        for name in &names {
            assert!(junit.contains(name), "{name}: {junit}");
        }
        let page = std::fs::read_to_string(directory.join("report.html")).unwrap();
        assert_eq!(
            page.matches("<figure>").count(),
            8,
            "six bursts and two keys of the fault"
        );
        assert_eq!(page.contains("The witness: "), code == 3);
        assert!(page.contains("<rect class=\"asked\" x=") && !page.contains("src="));
        let digest = json["history_sha256"].as_str().unwrap();
        assert!(page.contains(digest), "{digest}");
        let summary = std::fs::read_to_string(directory.join("summary.md")).unwrap();
        assert!(
            summary.contains("| fault 2 | ") && summary.contains("--during"),
            "{summary}"
        );
        let run = journal["run"].as_array().unwrap();
        let fault = run
            .iter()
            .find(|activity| activity["activity"]["type"] == "action")
            .unwrap();
        assert_eq!(
            fault["status"],
            if exit_code == 0 {
                "succeeded"
            } else {
                "failed"
            }
        );
        assert_eq!(
            run.len(),
            9,
            "a probe, six bursts, the fault's command and its checks"
        );
    }
    cluster.shutdown().await;
}

#[test]
fn a_check_of_records_writes_results_too() {
    let directory = tempfile::tempdir().unwrap();
    let at = |name: &str| directory.path().join(name);
    let line = |n: u32| {
        format!(
            "{{\"key\":\"<b>\",\"node\":\"a|b\",\"invoke_ms\":{n},\"complete_ms\":{},\
             \"outcome\":\"allowed\"}}\n",
            n + 1
        )
    };
    std::fs::write(at("h.jsonl"), (0..12).map(line).collect::<String>()).unwrap();
    let (file, out) = (at("h.jsonl"), at("out"));
    let files = [file.to_str().unwrap(), "--out", out.to_str().unwrap()];
    for force in [&[][..], &["--force"]] {
        let arguments = words("check --limit 10/1m", &[&files[..], force].concat());
        let output = program(&arguments)
            .env("GITHUB_STEP_SUMMARY", at("steps.md"))
            .output()
            .unwrap();
        ends(&output, 3, "check");
    }
    assert_described(&verdict(&out));
    let read = |path| std::fs::read_to_string(path).unwrap();
    let page = read(out.join("report.html"));
    assert!(page.contains("<b>&lt;b&gt;</b>"), "a key is text");
    assert_eq!(page.matches("<figure>").count(), 1);
    let summary = read(out.join("summary.md"));
    assert!(
        summary.contains("| &lt;b> | \u{2717} violated | 12 of 10 |"),
        "{summary}"
    );
    let steps = read(at("steps.md"));
    assert_eq!(
        steps.matches("### ").count(),
        2,
        "each run is appended: {steps}"
    );
    assert!(!out.join("history.jsonl").exists());
}

#[test]
fn the_schema_refuses_what_it_does_not_describe() {
    let schema = file("docs/verdict.schema.json");
    let right = serde_json::json!({
        "version": 2, "tool": "t", "platform": "p", "date": "d", "command": [], "target": "t",
        "skipped": [],
        "contract": "10/1m",
        "verdict": {"status": "passed", "fail_on": [], "judged": []},
    });
    assert_described(&right);
    for (place, value) in [
        ("/version", 1.into()),
        ("/contract", 10.into()),
        ("/verdict/status", "good".into()),
    ] {
        let mut wrong = right.clone();
        *wrong.pointer_mut(place).unwrap() = value;
        assert!(
            misfit(&schema, &schema, &wrong, "").is_some_and(|misfit| misfit.contains(place)),
            "{place}"
        );
    }
    let mut more = right.clone();
    more["verdict"]["mood"] = "good".into();
    assert!(
        misfit(&schema, &schema, &more, "")
            .unwrap()
            .contains("not described")
    );
}

#[test]
fn the_action_s_commands_are_understood() {
    let path =
        Path::new(env!("CARGO_MANIFEST_DIR")).join("../../.github/actions/verify/action.yml");
    let action = std::fs::read_to_string(path).unwrap();
    let commands = action
        .lines()
        .filter_map(|line| line.split_once(") ratelimiter-verify "))
        .map(|(_, command)| shlex::split(command.trim_end_matches(" ;;")).unwrap());
    let mut names = Vec::new();
    for command in commands {
        let mut arguments: Vec<&str> = command.iter().map(String::as_str).collect();
        if arguments[0] == "run" {
            // What follows the file are words of the command that asks.
            arguments.drain(1..);
        }
        let output = verify(&[&arguments[..], &["--help"]].concat());
        assert!(output.status.success(), "{}", stderr(&output));
        names.push(command[0].clone());
    }
    assert_eq!(names, ["torture", "torture", "run"]);
}
