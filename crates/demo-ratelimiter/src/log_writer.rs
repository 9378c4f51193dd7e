use std::fs::File;
use std::io::Write as _;
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use demo_core::TimedEvent;
use tokio::sync::mpsc::{self, UnboundedReceiver};

/// A log of events that is being written. Each event is in the file before it is shown, so a run
/// that is killed leaves a log that plays.
pub(crate) struct LogWriter {
    path: PathBuf,
    file: File,
}

impl LogWriter {
    /// Creates the file, and nothing in it.
    pub(crate) fn create(path: &Path) -> anyhow::Result<Self> {
        let file =
            File::create(path).with_context(|| format!("recording to {}", path.display()))?;
        Ok(Self {
            path: path.to_owned(),
            file,
        })
    }

    /// Records events on their way to a front-end. A recording that fails stops with a warning; the
    /// story goes on.
    pub(crate) fn tee(
        mut self,
        mut events: UnboundedReceiver<TimedEvent>,
    ) -> UnboundedReceiver<TimedEvent> {
        let (show, shown) = mpsc::unbounded_channel();
        tokio::spawn(async move {
            let mut failed = false;
            while let Some(stamped) = events.recv().await {
                if !failed && let Err(error) = self.write(&stamped) {
                    failed = true;
                    tracing::error!("the recording stopped: {error:#}");
                }
                if show.send(stamped).is_err() {
                    break;
                }
            }
        });
        shown
    }

    fn write(&mut self, stamped: &TimedEvent) -> anyhow::Result<()> {
        let line = serde_json::to_string(stamped)? + "\n";
        self.file
            .write_all(line.as_bytes())
            .with_context(|| format!("writing {}", self.path.display()))
    }
}
