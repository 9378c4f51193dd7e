//! The proxy as a program: one store, one address, rules from the command line.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use clap::Parser;
use resp_proxy::{RespProxy, Rule, RuleGuard, RuleReport, Upstream};
use tokio::signal::unix::{SignalKind, signal};
use tokio::time::{MissedTickBehavior, interval};

/// Wrong usage, as sysexits.h has it.
const USAGE: u8 = 64;
/// How often the effects of the rules are reported.
const REPORT: Duration = Duration::from_secs(1);

/// Put faults between an application and its Redis or Valkey, command by command
///
/// Point the application at --listen instead of its store. Everything passes untouched but for the commands that a rule
/// names. The faults end with this process: clients then reconnect directly or fail fast.
#[derive(Debug, Parser)]
#[command(version, after_help = EXAMPLES)]
struct Cli {
    /// Address to listen on; port 0 chooses a free one
    #[arg(long, default_value = "127.0.0.1:6380")]
    listen: SocketAddr,
    /// Store to pass to: redis://[USER[:PASSWORD]@]HOST[:PORT], or rediss:// for TLS
    #[arg(long, env = "RESP_PROXY_UPSTREAM", hide_env_values = true)]
    upstream: UpstreamText,
    /// Certificate authority of the store, a PEM file, beside those that the machine trusts
    #[arg(long, value_name = "FILE")]
    ca: Option<PathBuf>,
    /// A fault; repeat for more. The first rule that applies to a command decides
    #[arg(long = "rule", value_name = "RULE")]
    rules: Vec<String>,
    /// Name of this proxy, for the rules' link=
    #[arg(long, default_value = "proxy")]
    name: String,
    /// Allow a store that is not on this machine
    #[arg(long)]
    allow_remote: bool,
}

const EXAMPLES: &str = "\
Rules:
  where   command=INCR,DECR  class=write,read,script,other  prefix=user:  client=NAME  link=NAME
          nth=3  percent=10 seed=7                                        (all commands unless limited)
  fault   do=delay by=50ms jitter=10ms     the reply comes later
          do=hold                          the command waits, as in a paused store
          do=swallow-reply                 the store executes it, the reply is lost
          do=error text=\"READONLY ...\"     answered without asking the store
          do=reset-before, do=reset-after  connections are reset before or after the store executed it
          do=silence, do=refuse            nothing passes; no connection is taken
          do=bandwidth rate=10000          bytes a second
  until   for=2s                           from the first effect on; until Ctrl-C unless given

Examples:
  resp-proxy --upstream redis://127.0.0.1:6379 --rule 'command=INCR do=swallow-reply'
  resp-proxy --upstream redis://127.0.0.1:6379 --rule 'class=write,script do=hold for=2s'
  resp-proxy --upstream redis://127.0.0.1:6379 --rule 'class=read,write do=delay by=50ms jitter=10ms percent=10 seed=7'";

/// The URL as it was typed. Parsed after the command line, whose errors repeat the argument: it may hold a password.
#[derive(Clone)]
struct UpstreamText(String);

impl From<&str> for UpstreamText {
    fn from(text: &str) -> Self {
        Self(text.to_owned())
    }
}

impl std::fmt::Debug for UpstreamText {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("UpstreamText(...)")
    }
}

/// The command line, checked.
struct Plan {
    listen: SocketAddr,
    upstream: Upstream,
    rules: Vec<Rule>,
    name: String,
}

impl Cli {
    fn plan(self) -> Result<Plan, String> {
        let mut upstream: Upstream =
            self.upstream.0.parse().map_err(|e: resp_proxy::UpstreamError| e.to_string())?;
        if let Some(file) = self.ca {
            let pem = std::fs::read(&file).map_err(|e| format!("read {}: {e}", file.display()))?;
            upstream = upstream.trusting(&pem).map_err(|e| e.to_string())?;
        }
        if !upstream.is_loopback() && !self.allow_remote {
            return Err(format!("{upstream} is not on this machine; --allow-remote permits it"));
        }
        let parse = |text: &String| {
            text.parse::<Rule>().map_err(|e| format!("--rule '{text}'\n{}^ {e}", " ".repeat(7 + e.column)))
        };
        let rules = self.rules.iter().map(parse).collect::<Result<_, _>>()?;
        Ok(Plan { listen: self.listen, upstream, rules, name: self.name })
    }
}

fn main() -> ExitCode {
    let cli = Cli::try_parse().unwrap_or_else(|error| {
        // Help and version go to standard output, and are no error.
        let _ = error.print();
        std::process::exit(if error.use_stderr() { USAGE.into() } else { 0 })
    });
    let plan = match cli.plan() {
        Ok(plan) => plan,
        Err(error) => {
            eprintln!("resp-proxy: {error}");
            return USAGE.into();
        }
    };
    // One thread: a proxy moves bytes, and a wake-up on another core costs more than the move.
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    match runtime
        .map_err(|e| format!("start the runtime: {e}"))
        .and_then(|runtime| runtime.block_on(run(plan)))
    {
        Ok(code) => code.into(),
        Err(error) => {
            eprintln!("resp-proxy: {error}");
            ExitCode::FAILURE
        }
    }
}

/// Serves until a signal comes; returns the exit code that belongs to it.
async fn run(plan: Plan) -> Result<u8, String> {
    let listen = |kind| signal(kind).map_err(|e| format!("listen for signals: {e}"));
    let (mut interrupt, mut terminate) = (listen(SignalKind::interrupt())?, listen(SignalKind::terminate())?);
    let upstream = plan.upstream.to_string();
    let proxy = RespProxy::builder(plan.upstream)
        .name(plan.name)
        .listen(plan.listen)
        .await
        .map_err(|e| format!("listen on {}: {e}", plan.listen))?;
    let guards: Vec<_> = plan.rules.into_iter().map(|rule| proxy.inject(rule)).collect();
    println!("{} passes to {upstream}", proxy.address());
    guards.iter().for_each(|guard| println!("rule: {}", guard.rule()));
    let mut ticks = interval(REPORT);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Skip);
    let mut reported: Vec<RuleReport> = guards.iter().map(RuleGuard::report).collect();
    let code = loop {
        tokio::select! {
            biased;
            _ = interrupt.recv() => break 130,
            _ = terminate.recv() => break 143,
            _ = ticks.tick() => {
                for (guard, last) in guards.iter().zip(&mut reported) {
                    let report = guard.report();
                    if report != *last {
                        println!("{}", line(guard.rule(), &report));
                        *last = report;
                    }
                }
            }
        }
    };
    for guard in guards {
        let rule = guard.rule().clone();
        println!("end: {}", line(&rule, &guard.heal()));
    }
    let counters = proxy.counters();
    println!(
        "end: {} connections ({} without a store), {} commands, {} unmatched replies, {} streams, {} not RESP",
        counters.connections,
        counters.unreachable,
        counters.commands,
        counters.unmatched,
        counters.streams,
        counters.not_resp
    );
    Ok(code)
}

fn line(rule: &Rule, report: &RuleReport) -> String {
    let band = report
        .band()
        .map_or_else(|| "no effect yet".to_owned(), |band| format!("over {:.3} s", band.as_secs_f64()));
    let over = if report.healed.is_some() { ", ended" } else { "" };
    format!("{rule}: {} effects on {} commands that fit, {band}{over}", report.effects, report.fitted)
}
