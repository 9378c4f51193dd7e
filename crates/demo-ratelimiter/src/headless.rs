use std::io::{self, Write};

use anyhow::Context as _;
use cli_support::{Exit, ExitSignals};
use demo_core::{Event, StoryEnd, StoryInput, TimedEvent, Transcript};
use tokio::sync::mpsc::{Sender, UnboundedReceiver};
use tokio::task::JoinHandle;

use crate::exits;

/// Prints the story until it ends. A signal, or a closed standard output, makes it heal and end.
pub(crate) async fn show(
    mut story: JoinHandle<StoryEnd>,
    events: UnboundedReceiver<TimedEvent>,
    inputs: Sender<StoryInput>,
    json: bool,
    mut signals: ExitSignals,
) -> anyhow::Result<Exit> {
    let mut printing = tokio::spawn(print(events, json));
    let mut reading = true;
    let mut unread = Ok(());
    let mut signalled = None;
    let outcome = loop {
        tokio::select! {
            biased;
            outcome = &mut story => break outcome?,
            exit = signals.next() => {
                if signalled.is_some() {
                    // Second signal: exit now. The pause's lease expires, and the guardian kills
                    // the cluster.
                    return Ok(exit);
                }
                signalled = Some(exit);
                eprintln!("healing, then leaving (again to leave at once)");
                let _ = inputs.send(StoryInput::Quit).await;
            }
            printed = &mut printing, if reading => {
                reading = false;
                unread = printed?;
                // The output is closed, or this was the last event and the story is over anyway.
                let _ = inputs.send(StoryInput::Quit).await;
            }
        }
    };
    if reading {
        unread = printing.await?;
    }
    unread.context("standard output cannot be written to")?;
    Ok(signalled.unwrap_or_else(|| exits::of(&outcome)))
}

/// Prints events until the last one: as lines for people, or as JSON for programs.
///
/// # Errors
/// When standard output is closed, for example by the reader of a pipe.
async fn print(mut events: UnboundedReceiver<TimedEvent>, json: bool) -> io::Result<()> {
    let mut transcript = Transcript::new();
    while let Some(stamped) = events.recv().await {
        let mut out = io::stdout().lock();
        if json {
            serde_json::to_writer(&mut out, &stamped)?;
            writeln!(out)?;
        } else {
            for line in transcript.lines(&stamped) {
                writeln!(out, "{line}")?;
            }
        }
        out.flush()?;
        if matches!(stamped.event, Event::Finished { .. }) {
            break;
        }
    }
    Ok(())
}
