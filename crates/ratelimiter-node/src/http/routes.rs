use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use http_body_util::{BodyExt, LengthLimitError, Limited};
use hyper::body::Body;
use hyper::header::AUTHORIZATION;
use hyper::{HeaderMap, Method, Request, StatusCode};
use percent_encoding::percent_decode_str;
use ratelimiter_api::{
    CheckRequest, CountingMode, Key, LimitEntry, LimitSpec, MAX_COST, NodeHealth, NodeId, StoreFailurePolicy,
};
use ratelimiter_store::StoreError;
use serde::de::DeserializeOwned;
use tokio::sync::watch;
use tokio::time::timeout;

use super::answer::{self, Answer, Refusal, refuse};
use crate::clock::micros;
use crate::latency::RecentLatency;
use crate::limiter::{CheckError, Limiter};
use crate::metrics::Metrics;
use crate::roster::Roster;
use crate::shared::SharedStore;
use crate::sync::StoreStatus;

/// The largest request body, bytes.
const MAX_BODY: usize = 16 * 1024;
/// How long a client may take to send it.
const BODY_DEADLINE: Duration = Duration::from_secs(5);
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
    pub(crate) roster: Arc<Roster>,
    pub(crate) status: watch::Receiver<StoreStatus>,
    pub(crate) metrics: Metrics,
    pub(crate) latency: RecentLatency,
}

impl Api {
    /// Answers one request. Never fails: what is wrong is an answer too.
    pub(crate) async fn handle<B>(&self, request: Request<B>) -> Answer
    where
        B: Body<Data = Bytes, Error: std::error::Error + Send + Sync + 'static>,
    {
        self.route(request).await.unwrap_or_else(Answer::from)
    }

    async fn route<B>(&self, request: Request<B>) -> Handled
    where
        B: Body<Data = Bytes, Error: std::error::Error + Send + Sync + 'static>,
    {
        let (head, body) = request.into_parts();
        let segments: Vec<&str> = head.uri.path().trim_start_matches('/').split('/').collect();
        match (&head.method, segments.as_slice()) {
            (&Method::POST, ["check"]) => self.check(&read(body).await?).await,
            (&Method::POST, ["limit"]) => {
                self.admin(&head.headers)?;
                self.set_limit(&read(body).await?).await
            }
            (&Method::GET, ["limits"]) => Ok(answer::json(StatusCode::OK, &self.limiter.limits())),
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
            (
                _,
                ["check" | "limit" | "limits" | "counters" | "nodes" | "health" | "metrics"]
                | ["limits", _]
                | ["counters", _, "reset"],
            ) => Err(refuse(
                StatusCode::METHOD_NOT_ALLOWED,
                format!("{} is not allowed on {}", head.method, head.uri.path()),
            )),
            _ => Err(refuse(StatusCode::NOT_FOUND, format!("there is nothing at {}", head.uri.path()))),
        }
    }

    async fn check(&self, request: &CheckRequest) -> Handled {
        let started = Instant::now();
        let cost =
            u32::try_from(request.cost).ok().filter(|c| (1..=MAX_COST).contains(c)).ok_or_else(|| {
                bad_request(format!("cost is {}: it must be between 1 and {MAX_COST}", request.cost))
            })?;
        let (response, limit) = self.limiter.check(&request.key, cost).await.map_err(not_found)?;
        let took = started.elapsed();
        self.latency.record(took);
        self.metrics.checked(&request.key, &response, took);
        Ok(answer::check(&response, limit))
    }

    async fn set_limit(&self, spec: &LimitSpec) -> Handled {
        let limit = spec.validate().map_err(|e| bad_request(e.to_string()))?;
        if self.limiter.limits().len() >= MAX_LIMITS {
            return Err(refuse(
                StatusCode::CONFLICT,
                format!("there are {MAX_LIMITS} limits already: delete one first"),
            ));
        }
        let entry = LimitEntry {
            key: spec.key.clone(),
            limit,
            counting: spec.counting.unwrap_or(self.counting),
            on_store_failure: spec.on_store_failure.unwrap_or(self.on_store_failure),
            epoch: 0,
        };
        let entry = self.store.set_limit(&entry).await.map_err(|e| store_failed(&e))?;
        self.limiter.put_limit(entry.clone());
        Ok(answer::json(StatusCode::OK, &entry))
    }

    async fn delete_limit(&self, key: &Key) -> Handled {
        let existed = self.store.delete_limit(key).await.map_err(|e| store_failed(&e))?;
        self.limiter.remove_limit(key);
        if existed { Ok(answer::empty()) } else { Err(not_found(CheckError::NoLimit(key.to_string()))) }
    }

    async fn reset_counter(&self, key: &Key) -> Handled {
        let entry = self.store.reset_counter(key).await.map_err(|e| store_failed(&e))?;
        let entry = entry.ok_or_else(|| not_found(CheckError::NoLimit(key.to_string())))?;
        self.limiter.put_limit(entry.clone());
        Ok(answer::json(StatusCode::OK, &entry))
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

async fn read<T: DeserializeOwned, B>(body: B) -> Result<T, Refusal>
where
    B: Body<Data = Bytes, Error: std::error::Error + Send + Sync + 'static>,
{
    let body = timeout(BODY_DEADLINE, Limited::new(body, MAX_BODY).collect())
        .await
        .map_err(|_| refuse(StatusCode::REQUEST_TIMEOUT, "the body took more than 5 s to arrive"))?
        .map_err(|e| match e.downcast_ref::<LengthLimitError>() {
            Some(_) => refuse(StatusCode::PAYLOAD_TOO_LARGE, format!("the body is over {MAX_BODY} bytes")),
            None => bad_request(format!("the body could not be read: {e}")),
        })?;
    serde_json::from_slice(&body.to_bytes())
        .map_err(|e| bad_request(format!("the body is not as expected: {e}")))
}

fn decode(segment: &str) -> Result<Key, Refusal> {
    let text = percent_decode_str(segment).decode_utf8().map_err(|_| bad_request("the key is not UTF-8"))?;
    Key::new(text).map_err(|e| bad_request(e.to_string()))
}

fn bad_request(detail: impl Into<String>) -> Refusal {
    refuse(StatusCode::BAD_REQUEST, detail)
}

#[expect(clippy::needless_pass_by_value, reason = "used as the function of map_err")]
fn not_found(error: CheckError) -> Refusal {
    refuse(StatusCode::NOT_FOUND, error.to_string())
}

/// The change may have happened all the same: the client should look before it repeats it.
fn store_failed(error: &StoreError) -> Refusal {
    tracing::warn!(%error, "a change could not be kept");
    refuse(StatusCode::SERVICE_UNAVAILABLE, error.to_string())
}
