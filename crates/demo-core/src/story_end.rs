use std::fmt;

use serde::{Deserialize, Serialize};

/// The end of a story.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum StoryEnd {
    /// All chapters were played and everything that was expected occurred.
    Completed,
    /// All chapters were played, and an expected anomaly did not occur.
    Missed {
        /// Names of the expected anomalies.
        expectations: Vec<String>,
    },
    /// A chapter failed.
    Failed {
        /// Title of the chapter.
        chapter: String,
        /// The error's text.
        error: String,
    },
    /// The story was left before its end.
    Quit,
}

impl fmt::Display for StoryEnd {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Completed => f.write_str("completed: everything expected occurred"),
            Self::Missed { expectations } => {
                write!(
                    f,
                    "completed, but did not occur: {}",
                    expectations.join(", ")
                )
            }
            Self::Failed { chapter, error } => write!(f, "failed in \"{chapter}\": {error}"),
            Self::Quit => f.write_str("left before the end"),
        }
    }
}
