use std::io::IsTerminal as _;

use clap::Args;
use demo_core::{Input, Outcome, Pace, Stamped};
use demo_tui::Tui;
use ratelimiter_cli::{Exit, Signals, Usage};
use tokio::sync::mpsc::{Sender, UnboundedReceiver};
use tokio::task::JoinHandle;

use crate::headless;
use crate::screen::{self, ScreenArgs};

#[derive(Debug, Args)]
pub(crate) struct FrontEndArgs {
    /// Print one line per event instead of opening the screen, and advance chapters automatically
    #[arg(long)]
    headless: bool,
    /// Print one JSON object per event; implies --headless
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    screen: ScreenArgs,
}

/// The output of a story.
pub(crate) enum FrontEnd {
    /// Standard output, one line per event.
    Lines {
        json: bool,
        /// Lines were requested; otherwise they replace a missing terminal.
        requested: bool,
    },
    /// The terminal, or an invisible screen for recordings and pictures.
    Screen { tui: Box<Tui>, pace: Pace },
}

impl FrontEnd {
    /// Checks all that the front-end needs, before anything is started.
    pub(crate) fn choose(args: &FrontEndArgs, mode_label: &str) -> anyhow::Result<Self> {
        let requested = args.headless || args.json;
        let screen = &args.screen;
        if requested && screen.is_requested() {
            return Err(Usage(
                "--record, --picture and --offscreen need the screen: leave --headless and --json out".into(),
            )
            .into());
        }
        if requested || (!screen.is_offscreen() && !std::io::stdout().is_terminal()) {
            anyhow::ensure!(
                requested || !screen.is_requested(),
                "there is no terminal to record: give --offscreen WxH"
            );
            return Ok(Self::Lines { json: args.json, requested });
        }
        let pace = if screen.is_offscreen() { Pace::Auto } else { Pace::Manual };
        let tui = Box::new(Tui::new(screen.options(mode_label))?);
        Ok(Self::Screen { tui, pace })
    }

    pub(crate) fn pace(&self) -> Pace {
        match self {
            Self::Lines { .. } => Pace::Auto,
            Self::Screen { pace, .. } => *pace,
        }
    }

    /// Shows the story until its end, and returns the exit code.
    pub(crate) async fn show(
        self,
        story: JoinHandle<Outcome>,
        events: UnboundedReceiver<Stamped>,
        inputs: Sender<Input>,
        signals: Signals,
    ) -> anyhow::Result<Exit> {
        match self {
            Self::Lines { json, requested } => {
                if !requested {
                    eprintln!("standard output is no terminal: printing lines, as with --headless");
                }
                headless::show(story, events, inputs, json, signals).await
            }
            Self::Screen { tui, .. } => screen::show(*tui, story, events, inputs, signals).await,
        }
    }
}
