//! The command line of the proxy: for the program `resp-proxy`, and for programs that have it as a
//! subcommand.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::Context as _;
use clap::Args;
use cli_support::{Exit, ExitSignals, Hidden, WrongUsage, exit_help, print};
use client_tls::{Authorities, Reach};
use tokio::time::{MissedTickBehavior, interval};

use crate::RuleError;
use crate::proxy::RespProxy;
use crate::rule::Rule;
use crate::rules::{RuleGuard, RuleReport};
use crate::upstream::Upstream;

/// How often the effects of the rules are reported.
const REPORT: Duration = Duration::from_secs(1);

/// The words of a rule and some examples, for the end of `--help`. The examples call `program`.
pub fn help(program: &str) -> String {
    format!(
        "\
Rules:
  where   command=INCR,DECR  class=write,read,script,other  prefix=user:  client=NAME  link=NAME
          nth=3  percent=10 seed=7         all commands unless limited
  fault   do=delay by=50ms jitter=10ms     the reply comes later
          do=hold                          the command waits, as in a paused store
          do=swallow-reply                 the store executes it, the reply is lost
          do=error text=\"READONLY ...\"     answered without asking the store
          do=reset-before, do=reset-after  connections are reset before or after it is executed
          do=silence, do=refuse            nothing passes; no connection is taken
          do=bandwidth rate=10000          bytes a second
  until   for=2s                           from the first effect on; until Ctrl-C unless given

Examples:
  {program} --store redis://127.0.0.1:6379 --rule 'command=INCR do=swallow-reply'
  {program} --store redis://127.0.0.1:6379 --rule 'class=write,script do=hold for=2s'
  {program} --store redis://127.0.0.1:6379 --rule 'class=read,write do=delay by=50ms percent=10'

{}",
        exit_help(&[])
    )
}

/// One proxy and its rules.
#[derive(Debug, Args)]
pub struct ProxyArgs {
    /// Address to listen on; port 0 chooses a free one
    #[arg(long, default_value = "127.0.0.1:6380")]
    listen: SocketAddr,
    /// Store to pass to: redis://[USER[:PASSWORD]@]HOST[:PORT], or rediss:// for TLS
    #[arg(
        long,
        value_name = "URL",
        env = "RESP_PROXY_STORE",
        hide_env_values = true
    )]
    store: Hidden,
    /// File of certificates in PEM form to trust beside the system's, for a rediss:// store
    #[arg(long, value_name = "FILE")]
    store_ca: Option<PathBuf>,
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

impl ProxyArgs {
    /// Serves until a signal, whose exit code it returns. Prints the address, the rules, and the
    /// effects of each rule when they change and at the end.
    ///
    /// # Errors
    /// [`WrongUsage`] when an argument makes no sense, before anything is opened but the file of
    /// the authority; else when the address cannot be listened on.
    pub async fn serve(self) -> anyhow::Result<Exit> {
        let mut upstream: Upstream = self.store.expose().parse().map_err(WrongUsage::of)?;
        if let Some(file) = self.store_ca {
            let trust = Authorities::in_file(&file).map_err(WrongUsage::of)?;
            upstream = upstream.trusting(trust).map_err(WrongUsage::of)?;
        }
        Reach::new(self.allow_remote)
            .permit(upstream.is_loopback(), &upstream)
            .map_err(WrongUsage::of)?;
        let rules = self.rules.iter().map(|text| rule(text));
        let rules = rules.collect::<Result<Vec<_>, _>>()?;
        let mut signals = ExitSignals::listen()?;

        let shown = upstream.to_string();
        let proxy = RespProxy::builder(upstream)
            .name(self.name)
            .listen(self.listen)
            .await
            .with_context(|| format!("listen on {}", self.listen))?;
        let guards: Vec<_> = rules.into_iter().map(|rule| proxy.inject(rule)).collect();
        print(format_args!("{} passes to {shown}", proxy.address()))?;
        for guard in &guards {
            print(format_args!("rule: {}", guard.rule()))?;
        }
        let exit = tokio::select! {
            biased;
            exit = signals.next() => exit,
            failed = report(&guards) => return failed,
        };
        for guard in guards {
            let rule = guard.rule().clone();
            print(format_args!("end: {}", line(&rule, &guard.heal())))?;
        }
        print(format_args!("end: {}", proxy.counters()))?;
        Ok(exit)
    }
}

/// Parses a rule. An error shows its text and the wrong column.
fn rule(text: &str) -> Result<Rule, WrongUsage> {
    text.parse()
        .map_err(|error: RuleError| WrongUsage(format!("--rule '{text}': {error}")))
}

/// Prints the effects of each rule whenever they change, until that fails.
async fn report(guards: &[RuleGuard]) -> anyhow::Result<Exit> {
    let mut ticks = interval(REPORT);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Skip);
    let mut reported: Vec<RuleReport> = guards.iter().map(RuleGuard::report).collect();
    loop {
        ticks.tick().await;
        for (guard, last) in guards.iter().zip(&mut reported) {
            let report = guard.report();
            if report != *last {
                print(line(guard.rule(), &report))?;
                *last = report;
            }
        }
    }
}

fn line(rule: &Rule, report: &RuleReport) -> String {
    let band = report.band().map_or_else(
        || "no effect yet".to_owned(),
        |band| format!("over {:.3} s", band.as_secs_f64()),
    );
    let over = if report.healed.is_some() {
        ", ended"
    } else {
        ""
    };
    format!(
        "{rule}: {} effects on {} commands that fit, {band}{over}",
        report.effects, report.fitted
    )
}
