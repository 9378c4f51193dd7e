use std::time::{Duration, Instant};

use ratelimiter_api::{
    CheckRequest, CountingMode, Key, Limit, LimitEntry, LimitSpec, NodeClient, layout,
};
use ratelimiter_store::Link;
use redis::cmd;
use tokio::runtime::Handle;
use xtask::child::output;
use xtask::docker::{ContainerStores, Docker, NODE_PORTS};

use super::commands::{container_of, fails, succeeds, xtask};
use crate::REQUEST;

/// Longest time for a node to end.
const LONGEST: Duration = Duration::from_secs(2);
const ADMISSIONS: u64 = 5;

/// A node whose next sync is a minute away has admissions that the store lacks, until it is
/// stopped.
pub(super) fn check(docker: &Docker) -> anyhow::Result<()> {
    succeeds(xtask(&["up", "--airgap"])?.env("RATELIMITER_SYNC_INTERVAL", "60s"))?;
    let (node, port) = ("node-2", NODE_PORTS[1]);
    let limit = Handle::current().block_on(admit(port))?;

    let container = container_of(docker, node)?;
    let started = Instant::now();
    output(docker.docker().args(["stop", &container]))?;
    let took = started.elapsed();
    println!("          docker stop took {:.2} s", took.as_secs_f64());
    anyhow::ensure!(
        took < LONGEST,
        "docker stop took {took:?}, at most {LONGEST:?}"
    );
    let code =
        output(
            docker
                .docker()
                .args(["inspect", "--format", "{{.State.ExitCode}}", &container]),
        )?;
    anyhow::ensure!(code == "0", "{node} ended with exit code {code}");
    let stored = Handle::current().block_on(in_store(&limit))?;
    anyhow::ensure!(
        stored == ADMISSIONS,
        "the store has {stored} of {ADMISSIONS} admissions"
    );

    let printed = fails(&mut xtask(&["demo", "--docker", "--airgap", "--headless"])?)?;
    anyhow::ensure!(
        printed.contains(node) && printed.contains("cargo xtask down"),
        "{printed}"
    );
    succeeds(&mut xtask(&["down"])?)?;
    Ok(())
}

/// Admissions that only the node has.
async fn admit(port: u16) -> anyhow::Result<LimitEntry> {
    let node = NodeClient::new(format!("http://127.0.0.1:{port}").parse()?, REQUEST);
    let key = Key::new("stopped")?;
    let spec = LimitSpec::new(key.clone(), Limit::new(100, 60)?);
    let limit = node
        .set_limit(&LimitSpec {
            counting: Some(CountingMode::Cached),
            ..spec
        })
        .await?;
    for _ in 0..ADMISSIONS {
        let answer = node.check(&CheckRequest::new(key.clone())).await?;
        anyhow::ensure!(answer.allowed, "a check was answered with {answer:?}");
    }
    let counters = node.counters_of(&[key], None).await?;
    let unsynced = counters.counters.first().map(|counter| counter.unsynced);
    anyhow::ensure!(
        unsynced == Some(ADMISSIONS),
        "the node should keep its admissions: {counters:?}"
    );
    let stored = in_store(&limit).await?;
    anyhow::ensure!(stored == 0, "the store has {stored} admissions too soon");
    Ok(limit)
}

/// Number of admissions that the store has for the limit.
async fn in_store(limit: &LimitEntry) -> anyhow::Result<u64> {
    let store = Link::new(ContainerStores::Single.url().parse()?);
    let admissions = layout::admissions(&limit.key, limit.epoch);
    Ok(store.query(cmd("ZCARD").arg(admissions), REQUEST).await?)
}
