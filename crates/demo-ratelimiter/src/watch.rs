use std::io::{self, Write as _};

use anyhow::Context as _;
use ratelimiter_api::{Key, Observation};
use ratelimiter_health::Observer;
use ratelimiter_invariants::{Change, Monitor, Thresholds};
use ratelimiter_store::{Link, StoreVersion};
use serde::Serialize;
use tokio::sync::mpsc;

use crate::cli::{Usage, WatchArgs};
use crate::exit::Exit;
use crate::signals::Signals;
use crate::subject::REQUEST;

/// One line of the output.
#[derive(Serialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
enum Line<'a> {
    Observation(&'a Observation),
    Violation(&'a Change),
}

/// Prints observations and violations until told to stop.
pub(crate) async fn watch(args: WatchArgs) -> anyhow::Result<Exit> {
    let scope = args.reach.scope();
    let store = args.redis_url.url()?;
    scope.permit_nodes(&args.endpoints).map_err(|e| Usage(e.to_string()))?;
    scope.permit_store(&store).map_err(|e| Usage(e.to_string()))?;
    let mut signals = Signals::listen().context("signals cannot be listened to")?;
    // A wrong URL would look like an outage for ever.
    StoreVersion::check(&Link::new(store.clone())?, REQUEST).await?;
    let (sender, mut observations) = mpsc::channel(16);
    let observing = tokio::spawn(Observer::new(&args.endpoints, store)?.run(sender));
    let mut monitor = Monitor::new(Thresholds::default());
    let mut violated = false;
    let over = async {
        match args.duration {
            Some(duration) => tokio::time::sleep(duration).await,
            None => std::future::pending().await,
        }
    };
    tokio::pin!(over);
    let asked = loop {
        let observation = tokio::select! {
            biased;
            exit = signals.next() => break Some(exit),
            () = &mut over => break None,
            Some(observation) = observations.recv() => only(observation, args.key.as_ref()),
        };
        let changes = monitor.observe(&observation);
        violated |= changes.iter().any(|c| matches!(c, Change::Raised(_)));
        print(&Line::Observation(&observation))?;
        for change in &changes {
            print(&Line::Violation(change))?;
        }
    };
    observing.abort();
    match asked {
        _ if violated && args.fail_on_violation => Ok(Exit::Violated),
        Some(exit) => Ok(exit),
        None => Ok(Exit::Success),
    }
}

/// Without the keys that nobody asked about.
fn only(mut observation: Observation, key: Option<&Key>) -> Observation {
    if let Some(key) = key {
        for sample in observation.nodes.iter_mut().filter_map(|n| n.sample.as_mut()) {
            sample.keys.retain(|k, _| k == key);
        }
        if let Some(store) = &mut observation.store {
            store.keys.retain(|k, _| k == key);
        }
    }
    observation
}

fn print(line: &Line<'_>) -> anyhow::Result<()> {
    let mut out = io::stdout().lock();
    serde_json::to_writer(&mut out, line)
        .map_err(io::Error::from)
        .and_then(|()| writeln!(out))
        .context("standard output cannot be written to")
}
