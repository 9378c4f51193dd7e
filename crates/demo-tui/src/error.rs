use std::io;
use std::path::PathBuf;

/// An error while a story is shown.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TuiError {
    /// Standard output or input is not a terminal.
    #[error("standard {0} is not a terminal")]
    NotATerminal(&'static str),
    /// Another part of this process uses the terminal.
    #[error("the terminal is in use by this process already")]
    InUse,
    /// The recording cannot be written.
    #[error("recording to {}: {source}", path.display())]
    Record {
        /// Path of the file.
        path: PathBuf,
        /// The system's error.
        source: io::Error,
    },
    /// A picture cannot be written.
    #[error("writing the picture {}: {source}", path.display())]
    Picture {
        /// Path of the file.
        path: PathBuf,
        /// The system's error.
        source: io::Error,
    },
    /// The terminal failed, or went away.
    #[error("{operation} the terminal: {source}")]
    Terminal {
        /// The attempted operation.
        operation: &'static str,
        /// The system's error.
        source: io::Error,
    },
    /// Something in this process panicked while the screen was up. Its message is on standard error already.
    #[error("a task panicked: {0}")]
    Panicked(String),
    /// The events ended without [`Event::Finished`](demo_core::Event::Finished).
    #[error("the story stopped without an end")]
    StoryLost,
}
