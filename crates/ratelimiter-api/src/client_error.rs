use std::error::Error;
use std::fmt::Write as _;
use std::time::Duration;

use http::StatusCode;

use crate::Endpoint;

pub(crate) type BoxError = Box<dyn Error + Send + Sync>;

/// The reason why a node gave no usable answer.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// The token cannot stand in a header field: nothing was sent. It is left out.
    #[error("the admin token cannot be sent: it must be printable ASCII, without a line break")]
    Token,
    /// The node accepted no connection: nothing was sent.
    #[error("{endpoint}: {}", causes(.source.as_ref()))]
    Connect {
        /// The node that was asked.
        endpoint: Endpoint,
        /// The cause.
        source: BoxError,
    },
    /// The connection broke before the answer was complete.
    #[error("{endpoint}: {}", causes(.source.as_ref()))]
    Exchange {
        /// The node that was asked.
        endpoint: Endpoint,
        /// The cause.
        source: BoxError,
    },
    /// The answer was not complete in time.
    #[error("{endpoint}: no answer within {} ms", .deadline.as_millis())]
    Deadline {
        /// The node that was asked.
        endpoint: Endpoint,
        /// The time limit of the call.
        deadline: Duration,
    },
    /// The node refused the request.
    #[error("{endpoint}: {status}: {detail}")]
    Refused {
        /// The node that was asked.
        endpoint: Endpoint,
        /// The HTTP status.
        status: StatusCode,
        /// The node's explanation.
        detail: String,
    },
    /// The answer is not of the expected form: another program may listen there.
    #[error("{endpoint}: the answer is not one of a rate limiter node: {source}")]
    Decode {
        /// The node that was asked.
        endpoint: Endpoint,
        /// The cause.
        source: serde_json::Error,
    },
}

/// An error with its causes on one line, since "client error (Connect)" alone explains nothing.
fn causes(error: &(dyn Error + 'static)) -> String {
    let mut line = error.to_string();
    let mut next = error.source();
    while let Some(cause) = next {
        let text = cause.to_string();
        if !line.contains(&text) {
            let _ = write!(line, ": {text}");
        }
        next = cause.source();
    }
    line
}
