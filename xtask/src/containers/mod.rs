//! The step of the gate that runs the whole demo against containers, through the same commands that people type.

mod confinement;
mod plays;
mod refusals;
mod stop;

use std::process::Command;
use std::time::Instant;

use anyhow::Context as _;
use xshell::Shell;

use crate::docker::{self, Docker};

/// One thing that must be true of the containers, and that finds and leaves nothing of them.
type Check = (&'static str, fn(&Docker) -> anyhow::Result<()>);

const CHECKS: &[Check] = &[
    ("every compose tool accepts the files", refusals::compose_accepts_the_files),
    ("without an engine, it says so", refusals::without_an_engine),
    ("a taken port is named", refusals::a_taken_port),
    ("images are small and confined", confinement::check),
    ("a stopped node flushes first", stop::check),
    ("a cluster that is up is used and left up", plays::on_a_cluster_that_is_up),
    ("interrupted, it leaves nothing", plays::interrupted),
    ("its terminal closed, it leaves nothing", plays::hung_up),
    ("killed, `down` leaves nothing", plays::killed),
    ("all chapters against containers", plays::whole),
];

/// What this step needs of a machine.
pub(crate) fn needs() -> anyhow::Result<()> {
    Docker::find().map(drop)
}

pub(crate) fn run(_shell: &Shell) -> anyhow::Result<()> {
    let docker = Docker::find()?;
    let there = docker::left(&docker)?;
    anyhow::ensure!(
        there.nothing(),
        "{there} is up: `cargo xtask down` ends it, and then this can be checked"
    );
    for (name, check) in CHECKS {
        let started = Instant::now();
        let done = check(&docker);
        // Whatever the check left behind is its failure, and not there for the next one.
        let left = docker::left(&docker)?;
        docker::bring_down(&docker)?;
        done.context(*name)?;
        anyhow::ensure!(left.nothing(), "{name}: {left} was left behind");
        println!("{:>6.1} s  {name}", started.elapsed().as_secs_f64());
    }
    Ok(())
}

/// One of our own commands, as somebody would type it.
fn xtask(arguments: &[&str]) -> anyhow::Result<Command> {
    let mut command =
        Command::new(std::env::current_exe().context("this program does not know where it is")?);
    command.args(arguments).current_dir(crate::project::root());
    Ok(command)
}

/// Runs one that must succeed, and gives what it said.
fn succeeds(command: &mut Command) -> anyhow::Result<String> {
    let (said, code) = ends(command)?;
    anyhow::ensure!(code == Some(0), "{command:?} ended with {code:?}:\n{said}");
    Ok(said)
}

/// Runs one that must fail, and gives what it said.
fn fails(command: &mut Command) -> anyhow::Result<String> {
    let (said, code) = ends(command)?;
    anyhow::ensure!(code.is_some_and(|code| code != 0), "{command:?} ended with {code:?}:\n{said}");
    Ok(said)
}

fn ends(command: &mut Command) -> anyhow::Result<(String, Option<i32>)> {
    let output = command.output().with_context(|| format!("cannot run {command:?}"))?;
    let text = |bytes| String::from_utf8_lossy(bytes).into_owned();
    Ok((text(&output.stdout) + &text(&output.stderr), output.status.code()))
}

/// The container of a service.
fn container_of(docker: &Docker, service: &str) -> anyhow::Result<String> {
    crate::child::output(docker.compose().args(["ps", "--quiet", service]))
}
