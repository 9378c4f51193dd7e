//! Why a model's answer does not stand. In our own words: nothing that came over the wire is
//! repeated.

use std::{fmt, time::Duration};

use crate::validate::{Rejection, rule_title};

#[derive(Debug, Clone, PartialEq)]
pub(super) enum ModelFailure {
    /// The time is up.
    Deadline(Duration),
    /// The server refused, and may have said how long to wait.
    Status {
        code: u16,
        wait: Option<Duration>,
        about_temperature: bool,
    },
    /// No connection.
    Unreachable,
    /// The stream ended before the answer did.
    Cut,
    /// The answer is longer than allowed, in bytes.
    TooLong(usize),
    /// The stream does not follow its format.
    Unreadable,
    /// The validator refused the answer, and the repaired one.
    Refused(Rejection),
}

impl fmt::Display for ModelFailure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Deadline(after) => write!(f, "no answer within {} s", after.as_secs_f64()),
            Self::Status {
                code: code @ (401 | 403),
                ..
            } => write!(f, "the server refused the key ({code})"),
            Self::Status {
                code,
                wait: Some(wait),
                ..
            } => {
                write!(
                    f,
                    "the server answered {code} and asks to wait {} s",
                    wait.as_secs_f64()
                )
            }
            Self::Status {
                code, wait: None, ..
            } => write!(f, "the server answered {code}"),
            Self::Unreachable => f.write_str("the server cannot be reached"),
            Self::Cut => f.write_str("the answer broke off"),
            Self::TooLong(most) => write!(f, "the answer is longer than {most} bytes"),
            Self::Unreadable => f.write_str("the answer's stream cannot be read"),
            Self::Refused(rejection) => {
                let rules: Vec<String> = rejection
                    .rules()
                    .map(|rule| format!("rule {rule} ({})", rule_title(rule)))
                    .collect();
                write!(
                    f,
                    "its answer was refused twice, by {}",
                    rules.join(" and ")
                )
            }
        }
    }
}
