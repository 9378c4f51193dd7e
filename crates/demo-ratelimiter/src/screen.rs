use std::path::PathBuf;

use clap::{Args, ValueEnum};
use demo_core::{Input, Outcome, Stamped};
use demo_tui::{Charset, ColorChoice, Options, Picture, Size, Tui};
use ratelimiter_cli::{Exit, Signals};
use tokio::sync::mpsc::{Sender, UnboundedReceiver};
use tokio::task::JoinHandle;

use crate::exits;

/// The look of the story in a terminal.
#[derive(Debug, Args)]
pub(crate) struct ScreenArgs {
    /// Use colours: auto (unless NO_COLOR is set), always or never
    #[arg(long, value_enum, default_value_t)]
    color: Color,
    /// Draw with ASCII only
    #[arg(long)]
    ascii: bool,
    /// Record the terminal as an asciicast v2 file with one marker per chapter
    #[arg(long, value_name = "FILE.cast")]
    record: Option<PathBuf>,
    /// Write the screen as SVG at a moment: entered:N=FILE, settled:N=FILE (chapter N begins or is done) or finished=FILE
    #[arg(long = "picture", value_name = "WHEN=FILE", value_parser = picture)]
    pictures: Vec<Picture>,
    /// Draw on an invisible screen of this size, for --record and --picture without a terminal
    #[arg(long, value_name = "WxH", value_parser = size)]
    offscreen: Option<Size>,
}

#[derive(Clone, Copy, Debug, Default, ValueEnum)]
enum Color {
    #[default]
    Auto,
    Always,
    Never,
}

impl ScreenArgs {
    /// Whether a flag needs the screen.
    pub(crate) fn is_requested(&self) -> bool {
        self.record.is_some() || !self.pictures.is_empty() || self.is_offscreen()
    }

    pub(crate) fn is_offscreen(&self) -> bool {
        self.offscreen.is_some()
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

/// Shows the story in the terminal until it has ended and the user leaves. The summary is printed afterwards, where the
/// terminal keeps it.
pub(crate) async fn show(
    tui: Tui,
    story: JoinHandle<Outcome>,
    events: UnboundedReceiver<Stamped>,
    inputs: Sender<Input>,
    mut signals: Signals,
) -> anyhow::Result<Exit> {
    let mut signalled = None;
    let shutdown = async { signalled = Some(signals.next().await) };
    let ending = tui.run(events, inputs, shutdown).await?;
    for warning in &ending.warnings {
        eprintln!("demo-ratelimiter: {warning}");
    }
    let signalled = signalled.or(ending.interrupted.then_some(Exit::Interrupted));
    let Some(outcome) = ending.outcome else {
        // Second Ctrl-C: exit now. The pause's lease expires, and the guardian kills the cluster.
        story.abort();
        return Ok(signalled.unwrap_or(Exit::Interrupted));
    };
    story.await?;
    for line in &ending.summary {
        println!("{line}");
    }
    Ok(signalled.unwrap_or_else(|| exits::of(&outcome)))
}
