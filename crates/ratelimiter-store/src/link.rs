use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::join_all;
use redis::{Cmd, FromRedisValue, Pipeline, RedisResult};
use tokio::time::{Instant, timeout};

use crate::cluster::ClusterStore;
use crate::connection::StoreHandle;
use crate::failure::Retry;
use crate::redirects::{RedirectTally, Redirects};
use crate::single::{RepeatPolicy, SingleStore};
use crate::slot::slot_of;
use crate::{StoreError, StoreKind, StoreUrl, sentinel};

/// A way to the store: one connection, or in a cluster one for each member; opened when first used
/// and opened again after it broke.
///
/// A use that misses its deadline gives its connection up. A command postponed on it is then never
/// run by the store, the next use does not wait behind it, and a connection whose other end
/// silently vanished does not outlive one deadline.
///
/// A connection that the store closed while it was idle costs nothing: it is opened again before
/// the use. One that turns out to be closed during a use is opened again once, within the deadline,
/// when that cannot run a command twice: nothing of the use was sent, or the caller states that the
/// commands are idempotent. The same holds of a store that answers that it is a replica: it ran
/// nothing, and behind sentinels the next connection is to the primary.
///
/// [`at`](Self::at) names the key that the commands are about. In a cluster it chooses the member;
/// elsewhere it changes nothing.
#[derive(Debug)]
pub struct Link {
    url: StoreUrl,
    route: Route,
    tally: Arc<RedirectTally>,
}

#[derive(Debug)]
enum Route {
    Single(SingleStore),
    Cluster(ClusterStore),
}

/// The part of a store that holds one key.
#[derive(Clone, Copy, Debug)]
pub struct ForKey<'a> {
    link: &'a Link,
    key: &'a str,
}

impl Link {
    /// A link to a store. Opens nothing, but reads the authorities of a store behind TLS: no use
    /// waits for that.
    pub fn new(url: StoreUrl) -> Self {
        if let Some(trust) = url.trust() {
            trust.read();
        }
        let tally = Arc::<RedirectTally>::default();
        let route = match url.kind() {
            StoreKind::Cluster => {
                Route::Cluster(ClusterStore::new(url.clone(), Arc::clone(&tally)))
            }
            StoreKind::Single | StoreKind::Sentinel => Route::Single(SingleStore::new(url.clone())),
        };
        Self { url, route, tally }
    }

    /// The store this link leads to.
    pub fn url(&self) -> &StoreUrl {
        &self.url
    }

    /// The part of the store that holds `key`.
    pub fn at<'a>(&'a self, key: &'a str) -> ForKey<'a> {
        ForKey { link: self, key }
    }

    /// Answers that were followed by another attempt, since the link was made.
    pub fn redirects(&self) -> Redirects {
        self.tally.read()
    }

    /// Closes the connections, if there are any; the next use opens others.
    pub fn close(&self) {
        match &self.route {
            Route::Single(store) => store.close(),
            Route::Cluster(cluster) => cluster.close(),
        }
    }

    /// The primaries at this moment, each as a store of its own: all of a cluster, that of the
    /// sentinels, or the store itself.
    ///
    /// # Errors
    /// When no member of the cluster, or no sentinel, answers within `deadline`.
    pub async fn primaries(&self, deadline: Duration) -> Result<Vec<StoreUrl>, StoreError> {
        let addresses = match (&self.route, self.url.kind()) {
            (Route::Cluster(cluster), _) => cluster.primaries(Instant::now() + deadline).await?,
            (Route::Single(_), StoreKind::Sentinel) => {
                match timeout(deadline, sentinel::primary(&self.url)).await {
                    Ok(Ok(address)) => vec![address.to_string()],
                    Ok(Err(error)) => return Err(StoreError::new(&self.url, &error)),
                    Err(_) => {
                        return Err(StoreError::Deadline {
                            url: self.url.clone(),
                            deadline,
                        });
                    }
                }
            }
            (Route::Single(_), _) => return Ok(vec![self.url.clone()]),
        };
        addresses
            .iter()
            .map(|address| self.url.member(address))
            .collect()
    }

    /// Runs one command that is about no key, and that any member of a cluster answers.
    ///
    /// # Errors
    /// When the store cannot be reached, does not answer within `deadline`, or answers with an
    /// error.
    pub async fn query<T: FromRedisValue>(
        &self,
        command: &Cmd,
        deadline: Duration,
    ) -> Result<T, StoreError> {
        self.at("").query(command, deadline).await
    }

    /// Runs commands about many keys that may run twice, in one use for each part of the store.
    /// `operation` is given the places of some of the keys and returns one value for each of these,
    /// in their order. The result has one entry for each key.
    pub async fn scatter<T, F: Future<Output = RedisResult<Vec<T>>>>(
        &self,
        keys: &[&str],
        deadline: Duration,
        operation: impl Fn(StoreHandle, Vec<usize>) -> F,
    ) -> Vec<Result<T, StoreError>> {
        let every: Vec<usize> = (0..keys.len()).collect();
        let cluster = match &self.route {
            Route::Single(store) => {
                let run = |handle| operation(handle, every.clone());
                let done = store
                    .attempt(deadline, RepeatPolicy::Allowed, None, run)
                    .await;
                return each(&every, done.map_err(|failure| failure.error))
                    .map(|(_, result)| result)
                    .collect();
            }
            Route::Cluster(cluster) => cluster,
        };
        let until = Instant::now() + deadline;
        let mut groups: BTreeMap<String, Vec<usize>> = BTreeMap::new();
        let mut results: Vec<Option<Result<T, StoreError>>> = keys.iter().map(|_| None).collect();
        for (place, key) in keys.iter().enumerate() {
            match cluster.owner(slot_of(key), until).await {
                Ok(owner) => groups.entry(owner).or_default().push(place),
                Err(error) => results[place] = Some(Err(error)),
            }
        }
        let operation = &operation;
        let members = groups.iter().map(|(owner, places)| async move {
            let run = |handle| operation(handle, places.clone());
            let left = until.saturating_duration_since(Instant::now());
            match cluster
                .once(owner, left, RepeatPolicy::Allowed, None, run)
                .await
            {
                Err(failure) if failure.retry != Retry::GiveUp => {
                    // Not all of them belong there any more: one by one, each finds its place.
                    let mut found = Vec::new();
                    for &place in places {
                        let left = until.saturating_duration_since(Instant::now());
                        let run = |handle| operation(handle, vec![place]);
                        found.extend(each(
                            &[place],
                            self.at(keys[place]).run_idempotent(left, run).await,
                        ));
                    }
                    found
                }
                done => each(places, done.map_err(|failure| failure.error)).collect(),
            }
        });
        for (place, result) in join_all(members).await.into_iter().flatten() {
            results[place] = Some(result);
        }
        let missing = || StoreError::Unreachable {
            url: self.url.clone(),
            why: "no answer for a key".into(),
        };
        results
            .into_iter()
            .map(|result| result.unwrap_or_else(|| Err(missing())))
            .collect()
    }
}

/// The result of a use, for each of its keys.
fn each<T>(
    places: &[usize],
    done: Result<Vec<T>, StoreError>,
) -> impl Iterator<Item = (usize, Result<T, StoreError>)> + use<'_, T> {
    let (values, error) = match done {
        Ok(values) => (values, None),
        Err(error) => (Vec::new(), Some(error)),
    };
    let failed = error
        .into_iter()
        .flat_map(|error| places.iter().map(move |_| Err(error.clone())));
    let results: Vec<_> = values.into_iter().map(Ok).chain(failed).collect();
    places.iter().copied().zip(results)
}

impl ForKey<'_> {
    /// Runs one command.
    ///
    /// # Errors
    /// When the store cannot be reached, does not answer within `deadline`, or answers with an
    /// error.
    pub async fn query<T: FromRedisValue>(
        self,
        command: &Cmd,
        deadline: Duration,
    ) -> Result<T, StoreError> {
        self.run(deadline, |mut connection| async move {
            command.query_async(&mut connection).await
        })
        .await
    }

    /// Runs a pipeline.
    ///
    /// # Errors
    /// As [`query`](Self::query).
    pub async fn pipeline<T: FromRedisValue>(
        self,
        pipeline: &Pipeline,
        deadline: Duration,
    ) -> Result<T, StoreError> {
        self.run(deadline, |mut connection| async move {
            pipeline.query_async(&mut connection).await
        })
        .await
    }

    /// Runs anything that needs a connection, under one deadline that includes opening it.
    ///
    /// # Errors
    /// As [`query`](Self::query).
    pub async fn run<T, F: Future<Output = RedisResult<T>>>(
        self,
        deadline: Duration,
        operation: impl Fn(StoreHandle) -> F,
    ) -> Result<T, StoreError> {
        self.attempt(deadline, RepeatPolicy::Never, operation).await
    }

    /// As [`run`](Self::run), for commands that may run twice: after the connection broke during
    /// the first attempt, they are sent again.
    ///
    /// # Errors
    /// As [`query`](Self::query).
    pub async fn run_idempotent<T, F: Future<Output = RedisResult<T>>>(
        self,
        deadline: Duration,
        operation: impl Fn(StoreHandle) -> F,
    ) -> Result<T, StoreError> {
        self.attempt(deadline, RepeatPolicy::Allowed, operation)
            .await
    }

    async fn attempt<T, F: Future<Output = RedisResult<T>>>(
        self,
        deadline: Duration,
        repeat: RepeatPolicy,
        operation: impl Fn(StoreHandle) -> F,
    ) -> Result<T, StoreError> {
        match &self.link.route {
            Route::Single(store) => store
                .attempt(deadline, repeat, None, operation)
                .await
                .map_err(|failure| {
                    self.link.tally.add(&failure.retry);
                    failure.error
                }),
            Route::Cluster(cluster) => {
                cluster
                    .attempt(slot_of(self.key), deadline, repeat, operation)
                    .await
            }
        }
    }
}
