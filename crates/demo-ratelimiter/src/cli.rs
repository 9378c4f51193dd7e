use std::io::IsTerminal as _;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::Context as _;
use clap::error::ErrorKind;
use clap::{Args, Parser, Subcommand, ValueEnum};
use demo_core::{ChaosConfig, ChaosType};
use demo_tui::{Charset, ColorChoice, Options, Picture, Size};
use ratelimiter_api::{CountingMode, Endpoint, Key, Limit, StoreFailurePolicy};
use ratelimiter_chaos::{COUNTER_DRIFT_CONFIG, DEFAULT_WINDOW, GHOST_ALLOWING_CONFIG, Scope};
use ratelimiter_store::{StoreError, StoreUrl};
use tracing_subscriber::filter::LevelFilter;

use crate::exit::Exit;
use crate::{inject, run, watch};

/// Watch a distributed rate limiter break, for real: counter drift under a store that takes no writes, ghost allowing
/// under a burst. Every number is measured.
#[derive(Debug, Parser)]
#[command(name = "demo-ratelimiter", version, after_help = Exit::help())]
struct Cli {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// Play the eleven chapters, on a local cluster unless endpoints are given
    #[command(after_help = Exit::help())]
    Run(RunArgs),
    /// Inject one fault into a running system
    #[command(subcommand)]
    Inject(InjectVerb),
    /// Observe a running system: observations and violations as JSON lines
    #[command(after_help = Exit::help())]
    Watch(WatchArgs),
}

#[derive(Debug, Subcommand)]
pub(crate) enum InjectVerb {
    /// Hold back the store's writes (CLIENT PAUSE ... WRITE), as a lease that ends when this process does
    RedisPause(PauseArgs),
    /// Send limit x multiplier checks at one instant, round-robin over the nodes
    Burst(BurstArgs),
}

#[derive(Debug, Args)]
pub(crate) struct RunArgs {
    #[command(flatten)]
    pub(crate) target: Target,
    /// Print lines instead of opening the terminal interface, and turn the pages alone
    #[arg(long)]
    pub(crate) headless: bool,
    /// Print every event as one line of JSON; implies --headless
    #[arg(long)]
    pub(crate) json: bool,
    #[command(flatten)]
    pub(crate) screen: Screen,
    #[command(flatten)]
    pub(crate) burst: BurstSize,
    /// How long the store takes no writes
    #[arg(long, default_value_t = default_pause())]
    pub(crate) pause: humantime::Duration,
    /// How the nodes count: atomic, cached or read-then-write [default: the nodes' own, cached on a local cluster]
    #[arg(long)]
    pub(crate) counting: Option<CountingMode>,
    /// What the nodes answer when they need the store and it does not answer: allow, deny or local
    #[arg(long)]
    pub(crate) on_store_failure: Option<StoreFailurePolicy>,
    /// Admin token of the nodes, if they have one
    #[arg(long, env = "RATELIMITER_ADMIN_TOKEN", hide_env_values = true)]
    pub(crate) admin_token: Option<String>,
    /// Ask this language model for the diagnosis too; its key comes from the provider's usual environment variable
    #[arg(long)]
    pub(crate) model: Option<String>,
    /// Ask that model at a server of one's own, in the OpenAI format
    #[arg(long, value_name = "URL", requires = "model")]
    pub(crate) llm_url: Option<String>,
}

/// What a burst hits, and how hard.
#[derive(Debug, Args)]
pub(crate) struct BurstSize {
    /// Key that the burst hits
    #[arg(long, default_value = "demo-chaos-key")]
    pub(crate) key: Key,
    /// Admissions allowed to that key
    #[arg(long, default_value_t = 10)]
    pub(crate) limit: i64,
    /// Window of that limit
    #[arg(long, default_value_t = DEFAULT_WINDOW.into())]
    pub(crate) window: humantime::Duration,
    /// Size of the burst, in limits
    #[arg(long, default_value_t = default_multiplier())]
    pub(crate) multiplier: u32,
}

impl BurstSize {
    /// The limit, if it can be, and if the multiplier can.
    pub(crate) fn checked_limit(&self) -> Result<Limit, Usage> {
        chaos(ChaosType::Burst { multiplier: self.multiplier })?;
        limit(self.limit, self.window.into())
    }
}

/// How the story looks in a terminal.
#[derive(Debug, Args)]
pub(crate) struct Screen {
    /// Use colours: auto (unless NO_COLOR is set), always or never
    #[arg(long, value_enum, default_value_t)]
    color: Color,
    /// Draw with ASCII only
    #[arg(long)]
    ascii: bool,
    /// Record the terminal into an asciicast v2 with a marker a chapter
    #[arg(long, value_name = "FILE.cast")]
    record: Option<PathBuf>,
    /// Write the screen as SVG when a chapter is entered or settled, or at the end: entered:N=FILE, settled:N=FILE, finished=FILE
    #[arg(long = "picture", value_name = "WHEN=FILE", value_parser = picture)]
    pictures: Vec<Picture>,
    /// Draw on a screen of this size that nobody sees, for --record and --picture without a terminal
    #[arg(long, value_name = "WxH", value_parser = size)]
    pub(crate) offscreen: Option<Size>,
}

#[derive(Clone, Copy, Debug, Default, ValueEnum)]
enum Color {
    #[default]
    Auto,
    Always,
    Never,
}

impl Screen {
    /// Whether something was asked for that only a screen can do.
    pub(crate) fn is_asked_for(&self) -> bool {
        self.record.is_some() || !self.pictures.is_empty() || self.offscreen.is_some()
    }

    pub(crate) fn options(&self, mode_label: &str) -> Options {
        Options {
            color: match self.color {
                Color::Auto => ColorChoice::Auto,
                Color::Always => ColorChoice::Always,
                Color::Never => ColorChoice::Never,
            },
            charset: if self.ascii { Charset::Ascii } else { Charset::Auto },
            mode_label: mode_label.to_owned(),
            record: self.record.clone(),
            pictures: self.pictures.clone(),
            offscreen: self.offscreen,
            ..Options::default()
        }
    }
}

fn picture(text: &str) -> Result<Picture, String> {
    let (when, path) = text.split_once('=').ok_or("expected WHEN=FILE, as settled:4=fault.svg")?;
    let when = when.parse().map_err(|e: demo_tui::MomentError| e.to_string())?;
    Ok(Picture { when, path: path.into() })
}

fn size(text: &str) -> Result<Size, String> {
    let (width, height) = text.split_once('x').ok_or("expected WxH, as 120x36")?;
    let number = |n: &str| n.parse().map_err(|_| format!("{n:?} is not a number of columns or rows"));
    Ok(Size { width: number(width)?, height: number(height)? })
}

/// A running system of one's own.
#[derive(Debug, Args)]
pub(crate) struct Target {
    /// Node of a running cluster; repeat for each
    #[arg(long = "endpoint", value_name = "URL", requires = "redis_url")]
    pub(crate) endpoints: Vec<Endpoint>,
    /// Store of that cluster
    #[arg(
        long,
        value_name = "URL",
        requires = "endpoints",
        env = "RATELIMITER_STORE",
        hide_env_values = true
    )]
    pub(crate) redis_url: Option<StoreText>,
    #[command(flatten)]
    pub(crate) reach: Reach,
}

#[derive(Clone, Copy, Debug, Args)]
pub(crate) struct Reach {
    /// Allow targets that are not on this machine
    #[arg(long)]
    allow_remote: bool,
}

impl Reach {
    pub(crate) fn scope(self) -> Scope {
        if self.allow_remote { Scope::Anywhere } else { Scope::ThisMachine }
    }
}

#[derive(Debug, Args)]
#[command(after_help = Exit::help())]
pub(crate) struct PauseArgs {
    /// Store whose writes are held back
    #[arg(long, value_name = "URL", env = "RATELIMITER_STORE", hide_env_values = true)]
    pub(crate) redis_url: StoreText,
    /// For how long
    #[arg(long, default_value_t = default_pause())]
    pub(crate) duration: humantime::Duration,
    #[command(flatten)]
    pub(crate) reach: Reach,
}

#[derive(Debug, Args)]
#[command(after_help = Exit::help())]
pub(crate) struct BurstArgs {
    /// Node to send to; repeat for each
    #[arg(long = "endpoint", value_name = "URL", required = true)]
    pub(crate) endpoints: Vec<Endpoint>,
    #[command(flatten)]
    pub(crate) burst: BurstSize,
    /// Set the limit first; otherwise the nodes must know it
    #[arg(long)]
    pub(crate) setup: bool,
    /// Admin token of the nodes, for --setup
    #[arg(long, env = "RATELIMITER_ADMIN_TOKEN", hide_env_values = true)]
    pub(crate) admin_token: Option<String>,
    /// End with exit code 3 when more was admitted than the limit allows
    #[arg(long)]
    pub(crate) fail_on_violation: bool,
    #[command(flatten)]
    pub(crate) reach: Reach,
}

#[derive(Debug, Args)]
pub(crate) struct WatchArgs {
    /// Node to observe; repeat for every node of the cluster
    #[arg(long = "endpoint", value_name = "URL", required = true)]
    pub(crate) endpoints: Vec<Endpoint>,
    /// Store to observe
    #[arg(long, value_name = "URL", env = "RATELIMITER_STORE", hide_env_values = true)]
    pub(crate) redis_url: StoreText,
    /// Only this key; all of them otherwise
    #[arg(long)]
    pub(crate) key: Option<Key>,
    /// Stop after this long; on Ctrl-C otherwise
    #[arg(long = "for", value_name = "DURATION", value_parser = humantime::parse_duration)]
    pub(crate) duration: Option<Duration>,
    /// End with exit code 3 when any invariant was violated
    #[arg(long)]
    pub(crate) fail_on_violation: bool,
    #[command(flatten)]
    pub(crate) reach: Reach,
}

fn default_multiplier() -> u32 {
    match GHOST_ALLOWING_CONFIG.chaos() {
        ChaosType::Burst { multiplier } => multiplier,
        ChaosType::Pause { .. } => unreachable!("ghost allowing is a burst"),
    }
}

fn default_pause() -> humantime::Duration {
    match COUNTER_DRIFT_CONFIG.chaos() {
        ChaosType::Pause { duration } => duration.into(),
        ChaosType::Burst { .. } => unreachable!("counter drift is a pause"),
    }
}

/// A store's URL as it was typed. Parsed by us and not by the parser of the command line, whose errors repeat what was
/// typed: there may be a password in it.
#[derive(Clone)]
pub(crate) struct StoreText(String);

impl From<&str> for StoreText {
    fn from(text: &str) -> Self {
        Self(text.to_owned())
    }
}

impl std::fmt::Debug for StoreText {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("StoreText(...)")
    }
}

impl StoreText {
    /// The URL, if it is one. An error names no more than its scheme.
    pub(crate) fn url(&self) -> Result<StoreUrl, Usage> {
        self.0.parse().map_err(|e: StoreError| Usage(e.to_string()))
    }
}

/// A value that parses and makes no sense: wrong usage all the same.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub(crate) struct Usage(pub(crate) String);

/// A limit from the command line.
fn limit(limit: i64, window: Duration) -> Result<Limit, Usage> {
    let seconds = i64::try_from(window.as_secs()).unwrap_or(i64::MAX);
    if window.subsec_nanos() != 0 {
        return Err(Usage(format!("window is {window:?}: it must be whole seconds")));
    }
    Limit::new(limit, seconds).map_err(|e| Usage(e.to_string()))
}

/// A fault from the command line.
pub(crate) fn chaos(chaos: ChaosType) -> Result<ChaosConfig, Usage> {
    ChaosConfig::new(chaos).map_err(|e| Usage(e.to_string()))
}

/// Runs the command line.
pub(crate) fn main() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        // Help that was asked for, and the help for somebody who typed nothing, are printed as they are.
        Err(error)
            if !error.use_stderr() || error.kind() == ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand =>
        {
            // What cannot be printed has nobody to read it.
            let _ = error.print();
            return if error.use_stderr() { Exit::Usage } else { Exit::Success }.into();
        }
        Err(error) => {
            let text = error.to_string();
            // Up to the usage, which --help tells better: on one line, as every other error is.
            let what: Vec<_> = text.lines().map(str::trim).take_while(|line| !line.is_empty()).collect();
            let line = what.join(" ");
            let line = line.trim_start_matches("error: ");
            eprintln!("demo-ratelimiter: {line} (--help explains)");
            return Exit::Usage.into();
        }
    };
    let colour = std::io::stderr().is_terminal();
    let level =
        std::env::var("RATELIMITER_LOG").ok().and_then(|l| l.parse().ok()).unwrap_or(LevelFilter::ERROR);
    tracing_subscriber::fmt().with_max_level(level).with_ansi(colour).with_writer(std::io::stderr).init();
    match dispatch(cli.verb) {
        Ok(exit) => exit.into(),
        Err(error) => {
            eprintln!("demo-ratelimiter: {}", on_one_line(&error));
            if error.is::<Usage>() { Exit::Usage } else { Exit::Failure }.into()
        }
    }
}

/// An error with its causes, without those that it has told itself.
fn on_one_line(error: &anyhow::Error) -> String {
    error.chain().map(ToString::to_string).fold(String::new(), |line, cause| match line.as_str() {
        "" => cause,
        told if told.contains(&cause) => line,
        told => format!("{told}: {cause}"),
    })
}

fn dispatch(verb: Verb) -> anyhow::Result<Exit> {
    let runtime = tokio::runtime::Runtime::new().context("the runtime cannot start")?;
    runtime.block_on(async {
        match verb {
            Verb::Run(args) => run::run(args).await,
            Verb::Inject(InjectVerb::RedisPause(args)) => inject::redis_pause(args).await,
            Verb::Inject(InjectVerb::Burst(args)) => inject::burst(args).await,
            Verb::Watch(args) => watch::watch(args).await,
        }
    })
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn the_readme_lists_every_exit_code() {
        let readme = include_str!("../README.md");
        for exit in Exit::ALL {
            let row = format!("| {} | {} |", exit as u8, exit.meaning());
            assert!(readme.contains(&row), "the README lacks {row}");
        }
    }
}
