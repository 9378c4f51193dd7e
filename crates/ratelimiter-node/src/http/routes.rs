use std::sync::Arc;
use std::time::Duration;

use hyper::header::{AUTHORIZATION, CONTENT_TYPE, HOST, ORIGIN};
use hyper::http::request::Parts;
use hyper::http::uri::Authority;
use hyper::{Method, Request, StatusCode, Version};
use ratelimiter_api::{
    ChangedLimit, CheckRequest, CheckResponse, CountingMode, DecidedBy, Key, LimitEntry, LimitSpec,
    LimitSpecs, MAX_COST, NodeHealth, NodeId, StoreFailurePolicy,
};
use ratelimiter_store::StoreError;
use tokio::sync::watch;
use tokio::time::Instant;

use super::AccessControl;
use super::message::{
    HttpAnswer, HttpRefusal, MAX_BODY, MAX_BULK, RequestBody, bad_request, check_answer, discard,
    empty, json, method_not_allowed, read, refuse, text, unavailable,
};
use super::query::{ListQuery, decode};
use crate::clock::micros;
use crate::config::limit_entry;
use crate::limiter::{CheckError, KeySelection, Limiter, MAX_LIMITS_AT_ONCE};
use crate::metrics::{NodeMetrics, NodeSnapshot};
use crate::roster::NodeRoster;
use crate::shared::{SharedStore, StoreStatus};

/// Limits that a cluster may have. Every node keeps all of them, in about half a kilobyte each.
const MAX_LIMITS: usize = 200_000;

type HandlerResult = Result<HttpAnswer, HttpRefusal>;

/// Everything a handler needs.
#[derive(Debug)]
pub(crate) struct NodeApi {
    pub(crate) node: NodeId,
    pub(crate) started: Instant,
    pub(crate) counting: CountingMode,
    pub(crate) on_store_failure: Option<StoreFailurePolicy>,
    pub(crate) sync_interval: Duration,
    pub(crate) access: AccessControl,
    pub(crate) limiter: Arc<Limiter>,
    pub(crate) store: Arc<SharedStore>,
    pub(crate) roster: Arc<NodeRoster>,
    pub(crate) status: watch::Receiver<StoreStatus>,
    pub(crate) metrics: Arc<NodeMetrics>,
}

impl NodeApi {
    /// Answers one request. A failure is an answer too.
    pub(crate) async fn handle(&self, request: Request<impl RequestBody>) -> HttpAnswer {
        let (head, mut body) = request.into_parts();
        let answer = self.route(&head, &mut body).await;
        discard(&mut body).await;
        answer.unwrap_or_else(HttpAnswer::from)
    }

    async fn route(&self, head: &Parts, body: &mut impl RequestBody) -> HandlerResult {
        is_unambiguous(head)?;
        let path = head.uri.path();
        let segments: Vec<&str> = path.strip_prefix('/').unwrap_or(path).split('/').collect();
        // HEAD is answered as GET is; the server leaves the body out.
        let method = if head.method == Method::HEAD {
            &Method::GET
        } else {
            &head.method
        };
        match (method, segments.as_slice()) {
            (&Method::POST, ["check"]) => self.check(&read(body, MAX_BODY).await?).await,
            (&Method::POST, ["limit"]) => {
                self.access.change(head)?;
                self.set_limit(&read(body, MAX_BODY).await?).await
            }
            (&Method::POST, ["limits"]) => {
                self.access.change(head)?;
                self.set_limits(&read(body, MAX_BULK).await?).await
            }
            (&Method::GET, ["limits"]) => {
                self.access.read(head)?;
                let query = ListQuery::parse(head.uri.query())?;
                Ok(json(&self.limiter.entries(&query.select)))
            }
            (&Method::DELETE, ["limits", key]) => {
                self.access.change(head)?;
                self.delete_limit(&decode(key)?).await
            }
            (&Method::GET, ["counters"]) => {
                self.access.read(head)?;
                let query = ListQuery::parse(head.uri.query())?;
                Ok(json(&self.limiter.counters(&query.select, query.at_us)))
            }
            (&Method::POST, ["counters", key, "reset"]) => {
                self.access.change(head)?;
                self.reset_counter(&decode(key)?).await
            }
            (&Method::GET, ["nodes"]) => Ok(json(&self.roster.nodes())),
            (&Method::GET, ["health"]) => Ok(json(&self.health())),
            (&Method::GET, ["metrics"]) => {
                self.access.read(head)?;
                Ok(self.render_metrics())
            }
            (_, segments) => Err(match allowed_methods(segments) {
                Some(allow) => {
                    method_not_allowed(format!("{} is not allowed on {path}", head.method), allow)
                }
                None => refuse(StatusCode::NOT_FOUND, format!("there is nothing at {path}")),
            }),
        }
    }

    async fn check(&self, request: &CheckRequest) -> HandlerResult {
        let started = Instant::now();
        let cost = u32::try_from(request.cost)
            .ok()
            .filter(|c| (1..=MAX_COST).contains(c))
            .ok_or_else(|| {
                bad_request(format!(
                    "cost is {}: it must be between 1 and {MAX_COST}",
                    request.cost
                ))
            })?;
        let (response, limit) = match self.limiter.check(&request.key, cost).await {
            Err(CheckError::NotKnownYet(_))
                if self.on_store_failure == Some(StoreFailurePolicy::Allow) =>
            {
                return Ok(json(&self.allowed_unknown()));
            }
            decided => decided?,
        };
        let took = started.elapsed();
        self.metrics.checked(&request.key, &response, took);
        Ok(check_answer(&response, limit))
    }

    /// The answer of a node that fails open to a check whose limit it could not read yet: no limit,
    /// which a limit of 0 stands for, and nothing counted.
    fn allowed_unknown(&self) -> CheckResponse {
        CheckResponse {
            allowed: true,
            limit: 0,
            remaining: 0,
            reset_ms: 0,
            node: self.node.clone(),
            decided_by: DecidedBy::Policy,
        }
    }

    async fn set_limit(&self, spec: &LimitSpec) -> HandlerResult {
        let kept = self.keep_limits(std::slice::from_ref(spec)).await?;
        Ok(json(&kept.first()))
    }

    async fn set_limits(&self, LimitSpecs { limits }: &LimitSpecs) -> HandlerResult {
        let (number, most) = (limits.len(), MAX_LIMITS_AT_ONCE);
        if !(1..=most).contains(&number) {
            return Err(bad_request(format!(
                "limits has {number} entries: it must have 1 to {most}"
            )));
        }
        Ok(json(&self.keep_limits(limits).await?))
    }

    async fn keep_limits(&self, specs: &[LimitSpec]) -> Result<Vec<ChangedLimit>, HttpRefusal> {
        let entry = |spec: &LimitSpec| {
            limit_entry(spec, self.counting, self.on_store_failure)
                .map_err(|e| bad_request(format!("key {:?}: {e}", spec.key.as_str())))
        };
        let entries = specs.iter().map(entry);
        let entries: Vec<LimitEntry> = entries.collect::<Result<_, HttpRefusal>>()?;
        self.has_room(&entries)?;
        Ok(self.limiter.set_limits(&entries).await?)
    }

    fn has_room(&self, entries: &[LimitEntry]) -> Result<(), HttpRefusal> {
        let limits = self.limiter.limits();
        let is_new = |entry: &&LimitEntry| limits.get(&entry.key).is_none();
        let new = entries.iter().filter(is_new).count();
        if limits.len() + new > MAX_LIMITS && new > 0 {
            let detail = format!(
                "there are {} limits of at most {MAX_LIMITS}: delete some first",
                limits.len()
            );
            return Err(refuse(StatusCode::CONFLICT, detail));
        }
        Ok(())
    }

    async fn delete_limit(&self, key: &Key) -> HandlerResult {
        let deleted = self.limiter.delete_limit(key).await?;
        deleted.map(|_| empty()).ok_or_else(|| no_limit(key))
    }

    async fn reset_counter(&self, key: &Key) -> HandlerResult {
        let entry = self.limiter.reset_counter(key).await?;
        entry.map(|entry| json(&entry)).ok_or_else(|| no_limit(key))
    }

    fn health(&self) -> NodeHealth {
        let store = *self.status.borrow();
        let ms = |d: Duration| d.as_secs_f64() * 1e3;
        NodeHealth {
            node: self.node.clone(),
            redis_connected: store.connected,
            store_latency_ms: store.latency.map(ms),
            last_write_age_ms: self.store.last_write_age().map(|age| micros(age) / 1000),
            store_lost: self.limiter.lost(),
            store_circuit: self.store.circuits.worst(),
            store_eviction: self.store.eviction(),
            store_quarantined: self.store.quarantined(),
            check_p99_ms: self.metrics.check_p99().map(ms),
            counting: self.counting,
            sync_interval_ms: micros(self.sync_interval) / 1000,
            uptime_ms: micros(self.started.elapsed()) / 1000,
        }
    }

    fn render_metrics(&self) -> HttpAnswer {
        let in_use = KeySelection::Active {
            after: None,
            most: usize::MAX,
            also: Vec::new(),
        };
        let metrics = self.metrics.render(&NodeSnapshot {
            counters: &self.limiter.counters(&in_use, None).counters,
            store: *self.status.borrow(),
            circuit: self.store.circuits.worst(),
            last_write: self.store.last_write_age(),
            evicts: self.store.eviction().is_some(),
            quarantined: self.store.quarantined().len(),
            clock_steps: self.limiter.clock_steps(),
            remembered: self.limiter.remembered(),
            lost: self.limiter.lost(),
            redirects: &self.store.redirects(),
            grants: self.limiter.leases().metrics(),
        });
        text(
            metrics,
            "application/openmetrics-text; version=1.0.0; charset=utf-8",
        )
    }
}

/// Refuses a request that two readers could read as two different ones, such as this node and a
/// proxy before it: without the one valid Host that HTTP/1.1 needs (RFC 9112, section 3.2), or with
/// several fields of a name that has one value.
fn is_unambiguous(head: &Parts) -> Result<(), HttpRefusal> {
    for name in [HOST, CONTENT_TYPE, AUTHORIZATION, ORIGIN] {
        if head.headers.get_all(&name).iter().count() > 1 {
            return Err(bad_request(format!("there is more than one {name} field")));
        }
    }
    match head.headers.get(HOST) {
        None if head.version >= Version::HTTP_11 => Err(bad_request("HTTP/1.1 needs a host field")),
        Some(host) if !host.is_empty() && Authority::try_from(host.as_bytes()).is_err() => {
            Err(bad_request("the host field is no host"))
        }
        _ => Ok(()),
    }
}

/// The methods of a path, as the `Allow` field lists them.
fn allowed_methods(segments: &[&str]) -> Option<&'static str> {
    match segments {
        ["check" | "limit"] | ["counters", _, "reset"] => Some("POST"),
        ["limits"] => Some("GET, HEAD, POST"),
        ["counters" | "nodes" | "health" | "metrics"] => Some("GET, HEAD"),
        ["limits", _] => Some("DELETE"),
        _ => None,
    }
}

fn no_limit(key: &Key) -> HttpRefusal {
    CheckError::NoLimit(key.to_string()).into()
}

impl From<CheckError> for HttpRefusal {
    fn from(error: CheckError) -> Self {
        match error {
            CheckError::NeverFits { .. } => {
                refuse(StatusCode::UNPROCESSABLE_ENTITY, error.to_string())
            }
            CheckError::NoLimit(_) => refuse(StatusCode::NOT_FOUND, error.to_string()),
            CheckError::NotKnownYet(_) => unavailable(error.to_string()),
        }
    }
}

impl From<StoreError> for HttpRefusal {
    /// The change may have happened all the same: the client should look before it repeats it.
    fn from(error: StoreError) -> Self {
        tracing::warn!(%error, "a change could not be kept");
        unavailable(error.to_string())
    }
}
