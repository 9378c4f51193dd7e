use std::net::TcpListener;
use std::time::{Duration, Instant};

use anyhow::Context as _;

use super::{fails, succeeds, xtask};
use crate::docker::{AIRGAP_FILE, COMPOSE_FILE, Docker};

/// How soon somebody without an engine must know.
const AT_ONCE: Duration = Duration::from_secs(5);

pub(super) fn compose_accepts_the_files(docker: &Docker) -> anyhow::Result<()> {
    for tool in Docker::compose_tools() {
        for files in [[COMPOSE_FILE].as_slice(), &[COMPOSE_FILE, AIRGAP_FILE]] {
            let profile = ["--profile", "observability"];
            succeeds(docker.compose_with(tool, files).args(profile).args(["config", "--quiet"]))?;
        }
    }
    Ok(())
}

pub(super) fn without_an_engine(_docker: &Docker) -> anyhow::Result<()> {
    let nowhere = ("DOCKER_HOST", "unix:///nowhere/docker.sock");
    let started = Instant::now();
    let said = fails(xtask(&["demo", "--docker", "--headless"])?.env(nowhere.0, nowhere.1))?;
    anyhow::ensure!(started.elapsed() < AT_ONCE, "it took {:?}", started.elapsed());
    anyhow::ensure!(said.contains("no Docker engine answers") && said.contains("--local"), "{said}");

    // With no store either the local demo ends as soon as it has begun, which is enough to see what was chosen.
    let mut demo = xtask(&["demo", "--headless"])?;
    let said = fails(demo.env(nowhere.0, nowhere.1).env("RATELIMITER_STORE_BIN", "/nowhere/valkey-server"))?;
    anyhow::ensure!(said.contains("cluster: local, since no Docker engine answers"), "{said}");
    anyhow::ensure!(said.contains("/nowhere/valkey-server"), "{said}");
    Ok(())
}

pub(super) fn a_taken_port(_docker: &Docker) -> anyhow::Result<()> {
    for port in [8002, 6379] {
        let _taken = TcpListener::bind(("127.0.0.1", port)).with_context(|| format!("port {port}"))?;
        let said = fails(&mut xtask(&["up", "--airgap"])?)?;
        anyhow::ensure!(
            said.contains(&format!("port {port} is taken")) && said.contains("--local"),
            "{said}"
        );
    }
    Ok(())
}
