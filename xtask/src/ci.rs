use std::ffi::OsString;
use std::time::{Duration, Instant};

use anyhow::Context as _;
use xshell::{Shell, cmd};

use crate::{arrows, demo, tidy};

/// Headless runs in a row: one that passes proves little about a distributed system.
const RUNS: usize = 5;

/// A step of the gate.
type Step = (&'static str, fn(&Shell) -> anyhow::Result<()>);

/// The gate, in the order that fails fastest.
const STEPS: &[Step] = &[
    ("formatting", |shell| Ok(cmd!(shell, "cargo fmt --all -- --check").run()?)),
    ("crate arrows", |shell| arrows::run(shell, &[])),
    ("tidiness", |shell| tidy::run(shell, &[])),
    (
        "lints",
        |shell| Ok(cmd!(shell, "cargo clippy --quiet --workspace --all-targets -- -D warnings").run()?),
    ),
    ("documentation", |shell| {
        let _warnings = shell.push_env("RUSTDOCFLAGS", "-D warnings");
        Ok(cmd!(shell, "cargo doc --quiet --workspace --no-deps").run()?)
    }),
    ("every crate alone", every_crate_alone),
    ("both stores", both_stores),
    ("headless runs", headless_runs),
];

/// Everything the gate checks beside the README's test command.
pub(crate) fn run(shell: &Shell, arguments: &[OsString]) -> anyhow::Result<()> {
    crate::no_arguments(arguments)?;
    let mut times = Vec::new();
    for (name, step) in STEPS {
        println!("\n== {name}");
        let started = Instant::now();
        step(shell).with_context(|| format!("{name} failed"))?;
        times.push((name, started.elapsed()));
    }
    println!("\nall checks passed:");
    for (name, took) in times {
        println!("  {:>7.1} s  {name}", took.as_secs_f64());
    }
    Ok(())
}

fn members(shell: &Shell) -> anyhow::Result<Vec<String>> {
    let metadata = cmd!(shell, "cargo metadata --format-version 1 --no-deps").quiet().read()?;
    let metadata: serde_json::Value = serde_json::from_str(&metadata)?;
    let packages = metadata["packages"].as_array().context("cargo metadata lists no packages")?;
    Ok(packages.iter().filter_map(|p| p["name"].as_str().map(ToOwned::to_owned)).collect())
}

/// A crate that only builds because of what its neighbours switch on is not one that others can use.
fn every_crate_alone(shell: &Shell) -> anyhow::Result<()> {
    for name in members(shell)? {
        cmd!(shell, "cargo test --quiet --package {name}").run()?;
    }
    Ok(())
}

/// The tests that talk to a store, once with the Valkey that a machine without any gets and once with Debian's Redis.
fn both_stores(shell: &Shell) -> anyhow::Result<()> {
    let valkey =
        cmd!(shell, "cargo run --quiet --package ratelimiter-cluster --example fetch_store").read()?;
    let redis = cmd!(shell, "sh -c 'command -v redis-server'").quiet().read();
    let redis = redis.context("redis-server is missing (apt-get install redis-server)")?;
    let crates = [
        "ratelimiter-node",
        "ratelimiter-cluster",
        "ratelimiter-chaos",
        "ratelimiter-health",
        "demo-ratelimiter",
    ];
    for store in [valkey, redis] {
        println!("with {store}");
        let _store = shell.push_env("RATELIMITER_STORE_BIN", store);
        let packages = crates.iter().flat_map(|name| ["--package", name]);
        cmd!(shell, "cargo test --quiet {packages...} --tests").run()?;
    }
    Ok(())
}

/// The demo as a newcomer runs it, again and again; nothing may be left of it.
fn headless_runs(shell: &Shell) -> anyhow::Result<()> {
    cmd!(shell, "cargo build --package demo-ratelimiter --package ratelimiter-node").run()?;
    let demo = demo::target_dir(shell)?.join("debug/demo-ratelimiter");
    for run in 1..=RUNS {
        let started = Instant::now();
        cmd!(shell, "{demo} run --headless")
            .ignore_stdout()
            .quiet()
            .run()
            .with_context(|| format!("run {run} failed"))?;
        let took = started.elapsed();
        println!("run {run} of {RUNS} passed in {:.1} s", took.as_secs_f64());
        anyhow::ensure!(took < Duration::from_secs(45), "run {run} took longer than 45 s");
    }
    Ok(())
}
