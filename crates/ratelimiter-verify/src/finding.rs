//! The defects that a judgement can find.

use std::time::Duration;

use clap::ValueEnum;
use ratelimiter_api::millis;
use serde::Serialize;

/// The kinds of defects, in the order of their weight. `--fail-on` takes them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, ValueEnum)]
#[serde(rename_all = "kebab-case")]
pub enum FindingKind {
    /// More was admitted than the limit permits
    Excess,
    /// A check was denied that the limit permits
    Denials,
    /// A statement of the limiter contradicts its answers
    Claims,
    /// A call waited longer than the limit states
    Waits,
    /// A check was not answered by its deadline
    Hangs,
}

/// A defect beside over-admission.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(tag = "finding", rename_all = "kebab-case")]
pub enum RunFinding {
    /// Denials that no placement of the other checks justifies.
    UnderAdmission {
        /// Number of denials.
        denials: usize,
        /// The first of them, in words.
        first: String,
    },
    /// The quota did not return when it should have.
    NoReturn {
        /// The wait before the retry.
        #[serde(rename = "waited_ms", serialize_with = "millis::serialize")]
        waited: Duration,
        /// Whether the limiter had stated it.
        stated: bool,
    },
    /// Calls waited longer than stated.
    LongWait {
        /// The calls, in words.
        waits: String,
    },
    /// Checks without an answer by the deadline.
    Hang {
        /// Number of checks.
        checks: usize,
        /// The deadline.
        #[serde(rename = "deadline_ms", serialize_with = "millis::serialize")]
        deadline: Duration,
    },
    /// A header field contradicts the answers.
    Dishonest {
        /// The contradiction.
        contradiction: String,
    },
}

impl RunFinding {
    /// The kind of the defect.
    pub fn kind(&self) -> FindingKind {
        match self {
            Self::UnderAdmission { .. } | Self::NoReturn { stated: false, .. } => {
                FindingKind::Denials
            }
            Self::LongWait { .. } => FindingKind::Waits,
            Self::Hang { .. } => FindingKind::Hangs,
            Self::NoReturn { stated: true, .. } | Self::Dishonest { .. } => FindingKind::Claims,
        }
    }

    /// The finding in words.
    pub fn text(&self) -> String {
        match self {
            Self::UnderAdmission { denials: 1, first } => {
                format!("1 denial without cause: {first}")
            }
            Self::UnderAdmission { denials, first } => {
                format!("{denials} denials without cause, the first: {first}")
            }
            Self::NoReturn { waited, stated } => {
                let by = if *stated {
                    "as the limiter stated"
                } else {
                    "longer than a window"
                };
                format!("denied again after {:.3} s, {by}", waited.as_secs_f64())
            }
            Self::LongWait { waits } => waits.clone(),
            Self::Hang { checks, deadline } => {
                let deadline = humantime::format_duration(*deadline);
                format!("{checks} checks had no answer within {deadline}")
            }
            Self::Dishonest { contradiction } => contradiction.clone(),
        }
    }
}
