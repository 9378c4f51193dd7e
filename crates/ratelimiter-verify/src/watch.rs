use std::time::Duration;

use clap::Args;
use cli_support::{Exit, ExitSignals, Hidden, WrongUsage, print, remark};
use ratelimiter_api::{Endpoint, Key, Observation};
use ratelimiter_invariants::ViolationChange;
use ratelimiter_store::{Link, StoreVersion};
use ratelimiter_target::is_loopback;
use ratelimiter_watch::Detector;
use serde::Serialize;
use tokio::sync::broadcast::error::RecvError;

use crate::args::StoreArgs;

/// Time for the store to state its version.
const REQUEST: Duration = Duration::from_secs(2);

#[derive(Debug, Args)]
pub(crate) struct WatchArgs {
    /// Node to observe; repeat the flag for every node of the cluster
    #[arg(long = "node", value_name = "URL", required = true)]
    nodes: Vec<Endpoint>,
    #[command(flatten)]
    store: StoreArgs,
    /// Admin token of the nodes, if they have one
    #[arg(long, env = "RATELIMITER_ADMIN_TOKEN", hide_env_values = true)]
    admin_token: Option<Hidden>,
    /// Observe this key alone [default: all keys]
    #[arg(long)]
    key: Option<Key>,
    /// Stop after this time [default: on Ctrl-C]
    #[arg(long = "for", value_name = "DURATION", value_parser = humantime::parse_duration)]
    duration: Option<Duration>,
    /// End with exit code 3 when an invariant was violated
    #[arg(long)]
    fail_on_violation: bool,
}

/// One line of the output.
#[derive(Serialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
enum WatchLine<'a> {
    Observation(&'a Observation),
    Violation(&'a ViolationChange),
}

/// Prints observations and violations until a signal, or for the given time.
pub(crate) async fn watch(args: WatchArgs) -> anyhow::Result<Exit> {
    let (store, reach) = (args.store.url()?, args.store.reach());
    args.nodes
        .iter()
        .try_for_each(|node| reach.permit(is_loopback(node.host()), node))
        .and_then(|()| reach.permit(store.is_loopback(), &store))
        .map_err(WrongUsage::of)?;
    let mut signals = ExitSignals::listen()?;
    // A wrong URL would look like an outage without end.
    StoreVersion::check(&Link::new(store.clone()), REQUEST).await?;
    let detector = Detector::start(
        &args.nodes,
        store,
        args.admin_token.as_ref().map(Hidden::expose),
        args.key,
    );
    let mut rounds = detector.rounds();
    let over = async {
        match args.duration {
            Some(duration) => tokio::time::sleep(duration).await,
            None => std::future::pending().await,
        }
    };
    tokio::pin!(over);
    let signalled = loop {
        let round = tokio::select! {
            biased;
            exit = signals.next() => break Some(exit),
            () = &mut over => break None,
            round = rounds.recv() => round,
        };
        match round {
            Ok(round) => {
                print_line(&WatchLine::Observation(&round.observation))?;
                for change in &round.changes {
                    print_line(&WatchLine::Violation(change))?;
                }
            }
            Err(RecvError::Lagged(rounds)) => {
                remark(format_args!(
                    "{rounds} rounds are left out: the output is slow"
                ));
            }
            Err(RecvError::Closed) => anyhow::bail!("the detector has stopped"),
        }
    };
    let violated = !detector.log().violations.is_empty();
    Ok(if violated && args.fail_on_violation {
        Exit::Violated
    } else {
        signalled.unwrap_or(Exit::Success)
    })
}

fn print_line(line: &WatchLine<'_>) -> anyhow::Result<()> {
    print(serde_json::to_string(line)?)
}
