use std::io;

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
    /// The log has no such chapter.
    #[error("the log has no chapter {number}")]
    NoChapter {
        /// Number of the chapter, from 1.
        number: usize,
    },
    /// The terminal failed, or went away.
    #[error("{operation} the terminal: {source}")]
    Terminal {
        /// The attempted operation.
        operation: &'static str,
        /// The system's error.
        source: io::Error,
    },
    /// Something in this process panicked while the screen was up. Its message is on standard error
    /// already.
    #[error("a task panicked: {0}")]
    Panicked(String),
    /// The events ended without [`Event::Finished`](demo_core::Event::Finished).
    #[error("the story stopped without an end")]
    StoryLost,
}
