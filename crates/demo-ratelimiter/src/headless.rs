use cli_support::{Exit, ExitSignals, print, remark};
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
    let mut printing = tokio::spawn(print_events(events, json));
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
                remark("healing, then leaving (again to leave at once)");
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
    unread?;
    Ok(signalled.unwrap_or_else(|| exits::of(&outcome)))
}

/// Prints events until the last one: as lines for people, or as JSON for programs.
///
/// # Errors
/// When standard output is closed, for example by the reader of a pipe.
async fn print_events(mut events: UnboundedReceiver<TimedEvent>, json: bool) -> anyhow::Result<()> {
    let mut transcript = Transcript::new();
    while let Some(stamped) = events.recv().await {
        if json {
            print(serde_json::to_string(&stamped)?)?;
        } else {
            transcript.lines(&stamped).iter().try_for_each(print)?;
        }
        if matches!(stamped.event, Event::Finished { .. }) {
            break;
        }
    }
    Ok(())
}
