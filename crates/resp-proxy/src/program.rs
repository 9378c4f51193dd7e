//! The command line of the proxy: for the program `resp-proxy`, and for programs that have it as a
//! subcommand.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::Context as _;
use clap::Args;
use cli_support::{Exit, ExitSignals, Hidden, WrongUsage, exit_help, print, remark};
use client_tls::{Authorities, Reach};
use tokio::time::{MissedTickBehavior, interval};

use crate::RuleError;
use crate::active::RuleReport;
use crate::control::{ControlServer, ProxySet, ProxyStart, ToxicReport, resolve};
use crate::rule::Rule;
use crate::upstream::Upstream;

/// How often the effects of the rules are reported.
const REPORT: Duration = Duration::from_secs(1);

/// The variable with the store's URL, in which a password is safe from the process list.
const STORE: &str = "RESP_PROXY_STORE";

/// The words of a rule and some examples, for the end of `--help`. The examples call `program`.
pub fn help(program: &str) -> String {
    format!(
        "\
Rules:
  where   command=INCR,DECR  class=write,read,script,other  key=user:1  prefix=user:
          client=NAME  client-address=HOST[:PORT]  link=NAME
  which   nth=3  skip=5  every=3  first=2  percent=10 seed=7     all that fit unless limited
  fault   do=delay by=50ms jitter=10ms     the reply comes later
          do=hold                          the command waits, as in a paused store
          do=swallow-reply                 the store executes it, the reply is lost
          do=error text=\"READONLY ...\"     answered without asking the store
          do=reset-before, do=reset-after  connections are reset before or after it is executed
          do=silence, do=refuse            nothing passes; no connection is taken
          do=bandwidth rate=10000          bytes a second
          do=latency by=50ms jitter=10ms   all bytes come later
          do=timeout after=1s              bytes are dropped, connections are closed
          do=reset after=1s                connections are reset after their next bytes
          stream=upstream, stream=downstream   one direction of the last three
  until   for=2s                           from the first effect on; until Ctrl-C unless given

Examples:
  {program} --store redis://127.0.0.1:6379 --rule 'command=INCR do=swallow-reply'
  {program} --store redis://127.0.0.1:6379 --rule 'class=write,script do=hold for=2s'
  {program} --store redis://127.0.0.1:6379 --rule 'class=read,write do=delay by=50ms percent=10'
  {program} --store redis://127.0.0.1:6379 --control 127.0.0.1:8474
  curl 127.0.0.1:8474/proxies/proxy/toxics \\
      -d '{{\"type\":\"resp\",\"attributes\":{{\"rule\":\"command=INCR do=swallow-reply\"}}}}'
  curl '127.0.0.1:8474/proxies/proxy/toxics/resp_downstream?wait_effects=1&timeout=2s'

{}",
        exit_help(&[])
    )
}

/// The proxies of one process and their rules.
#[derive(Debug, Args)]
pub struct ProxyArgs {
    /// Address or name to listen on, with a port; port 0 chooses a free one
    #[arg(long, value_name = "HOST:PORT", default_value = "127.0.0.1:6380")]
    listen: String,
    /// Store to pass to: redis://[USER[:PASSWORD]@]HOST[:PORT], or rediss:// for TLS. With a
    /// password, only by the variable. Not needed with --control, which can add proxies
    #[arg(
        long,
        value_name = "URL",
        env = STORE,
        hide_env_values = true,
        required_unless_present = "control"
    )]
    store: Option<Hidden>,
    /// File of certificates in PEM form to trust beside the system's, for a rediss:// store
    #[arg(long, value_name = "FILE", requires = "store")]
    store_ca: Option<PathBuf>,
    /// A fault; repeat for more. The first rule that applies to a command decides
    #[arg(long = "rule", value_name = "RULE", requires = "store")]
    rules: Vec<String>,
    /// Name of this proxy, for the rules' link= and the paths of --control
    #[arg(long, default_value = "proxy")]
    name: String,
    /// Take orders over HTTP on this address, in the words of Toxiproxy's API
    #[arg(long, value_name = "HOST:PORT")]
    control: Option<String>,
    /// Allow stores on other machines, --control beyond this machine, and, in front of a store with
    /// a password, --listen beyond it
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
        let reach = Reach::new(self.allow_remote);
        let upstream = self.upstream()?;
        let rules = self.rules.iter().map(|text| rule(text));
        let rules = rules.collect::<Result<Vec<_>, _>>()?;
        let control = match &self.control {
            Some(text) => {
                let address = resolve(text).await.map_err(WrongUsage::of)?;
                reach
                    .permit(address.ip().is_loopback(), &format!("--control {text}"))
                    .map_err(WrongUsage::of)?;
                Some(address)
            }
            None => None,
        };
        let mut signals = ExitSignals::listen()?;

        let set = ProxySet::new(reach, |name, notice| {
            remark(format_args!("resp-proxy: {name}: {notice}"));
        });
        if let Some(upstream) = upstream {
            self.start(&set, upstream, rules).await?;
        }
        set.warnings()
            .iter()
            .for_each(|warning| remark(format_args!("resp-proxy: {warning}")));
        let _control = match control {
            Some(address) => {
                let server = ControlServer::listen(address, set.clone())
                    .await
                    .with_context(|| format!("--control {address}"))?;
                print(format_args!("control: http://{}", server.address()))?;
                Some(server)
            }
            None => None,
        };
        let exit = tokio::select! {
            biased;
            exit = signals.next() => exit,
            failed = report(&set) => return failed,
        };
        let (reports, lines) = set.end();
        for ended in reports {
            print(format_args!("end: {}", line(&ended)))?;
        }
        for line in lines {
            print(format_args!("end: {line}"))?;
        }
        Ok(exit)
    }

    fn upstream(&self) -> Result<Option<Upstream>, WrongUsage> {
        let Some(store) = &self.store else {
            return Ok(None);
        };
        let mut upstream: Upstream = store.expose().parse().map_err(WrongUsage::of)?;
        if upstream.has_password() && std::env::args().any(|a| a.contains(store.expose())) {
            return Err(WrongUsage(format!(
                "--store {upstream}: every user of this machine can read a password in an \
                 argument; give the URL in the variable {STORE}"
            )));
        }
        if let Some(file) = &self.store_ca {
            let trust = Authorities::in_file(file).map_err(WrongUsage::of)?;
            upstream = upstream.trusting(trust).map_err(WrongUsage::of)?;
        }
        Ok(Some(upstream))
    }

    async fn start(
        &self,
        set: &ProxySet,
        upstream: Upstream,
        rules: Vec<Rule>,
    ) -> anyhow::Result<()> {
        let shown = upstream.to_string();
        let started = set.start(ProxyStart {
            name: self.name.clone(),
            listen: self.listen.clone(),
            upstream,
            enabled: true,
            rules,
        });
        let address = started.await.map_err(|error| {
            if error.is_usage() {
                WrongUsage::of(error).into()
            } else {
                anyhow::Error::from(error)
            }
        })?;
        print(format_args!("{address} passes to {shown}"))?;
        if !address.ip().is_loopback() {
            remark(format_args!(
                "resp-proxy: other machines can reach the store through {address}"
            ));
        }
        for report in set.reports() {
            print(format_args!("rule: {}", report.rule))?;
        }
        Ok(())
    }
}

/// Parses a rule. An error shows its text and the wrong column.
fn rule(text: &str) -> Result<Rule, WrongUsage> {
    text.parse()
        .map_err(|error: RuleError| WrongUsage(format!("--rule '{text}': {error}")))
}

/// Prints the effects of each rule whenever they change, until that fails.
async fn report(set: &ProxySet) -> anyhow::Result<Exit> {
    let mut ticks = interval(REPORT);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Skip);
    let mut printed: BTreeMap<(String, String), RuleReport> = BTreeMap::new();
    loop {
        ticks.tick().await;
        let mut now = BTreeMap::new();
        for toxic in set.reports() {
            let name = (toxic.proxy.clone(), toxic.toxic.clone());
            let before = printed.get(&name).copied().unwrap_or_default();
            if toxic.report != before {
                print(line(&toxic))?;
            }
            now.insert(name, toxic.report);
        }
        printed = now;
    }
}

fn line(toxic: &ToxicReport) -> String {
    let ToxicReport { rule, report, .. } = toxic;
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
