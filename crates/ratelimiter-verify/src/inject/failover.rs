use anyhow::Context as _;
use clap::Args;
use ratelimiter_api::Key;
use ratelimiter_chaos::{Failover, PauseDuration};
use ratelimiter_cli::{Exit, Reach, Signals, StoreCa, StoreText, Usage, help_of};
use tokio::time::{Instant, sleep_until};

use crate::exits;

#[derive(Debug, Args)]
#[command(after_help = help())]
pub(crate) struct FailoverArgs {
    /// Store with sentinels, or store cluster
    #[arg(
        long,
        value_name = "URL",
        env = "RATELIMITER_STORE",
        hide_env_values = true
    )]
    redis_url: StoreText,
    #[command(flatten)]
    store_ca: StoreCa,
    /// Key whose primary fails
    #[arg(long, default_value = "demo-chaos-key")]
    key: Key,
    /// Time for which the replicas fall behind before the primary ends, at most 60s
    #[arg(long, default_value = "2s")]
    hold: PauseDuration,
    #[command(flatten)]
    reach: Reach,
}

fn help() -> String {
    format!(
        "The primary is ended with SHUTDOWN NOSAVE, and all that it acknowledged during the hold \
         is lost. A replica is promoted by the \
         sentinels or the cluster. Start the old primary again to have a replica again. Ctrl-C \
         during the hold lets the replicas catch up: \
         nothing is lost then.\n\n{}",
        help_of(exits::PAUSE)
    )
}

/// Makes replicas fall behind, and has one of them promoted.
pub(crate) async fn failover(args: FailoverArgs) -> anyhow::Result<Exit> {
    let failover = Failover::new(
        args.redis_url.url(&args.store_ca)?,
        args.key.as_str(),
        args.reach.scope(),
    )
    .map_err(Usage::of)?;
    let mut signals = Signals::listen().context("signals cannot be listened to")?;
    let held = failover.hold().await?;
    println!(
        "the replicas of {} take no writes for {}; Ctrl-C lets them catch up",
        held.primary(),
        args.hold
    );
    let until = Instant::now() + args.hold.get();
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
            println!("WAIT 1 200 answers 0: no replica has the last writes, and they will be lost")
        }
        some => println!(
            "WAIT 1 200 answers {some}: a replica has every write, and nothing will be lost"
        ),
    }
    let report = held.fail_over().await?;
    println!(
        "{} is the primary, {:.3} s after the end of the old one; start that again to have a \
         replica",
        report.promoted,
        report.took.as_secs_f64()
    );
    println!(
        "nodes of this project ask for their admissions by name, report the lost ones and send \
         them again"
    );
    Ok(Exit::Success)
}
