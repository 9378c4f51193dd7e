use std::time::{Duration, SystemTime};

use serde_json::{Value, json};

use crate::{Phase, Plan, Recorded, Status, Verdict};

/// The run as a journal in the form of Chaos Toolkit: one activity a step, and one for the command
/// of a fault. The steady state is that the contract is kept.
pub fn journal(plan: &Plan, recorded: &[Recorded], verdict: &Verdict, target: &str) -> Value {
    let start = recorded
        .first()
        .map_or(SystemTime::UNIX_EPOCH, |first| first.began);
    let end = recorded.last().map_or(start, |last| last.began + last.took);
    let probe = |name: &str| json!({"type": "probe", "name": name, "provider": {"type": "process", "path": "ratelimiter-verify"}});
    let mut run = Vec::new();
    for record in recorded {
        let of_record = |one: &&crate::Judged| record.keys.contains(&one.key);
        let judged: Vec<_> = verdict.judged.iter().filter(of_record).collect();
        if let Some(band) = record.fault {
            let origin = record.began - record.at;
            let failed = band.exit_code != Some(0);
            let mut activity = times(
                origin + band.start,
                band.end.unwrap_or(band.start) - band.start,
            );
            activity["activity"] = json!({"type": "action", "name": "fault", "provider": {"type": "process", "path": "sh"}});
            activity["output"] = json!(band.exit_code);
            activity["status"] = json!(if failed { "failed" } else { "succeeded" });
            run.push(activity);
        }
        let mut activity = times(record.began, record.took);
        let names: Vec<&str> = record
            .keys
            .iter()
            .map(ratelimiter_api::Key::as_str)
            .collect();
        activity["activity"] = probe(&format!("{} {}", record.phase, names.join(" ")));
        activity["output"] = json!(judged.iter().map(|one| one.status).collect::<Vec<_>>());
        activity["status"] = json!("succeeded");
        run.push(activity);
    }
    let title = format!("{} is kept", plan.contract);
    let met = verdict.status == Status::Passed;
    let steady = json!({"steady_state_met": met, "probes": []});
    let faults = recorded.iter().any(|record| record.phase == Phase::Fault);
    let mut journal = times(start, end.duration_since(start).unwrap_or_default());
    for (field, value) in [
        (
            "chaoslib-version",
            json!(concat!("ratelimiter-verify ", env!("CARGO_PKG_VERSION"))),
        ),
        (
            "platform",
            json!(format!(
                "{}-{}",
                std::env::consts::OS,
                std::env::consts::ARCH
            )),
        ),
        ("node", json!(host())),
        (
            "experiment",
            json!({
                "version": "1.0.0",
                "title": title,
                "description": target,
                "tags": if faults { vec!["rate-limiter", "fault"] } else { vec!["rate-limiter"] },
                "steady-state-hypothesis": {"title": title, "probes": []},
                "method": run.iter().map(|activity| activity["activity"].clone()).collect::<Vec<_>>(),
                "rollbacks": [],
            }),
        ),
        ("status", json!("completed")),
        ("deviated", json!(verdict.status == Status::Violated)),
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
