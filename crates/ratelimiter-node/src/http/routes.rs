use std::sync::Arc;
use std::time::{Duration, Instant};

use hyper::header::AUTHORIZATION;
use hyper::http::request::Parts;
use hyper::{HeaderMap, Method, Request, StatusCode};
use percent_encoding::percent_decode_str;
use ratelimiter_api::{
    CheckRequest, CountingMode, Key, LimitEntry, LimitSpec, MAX_COST, NodeHealth, NodeId, StoreFailurePolicy,
};
use ratelimiter_store::StoreError;
use tokio::sync::watch;

use super::answer::{self, Answer, Refusal, bad_request, refuse};
use super::body::{RequestBody, discard, read};
use crate::clock::micros;
use crate::latency::RecentLatency;
use crate::limiter::{CheckError, Limiter};
use crate::metrics::Metrics;
use crate::roster::Roster;
use crate::shared::{Changed, LimitChange, SharedStore};
use crate::sync::{StoreStatus, Sync};

/// How many limits a cluster may have: every node keeps all of them.
const MAX_LIMITS: usize = 10_000;

type Handled = Result<Answer, Refusal>;

/// Everything a handler needs.
#[derive(Debug)]
pub(crate) struct Api {
    pub(crate) node: NodeId,
    pub(crate) started: Instant,
    pub(crate) counting: CountingMode,
    pub(crate) on_store_failure: StoreFailurePolicy,
    pub(crate) sync_interval: Duration,
    pub(crate) admin_token: Option<String>,
    pub(crate) limiter: Arc<Limiter>,
    pub(crate) store: Arc<SharedStore>,
    pub(crate) sync: Arc<Sync>,
    pub(crate) roster: Arc<Roster>,
    pub(crate) status: watch::Receiver<StoreStatus>,
    pub(crate) metrics: Arc<Metrics>,
    pub(crate) latency: RecentLatency,
}

impl Api {
    /// Answers one request. Never fails: what is wrong is an answer too.
    pub(crate) async fn handle(&self, request: Request<impl RequestBody>) -> Answer {
        let (head, mut body) = request.into_parts();
        let answer = self.route(&head, &mut body).await;
        discard(&mut body).await;
        answer.unwrap_or_else(Answer::from)
    }

    async fn route(&self, head: &Parts, body: &mut impl RequestBody) -> Handled {
        let path = head.uri.path();
        let segments: Vec<&str> = path.strip_prefix('/').unwrap_or(path).split('/').collect();
        match (&head.method, segments.as_slice()) {
            (&Method::POST, ["check"]) => self.check(&read(body).await?).await,
            (&Method::POST, ["limit"]) => {
                self.admin(&head.headers)?;
                self.set_limit(&read(body).await?).await
            }
            (&Method::GET, ["limits"]) => Ok(answer::json(StatusCode::OK, &self.limiter.entries())),
            (&Method::DELETE, ["limits", key]) => {
                self.admin(&head.headers)?;
                self.delete_limit(&decode(key)?).await
            }
            (&Method::GET, ["counters"]) => self.counters(head.uri.query()),
            (&Method::POST, ["counters", key, "reset"]) => {
                self.admin(&head.headers)?;
                self.reset_counter(&decode(key)?).await
            }
            (&Method::GET, ["nodes"]) => Ok(answer::json(StatusCode::OK, &self.roster.nodes())),
            (&Method::GET, ["health"]) => Ok(answer::json(StatusCode::OK, &self.health())),
            (&Method::GET, ["metrics"]) => Ok(self.render_metrics()),
            (method, segments) => Err(match allowed_method(segments) {
                Some(allow) => {
                    answer::method_not_allowed(format!("{method} is not allowed on {path}"), allow)
                }
                None => refuse(StatusCode::NOT_FOUND, format!("there is nothing at {path}")),
            }),
        }
    }

    async fn check(&self, request: &CheckRequest) -> Handled {
        let started = Instant::now();
        let cost =
            u32::try_from(request.cost).ok().filter(|c| (1..=MAX_COST).contains(c)).ok_or_else(|| {
                bad_request(format!("cost is {}: it must be between 1 and {MAX_COST}", request.cost))
            })?;
        let (response, limit) = self.limiter.check(&request.key, cost).await.map_err(undecided)?;
        let took = started.elapsed();
        self.latency.record(took);
        self.metrics.checked(&request.key, &response, took);
        Ok(answer::check(&response, limit))
    }

    async fn set_limit(&self, spec: &LimitSpec) -> Handled {
        let limit = spec.validate().map_err(|e| bad_request(e.to_string()))?;
        {
            let limits = self.limiter.limits();
            if limits.len() >= MAX_LIMITS && limits.get(&spec.key).is_none() {
                let detail = format!("there are {MAX_LIMITS} limits already: delete one first");
                return Err(refuse(StatusCode::CONFLICT, detail));
            }
        }
        let entry = LimitEntry {
            key: spec.key.clone(),
            limit,
            counting: spec.counting.unwrap_or(self.counting),
            on_store_failure: spec.on_store_failure.unwrap_or(self.on_store_failure),
            epoch: 0,
        };
        let (version, kept) = self.change(LimitChange::Set(&entry)).await?;
        let entry = kept.unwrap_or(entry);
        self.limiter.limits().put(version, entry.clone());
        Ok(answer::json(StatusCode::OK, &entry))
    }

    async fn delete_limit(&self, key: &Key) -> Handled {
        let (version, deleted) = self.change(LimitChange::Delete(key)).await?;
        self.limiter.limits().remove(version, key);
        deleted.map(|_| answer::empty()).ok_or_else(|| no_limit(key))
    }

    async fn reset_counter(&self, key: &Key) -> Handled {
        let (version, entry) = self.change(LimitChange::Reset(key)).await?;
        let entry = entry.ok_or_else(|| no_limit(key))?;
        self.limiter.limits().put(version, entry.clone());
        Ok(answer::json(StatusCode::OK, &entry))
    }

    /// Makes a change in the store. One that has lost its state is given the limits first: otherwise the change would be
    /// all it knows, and the nodes would take that for all limits there are.
    async fn change(&self, change: LimitChange<'_>) -> Result<(u64, Option<LimitEntry>), Refusal> {
        loop {
            let known = self.limiter.limits().version();
            let changed = self.store.change_limit(known, change).await;
            match changed.map_err(|e| store_failed(&e))? {
                Changed::Done(version, entry) => return Ok((version, entry)),
                Changed::Forgot => self.sync.restore_limits().await.map_err(|e| store_failed(&e))?,
            }
        }
    }

    fn counters(&self, query: Option<&str>) -> Handled {
        let at_us = match query.filter(|q| !q.is_empty()) {
            None => None,
            Some(query) => {
                Some(query.strip_prefix("at_us=").and_then(|at| at.parse().ok()).ok_or_else(|| {
                    bad_request(format!(
                        "query {query:?} is not at_us=MICROSECONDS, the end of the span to count"
                    ))
                })?)
            }
        };
        Ok(answer::json(StatusCode::OK, &self.limiter.counters(at_us)))
    }

    fn health(&self) -> NodeHealth {
        let store = *self.status.borrow();
        let ms = |d: Duration| d.as_secs_f64() * 1e3;
        NodeHealth {
            node: self.node.clone(),
            redis_connected: store.connected,
            store_latency_ms: store.latency.map(ms),
            last_write_age_ms: self.store.last_write_age().map(|age| micros(age) / 1000),
            check_p99_ms: self.latency.p99().map(ms),
            counting: self.counting,
            sync_interval_ms: micros(self.sync_interval) / 1000,
            uptime_ms: micros(self.started.elapsed()) / 1000,
        }
    }

    fn render_metrics(&self) -> Answer {
        let counters = self.limiter.counters(None).counters;
        let text = self.metrics.render(&counters, *self.status.borrow(), self.store.last_write_age());
        answer::text(text, "application/openmetrics-text; version=1.0.0; charset=utf-8")
    }

    /// Changes need the admin token, where there is one.
    fn admin(&self, headers: &HeaderMap) -> Result<(), Refusal> {
        let Some(token) = &self.admin_token else { return Ok(()) };
        let given =
            headers.get(AUTHORIZATION).and_then(|v| v.to_str().ok()).and_then(|v| v.strip_prefix("Bearer "));
        if given.is_some_and(|given| same(given.as_bytes(), token.as_bytes())) {
            return Ok(());
        }
        Err(refuse(
            StatusCode::UNAUTHORIZED,
            "this needs the header `Authorization: Bearer TOKEN` with the node's admin token",
        ))
    }
}

/// Compares in time that does not depend on where the two differ.
fn same(a: &[u8], b: &[u8]) -> bool {
    a.len() == b.len() && a.iter().zip(b).fold(0, |different, (x, y)| different | (x ^ y)) == 0
}

/// The one method of a path, if there is something.
fn allowed_method(segments: &[&str]) -> Option<&'static str> {
    match segments {
        ["check" | "limit"] | ["counters", _, "reset"] => Some("POST"),
        ["limits" | "counters" | "nodes" | "health" | "metrics"] => Some("GET"),
        ["limits", _] => Some("DELETE"),
        _ => None,
    }
}

fn decode(segment: &str) -> Result<Key, Refusal> {
    let text = percent_decode_str(segment).decode_utf8().map_err(|_| bad_request("the key is not UTF-8"))?;
    Key::new(text).map_err(|e| bad_request(e.to_string()))
}

#[expect(clippy::needless_pass_by_value, reason = "used as the function of map_err")]
fn undecided(error: CheckError) -> Refusal {
    let status = match error {
        CheckError::NoLimit(_) => StatusCode::NOT_FOUND,
        CheckError::NotKnownYet(_) => StatusCode::SERVICE_UNAVAILABLE,
    };
    refuse(status, error.to_string())
}

fn no_limit(key: &Key) -> Refusal {
    undecided(CheckError::NoLimit(key.to_string()))
}

/// The change may have happened all the same: the client should look before it repeats it.
fn store_failed(error: &StoreError) -> Refusal {
    tracing::warn!(%error, "a change could not be kept");
    refuse(StatusCode::SERVICE_UNAVAILABLE, error.to_string())
}
