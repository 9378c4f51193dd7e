use std::fs::File;
use std::io::{self, BufReader, IsTerminal as _};
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::Context as _;
use clap::Args;
use cli_support::{Exit, ExitSignals, WrongUsage, exit_help, print};
use demo_core::{Log, Transcript};
use demo_tui::{ScreenOptions, Tui};

use crate::screen::ScreenArgs;

#[derive(Debug, Args)]
#[command(after_help = exit_help(&[]))]
pub(crate) struct ReplayArgs {
    /// Log of a run, as `run --json` prints it and `run --record` writes it
    log: PathBuf,
    /// Begin with this chapter
    #[arg(long, value_name = "CHAPTER", value_parser = clap::value_parser!(u16).range(1..))]
    from: Option<u16>,
    #[command(flatten)]
    dwell: DwellArg,
    #[command(flatten)]
    screen: ScreenArgs,
}

/// The time to read a chapter.
#[derive(Clone, Copy, Debug, Args)]
pub(crate) struct DwellArg {
    /// Show each chapter for at least this time; a run without keys leaves no time to read
    #[arg(long, value_name = "SECONDS", default_value_t = 3)]
    dwell: u32,
}

impl DwellArg {
    pub(crate) fn time(self) -> Duration {
        Duration::from_secs(self.dwell.into())
    }
}

/// Plays a log on the screen; without a terminal, prints its lines.
pub(crate) async fn replay(args: ReplayArgs) -> anyhow::Result<Exit> {
    let log = read(&args.log)?;
    if !io::stdout().is_terminal() {
        let mut transcript = Transcript::new();
        for stamped in log.events() {
            transcript.lines(stamped).iter().try_for_each(print)?;
        }
        return has_end(&log, &args.log);
    }
    let tui = Tui::new(&ScreenOptions {
        dwell: args.dwell.time(),
        ..args.screen.options("replay")
    })?;
    let mut signals = ExitSignals::listen()?;
    let mut signalled = None;
    let shutdown = async { signalled = Some(signals.next().await) };
    let from = args.from.map(|number| usize::from(number) - 1);
    match tui.replay(&log, from, shutdown).await {
        Ok(_) => signalled.map_or_else(|| has_end(&log, &args.log), Ok),
        Err(error @ demo_tui::TuiError::NoChapter { .. }) => Err(WrongUsage::of(error).into()),
        Err(error) => Err(error.into()),
    }
}

/// Reads a log.
pub(crate) fn read(path: &Path) -> anyhow::Result<Log> {
    let named = || format!("{}", path.display());
    let file = File::open(path).with_context(named)?;
    Log::read(BufReader::new(file)).with_context(named)
}

/// Success, unless the end of the story is missing.
pub(crate) fn has_end(log: &Log, path: &Path) -> anyhow::Result<Exit> {
    anyhow::ensure!(
        log.is_complete(),
        "{} is cut off: the end of its story is missing",
        path.display()
    );
    Ok(Exit::Success)
}
