//! What the nodes share through the store, and the connections they do it over.

mod counting;
mod limits;
mod membership;
mod refresh;
mod span;

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use ratelimiter_api::NodeId;
use ratelimiter_store::{Link, StoreError, StoreUrl, StoreVersion};

pub(crate) use counting::{CheckScript, Question, Verdict};
pub(crate) use limits::{Changed, LimitChange, LimitScripts};
pub(crate) use span::{SharedWindow, Span};

/// How long a flush, a heartbeat or a change of a limit may take. Longer than a check may: nobody's request waits for a flush.
pub(crate) const BACKGROUND_DEADLINE: Duration = Duration::from_secs(1);

/// The store, over one connection a purpose: one postponed write blocks everything behind it on its connection.
#[derive(Debug)]
pub(crate) struct SharedStore {
    /// Checks that must be exact: scripts and single additions.
    checks: Link,
    /// Reads, which pass while the store takes no writes.
    reads: Link,
    /// Flushes of admissions.
    flushes: Link,
    /// Heartbeats and changes of limits.
    membership: Link,
    check_script: CheckScript,
    limit_scripts: LimitScripts,
    last_write: Mutex<Option<Instant>>,
}

impl SharedStore {
    pub(crate) fn new(url: &StoreUrl) -> Result<Self, StoreError> {
        let link = || Link::new(url.clone());
        Ok(Self {
            checks: link()?,
            reads: link()?,
            flushes: link()?,
            membership: link()?,
            check_script: CheckScript::new(),
            limit_scripts: LimitScripts::new(),
            last_write: Mutex::new(None),
        })
    }

    /// Which store answers.
    pub(crate) async fn version(&self) -> Result<StoreVersion, StoreError> {
        StoreVersion::check(&self.reads, BACKGROUND_DEADLINE).await
    }

    /// How long ago the store last confirmed a write of this node.
    pub(crate) fn last_write_age(&self) -> Option<Duration> {
        self.last_write.lock().unwrap_or_else(PoisonError::into_inner).map(|at| at.elapsed())
    }

    /// Notes the time when a write was confirmed.
    fn written<T>(&self, result: Result<T, StoreError>) -> Result<T, StoreError> {
        if result.is_ok() {
            *self.last_write.lock().unwrap_or_else(PoisonError::into_inner) = Some(Instant::now());
        }
        result
    }
}

/// Names admissions so that no two ever share a name: `node:boot:sequence`.
#[derive(Clone, Debug)]
pub(crate) struct Members {
    prefix: String,
}

impl Members {
    pub(crate) fn new(node: &NodeId, boot: &str) -> Self {
        Self { prefix: format!("{node}:{boot}:") }
    }

    pub(crate) fn name(&self, sequence: u64) -> String {
        format!("{}{sequence}", self.prefix)
    }

    pub(crate) fn prefix(&self) -> &str {
        &self.prefix
    }
}
