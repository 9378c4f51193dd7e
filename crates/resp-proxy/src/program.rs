//! The command line of the proxy: for the program `resp-proxy`, and for programs that have it as a
//! subcommand.

use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use clap::Args;
use client_tls::{TlsError, Trust};
use tokio::time::{MissedTickBehavior, interval};

use crate::proxy::RespProxy;
use crate::rule::Rule;
use crate::rules::{RuleGuard, RuleReport};
use crate::upstream::{Upstream, UpstreamError};

/// How often the effects of the rules are reported.
const REPORT: Duration = Duration::from_secs(1);

/// The words of a rule and some examples, for the end of `--help`. The examples call `program`.
pub fn help(program: &str) -> String {
    format!(
        "\
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
  {program} --upstream redis://127.0.0.1:6379 --rule 'command=INCR do=swallow-reply'
  {program} --upstream redis://127.0.0.1:6379 --rule 'class=write,script do=hold for=2s'
  {program} --upstream redis://127.0.0.1:6379 --rule 'class=read,write do=delay by=50ms jitter=10ms percent=10 seed=7'"
    )
}

/// One proxy and its rules.
#[derive(Debug, Args)]
pub struct ProxyArgs {
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

/// The URL as it was typed. Parsed after the command line, whose errors repeat the argument: it may
/// hold a password.
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

/// A command line that makes no sense.
#[derive(Debug, thiserror::Error)]
pub enum UsageError {
    /// The store's URL or its certificate.
    #[error(transparent)]
    Upstream(#[from] UpstreamError),
    /// The certificate's file.
    #[error(transparent)]
    Certificate(#[from] TlsError),
    /// A store on another machine, without the permission for it.
    #[error("{0} is not on this machine; --allow-remote permits it")]
    Remote(Upstream),
    /// A rule, with its text and a mark below the wrong column.
    #[error("--rule '{text}'\n{}^ {error}", " ".repeat(7 + error.column))]
    Rule {
        /// The rule as it was typed.
        text: String,
        /// Place and reason.
        error: crate::RuleError,
    },
}

/// A checked command line.
#[derive(Debug)]
pub struct Plan {
    listen: SocketAddr,
    upstream: Upstream,
    rules: Vec<Rule>,
    name: String,
}

impl ProxyArgs {
    /// Checks the command line. Opens nothing but the certificate's file.
    ///
    /// # Errors
    /// When some part of it makes no sense.
    pub fn plan(self) -> Result<Plan, UsageError> {
        let mut upstream: Upstream = self.upstream.0.parse()?;
        if let Some(file) = self.ca {
            upstream = upstream.trusting(Trust::in_file(&file)?)?;
        }
        if !upstream.is_loopback() && !self.allow_remote {
            return Err(UsageError::Remote(upstream));
        }
        let parse = |text: String| {
            text.parse()
                .map_err(|error| UsageError::Rule { text, error })
        };
        let rules = self
            .rules
            .into_iter()
            .map(parse)
            .collect::<Result<_, _>>()?;
        Ok(Plan {
            listen: self.listen,
            upstream,
            rules,
            name: self.name,
        })
    }
}

impl Plan {
    /// Serves until `stop`, whose value it returns. Prints the address, the rules, and the effects
    /// of each rule when they change and at the end.
    ///
    /// # Errors
    /// When the address cannot be listened on.
    pub async fn serve<T>(self, stop: impl Future<Output = T>) -> io::Result<T> {
        let upstream = self.upstream.to_string();
        let listening = RespProxy::builder(self.upstream)
            .name(self.name)
            .listen(self.listen)
            .await;
        let proxy = listening
            .map_err(|e| io::Error::new(e.kind(), format!("listen on {}: {e}", self.listen)))?;
        let guards: Vec<_> = self
            .rules
            .into_iter()
            .map(|rule| proxy.inject(rule))
            .collect();
        println!("{} passes to {upstream}", proxy.address());
        guards
            .iter()
            .for_each(|guard| println!("rule: {}", guard.rule()));
        let stopped = {
            tokio::pin!(stop);
            tokio::select! {
                biased;
                stopped = &mut stop => stopped,
                never = report(&guards) => match never {},
            }
        };
        for guard in guards {
            let rule = guard.rule().clone();
            println!("end: {}", line(&rule, &guard.heal()));
        }
        println!("end: {}", proxy.counters());
        Ok(stopped)
    }
}

/// Prints the effects of each rule whenever they change.
async fn report(guards: &[RuleGuard]) -> std::convert::Infallible {
    let mut ticks = interval(REPORT);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Skip);
    let mut reported: Vec<RuleReport> = guards.iter().map(RuleGuard::report).collect();
    loop {
        ticks.tick().await;
        for (guard, last) in guards.iter().zip(&mut reported) {
            let report = guard.report();
            if report != *last {
                println!("{}", line(guard.rule(), &report));
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
