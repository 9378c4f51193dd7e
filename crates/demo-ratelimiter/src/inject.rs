use std::time::Duration;

use anyhow::Context as _;
use demo_core::ChaosType;
use ratelimiter_api::{LimitSpec, NodeClient};
use ratelimiter_chaos::{Burst, RedisPause, setup_rate_limit};
use ratelimiter_invariants::{Verdict, check_history};
use tokio::time::sleep_until;

use crate::cli::{self, BurstArgs, PauseArgs, Usage};
use crate::exit::Exit;
use crate::signals::Signals;
use crate::subject::REQUEST;

/// Holds back the store's writes for a while, or until a signal.
pub(crate) async fn redis_pause(args: PauseArgs) -> anyhow::Result<Exit> {
    let duration: Duration = args.duration.into();
    cli::chaos(ChaosType::Pause { duration })?;
    let pause =
        RedisPause::new(args.redis_url.url()?, args.reach.scope()).map_err(|e| Usage(e.to_string()))?;
    let mut signals = Signals::listen().context("signals cannot be listened to")?;
    let guard = pause.inject().await?;
    println!("the store takes no writes for {duration:?}; Ctrl-C ends it early");
    let until = guard.started() + duration;
    let asked = loop {
        tokio::select! {
            biased;
            exit = signals.next() => break Some(exit),
            () = sleep_until(until) => break None,
            () = tokio::time::sleep(Duration::from_millis(100)) => if !guard.is_held() { break None },
        }
    };
    let report = guard.heal().await?;
    println!(
        "writes pass again: held for {:.3} s, {} renewals",
        report.held().as_secs_f64(),
        report.renewals
    );
    if !report.is_without_gap() {
        println!("the pause had a gap: it was not renewed for {} ms", report.longest_renewal.as_millis());
    }
    Ok(asked.unwrap_or(Exit::Success))
}

/// Sends a burst and judges its history.
pub(crate) async fn burst(args: BurstArgs) -> anyhow::Result<Exit> {
    let limit = args.burst.checked_limit()?;
    let scope = args.reach.scope();
    let burst = Burst::new(
        args.endpoints.clone(),
        args.burst.key.clone(),
        limit.admissions(),
        args.burst.multiplier,
        scope,
    )
    .map_err(|e| Usage(e.to_string()))?;
    let mut signals = Signals::listen().context("signals cannot be listened to")?;
    let fire = async {
        if args.setup {
            let node = |e: &ratelimiter_api::Endpoint| {
                NodeClient::new(e.clone(), REQUEST).with_token(args.admin_token.clone())
            };
            let nodes: Vec<_> = args.endpoints.iter().map(node).collect();
            setup_rate_limit(&nodes, &LimitSpec::new(args.burst.key.clone(), limit)).await?;
        }
        burst.fire().await
    };
    let report = tokio::select! {
        biased;
        exit = signals.next() => return Ok(exit),
        report = fire => report?,
    };
    let skew = report.start_skew.as_secs_f64() * 1e3;
    println!("{} requests, all sent within {skew:.1} ms", report.operations.len());
    let history = check_history(&report.operations, limit)?;
    println!("{history}");
    let violated = matches!(history.verdict, Verdict::Violated(_));
    if let Verdict::Violated(witness) = &history.verdict {
        println!("{}", witness.timeline(100));
    }
    anyhow::ensure!(
        report.tally.unknown < report.tally.sent(),
        "no request got an answer: has {} a limit? Set one with --setup",
        args.burst.key
    );
    Ok(if violated && args.fail_on_violation { Exit::Violated } else { Exit::Success })
}
