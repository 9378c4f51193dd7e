use clap::{Args, ValueEnum};
use cli_support::{Exit, ExitSignals, print};
use demo_core::{StoryEnd, StoryInput, TimedEvent};
use demo_tui::{Charset, ColorChoice, ScreenOptions, Tui};
use tokio::sync::mpsc::{Sender, UnboundedReceiver};
use tokio::task::JoinHandle;

use crate::exits;

/// The look of the story in a terminal.
#[derive(Debug, Args)]
pub(crate) struct ScreenArgs {
    /// Use colours: auto (unless NO_COLOR is set), always or never
    #[arg(long, value_enum, default_value_t)]
    color: ColorArg,
    /// Draw with ASCII only
    #[arg(long)]
    ascii: bool,
    /// Show few panels with much space between lines, for a projector
    #[arg(long)]
    large: bool,
}

#[derive(Clone, Copy, Debug, Default, ValueEnum)]
enum ColorArg {
    #[default]
    Auto,
    Always,
    Never,
}

impl ScreenArgs {
    pub(crate) fn options(&self, mode_label: &str) -> ScreenOptions {
        ScreenOptions {
            color: match self.color {
                ColorArg::Auto => ColorChoice::Auto,
                ColorArg::Always => ColorChoice::Always,
                ColorArg::Never => ColorChoice::Never,
            },
            charset: if self.ascii {
                Charset::Ascii
            } else {
                Charset::Auto
            },
            mode_label: mode_label.to_owned(),
            large: self.large,
            ..ScreenOptions::default()
        }
    }
}

/// Shows the story in the terminal until it has ended and the user leaves. The summary is printed
/// afterwards, where the terminal keeps it.
pub(crate) async fn show(
    tui: Tui,
    story: JoinHandle<StoryEnd>,
    events: UnboundedReceiver<TimedEvent>,
    inputs: Sender<StoryInput>,
    mut signals: ExitSignals,
) -> anyhow::Result<Exit> {
    let mut signalled = None;
    let shutdown = async { signalled = Some(signals.next().await) };
    let ending = tui.run(events, inputs, shutdown).await?;
    let signalled = signalled.or(ending.interrupted.then_some(Exit::Interrupted));
    let Some(outcome) = ending.outcome else {
        // Second Ctrl-C: exit now. The pause's lease expires, and the guardian kills the cluster.
        story.abort();
        return Ok(signalled.unwrap_or(Exit::Interrupted));
    };
    story.await?;
    ending.summary.iter().try_for_each(print)?;
    Ok(signalled.unwrap_or_else(|| exits::of(&outcome)))
}
