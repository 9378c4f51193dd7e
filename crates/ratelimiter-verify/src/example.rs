//! A first minute without a limiter: one with a race and its mended twin, inside this program.

use std::collections::HashMap;
use std::ffi::OsString;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use clap::{Args, Parser};
use cli_support::{Exit, print};
use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use ratelimiter_api::{Key, NodeId, Outcome};
use ratelimiter_target::{Check, CheckAnswer, Connection, Cork, Target, TargetError};
use tokio::time::{Instant, sleep};

use crate::args::VerifyArgs;
use crate::commands::play_planned;

const LIMIT: usize = 10;
const WINDOW: Duration = Duration::from_secs(60);
/// As long as a store on the same machine takes to answer.
const STORE: Duration = Duration::from_millis(1);

/// The place of the results.
#[derive(Debug, Args)]
pub(crate) struct ExampleArgs {
    /// Directory for the results: pages, verdicts and histories of both limiters
    #[arg(long, value_name = "DIR", default_value = "ratelimiter-example")]
    out: PathBuf,
    /// Replace the results that are in that directory
    #[arg(long)]
    force: bool,
}

/// The plan, in the words of the command line.
#[derive(Parser)]
struct ExamplePlan {
    #[command(flatten)]
    run: VerifyArgs,
}

/// Ten a minute for each key.
#[derive(Clone)]
struct ExampleLimiter {
    nodes: Vec<NodeId>,
    racy: bool,
    admitted: Arc<Mutex<HashMap<Key, Vec<Instant>>>>,
}

impl ExampleLimiter {
    fn new(racy: bool) -> Self {
        Self {
            nodes: vec![NodeId::new("example")],
            racy,
            admitted: Arc::default(),
        }
    }

    /// Whether a check of the key is admitted. The racy limiter reads its count, waits for its
    /// store, and writes by what it has read; the mended one reads and writes in one step.
    async fn admits(&self, key: &Key) -> bool {
        if self.racy {
            let count = self.window(key, |admitted| admitted.len());
            sleep(STORE).await;
            if count < LIMIT {
                self.window(key, |admitted| admitted.push(Instant::now()));
            }
            return count < LIMIT;
        }
        sleep(STORE).await;
        self.window(key, |admitted| {
            let admits = admitted.len() < LIMIT;
            if admits {
                admitted.push(Instant::now());
            }
            admits
        })
    }

    /// The admissions of a key within the window.
    fn window<T>(&self, key: &Key, act: impl FnOnce(&mut Vec<Instant>) -> T) -> T {
        let mut keys = self.admitted.lock().unwrap_or_else(PoisonError::into_inner);
        let admitted = keys.entry(key.clone()).or_default();
        admitted.retain(|at| at.elapsed() < WINDOW);
        act(admitted)
    }
}

impl Target for ExampleLimiter {
    fn nodes(&self) -> &[NodeId] {
        &self.nodes
    }

    fn connect(&self, _: usize) -> BoxFuture<'_, Result<Box<dyn Connection>, TargetError>> {
        let connection: Box<dyn Connection> = Box::new(self.clone());
        std::future::ready(Ok(connection)).boxed()
    }

    fn describe(&self) -> String {
        let does = match self.racy {
            true => "reads its count, waits for its store, then writes: a race",
            false => "reads and writes its count in one step: the race is mended",
        };
        format!("a limiter inside this program, which {does}")
    }

    fn has_cost(&self) -> bool {
        false
    }
}

impl Connection for ExampleLimiter {
    fn check<'a>(&'a mut self, check: &'a Check) -> BoxFuture<'a, CheckAnswer> {
        let outcome = async {
            match self.admits(&check.key).await {
                true => Outcome::Allowed,
                false => Outcome::Denied,
            }
        };
        outcome.map(CheckAnswer::plain).boxed()
    }

    fn cork(&self) -> Option<Arc<Cork>> {
        None
    }
}

/// Verifies both limiters. A race that did not show in any burst is reported as such.
pub(crate) async fn example(args: ExampleArgs) -> anyhow::Result<Exit> {
    let mut exits = Vec::new();
    for (name, racy) in [("racy", true), ("mended", false)] {
        let out = args.out.join(name);
        let plan = "example --limit 10/1m --phase burst --phase fields --out";
        let mut words: Vec<OsString> = plan.split(' ').map(OsString::from).collect();
        words.push(out.clone().into_os_string());
        words.extend(args.force.then(|| "--force".into()));
        let plan = ExamplePlan::parse_from(words);
        print(format_args!("== {name}"))?;
        let exit = play_planned(&plan.run, &ExampleLimiter::new(racy)).await?;
        print(format_args!(
            "page: {}\n",
            out.join("report.html").display()
        ))?;
        if ![Exit::Success, Exit::Violated, Exit::Undecided].contains(&exit) {
            return Ok(exit);
        }
        exits.push(exit);
    }
    print(
        "Yours, behind HTTP: ratelimiter-verify http --url 'http://localhost:8080/?key={key}' \
         --limit 10/1m\nA library in any language: ratelimiter-verify exec --help",
    )?;
    Ok(match exits[..] {
        [Exit::Violated, Exit::Success] => Exit::Success,
        [_, Exit::Violated] => Exit::Violated,
        _ => Exit::Missed,
    })
}
