mod failover;

use std::time::Duration;

use anyhow::Context as _;
use clap::{Args, Subcommand};
use ratelimiter_api::{Endpoint, LimitSpec, NodeClient};
use ratelimiter_chaos::{Burst, PauseDuration, RedisPause, setup_rate_limit};
use ratelimiter_cli::{
    BurstSize, Exit, REQUEST, Reach, Signals, StoreCa, StoreText, Usage, help_of,
};
use ratelimiter_invariants::{Verdict, check_history};
use resp_proxy::program::{self, ProxyArgs};
use tokio::time::sleep_until;

use crate::exits;
pub(crate) use failover::{FailoverArgs, failover};

#[derive(Debug, Subcommand)]
pub(crate) enum InjectVerb {
    /// Pause the store's writes (CLIENT PAUSE ... WRITE); the pause is a lease that ends with this
    /// process
    RedisPause(PauseArgs),
    /// Fail over to a replica that lacks the last writes, and so lose them
    Failover(FailoverArgs),
    /// Put a proxy with faults between an application and its store: lost replies, errors, resets,
    /// delays, silence
    Resp(ProxyFaults),
    /// Send limit x multiplier checks at one instant, spread evenly over the nodes
    Burst(BurstArgs),
}

#[derive(Debug, Args)]
#[command(after_help = help_of(exits::PAUSE))]
pub(crate) struct PauseArgs {
    /// Store whose writes are paused
    #[arg(
        long,
        value_name = "URL",
        env = "RATELIMITER_STORE",
        hide_env_values = true
    )]
    redis_url: StoreText,
    #[command(flatten)]
    store_ca: StoreCa,
    /// Length of the pause, at most 60s
    #[arg(long, default_value_t = PauseDuration::DEFAULT)]
    duration: PauseDuration,
    #[command(flatten)]
    reach: Reach,
}

/// Point the application at --listen instead of its store. The faults end with this process
#[derive(Debug, Args)]
#[command(after_help = proxy_help())]
pub(crate) struct ProxyFaults {
    #[command(flatten)]
    proxy: ProxyArgs,
}

fn proxy_help() -> String {
    format!(
        "{}\n\n{}",
        program::help("ratelimiter-verify inject resp"),
        help_of(exits::PAUSE)
    )
}

#[derive(Debug, Args)]
#[command(after_help = help_of(exits::JUDGE))]
pub(crate) struct BurstArgs {
    /// Node that gets checks; repeat the flag for each node
    #[arg(long = "endpoint", value_name = "URL", required = true)]
    endpoints: Vec<Endpoint>,
    #[command(flatten)]
    burst: BurstSize,
    /// Set the limit first; without this flag the key must have a limit already
    #[arg(long)]
    setup: bool,
    /// Admin token of the nodes, for --setup
    #[arg(long, env = "RATELIMITER_ADMIN_TOKEN", hide_env_values = true)]
    admin_token: Option<String>,
    /// End with exit code 3 when the nodes admit more than the limit
    #[arg(long)]
    fail_on_violation: bool,
    #[command(flatten)]
    reach: Reach,
}

/// Pauses the store's writes for the given time, or until a signal.
pub(crate) async fn redis_pause(args: PauseArgs) -> anyhow::Result<Exit> {
    let duration = args.duration;
    let pause = RedisPause::new(args.redis_url.url(&args.store_ca)?, args.reach.scope())
        .map_err(Usage::of)?;
    let pause = pause.at_most(duration.get());
    let mut signals = Signals::listen().context("signals cannot be listened to")?;
    let guard = pause.inject().await?;
    println!("the store takes no writes for {duration}; Ctrl-C ends it early");
    let until = guard.started() + duration.get();
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
        "writes pass again after {:.3} s: test writes held back for {:.3} s, {} of {} passed, {} \
         renewals",
        (report.ended - report.started).as_secs_f64(),
        report.held().as_secs_f64(),
        report.passed,
        report.probes,
        report.renewals
    );
    if !report.is_without_gap() {
        println!(
            "the pause had gaps: {} test writes passed, longest time without renewal {} ms",
            report.passed,
            report.longest_renewal.as_millis()
        );
    }
    if let Some(late) = report.outlasted_by() {
        println!(
            "another client held writes back for {:.3} s longer",
            late.as_secs_f64()
        );
    }
    Ok(asked.unwrap_or(Exit::Success))
}

/// Serves a proxy with rules until a signal.
pub(crate) async fn resp(args: ProxyFaults) -> anyhow::Result<Exit> {
    let plan = args.proxy.plan().map_err(Usage::of)?;
    let mut signals = Signals::listen().context("signals cannot be listened to")?;
    Ok(plan.serve(signals.next()).await?)
}

/// Sends a burst and judges its history.
pub(crate) async fn burst(args: BurstArgs) -> anyhow::Result<Exit> {
    let limit = args.burst.limit()?;
    let scope = args.reach.scope();
    let burst = Burst::new(
        args.endpoints.clone(),
        args.burst.key.clone(),
        limit,
        args.burst.multiplier,
        scope,
    )
    .map_err(Usage::of)?;
    let mut signals = Signals::listen().context("signals cannot be listened to")?;
    let fire = async {
        if args.setup {
            let node = |e: &Endpoint| {
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
    println!(
        "{} requests, all sent within {skew:.1} ms",
        report.operations.len()
    );
    let history = check_history(&report.operations, limit)?;
    println!("{history}");
    let violated = matches!(history.verdict, Verdict::Violated(_));
    if let Verdict::Violated(witness) = &history.verdict {
        println!("{}", witness.timeline(100));
    }
    anyhow::ensure!(
        report.tally.allowed + report.tally.denied > 0,
        "no check was decided: has {} a limit? Set one with --setup",
        args.burst.key
    );
    Ok(if violated && args.fail_on_violation {
        Exit::Violated
    } else {
        Exit::Success
    })
}
