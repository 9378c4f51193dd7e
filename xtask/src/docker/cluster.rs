use std::io::{BufRead as _, BufReader, ErrorKind, Write as _};
use std::net::{Ipv4Addr, TcpStream};
use std::os::unix::process::CommandExt as _;
use std::time::{Duration, Instant};

use anyhow::Context as _;

use super::{ClusterState, ContainerOptions, Docker, Leftovers, all_free, images, left, state};
use crate::child::{HeldSignals, output, tell};
use crate::ending::CommandEnd;

/// Longest time until all containers are healthy.
const PATIENCE: Duration = Duration::from_secs(60);
/// Starts services whose images are there.
const UP: [&str; 3] = ["up", "--detach", "--no-build"];
/// The variable that names stores which were made for their nodes.
const NEW_STORE: &str = "RATELIMITER_NEW_STORE";
const POLL: Duration = Duration::from_millis(200);
/// A compose that outlives its killed caller can still be starting things while they are removed.
const ATTEMPTS: usize = 5;

/// A cluster of containers that is up. Brought down again when dropped, if it was not up before.
#[must_use]
pub(crate) struct ContainerCluster<'a> {
    docker: &'a Docker,
    ours: bool,
}

impl ContainerCluster<'_> {
    /// Whether it was up before.
    pub(crate) fn was_up(&self) -> bool {
        !self.ours
    }

    /// Leaves it up.
    pub(crate) fn keep(mut self) {
        self.ours = false;
    }

    /// Brings it down, if this process brought it up.
    pub(crate) fn end(mut self) -> anyhow::Result<()> {
        if !self.ours {
            return Ok(());
        }
        tell("bringing the cluster down");
        let down = bring_down(self.docker);
        self.ours = false;
        down.map(drop)
    }
}

impl Drop for ContainerCluster<'_> {
    /// After an error, a signal or a panic, whose message is printed already.
    fn drop(&mut self) {
        if self.ours && bring_down(self.docker).is_err() {
            tell("the cluster is still there: `cargo xtask down` ends it");
        }
    }
}

/// Brings the whole cluster up and waits until all of it is healthy, or leaves nothing of it.
pub(crate) fn bring_up<'a>(
    docker: &'a Docker,
    signals: &HeldSignals,
    options: ContainerOptions,
) -> anyhow::Result<ContainerCluster<'a>> {
    match state(docker, &options.services())? {
        ClusterState::Up => {
            return Ok(ContainerCluster {
                docker,
                ours: false,
            });
        }
        ClusterState::Partly(wrong) => anyhow::bail!(
            "a part of the cluster is there, or another ({}): `cargo xtask down` ends it, and then \
             this works",
            wrong.join("; ")
        ),
        ClusterState::Down => {}
    }
    all_free(&options.ports()).map_err(|taken| {
        anyhow::anyhow!(
            "{taken}, and the containers need it: end what listens there, or play on free ports \
             with \
             `cargo xtask demo --local`"
        )
    })?;
    images::provide(docker, signals, options.airgap)?;
    // From here on something is there to be brought down.
    let cluster = ContainerCluster { docker, ours: true };
    let new_stores =
        new_stores(docker, signals, options).inspect_err(|why| show_logs(docker, why))?;
    let mut up = docker.compose_for(options);
    signals
        .succeed(up.args(UP).env(NEW_STORE, new_stores))
        .inspect_err(|why| show_logs(docker, why))?;
    wait(docker, signals, options).inspect_err(|why| show_logs(docker, why))?;
    Ok(cluster)
}

/// Starts the stores alone, and returns their run ids. Nodes that have these do not take an empty
/// store for one that has lost its state.
fn new_stores(
    docker: &Docker,
    signals: &HeldSignals,
    options: ContainerOptions,
) -> anyhow::Result<String> {
    let mut up = docker.compose_for(options);
    let services = options.stores.primaries().map(|(service, _)| service);
    signals.succeed(up.args(UP).args(services))?;
    let until = Instant::now() + PATIENCE;
    let mut ids = Vec::new();
    for (service, port) in options.stores.primaries() {
        loop {
            signals.check()?;
            if let Ok(id) = run_id(port) {
                ids.push(id);
                break;
            }
            anyhow::ensure!(Instant::now() < until, "{service} does not answer in time");
            std::thread::sleep(POLL);
        }
    }
    Ok(ids.join(","))
}

/// The run id of the store that is published at this port.
fn run_id(port: u16) -> std::io::Result<String> {
    let mut store = TcpStream::connect((Ipv4Addr::LOCALHOST, port))?;
    store.set_read_timeout(Some(POLL))?;
    store.write_all(b"INFO server\r\n")?;
    for line in BufReader::new(store).lines() {
        if let Some(id) = line?.strip_prefix("run_id:") {
            return Ok(id.trim().to_owned());
        }
    }
    Err(ErrorKind::UnexpectedEof.into())
}

fn wait(docker: &Docker, signals: &HeldSignals, options: ContainerOptions) -> anyhow::Result<()> {
    let until = Instant::now() + PATIENCE;
    loop {
        signals.check()?;
        let wrong = match state(docker, &options.services())? {
            ClusterState::Up => return Ok(()),
            ClusterState::Down => anyhow::bail!("all containers are gone again"),
            ClusterState::Partly(wrong) => wrong,
        };
        let ended = wrong.iter().find(|service| service.contains("Exited"));
        if let Some(ended) = ended {
            anyhow::bail!("{ended}");
        }
        anyhow::ensure!(
            Instant::now() < until,
            "not healthy in time: {}",
            wrong.join("; ")
        );
        std::thread::sleep(POLL);
    }
}

/// Prints the containers' logs, which show why the cluster is not coming up.
fn show_logs(docker: &Docker, why: &anyhow::Error) {
    // After a signal the user wants the end, not logs.
    if why.is::<CommandEnd>() {
        return;
    }
    if let Ok(logs) = output(docker.compose().args(["logs", "--no-color", "--tail", "5"])) {
        tell(&logs);
    }
}

/// Ends and removes everything of the project, also of other processes, and returns a list of it.
pub fn bring_down(docker: &Docker) -> anyhow::Result<Leftovers> {
    let was = left(docker)?;
    let mut is = was.clone();
    for _ in 0..ATTEMPTS {
        if is.nothing() {
            return Ok(was);
        }
        let mut down = docker.compose();
        down.args(["down", "--volumes", "--remove-orphans", "--timeout", "5"]);
        // Its own process group: a second Ctrl-C must not leave half of it.
        let done = output(down.process_group(0));
        is = left(docker)?;
        if !is.nothing() {
            done.with_context(|| format!("{is} cannot be removed"))?;
        }
    }
    anyhow::ensure!(is.nothing(), "still there: {is}");
    Ok(was)
}
