use std::io;
use std::path::PathBuf;

/// Why a story could not be shown, or not to its end.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TuiError {
    /// Standard output or input is not a terminal.
    #[error("standard {0} is not a terminal")]
    NotATerminal(&'static str),
    /// Somebody in this process has the terminal already.
    #[error("the terminal is in use by this process already")]
    InUse,
    /// The recording cannot be written.
    #[error("recording to {}: {source}", path.display())]
    Record {
        /// Where to.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// A picture cannot be written.
    #[error("writing the picture {}: {source}", path.display())]
    Picture {
        /// Where to.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// The terminal failed, or went away.
    #[error("{operation} the terminal: {source}")]
    Terminal {
        /// What was tried.
        operation: &'static str,
        /// What happened.
        source: io::Error,
    },
    /// Something in this process panicked while the screen was up. Its message is on standard error already.
    #[error("a task panicked: {0}")]
    Panicked(String),
    /// The events ended without [`Event::Finished`](demo_core::Event::Finished).
    #[error("the story stopped without an end")]
    StoryLost,
}
