//! Why a model's answer does not stand. In our own words: nothing that came over the wire is
//! repeated.

use std::time::Duration;

use crate::validate::{Rejection, rule_title};

#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub(super) enum ModelFailure {
    /// The time is up.
    #[error("no answer within {} s", .0.as_secs_f64())]
    Deadline(Duration),
    /// The server refused, and may have asked for a waiting time.
    #[error("the server {}", refusal(*.code, *.wait))]
    Status {
        code: u16,
        wait: Option<Duration>,
        about_temperature: bool,
    },
    /// No connection.
    #[error("the server cannot be reached")]
    Unreachable,
    /// The stream ended before the answer did.
    #[error("the answer broke off")]
    Cut,
    /// The answer is longer than allowed, in bytes.
    #[error("the answer is longer than {0} bytes")]
    TooLong(usize),
    /// The stream does not follow its format.
    #[error("the answer's stream cannot be read")]
    Unreadable,
    /// The validator refused the answer, and the repaired one.
    #[error("its answer was refused twice, by {}", titles(.0))]
    Refused(Rejection),
}

fn refusal(code: u16, wait: Option<Duration>) -> String {
    match (code, wait) {
        (401 | 403, _) => format!("refused the key ({code})"),
        (_, None) => format!("answered {code}"),
        (_, Some(wait)) => format!("answered {code} and asks to wait {} s", wait.as_secs_f64()),
    }
}

fn titles(rejection: &Rejection) -> String {
    let titles = rejection
        .rules()
        .map(|rule| format!("rule {rule} ({})", rule_title(rule)));
    titles.collect::<Vec<_>>().join(" and ")
}
