use clap::Args;
use cli_support::{Exit, ExitSignals, WrongUsage, exit_help, print};
use ratelimiter_api::Key;
use ratelimiter_chaos::{Failover, PauseDuration};
use tokio::time::{Instant, sleep_until};

use crate::args::StoreArgs;

#[derive(Debug, Args)]
pub(crate) struct FailoverArgs {
    #[command(flatten)]
    store: StoreArgs,
    /// Key whose primary fails
    #[arg(long, default_value = "demo-chaos-key")]
    key: Key,
    /// Time for which the replicas fall behind before the primary ends, at most 60s
    #[arg(long = "for", value_name = "DURATION", default_value = "2s")]
    length: PauseDuration,
}

pub(crate) fn help() -> String {
    format!(
        "Needs a store with sentinels, or a store cluster. The primary is ended with SHUTDOWN \
         NOSAVE, and all that it acknowledged meanwhile is lost. A replica is promoted by the \
         sentinels or the cluster. Start the old primary again to have a replica again. Ctrl-C \
         before the end of the primary lets the replicas catch up: nothing is lost then.\n\n{}",
        exit_help(&[])
    )
}

/// Makes replicas fall behind, and has one of them promoted.
pub(crate) async fn failover(args: FailoverArgs) -> anyhow::Result<Exit> {
    let failover = Failover::new(args.store.url()?, args.key.as_str(), args.store.reach())
        .map_err(WrongUsage::of)?;
    let mut signals = ExitSignals::listen()?;
    let held = failover.hold().await?;
    print(format_args!(
        "the replicas of {} take no writes for {}; Ctrl-C lets them catch up",
        held.primary(),
        args.length
    ))?;
    let until = Instant::now() + args.length.get();
    tokio::select! {
        biased;
        exit = signals.next() => return Ok(exit),
        () = sleep_until(until) => {}
    }
    anyhow::ensure!(
        held.is_held(),
        "the replicas caught up before the end of the hold; nothing was done"
    );
    match held.acknowledged().await? {
        0 => {
            print("WAIT 1 200 answers 0: no replica has the last writes, and they will be lost")?;
        }
        some => print(format_args!(
            "WAIT 1 200 answers {some}: a replica has every write, and nothing will be lost"
        ))?,
    }
    let report = held.fail_over().await?;
    print(format_args!(
        "{} is the primary, {:.3} s after the end of the old one; start that again to have a \
         replica",
        report.promoted,
        report.took.as_secs_f64()
    ))?;
    print(
        "nodes of this project ask for their admissions by name, report the lost ones and send \
         them again",
    )?;
    Ok(Exit::Success)
}
