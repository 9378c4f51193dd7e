use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::Context as _;
use serde_json::Value;
use xshell::{Shell, cmd};

use crate::child::output;
use crate::docker::Docker;
use crate::{arrows, deny, dist, project, tidy};

/// Headless runs in a row: one that passes proves little about a distributed system.
const RUNS: usize = 3;
/// Three times the length of a run on an idle machine: a busy machine may take as long.
const LONGEST_RUN: Duration = Duration::from_secs(90);

/// A step of the gate.
struct GateStep {
    name: &'static str,
    run: fn(&Shell) -> anyhow::Result<()>,
    /// Fails when the machine lacks a tool for it, beside a toolchain and a store.
    needs: fn() -> anyhow::Result<()>,
}

/// The gate, in the order that fails fastest.
const STEPS: &[GateStep] = &[
    step("formatting", |shell| {
        Ok(cmd!(shell, "cargo fmt --all -- --check").run()?)
    }),
    step("crate arrows", |shell| arrows::run(shell, &[])),
    step("tidiness", |shell| tidy::run(shell, &[])),
    step("lints", |shell| {
        Ok(cmd!(
            shell,
            "cargo clippy --quiet --workspace --all-targets -- -D warnings"
        )
        .run()?)
    }),
    step("documentation", |shell| {
        let _warnings = shell.push_env("RUSTDOCFLAGS", "-D warnings");
        Ok(cmd!(shell, "cargo doc --quiet --workspace --no-deps").run()?)
    }),
    step("dependencies", deny::run).needs(deny::needs),
    step("every crate alone", every_crate_alone),
    step("packages", published_packages),
    step("the fetched store", the_fetched_store),
    step("observability", |shell| gate(shell, "dashboard")).needs(prometheus),
    step("headless runs", headless_runs),
    step("distribution", |shell| {
        dist::run(shell, &["--debug".into()])
    })
    .needs(distribution),
    step("containers", |shell| gate(shell, "containers")).needs(|| Docker::find().map(drop)),
];

const fn step(name: &'static str, run: fn(&Shell) -> anyhow::Result<()>) -> GateStep {
    GateStep {
        name,
        run,
        needs: || Ok(()),
    }
}

impl GateStep {
    const fn needs(self, needs: fn() -> anyhow::Result<()>) -> Self {
        Self { needs, ..self }
    }
}

/// All checks of the gate beside the README's test command, or the named steps.
///
/// A step whose tools are missing is skipped with a line on a laptop. In CI it fails: a check that
/// did not happen has not passed.
pub(crate) fn run(shell: &Shell, arguments: &[OsString]) -> anyhow::Result<()> {
    let in_ci = std::env::var_os("CI").is_some_and(|ci| ci == "true");
    let mut ended = Vec::new();
    let mut skipped = 0;
    for step in chosen(arguments)? {
        let name = step.name;
        println!("\n== {name}");
        if let Err(lacks) = (step.needs)() {
            anyhow::ensure!(!in_ci, "{name} cannot be checked: {lacks:#}");
            println!("skipped: {lacks:#}");
            ended.push(format!(" skipped    {name}"));
            skipped += 1;
            continue;
        }
        let started = Instant::now();
        (step.run)(shell).with_context(|| format!("{name} failed"))?;
        ended.push(format!(
            "{:>8.1} s  {name}",
            started.elapsed().as_secs_f64()
        ));
    }
    match skipped {
        0 => println!("\nall checks passed:"),
        _ => println!("\nall checks passed but {skipped}, which did not take place:"),
    }
    ended.iter().for_each(|line| println!("{line}"));
    Ok(())
}

/// The steps named on the command line, in the gate's order; all of them when none is.
fn chosen(names: &[OsString]) -> anyhow::Result<Vec<&'static GateStep>> {
    if let Some(unknown) = names
        .iter()
        .find(|name| STEPS.iter().all(|step| *name != step.name))
    {
        let known: Vec<String> = STEPS
            .iter()
            .map(|step| format!("{:?}", step.name))
            .collect();
        anyhow::bail!(
            "there is no step {unknown:?}; there are {}",
            known.join(", ")
        );
    }
    Ok(STEPS
        .iter()
        .filter(|step| names.is_empty() || names.iter().any(|name| name == step.name))
        .collect())
}

/// Others can use a crate only if it builds without its neighbours' features and without the crates
/// of its tests. The tests are left out: they have run with the workspace.
fn every_crate_alone(shell: &Shell) -> anyhow::Result<()> {
    for package in packages()? {
        let name = package["name"].as_str().unwrap_or_default();
        cmd!(shell, "cargo check --quiet --package {name}").run()?;
    }
    Ok(())
}

/// The crates as a registry would take them: metadata, files, and versions of each other. They are
/// not compiled again.
fn published_packages(shell: &Shell) -> anyhow::Result<()> {
    let published = packages()?
        .into_iter()
        .filter(|package| package["publish"].is_null());
    let names: Vec<String> = published
        .filter_map(|package| Some(format!("--package={}", package["name"].as_str()?)))
        .collect();
    cmd!(
        shell,
        "cargo package --quiet --no-verify --allow-dirty {names...}"
    )
    .run()?;
    Ok(())
}

fn packages() -> anyhow::Result<Vec<Value>> {
    match project::metadata()?["packages"].take() {
        Value::Array(packages) => Ok(packages),
        _ => anyhow::bail!("cargo metadata lists no packages"),
    }
}

/// A program or example as the README's test command has built it: another selection of crates
/// would have other features, and most of the workspace would be compiled again for it.
fn built(shell: &Shell, path: &str) -> anyhow::Result<PathBuf> {
    cmd!(shell, "cargo build --quiet --workspace --all-targets")
        .quiet()
        .run()?;
    Ok(project::target_dir()?.join("debug").join(path))
}

/// The Valkey that a machine without any store gets.
fn fetched_store(shell: &Shell) -> anyhow::Result<String> {
    let fetch = built(shell, "examples/fetch_store")?;
    Ok(cmd!(shell, "{fetch}").read()?)
}

/// The tests of the crates that command a store, with the other store, as the README's test command
/// has built them. The demo is played on it by the headless runs.
fn the_fetched_store(shell: &Shell) -> anyhow::Result<()> {
    let _store = shell.push_env("RATELIMITER_STORE_BIN", fetched_store(shell)?);
    let build = cmd!(
        shell,
        "cargo test --quiet --workspace --no-run --message-format json"
    );
    let messages = build.quiet().read()?;
    let messages = messages
        .lines()
        .filter_map(|line| serde_json::from_str(line).ok());
    let messages: Vec<Value> = messages.collect();
    for package in packages()?.iter().filter(|package| commands_store(package)) {
        let manifest = &package["manifest_path"];
        println!("{}", package["name"]);
        let own = messages
            .iter()
            .filter(|built| built["manifest_path"] == *manifest && built["profile"]["test"] == true)
            .filter_map(|built| built["executable"].as_str());
        let tests: Vec<&str> = own.collect();
        anyhow::ensure!(!tests.is_empty(), "cargo names no test of {manifest}");
        let directory = Path::new(manifest.as_str().unwrap_or_default()).parent();
        let _crate = shell.push_dir(directory.context("a manifest is in no directory")?);
        for test in tests {
            cmd!(shell, "{test} --quiet").quiet().run()?;
        }
    }
    Ok(())
}

/// Whether a package other than the demo has commands for a store in its code, not only in its
/// tests.
fn commands_store(package: &Value) -> bool {
    let uses = package["dependencies"].as_array();
    let is_client = |used: &Value| used["name"] == "redis" && used["kind"].is_null();
    package["name"] != "demo-ratelimiter" && uses.is_some_and(|uses| uses.iter().any(is_client))
}

/// A check of the package `gate`, which may use the project's crates.
fn gate(shell: &Shell, check: &str) -> anyhow::Result<()> {
    let gate = built(shell, "gate")?;
    Ok(cmd!(shell, "{gate} {check}").run()?)
}

fn distribution() -> anyhow::Result<()> {
    dist::needs()?;
    Docker::find().map(drop)
}

fn prometheus() -> anyhow::Result<()> {
    for program in ["promtool", "prometheus"] {
        output(Command::new(program).arg("--version"))
            .with_context(|| format!("{program} is missing (`apt-get install prometheus`)"))?;
    }
    Ok(())
}

/// The demo as a newcomer runs it on a machine without a store, again and again; nothing may be
/// left of it.
fn headless_runs(shell: &Shell) -> anyhow::Result<()> {
    let _store = shell.push_env("RATELIMITER_STORE_BIN", fetched_store(shell)?);
    let demo = built(shell, "demo-ratelimiter")?;
    let single = (1..=RUNS).map(|run| (format!("run {run} of {RUNS}"), &[][..]));
    let several = ["cluster", "sentinel"].map(|topology| ["--topology", topology, "--for", "3s"]);
    let several = several
        .iter()
        .map(|options| (format!("run with {}", options.join(" ")), &options[..]));
    for (run, options) in single.chain(several) {
        let started = Instant::now();
        cmd!(shell, "{demo} run --headless {options...}")
            .ignore_stdout()
            .quiet()
            .run()
            .with_context(|| format!("{run} failed"))?;
        let took = started.elapsed();
        println!("{run} passed in {:.1} s", took.as_secs_f64());
        anyhow::ensure!(took < LONGEST_RUN, "{run} took longer than {LONGEST_RUN:?}");
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(arguments: &[&str]) -> anyhow::Result<Vec<&'static str>> {
        let arguments: Vec<OsString> = arguments.iter().map(OsString::from).collect();
        Ok(chosen(&arguments)?.iter().map(|step| step.name).collect())
    }

    #[test]
    fn steps_run_in_the_order_of_the_gate() {
        assert_eq!(names(&[]).unwrap().len(), STEPS.len());
        assert_eq!(
            names(&["lints", "formatting"]).unwrap(),
            ["formatting", "lints"]
        );
        assert!(
            names(&["lint"])
                .unwrap_err()
                .to_string()
                .contains("\"lints\"")
        );
    }
}
