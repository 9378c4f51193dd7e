use demo_core::{Event, Input, Outcome, Stamped, Transcript};
use demo_tui::Tui;
use tokio::sync::mpsc::{self, Sender, UnboundedReceiver};
use tokio::task::JoinHandle;

use crate::exit::Exit;
use crate::signals::Signals;

/// Shows the story in the terminal until it has ended and somebody leaves. What was measured is printed where the
/// terminal keeps it.
pub(crate) async fn show(
    tui: Tui,
    story: JoinHandle<Outcome>,
    events: UnboundedReceiver<Stamped>,
    inputs: Sender<Input>,
    mut signals: Signals,
) -> anyhow::Result<Exit> {
    let (events, summary) = summarized(events);
    let mut asked = None;
    let shutdown = async { asked = Some(signals.next().await) };
    let ending = tui.run(events, inputs, shutdown).await?;
    for warning in &ending.warnings {
        eprintln!("demo-ratelimiter: {warning}");
    }
    let asked = asked.or(ending.interrupted.then_some(Exit::Interrupted));
    let Some(outcome) = ending.outcome else {
        // Somebody did not want to wait: what is held ends by its lease, and the cluster by its guardian.
        story.abort();
        return Ok(asked.unwrap_or(Exit::Interrupted));
    };
    story.await?;
    for line in summary.await? {
        println!("{line}");
    }
    Ok(asked.unwrap_or_else(|| Exit::from(&outcome)))
}

/// Passes the events on, and keeps what a summary needs of them.
fn summarized(
    mut events: UnboundedReceiver<Stamped>,
) -> (UnboundedReceiver<Stamped>, JoinHandle<Vec<String>>) {
    let (onwards, passed) = mpsc::unbounded_channel();
    let summary = tokio::spawn(async move {
        let mut transcript = Transcript::new();
        while let Some(stamped) = events.recv().await {
            transcript.lines(&stamped);
            let over = matches!(stamped.event, Event::Finished { .. });
            if onwards.send(stamped).is_err() || over {
                break;
            }
        }
        transcript.summary()
    });
    (passed, summary)
}
