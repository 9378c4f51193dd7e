//! The whole demo against containers, through the commands that people type.

mod commands;
mod confinement;
mod plays;
mod refusals;
mod stop;

use std::time::Instant;

use anyhow::Context as _;
use cli_support::{Exit, ExitSignals};
use xtask::docker::{self, Docker};

/// One property of the containers. Its check begins and ends without containers.
type GateCheck = (&'static str, fn(&Docker) -> anyhow::Result<()>);

const CHECKS: &[GateCheck] = &[
    (
        "every compose tool accepts the files",
        refusals::compose_accepts_the_files,
    ),
    ("a missing engine is named", refusals::without_an_engine),
    ("a taken port is named", refusals::a_taken_port),
    ("images are small and confined", confinement::check),
    ("a stopped node flushes first", stop::check),
    (
        "a cluster that is up is used and left up",
        plays::on_a_cluster_that_is_up,
    ),
    ("interrupted, it leaves nothing", plays::interrupted),
    ("its terminal closed, it leaves nothing", plays::hung_up),
    ("killed, `down` leaves nothing", plays::killed),
    ("all chapters against containers", plays::whole),
    (
        "all chapters on a store cluster in containers",
        plays::whole_on_store_cluster,
    ),
];

/// Runs every check until one fails or a signal comes. Nothing is left of the containers then.
pub(crate) async fn check(mut signals: ExitSignals) -> anyhow::Result<Exit> {
    let checks = tokio::task::spawn_blocking(every_check);
    let exit = tokio::select! {
        done = checks => return done?.map(|()| Exit::Success),
        exit = signals.next() => exit,
    };
    eprintln!("ending the containers");
    // In this order: a command that still runs could bring containers up again.
    commands::end();
    docker::bring_down(&Docker::find()?)?;
    Ok(exit)
}

fn every_check() -> anyhow::Result<()> {
    let docker = Docker::find()?;
    commands::build()?;
    let there = docker::left(&docker)?;
    anyhow::ensure!(
        there.nothing(),
        "{there} is up: `cargo xtask down` ends it, and then this can be checked"
    );
    for (name, check) in CHECKS {
        let started = Instant::now();
        let done = check(&docker);
        // Anything left behind fails this check, and is removed for the next one.
        let left = docker::left(&docker)?;
        docker::bring_down(&docker)?;
        done.context(*name)?;
        anyhow::ensure!(left.nothing(), "{name}: {left} was left behind");
        println!("{:>6.1} s  {name}", started.elapsed().as_secs_f64());
    }
    Ok(())
}
