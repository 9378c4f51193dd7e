use std::io::IsTerminal as _;
use std::path::PathBuf;

use clap::Args;
use cli_support::{Exit, ExitSignals, remark};
use demo_core::{StoryEnd, StoryInput, StoryPace, TimedEvent};
use demo_tui::Tui;
use tokio::sync::mpsc::{Sender, UnboundedReceiver};
use tokio::task::JoinHandle;

use crate::headless;
use crate::log_writer::LogWriter;
use crate::screen::{self, ScreenArgs};

#[derive(Debug, Args)]
pub(crate) struct FrontEndArgs {
    /// Print one line per event instead of opening the screen, and advance chapters automatically
    #[arg(long)]
    headless: bool,
    /// Print the log of events, one JSON object a line, for `replay`; implies --headless
    #[arg(long)]
    json: bool,
    /// Write the log of events to a new file as well
    #[arg(long, value_name = "FILE")]
    record: Option<PathBuf>,
    /// Replace the file of --record if there is one
    #[arg(long, requires = "record")]
    force: bool,
    #[command(flatten)]
    screen: ScreenArgs,
}

/// The output of a story.
pub(crate) struct FrontEnd {
    output: StoryOutput,
    recording: Option<LogWriter>,
}

enum StoryOutput {
    /// Standard output, one line per event.
    Lines {
        json: bool,
        /// Lines were requested; otherwise they replace a missing terminal.
        requested: bool,
    },
    /// The terminal.
    Screen(Box<Tui>),
}

impl FrontEnd {
    /// Checks all that the front-end needs, before anything is started.
    pub(crate) fn choose(args: &FrontEndArgs, mode_label: &str) -> anyhow::Result<Self> {
        let requested = args.headless || args.json;
        let output = if requested || !std::io::stdout().is_terminal() {
            StoryOutput::Lines {
                json: args.json,
                requested,
            }
        } else {
            StoryOutput::Screen(Box::new(Tui::new(&args.screen.options(mode_label))?))
        };
        let create = |path| LogWriter::create(path, args.force);
        let recording = args.record.as_deref().map(create).transpose()?;
        Ok(Self { output, recording })
    }

    pub(crate) fn pace(&self) -> StoryPace {
        match self.output {
            StoryOutput::Lines { .. } => StoryPace::Auto,
            StoryOutput::Screen(_) => StoryPace::Manual,
        }
    }

    /// Shows the story until its end, and returns the exit code.
    pub(crate) async fn show(
        self,
        story: JoinHandle<StoryEnd>,
        events: UnboundedReceiver<TimedEvent>,
        inputs: Sender<StoryInput>,
        signals: ExitSignals,
    ) -> anyhow::Result<Exit> {
        let failure = self.recording.as_ref().map(LogWriter::failure);
        let events = match self.recording {
            Some(recording) => recording.tee(events),
            None => events,
        };
        let exit = match self.output {
            StoryOutput::Lines { json, requested } => {
                if !requested {
                    remark("standard output is no terminal: printing lines, as with --headless");
                }
                headless::show(story, events, inputs, json, signals).await
            }
            StoryOutput::Screen(tui) => screen::show(*tui, story, events, inputs, signals).await,
        };
        failure.unwrap_or_default().check()?;
        exit
    }
}
