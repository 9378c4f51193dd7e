use std::io::{self, Write};

use demo_core::{Event, Stamped, Transcript};
use tokio::sync::mpsc::UnboundedReceiver;

/// Prints events until the last one: as lines for people, or as JSON for programs.
///
/// # Errors
/// When standard output is gone, as when the reader of a pipe has seen enough.
pub(crate) async fn print(mut events: UnboundedReceiver<Stamped>, json: bool) -> io::Result<()> {
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
