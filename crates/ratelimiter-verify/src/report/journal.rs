use std::time::{Duration, SystemTime};

use serde_json::{Value, json};

use super::{VERSION, platform};
use crate::{Phase, Plan, RunStatus, RunVerdict, StepRecord};

/// The run as a journal in the form of Chaos Toolkit: one activity a step, and one for the command
/// of a fault. The steady state is that the contract is kept.
pub fn journal(plan: &Plan, recorded: &[StepRecord], verdict: &RunVerdict, target: &str) -> Value {
    let start = recorded
        .first()
        .map_or(SystemTime::UNIX_EPOCH, |first| first.began);
    let end = recorded.last().map_or(start, |last| last.began + last.took);
    let activity = |kind: &str, name: &str, path: &str| {
        let provider = json!({"type": "process", "path": path});
        json!({"type": kind, "name": name, "provider": provider})
    };
    let mut run = Vec::new();
    for record in recorded {
        let of_record = |one: &&crate::KeyJudgement| record.keys.contains(&one.key);
        let judged: Vec<_> = verdict.judged.iter().filter(of_record).collect();
        if let Some(band) = record.fault {
            let origin = record.began - record.at;
            let failed = band.exit_code != Some(0);
            let mut fault = times(
                origin + band.start,
                band.end.unwrap_or(band.start) - band.start,
            );
            fault["activity"] = activity("action", "fault", "sh");
            fault["output"] = json!(band.exit_code);
            fault["status"] = json!(if failed { "failed" } else { "succeeded" });
            run.push(fault);
        }
        let mut step = times(record.began, record.took);
        let names: Vec<&str> = record
            .keys
            .iter()
            .map(ratelimiter_api::Key::as_str)
            .collect();
        let name = format!("{} {}", record.phase, names.join(" "));
        step["activity"] = activity("probe", &name, "ratelimiter-verify");
        step["output"] = json!(judged.iter().map(|one| one.status).collect::<Vec<_>>());
        step["status"] = json!("succeeded");
        run.push(step);
    }
    let method: Vec<_> = run.iter().map(|step| step["activity"].clone()).collect();
    let title = format!("{} is kept", plan.promise);
    let met = verdict.status == RunStatus::Passed;
    let steady = json!({"steady_state_met": met, "probes": []});
    let faults = recorded.iter().any(|record| record.phase == Phase::Fault);
    let mut journal = times(start, end.duration_since(start).unwrap_or_default());
    for (field, value) in [
        ("chaoslib-version", json!(VERSION)),
        ("platform", json!(platform())),
        ("node", json!(host())),
        (
            "experiment",
            json!({
                "version": "1.0.0",
                "title": title,
                "description": target,
                "tags": if faults { vec!["rate-limiter", "fault"] } else { vec!["rate-limiter"] },
                "steady-state-hypothesis": {"title": title, "probes": []},
                "method": method,
                "rollbacks": [],
            }),
        ),
        (
            "status",
            json!(match verdict.partial {
                Some(_) => "interrupted",
                None => "completed",
            }),
        ),
        ("deviated", json!(verdict.status == RunStatus::Violated)),
        (
            "steady_states",
            json!({"before": null, "after": steady, "during": []}),
        ),
        ("run", json!(run)),
        ("rollbacks", json!([])),
    ] {
        journal[field] = value;
    }
    journal
}

fn times(start: SystemTime, took: Duration) -> Value {
    let text = |at| humantime::format_rfc3339_micros(at).to_string();
    json!({"start": text(start), "end": text(start + took), "duration": took.as_secs_f64()})
}

fn host() -> String {
    let name = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    match name.trim() {
        "" => "unknown".into(),
        name => name.into(),
    }
}
