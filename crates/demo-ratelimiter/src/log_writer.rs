use std::path::Path;
use std::sync::Arc;

use anyhow::Context as _;
use cli_support::ResultFile;
use demo_core::TimedEvent;
use parking_lot::Mutex;
use tokio::sync::mpsc::{self, UnboundedReceiver};

/// A log of events that is being written. Each event is in the file before it is shown, so a run
/// that is killed leaves a log that plays.
pub(crate) struct LogWriter {
    file: ResultFile,
    failure: RecordingFailure,
}

/// The reason why a recording stopped, if it did. Complete once the last event is shown.
#[derive(Clone, Default)]
pub(crate) struct RecordingFailure(Arc<Mutex<Option<anyhow::Error>>>);

impl RecordingFailure {
    /// # Errors
    /// The reason.
    pub(crate) fn check(&self) -> anyhow::Result<()> {
        self.0.lock().take().map_or(Ok(()), Err)
    }
}

impl LogWriter {
    /// Creates the file, and nothing in it.
    pub(crate) fn create(path: &Path, force: bool) -> anyhow::Result<Self> {
        Ok(Self {
            file: ResultFile::create(path, force)?,
            failure: RecordingFailure::default(),
        })
    }

    pub(crate) fn failure(&self) -> RecordingFailure {
        self.failure.clone()
    }

    /// Records events on their way to a front-end. When the recording fails, the story goes on.
    pub(crate) fn tee(
        mut self,
        mut events: UnboundedReceiver<TimedEvent>,
    ) -> UnboundedReceiver<TimedEvent> {
        let (show, shown) = mpsc::unbounded_channel();
        tokio::spawn(async move {
            let mut recording = true;
            while let Some(stamped) = events.recv().await {
                if recording && let Err(error) = self.write(&stamped) {
                    recording = false;
                    *self.failure.0.lock() = Some(error.context("the recording stopped"));
                }
                // A front-end that is gone changes nothing about the log.
                let _ = show.send(stamped);
            }
        });
        shown
    }

    fn write(&mut self, stamped: &TimedEvent) -> anyhow::Result<()> {
        let line = serde_json::to_string(stamped).context("an event is no JSON")? + "\n";
        self.file.write(&line)
    }
}
