use std::io::{self, Write};

use anyhow::Context as _;
use demo_core::{Event, Input, Outcome, Stamped, Transcript};
use tokio::sync::mpsc::{Sender, UnboundedReceiver};
use tokio::task::JoinHandle;

use crate::exit::Exit;
use crate::signals::Signals;

/// Prints the story until it ends. A signal, or a reader that is gone, makes it heal and end.
pub(crate) async fn show(
    mut story: JoinHandle<Outcome>,
    events: UnboundedReceiver<Stamped>,
    inputs: Sender<Input>,
    json: bool,
    mut signals: Signals,
) -> anyhow::Result<Exit> {
    let mut printing = tokio::spawn(print(events, json));
    let mut reading = true;
    let mut unread = Ok(());
    let mut asked = None;
    let outcome = loop {
        tokio::select! {
            biased;
            outcome = &mut story => break outcome?,
            exit = signals.next() => {
                if asked.is_some() {
                    // Asked twice: what is held ends by its lease, and the cluster by its guardian.
                    return Ok(exit);
                }
                asked = Some(exit);
                eprintln!("healing, then leaving (again to leave at once)");
                let _ = inputs.send(Input::Quit).await;
            }
            printed = &mut printing, if reading => {
                reading = false;
                unread = printed?;
                // Nobody reads any more, or this was the last event and the story is over anyway.
                let _ = inputs.send(Input::Quit).await;
            }
        }
    };
    if reading {
        unread = printing.await?;
    }
    unread.context("standard output cannot be written to")?;
    Ok(asked.unwrap_or_else(|| Exit::from(&outcome)))
}

/// Prints events until the last one: as lines for people, or as JSON for programs.
///
/// # Errors
/// When standard output is gone, as when the reader of a pipe has seen enough.
async fn print(mut events: UnboundedReceiver<Stamped>, json: bool) -> io::Result<()> {
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
