use std::collections::BTreeSet;
use std::time::Duration;

use parking_lot::Mutex;
use ratelimiter_api::layout::LimitCopy;
use ratelimiter_api::{Key, NodeId};
use ratelimiter_store::{
    Link, Redirects, StoreError, StoreHandle, StoreKind, StoreUrl, StoreVersion,
};
use redis::{FromRedisValue, Pipeline, RedisResult, ScriptInvocation, Value, from_redis_value};
use tokio::time::Instant;

use crate::admissions::AdmissionNames;
use crate::breaker::StoreCircuits;

/// How long a flush, a heartbeat or a change of a limit may take. Longer than a check may: no
/// request waits for a flush.
pub(crate) const BACKGROUND_DEADLINE: Duration = Duration::from_secs(1);

/// The code of the answer about an entry that another program wrote.
const WRONG_TYPE: &str = "WRONGTYPE";

/// The store, over one connection a purpose: one postponed write blocks everything behind it on its
/// connection.
#[derive(Debug)]
pub(crate) struct SharedStore {
    /// Checks that must be exact: scripts and single additions.
    pub(crate) checks: Link,
    /// Reads, which pass while the store takes no writes.
    pub(super) reads: Link,
    /// Flushes of admissions.
    pub(crate) flushes: Link,
    /// Heartbeats and changes of limits.
    pub(super) membership: Link,
    /// The names of this process's admissions.
    pub(crate) names: AdmissionNames,
    /// Run ids of stores that were made for this cluster, and have lost nothing by being empty.
    pub(super) new_store: String,
    last_write: Mutex<Option<Instant>>,
    /// What the store may drop when its memory is full.
    pub(super) eviction: Mutex<Option<String>>,
    /// Entries of a wrong type that were put aside.
    pub(super) quarantined: Mutex<BTreeSet<String>>,
    /// Between checks and the store.
    pub(crate) circuits: StoreCircuits,
}

impl SharedStore {
    pub(crate) fn new(url: &StoreUrl, node: &NodeId, random: u64, new_store: String) -> Self {
        let link = || Link::new(url.clone());
        Self {
            checks: link(),
            reads: link(),
            flushes: link(),
            membership: link(),
            names: AdmissionNames::new(node, random),
            new_store,
            last_write: Mutex::new(None),
            eviction: Mutex::default(),
            quarantined: Mutex::default(),
            circuits: StoreCircuits::new(url.kind()),
        }
    }

    /// Whether each key's limit has a copy beside its admissions.
    pub(crate) fn copies_limits(&self) -> bool {
        self.reads.url().kind() == StoreKind::Cluster
    }

    /// The limit of a key, for scripts that count it.
    pub(crate) fn limit_of(&self, key: &Key) -> LimitCopy {
        if self.copies_limits() {
            LimitCopy::of(key)
        } else {
            LimitCopy::originals()
        }
    }

    /// Answers of the store that were followed by another attempt.
    pub(crate) fn redirects(&self) -> [(&'static str, u64); 7] {
        let mut sums = Redirects::default().each();
        for link in [&self.checks, &self.reads, &self.flushes, &self.membership] {
            for (sum, (_, count)) in sums.iter_mut().zip(link.redirects().each()) {
                sum.1 += count;
            }
        }
        sums
    }

    /// Which store answers.
    pub(crate) async fn version(&self) -> Result<StoreVersion, StoreError> {
        StoreVersion::check(&self.reads, BACKGROUND_DEADLINE).await
    }

    /// How long ago the store last confirmed a write of this node.
    pub(crate) fn last_write_age(&self) -> Option<Duration> {
        self.last_write.lock().map(|at| at.elapsed())
    }

    /// Reads in one round trip, twice where the connection broke.
    pub(super) async fn read<T: FromRedisValue>(
        &self,
        place: &str,
        pipeline: &Pipeline,
    ) -> Result<T, StoreError> {
        let read = self.reads.at(place);
        read.run_idempotent(BACKGROUND_DEADLINE, async |mut connection| {
            pipeline.query_async(&mut connection).await
        })
        .await
    }

    /// Writes in one round trip what may be written twice.
    pub(super) async fn write<T: FromRedisValue>(
        &self,
        link: &Link,
        place: &str,
        pipeline: &Pipeline,
        deadline: Duration,
    ) -> Result<T, StoreError> {
        let write = link.at(place);
        let answer = write.run_idempotent(deadline, async |mut connection| {
            pipeline.query_async(&mut connection).await
        });
        self.written(answer.await)
    }

    /// Runs a script about a key that may run twice.
    pub(crate) async fn invoke<T: FromRedisValue>(
        &self,
        link: &Link,
        key: &Key,
        call: &ScriptInvocation<'_>,
        deadline: Duration,
    ) -> Result<T, StoreError> {
        let key = link.at(key.as_str());
        let answer = key.run_idempotent(deadline, async |mut connection| {
            call.invoke_async(&mut connection).await
        });
        self.written(answer.await)
    }

    /// Notes the time when a write was confirmed.
    pub(crate) fn written<T>(&self, result: Result<T, StoreError>) -> Result<T, StoreError> {
        if result.is_ok() {
            *self.last_write.lock() = Some(Instant::now());
        }
        result
    }
}

/// The state of the node's connection to the store.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct StoreStatus {
    /// The last read was answered.
    pub(crate) connected: bool,
    /// Duration of the last read.
    pub(crate) latency: Option<Duration>,
}

/// The next answer of a pipeline or a script.
pub(crate) fn next_answer<T: FromRedisValue>(
    answers: &mut impl Iterator<Item = Value>,
) -> RedisResult<T> {
    match answers.next() {
        Some(Value::ServerError(error)) => Err(error.into()),
        answer => Ok(from_redis_value(answer.unwrap_or(Value::Nil))?),
    }
}

/// Runs a pipeline about many entries. One of a wrong type is an error among the answers; any other
/// error is one of all of them.
pub(super) async fn each_answer(
    pipeline: &mut Pipeline,
    connection: &mut StoreHandle,
) -> RedisResult<Vec<Value>> {
    let answers: Vec<Value> = pipeline.ignore_errors().query_async(connection).await?;
    let failed = answers.iter().find_map(|answer| match answer {
        Value::ServerError(error) if error.code() != WRONG_TYPE => Some(error.clone()),
        _ => None,
    });
    failed.map_or(Ok(answers), |error| Err(error.into()))
}

/// The answer about one entry; nothing where it has a wrong type.
pub(super) fn unless_wrong_type<T>(answer: RedisResult<T>) -> RedisResult<Option<T>> {
    match answer {
        Ok(answer) => Ok(Some(answer)),
        Err(error) if error.code() == Some(WRONG_TYPE) => Ok(None),
        Err(error) => Err(error),
    }
}
