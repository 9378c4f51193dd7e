use std::time::Duration;

use clap::Args;
use cli_support::{Exit, ExitSignals, WrongUsage, print};
use ratelimiter_chaos::{PauseDuration, RedisPause};
use tokio::time::{sleep, sleep_until};

use crate::args::StoreArgs;

#[derive(Debug, Args)]
pub(crate) struct PauseArgs {
    #[command(flatten)]
    store: StoreArgs,
    /// Length of the pause, at most 60s
    #[arg(long = "for", value_name = "DURATION", default_value_t = PauseDuration::DEFAULT)]
    length: PauseDuration,
}

/// Pauses the store's writes for the given time, or until a signal.
pub(crate) async fn redis_pause(args: PauseArgs) -> anyhow::Result<Exit> {
    let length = args.length;
    let pause = RedisPause::new(args.store.url()?, args.store.reach()).map_err(WrongUsage::of)?;
    let pause = pause.at_most(length.get());
    let mut signals = ExitSignals::listen()?;
    let guard = pause.inject().await?;
    print(format_args!(
        "the store takes no writes for {length}; Ctrl-C ends it early"
    ))?;
    let until = guard.started() + length.get();
    let signalled = loop {
        tokio::select! {
            biased;
            exit = signals.next() => break Some(exit),
            () = sleep_until(until) => break None,
            () = sleep(Duration::from_millis(100)) => if !guard.is_held() { break None },
        }
    };
    let report = guard.heal().await?;
    print(format_args!(
        "writes pass again after {:.3} s: test writes held back for {:.3} s, {} of {} passed, {} \
         renewals",
        (report.ended - report.started).as_secs_f64(),
        report.held().as_secs_f64(),
        report.passed,
        report.probes,
        report.renewals
    ))?;
    if !report.is_without_gap() {
        print(format_args!(
            "the pause had gaps: {} test writes passed, longest time without renewal {} ms",
            report.passed,
            report.longest_renewal.as_millis()
        ))?;
    }
    if let Some(late) = report.outlasted_by() {
        print(format_args!(
            "another client held writes back for {:.3} s longer",
            late.as_secs_f64()
        ))?;
    }
    Ok(signalled.unwrap_or(Exit::Success))
}
