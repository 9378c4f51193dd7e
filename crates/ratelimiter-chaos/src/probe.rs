use std::fmt;
use std::time::Duration;

use ratelimiter_store::{Link, StoreError, StoreUrl};
use redis::cmd;

/// A write that waits longer than this is being held back. A write on loopback takes well under a
/// millisecond.
const HELD_BACK: Duration = Duration::from_millis(100);
/// Deadline of a command that writes nothing.
const QUESTION: Duration = Duration::from_secs(2);
/// The hash of no script: the store answers NOSCRIPT where it runs scripts, and holds the call back
/// where it holds back writes. Nothing is written either way.
const NO_SCRIPT: &str = "ffffffffffffffffffffffffffffffffffffffff";

/// Whether the store takes writes now; of a cluster, whether any of its primaries does. Asks on a
/// connection of its own, since a call that is held back would hold up everything behind it.
///
/// # Errors
/// When the store cannot be reached, or does not let this user ask.
pub async fn writes_pass(url: &StoreUrl) -> Result<bool, StoreError> {
    let mut passes = false;
    for primary in Link::new(url.clone()).primaries(QUESTION).await? {
        passes |= one_write_passes(&primary).await?;
    }
    Ok(passes)
}

async fn one_write_passes(url: &StoreUrl) -> Result<bool, StoreError> {
    let link = Link::new(url.clone());
    // The time to connect is not part of the measurement.
    link.query::<String>(&cmd("PING"), QUESTION).await?;
    match link
        .query::<()>(cmd("EVALSHA").arg(NO_SCRIPT).arg(0), HELD_BACK)
        .await
    {
        Err(StoreError::Answer { why, .. }) if why.contains("NOSCRIPT") => Ok(true),
        Err(StoreError::Deadline { .. }) => Ok(false),
        Err(error) => Err(error),
        Ok(()) => Ok(true),
    }
}

/// A pause of another client.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ForeignPause {
    /// Time left, where the store states it (Valkey 8.1 and newer).
    pub remaining: Option<Duration>,
}

impl fmt::Display for ForeignPause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.remaining {
            Some(left) => write!(f, "for another {} ms", left.as_millis()),
            None => write!(
                f,
                "a write waited for more than {} ms",
                HELD_BACK.as_millis()
            ),
        }
    }
}

/// The pause of another client, if there is one. Valkey states it since 8.1; any other store is
/// asked with a call that would be held back.
///
/// # Errors
/// When the store cannot be reached, or does not let this user ask.
pub async fn foreign_pause(url: &StoreUrl) -> Result<Option<ForeignPause>, StoreError> {
    for primary in Link::new(url.clone()).primaries(QUESTION).await? {
        if let Some(pause) = one_foreign_pause(&primary).await? {
            return Ok(Some(pause));
        }
    }
    Ok(None)
}

async fn one_foreign_pause(url: &StoreUrl) -> Result<Option<ForeignPause>, StoreError> {
    let link = Link::new(url.clone());
    let info: String = link.query(cmd("INFO").arg("clients"), QUESTION).await?;
    let field = |name: &str| {
        info.lines()
            .find_map(|line| line.strip_prefix(name)?.strip_prefix(':'))
    };
    match field("paused_actions") {
        Some("none") => Ok(None),
        Some(_) => {
            let left = field("paused_timeout_milliseconds").and_then(|ms| ms.trim().parse().ok());
            Ok(Some(ForeignPause {
                remaining: left.map(Duration::from_millis),
            }))
        }
        None => Ok((!one_write_passes(url).await?).then_some(ForeignPause { remaining: None })),
    }
}
