use std::time::{Duration, Instant};

use anyhow::Context as _;
use serde_json::{Value, json};

use super::{container_of, fails, succeeds, xtask};
use crate::child::output;
use crate::docker::{Docker, NODE_PORTS, STORE_PORT};
use crate::talk;

/// How long a node may take to end.
const LONGEST: Duration = Duration::from_secs(2);
const ADMISSIONS: u64 = 5;
const KEY: &str = "stopped";

/// A node whose next sync is a minute away has admissions that only it knows of, until it is told to stop.
pub(super) fn check(docker: &Docker) -> anyhow::Result<()> {
    succeeds(xtask(&["up", "--airgap"])?.env("RATELIMITER_SYNC_INTERVAL", "60s"))?;
    let (node, port) = ("node-2", NODE_PORTS[1]);
    let limit = json!({"key": KEY, "limit": 100, "window_sec": 60, "counting": "cached"});
    let limit = talk::http(port, "POST", "/limit", Some(&limit))?;
    for _ in 0..ADMISSIONS {
        let answer = talk::http(port, "POST", "/check", Some(&json!({"key": KEY})))?;
        anyhow::ensure!(answer["allowed"] == true, "a check was answered with {answer}");
    }
    let counters = talk::http(port, "GET", "/counters", None)?;
    let mine = counters["counters"].as_array().into_iter().flatten().find(|counter| counter["key"] == KEY);
    let unsynced = mine.and_then(|counter| counter["unsynced"].as_u64());
    anyhow::ensure!(unsynced == Some(ADMISSIONS), "the node should have told nobody: {counters}");
    anyhow::ensure!(in_store(&limit)? == 0, "the store knows of admissions too soon");

    let container = container_of(docker, node)?;
    let started = Instant::now();
    output(docker.docker().args(["stop", &container]))?;
    let took = started.elapsed();
    println!("          docker stop took {:.2} s", took.as_secs_f64());
    anyhow::ensure!(took < LONGEST, "docker stop took {took:?}, at most {LONGEST:?}");
    let code = output(docker.docker().args(["inspect", "--format", "{{.State.ExitCode}}", &container]))?;
    anyhow::ensure!(code == "0", "{node} ended with exit code {code}");
    anyhow::ensure!(in_store(&limit)? == ADMISSIONS, "the store knows of {} admissions", in_store(&limit)?);

    let said = fails(&mut xtask(&["demo", "--docker", "--airgap", "--headless"])?)?;
    anyhow::ensure!(said.contains(node) && said.contains("cargo xtask down"), "{said}");
    succeeds(&mut xtask(&["down"])?)?;
    Ok(())
}

/// How many admissions the store has for the limit.
fn in_store(limit: &Value) -> anyhow::Result<u64> {
    let epoch = limit["epoch"].as_u64().with_context(|| format!("a limit without an epoch: {limit}"))?;
    let size = talk::store(STORE_PORT, &format!("ZCARD ratelimiter:admissions:{{{KEY}}}:{epoch}"))?;
    size.strip_prefix(':').and_then(|size| size.parse().ok()).with_context(|| format!("a size is {size:?}"))
}
