use std::error::Error as StdError;
use std::fmt::Write as _;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt, Full, Limited};
use hyper::body::Incoming;
use hyper::header::{AUTHORIZATION, CONTENT_TYPE};
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, PercentEncode, utf8_percent_encode};
use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::time::timeout;

use crate::{
    ActivePage, CheckRequest, CheckResponse, Counters, Endpoint, Key, LimitEntry, LimitSpec,
    LimitSpecs, MAX_PAGE, NodeHealth, Nodes, Problem,
};

/// The largest answer a client takes, bytes.
const MAX_ANSWER: usize = 8 * 1024 * 1024;

type BoxError = Box<dyn StdError + Send + Sync>;

/// Why a node gave no usable answer.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// The connection failed, or broke before the answer was complete.
    #[error("{endpoint}: {}", causes(.source.as_ref()))]
    Exchange {
        /// Whom.
        endpoint: Endpoint,
        /// How.
        source: BoxError,
    },
    /// The answer was not complete in time.
    #[error("{endpoint}: no answer within {} ms", .deadline.as_millis())]
    Deadline {
        /// Whom.
        endpoint: Endpoint,
        /// How long was waited.
        deadline: Duration,
    },
    /// The node answered that it will not.
    #[error("{endpoint}: {status}: {detail}")]
    Refused {
        /// Whom.
        endpoint: Endpoint,
        /// The HTTP status.
        status: StatusCode,
        /// The node's words.
        detail: String,
    },
    /// The answer is not of the expected form: something else may be listening there.
    #[error("{endpoint}: the answer is not one of a rate limiter node: {source}")]
    Decode {
        /// Whom.
        endpoint: Endpoint,
        /// The reason.
        source: serde_json::Error,
    },
}

/// An error with its causes on one line: "client error: connection refused" says more than its
/// first half.
fn causes(error: &(dyn StdError + 'static)) -> String {
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

impl ClientError {
    pub(crate) fn exchange(endpoint: &Endpoint, source: impl Into<BoxError>) -> Self {
        Self::Exchange {
            endpoint: endpoint.clone(),
            source: source.into(),
        }
    }

    pub(crate) fn deadline(endpoint: &Endpoint, deadline: Duration) -> Self {
        Self::Deadline {
            endpoint: endpoint.clone(),
            deadline,
        }
    }
}

/// A client of one node that keeps connections open between calls. Cheap to clone; clones share the
/// connections.
#[derive(Clone, Debug)]
pub struct NodeClient {
    endpoint: Endpoint,
    deadline: Duration,
    token: Option<String>,
    http: Client<HttpConnector, Full<Bytes>>,
}

impl NodeClient {
    /// A client that gives each call `deadline` to complete. Opens no connection.
    pub fn new(endpoint: Endpoint, deadline: Duration) -> Self {
        let mut connector = HttpConnector::new();
        connector.set_nodelay(true);
        Self {
            endpoint,
            deadline,
            token: None,
            http: Client::builder(TokioExecutor::new()).build(connector),
        }
    }

    /// Sends `token` with every call, as nodes with an admin token want it.
    #[must_use]
    pub fn with_token(mut self, token: Option<String>) -> Self {
        self.token = token;
        self
    }

    /// Where the node listens.
    pub fn endpoint(&self) -> &Endpoint {
        &self.endpoint
    }

    /// `POST /check`.
    ///
    /// # Errors
    /// When the answer is neither 200 nor 429, or not complete in time. The check may have been
    /// counted.
    pub async fn check(&self, request: &CheckRequest) -> Result<CheckResponse, ClientError> {
        self.send(post(&self.endpoint, "/check", request, None))
            .await?
            .check()
    }

    /// `POST /limit`.
    ///
    /// # Errors
    /// When the node refuses the limit, cannot keep it in the store, or does not answer in time.
    pub async fn set_limit(&self, spec: &LimitSpec) -> Result<LimitEntry, ClientError> {
        self.send(post(&self.endpoint, "/limit", spec, self.token.as_deref()))
            .await?
            .json()
    }

    /// `POST /limits`: many limits at once, at most a thousand.
    ///
    /// # Errors
    /// When the node refuses a limit, cannot keep them in the store, or does not answer in time.
    pub async fn set_limits(&self, limits: Vec<LimitSpec>) -> Result<Vec<LimitEntry>, ClientError> {
        let specs = LimitSpecs { limits };
        self.send(post(
            &self.endpoint,
            "/limits",
            &specs,
            self.token.as_deref(),
        ))
        .await?
        .json()
    }

    /// `GET /limits`: every limit, by key, page after page.
    ///
    /// # Errors
    /// When the node does not answer in time.
    pub async fn limits(&self) -> Result<Vec<LimitEntry>, ClientError> {
        let mut limits: Vec<LimitEntry> = Vec::new();
        loop {
            let path = match limits.last() {
                None => "/limits".to_owned(),
                Some(last) => format!("/limits?after={}", percent_encode(last.key.as_str())),
            };
            let page: Vec<_> = self
                .send(get(&self.endpoint, &path, self.token.as_deref()))
                .await?
                .json()?;
            let more = page.len() == MAX_PAGE;
            limits.extend(page);
            if !more {
                return Ok(limits);
            }
        }
    }

    /// `DELETE /limits/{key}`.
    ///
    /// # Errors
    /// When the node refuses, has no such limit, or does not answer in time.
    pub async fn delete_limit(&self, key: &Key) -> Result<(), ClientError> {
        let path = format!("/limits/{}", percent_encode(key.as_str()));
        self.send(request(
            Method::DELETE,
            &self.endpoint,
            &path,
            Bytes::new(),
            self.token.as_deref(),
        ))
        .await?
        .success()
        .map(drop)
    }

    /// `POST /counters/{key}/reset`.
    ///
    /// # Errors
    /// When the node refuses, has no such limit, or does not answer in time.
    pub async fn reset_counter(&self, key: &Key) -> Result<LimitEntry, ClientError> {
        let path = format!("/counters/{}/reset", percent_encode(key.as_str()));
        self.send(request(
            Method::POST,
            &self.endpoint,
            &path,
            Bytes::new(),
            self.token.as_deref(),
        ))
        .await?
        .json()
    }

    /// `GET /counters`: this node's admissions in the window before `at_us`, or before now, of the
    /// first [`MAX_PAGE`] keys.
    ///
    /// # Errors
    /// When the node does not answer in time.
    pub async fn counters(&self, at_us: Option<u64>) -> Result<Counters, ClientError> {
        self.counters_where(Vec::new(), at_us).await
    }

    /// `GET /counters?key=...`: the same of these keys, as far as they have limits. A head of a
    /// request has 16 KiB at most.
    ///
    /// # Errors
    /// When the node does not answer in time.
    pub async fn counters_of(
        &self,
        keys: &[Key],
        at_us: Option<u64>,
    ) -> Result<Counters, ClientError> {
        self.counters_where(keys.iter().map(key_pair).collect(), at_us)
            .await
    }

    /// `GET /counters?active=true`: the same of the keys in use that a page selects.
    ///
    /// # Errors
    /// When the node does not answer in time.
    pub async fn active_counters(
        &self,
        page: &ActivePage,
        at_us: Option<u64>,
    ) -> Result<Counters, ClientError> {
        let ActivePage { after, most, also } = page;
        let after = after
            .iter()
            .map(|key| format!("after={}", percent_encode(key.as_str())));
        let fixed = ["active=true".to_owned(), format!("limit={most}")];
        self.counters_where(
            fixed
                .into_iter()
                .chain(after)
                .chain(also.iter().map(key_pair))
                .collect(),
            at_us,
        )
        .await
    }

    async fn counters_where(
        &self,
        mut query: Vec<String>,
        at_us: Option<u64>,
    ) -> Result<Counters, ClientError> {
        query.extend(at_us.map(|at| format!("at_us={at}")));
        let path = if query.is_empty() {
            "/counters".to_owned()
        } else {
            format!("/counters?{}", query.join("&"))
        };
        self.send(get(&self.endpoint, &path, self.token.as_deref()))
            .await?
            .json()
    }

    /// `GET /nodes`.
    ///
    /// # Errors
    /// When the node does not answer in time.
    pub async fn nodes(&self) -> Result<Nodes, ClientError> {
        self.send(get(&self.endpoint, "/nodes", self.token.as_deref()))
            .await?
            .json()
    }

    /// `GET /health`.
    ///
    /// # Errors
    /// When the node does not answer in time.
    pub async fn health(&self) -> Result<NodeHealth, ClientError> {
        self.send(get(&self.endpoint, "/health", None))
            .await?
            .json()
    }

    async fn send(&self, request: Request<Full<Bytes>>) -> Result<Answer<'_>, ClientError> {
        Answer::receive(&self.endpoint, self.deadline, self.http.request(request)).await
    }
}

/// A complete answer.
pub(crate) struct Answer<'a> {
    endpoint: &'a Endpoint,
    status: StatusCode,
    body: Bytes,
}

impl<'a> Answer<'a> {
    /// Waits for the head and the whole body under one deadline.
    pub(crate) async fn receive<E: Into<BoxError>>(
        endpoint: &'a Endpoint,
        deadline: Duration,
        response: impl Future<Output = Result<Response<Incoming>, E>>,
    ) -> Result<Self, ClientError> {
        let whole = async {
            let response = response
                .await
                .map_err(|e| ClientError::exchange(endpoint, e))?;
            let status = response.status();
            let body = Limited::new(response.into_body(), MAX_ANSWER)
                .collect()
                .await
                .map_err(|e| ClientError::exchange(endpoint, e))?
                .to_bytes();
            Ok(Self {
                endpoint,
                status,
                body,
            })
        };
        timeout(deadline, whole)
            .await
            .map_err(|_| ClientError::deadline(endpoint, deadline))?
    }

    fn success(self) -> Result<Self, ClientError> {
        if self.status.is_success() {
            return Ok(self);
        }
        let detail = match serde_json::from_slice::<Problem>(&self.body) {
            Ok(problem) => problem.detail,
            Err(_) => "the answer gives no reason".to_owned(),
        };
        Err(ClientError::Refused {
            endpoint: self.endpoint.clone(),
            status: self.status,
            detail,
        })
    }

    pub(crate) fn json<T: DeserializeOwned>(self) -> Result<T, ClientError> {
        self.success()?.decode()
    }

    /// An allowed check is a 200, a denied one a 429; both carry the same body.
    pub(crate) fn check(self) -> Result<CheckResponse, ClientError> {
        if self.status == StatusCode::TOO_MANY_REQUESTS {
            self.decode()
        } else {
            self.json()
        }
    }

    fn decode<T: DeserializeOwned>(&self) -> Result<T, ClientError> {
        serde_json::from_slice(&self.body).map_err(|source| ClientError::Decode {
            endpoint: self.endpoint.clone(),
            source,
        })
    }
}

pub(crate) fn get(endpoint: &Endpoint, path: &str, token: Option<&str>) -> Request<Full<Bytes>> {
    request(Method::GET, endpoint, path, Bytes::new(), token)
}

pub(crate) fn post(
    endpoint: &Endpoint,
    path: &str,
    body: &impl Serialize,
    token: Option<&str>,
) -> Request<Full<Bytes>> {
    let body = serde_json::to_vec(body).expect("the API's types have string keys only");
    request(Method::POST, endpoint, path, body.into(), token)
}

fn request(
    method: Method,
    endpoint: &Endpoint,
    path: &str,
    body: Bytes,
    token: Option<&str>,
) -> Request<Full<Bytes>> {
    let json = method == Method::POST;
    let mut builder = Request::builder()
        .method(method)
        .uri(format!("{endpoint}{path}"))
        .header(hyper::header::HOST, endpoint.authority());
    // Nodes refuse changes without it, since a web page could send those.
    if json {
        builder = builder.header(CONTENT_TYPE, "application/json");
    }
    if let Some(token) = token {
        builder = builder.header(AUTHORIZATION, format!("Bearer {token}"));
    }
    builder
        .body(Full::new(body))
        .expect("an endpoint and an encoded path make a URI")
}

/// What may stand in one segment of a path as it is (RFC 3986, section 2.3).
const SEGMENT: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'.')
    .remove(b'_')
    .remove(b'~');

fn percent_encode(text: &str) -> PercentEncode<'_> {
    utf8_percent_encode(text, SEGMENT)
}

fn key_pair(key: &Key) -> String {
    format!("key={}", percent_encode(key.as_str()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_one_segment_of_a_path() {
        assert_eq!(
            percent_encode("api/users v1").to_string(),
            "api%2Fusers%20v1"
        );
        assert_eq!(percent_encode("é").to_string(), "%C3%A9");
    }

    #[tokio::test]
    async fn nobody_there_is_said_with_the_address() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let endpoint = Endpoint::from(listener.local_addr().unwrap());
        drop(listener);
        let client = NodeClient::new(endpoint.clone(), Duration::from_secs(5));
        let message = client.health().await.unwrap_err().to_string();
        assert!(message.starts_with(&endpoint.to_string()), "{message}");
        assert!(message.contains("refused"), "{message}");
    }

    #[tokio::test]
    async fn silent_listener_costs_only_the_deadline() {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let endpoint = Endpoint::from(listener.local_addr().unwrap());
        let client = NodeClient::new(endpoint, Duration::from_millis(50));
        assert!(matches!(
            client.health().await,
            Err(ClientError::Deadline { .. })
        ));
    }
}
