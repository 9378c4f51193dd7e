use std::net::TcpListener;
use std::time::{Duration, Instant};

use anyhow::Context as _;

use xtask::docker::{ContainerStores, Docker, PROFILE};

use super::commands::{fails, succeeds, xtask};

/// Deadline of the error without an engine.
const AT_ONCE: Duration = Duration::from_secs(5);

pub(super) fn compose_accepts_the_files(docker: &Docker) -> anyhow::Result<()> {
    for tool in Docker::compose_tools() {
        for stores in ContainerStores::ALL {
            let mut compose = docker.compose_with(tool, &stores.files());
            succeeds(compose.args(PROFILE).args(["config", "--quiet"]))?;
        }
    }
    Ok(())
}

pub(super) fn without_an_engine(_docker: &Docker) -> anyhow::Result<()> {
    let nowhere = ("DOCKER_HOST", "unix:///nowhere/docker.sock");
    let started = Instant::now();
    let printed = fails(xtask(&["demo", "--docker", "--headless"])?.env(nowhere.0, nowhere.1))?;
    anyhow::ensure!(
        started.elapsed() < AT_ONCE,
        "it took {:?}",
        started.elapsed()
    );
    anyhow::ensure!(
        printed.contains("no Docker engine answers") && printed.contains("--local"),
        "{printed}"
    );

    // Without a store the local demo ends as soon as it has begun, late enough to print its choice.
    let mut demo = xtask(&["demo", "--headless"])?;
    let printed = fails(
        demo.env(nowhere.0, nowhere.1)
            .env("RATELIMITER_STORE_BIN", "/nowhere/valkey-server"),
    )?;
    anyhow::ensure!(
        printed.contains("cluster: local, since no Docker engine answers"),
        "{printed}"
    );
    anyhow::ensure!(printed.contains("/nowhere/valkey-server"), "{printed}");
    Ok(())
}

pub(super) fn a_taken_port(_docker: &Docker) -> anyhow::Result<()> {
    for port in [8002, 6379] {
        let _taken =
            TcpListener::bind(("127.0.0.1", port)).with_context(|| format!("port {port}"))?;
        let printed = fails(&mut xtask(&["up", "--airgap"])?)?;
        anyhow::ensure!(
            printed.contains(&format!("port {port} is taken")) && printed.contains("--local"),
            "{printed}"
        );
    }
    Ok(())
}
