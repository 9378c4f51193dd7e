use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::header::{AUTHORIZATION, CONTENT_TYPE, HeaderValue};
use hyper::{Method, Request, StatusCode};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, PercentEncode, utf8_percent_encode};
use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::time::timeout;

use crate::client_error::{BoxError, ClientError};
use crate::{
    ActivePage, CheckRequest, CheckResponse, Endpoint, Key, LimitEntry, LimitSpec, LimitSpecs,
    MAX_PAGE, NodeCounters, NodeHealth, NodeList, Problem,
};

/// The largest answer that is read, bytes.
const MAX_ANSWER: usize = 8 * 1024 * 1024;

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

    /// Sends `token` with every call, for nodes with an admin token.
    #[must_use]
    pub fn with_token(mut self, token: Option<String>) -> Self {
        self.token = token;
        self
    }

    /// The address of the node.
    pub fn endpoint(&self) -> &Endpoint {
        &self.endpoint
    }

    /// `POST /check`.
    ///
    /// # Errors
    /// When the answer is neither 200 nor 429, or not complete in time. The check may have been
    /// counted.
    pub async fn check(&self, request: &CheckRequest) -> Result<CheckResponse, ClientError> {
        let (status, body) = self.exchange(Method::POST, "/check", json(request)).await?;
        // A denied check has the same body as an allowed one.
        if status != StatusCode::TOO_MANY_REQUESTS {
            self.expect_success(status, &body)?;
        }
        self.decode(&body)
    }

    /// `POST /limit`.
    ///
    /// # Errors
    /// When the node refuses the limit, cannot keep it in the store, or does not answer in time.
    pub async fn set_limit(&self, spec: &LimitSpec) -> Result<LimitEntry, ClientError> {
        self.call(Method::POST, "/limit", json(spec)).await
    }

    /// `POST /limits`: many limits at once, at most a thousand.
    ///
    /// # Errors
    /// When the node refuses a limit, cannot keep them in the store, or does not answer in time.
    pub async fn set_limits(&self, limits: Vec<LimitSpec>) -> Result<Vec<LimitEntry>, ClientError> {
        let specs = json(&LimitSpecs { limits });
        self.call(Method::POST, "/limits", specs).await
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
                Some(last) => format!("/limits?after={}", encode(&last.key)),
            };
            let page: Vec<_> = self.get(&path).await?;
            let is_last = page.len() < MAX_PAGE;
            limits.extend(page);
            if is_last {
                return Ok(limits);
            }
        }
    }

    /// `DELETE /limits/{key}`.
    ///
    /// # Errors
    /// When the node refuses, has no such limit, or does not answer in time.
    pub async fn delete_limit(&self, key: &Key) -> Result<(), ClientError> {
        let path = format!("/limits/{}", encode(key));
        let (status, body) = self.exchange(Method::DELETE, &path, Bytes::new()).await?;
        self.expect_success(status, &body)
    }

    /// `POST /counters/{key}/reset`.
    ///
    /// # Errors
    /// When the node refuses, has no such limit, or does not answer in time.
    pub async fn reset_counter(&self, key: &Key) -> Result<LimitEntry, ClientError> {
        let path = format!("/counters/{}/reset", encode(key));
        self.call(Method::POST, &path, Bytes::new()).await
    }

    /// `GET /counters`: this node's admissions in the window before `at_us`, or before now, of the
    /// first [`MAX_PAGE`] keys.
    ///
    /// # Errors
    /// When the node does not answer in time.
    pub async fn counters(&self, at_us: Option<u64>) -> Result<NodeCounters, ClientError> {
        self.counters_where(Vec::new(), at_us).await
    }

    /// `GET /counters?key=...`: the counters of these keys; a key without a limit is left out. The
    /// head of a request may have 16 KiB.
    ///
    /// # Errors
    /// When the node does not answer in time.
    pub async fn counters_of(
        &self,
        keys: &[Key],
        at_us: Option<u64>,
    ) -> Result<NodeCounters, ClientError> {
        let keys = keys.iter().map(key_pair).collect();
        self.counters_where(keys, at_us).await
    }

    /// `GET /counters?active=true`: the counters of the keys in use that a page selects.
    ///
    /// # Errors
    /// When the node does not answer in time.
    pub async fn active_counters(
        &self,
        page: &ActivePage,
        at_us: Option<u64>,
    ) -> Result<NodeCounters, ClientError> {
        let mut query = vec!["active=true".to_owned(), format!("limit={}", page.most)];
        query.extend(
            page.after
                .iter()
                .map(|key| format!("after={}", encode(key))),
        );
        query.extend(page.also.iter().map(key_pair));
        self.counters_where(query, at_us).await
    }

    async fn counters_where(
        &self,
        mut query: Vec<String>,
        at_us: Option<u64>,
    ) -> Result<NodeCounters, ClientError> {
        query.extend(at_us.map(|at| format!("at_us={at}")));
        self.get(&format!("/counters?{}", query.join("&"))).await
    }

    /// `GET /nodes`.
    ///
    /// # Errors
    /// When the node does not answer in time.
    pub async fn nodes(&self) -> Result<NodeList, ClientError> {
        self.get("/nodes").await
    }

    /// `GET /health`.
    ///
    /// # Errors
    /// When the node does not answer in time.
    pub async fn health(&self) -> Result<NodeHealth, ClientError> {
        self.get("/health").await
    }

    async fn get<T: DeserializeOwned>(&self, path: &str) -> Result<T, ClientError> {
        self.call(Method::GET, path, Bytes::new()).await
    }

    /// A call whose answer is JSON.
    async fn call<T: DeserializeOwned>(
        &self,
        method: Method,
        path: &str,
        body: Bytes,
    ) -> Result<T, ClientError> {
        let (status, body) = self.exchange(method, path, body).await?;
        self.expect_success(status, &body)?;
        self.decode(&body)
    }

    /// Sends a request, and waits for the head and the whole body of the answer under one deadline.
    async fn exchange(
        &self,
        method: Method,
        path: &str,
        body: Bytes,
    ) -> Result<(StatusCode, Bytes), ClientError> {
        let endpoint = &self.endpoint;
        let broken = |source: BoxError| ClientError::Exchange {
            endpoint: endpoint.clone(),
            source,
        };
        let request = self.request(method, path, body)?;
        let whole = async {
            let response = self.http.request(request).await.map_err(|source| {
                if source.is_connect() {
                    ClientError::Connect {
                        endpoint: endpoint.clone(),
                        source: source.into(),
                    }
                } else {
                    broken(source.into())
                }
            })?;
            let status = response.status();
            let body = Limited::new(response.into_body(), MAX_ANSWER).collect();
            Ok((status, body.await.map_err(broken)?.to_bytes()))
        };
        timeout(self.deadline, whole).await.unwrap_or_else(|_| {
            Err(ClientError::Deadline {
                endpoint: endpoint.clone(),
                deadline: self.deadline,
            })
        })
    }

    fn request(
        &self,
        method: Method,
        path: &str,
        body: Bytes,
    ) -> Result<Request<Full<Bytes>>, ClientError> {
        let mut request = Request::builder().uri(format!("{}{path}", self.endpoint));
        // Nodes refuse changes without it, since a web page could send those.
        if method == Method::POST {
            request = request.header(CONTENT_TYPE, "application/json");
        }
        if let Some(token) = &self.token {
            let value = HeaderValue::try_from(format!("Bearer {token}"));
            let mut value = value.map_err(|_| ClientError::Token)?;
            value.set_sensitive(true);
            request = request.header(AUTHORIZATION, value);
        }
        let request = request.method(method).body(Full::new(body));
        Ok(request.expect("an endpoint and an encoded path make a URI"))
    }

    fn expect_success(&self, status: StatusCode, body: &[u8]) -> Result<(), ClientError> {
        if status.is_success() {
            return Ok(());
        }
        let detail = match serde_json::from_slice::<Problem>(body) {
            Ok(problem) => problem.detail,
            Err(_) => "the answer gives no reason".to_owned(),
        };
        Err(ClientError::Refused {
            endpoint: self.endpoint.clone(),
            status,
            detail,
        })
    }

    fn decode<T: DeserializeOwned>(&self, body: &[u8]) -> Result<T, ClientError> {
        serde_json::from_slice(body).map_err(|source| ClientError::Decode {
            endpoint: self.endpoint.clone(),
            source,
        })
    }
}

fn json(body: &impl Serialize) -> Bytes {
    serde_json::to_vec(body)
        .expect("the API's types have string keys only")
        .into()
}

/// The characters that stand unescaped in one segment of a path (RFC 3986, section 2.3).
const SEGMENT: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'.')
    .remove(b'_')
    .remove(b'~');

fn encode(key: &Key) -> PercentEncode<'_> {
    utf8_percent_encode(key.as_str(), SEGMENT)
}

fn key_pair(key: &Key) -> String {
    format!("key={}", encode(key))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_one_segment_of_a_path() {
        let encoded = |key: &str| encode(&Key::new(key).unwrap()).to_string();
        assert_eq!(encoded("api/users v1"), "api%2Fusers%20v1");
        assert_eq!(encoded("é"), "%C3%A9");
    }

    #[tokio::test]
    async fn refused_connection_is_reported_with_the_address() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let endpoint = Endpoint::from(listener.local_addr().unwrap());
        drop(listener);
        let client = NodeClient::new(endpoint.clone(), Duration::from_secs(5));
        let error = client.health().await.unwrap_err();
        assert!(matches!(error, ClientError::Connect { .. }), "{error:?}");
        let message = error.to_string();
        assert!(message.starts_with(&endpoint.to_string()), "{message}");
        assert!(message.contains("refused"), "{message}");
    }

    #[tokio::test]
    async fn unsendable_token_is_an_error_without_it() {
        let endpoint: Endpoint = "http://127.0.0.1:1".parse().unwrap();
        let client = NodeClient::new(endpoint, Duration::from_secs(5));
        let client = client.with_token(Some("s3cret\n".into()));
        let error = client.health().await.unwrap_err().to_string();
        assert!(
            error.contains("admin token") && !error.contains("s3cret"),
            "{error}"
        );
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
