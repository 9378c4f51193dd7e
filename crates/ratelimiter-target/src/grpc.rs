use std::fmt;
use std::io;
use std::sync::Arc;

use bytes::Bytes;
use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::client::conn::http2::{self, SendRequest};
use hyper::header::{CONTENT_TYPE, TE};
use hyper::{Method, Request};
use hyper_util::rt::{TokioExecutor, TokioIo};
use ratelimiter_api::NodeId;
use tokio::task::AbortHandle;
use tokio::time::timeout;
use url::Url;

use crate::{
    Answer, Check, Connection, Hold, Reach, Target, TargetError, Template, Trust, message, stream,
};

const METHOD: &str = "/envoy.service.ratelimit.v3.RateLimitService/ShouldRateLimit";
/// The largest answer that is read, bytes.
const LARGEST: usize = 1 << 20;

/// A limiter behind Envoy's rate limit service (gRPC, RLS v3): Envoy ratelimit, limitador,
/// kgateway.
///
/// An overall code of OK allows and OVER_LIMIT denies; another code, or another gRPC status than 0,
/// is Unknown. It cannot hold back a byte, since other frames of its connection may come in
/// between: bursts fall back to the barrier.
#[derive(Clone, Debug)]
pub struct GrpcTarget {
    sites: Vec<Site>,
    nodes: Vec<NodeId>,
    form: Arc<Form>,
}

#[derive(Clone, Debug)]
struct Site {
    host: String,
    port: u16,
    tls: Option<Trust>,
}

struct Form {
    domain: String,
    entries: Vec<(String, Template)>,
}

impl fmt::Debug for Form {
    /// Without the entries' values, which may hold secrets.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Form({})", self.domain)
    }
}

impl GrpcTarget {
    /// The service at these `http://` or `https://` URLs: one descriptor of these entries in a
    /// domain. The authorities are for `https://`.
    ///
    /// # Errors
    /// When there is no URL, one is no such URL, or one is out of reach.
    pub fn new(
        urls: &[String],
        domain: String,
        entries: Vec<(String, Template)>,
        reach: Reach,
        trust: &Trust,
    ) -> Result<Self, TargetError> {
        let sites = urls
            .iter()
            .map(|url| Site::new(url, reach, trust))
            .collect::<Result<Vec<_>, _>>()?;
        if sites.is_empty() {
            return Err(TargetError::NoNodes);
        }
        let nodes = sites
            .iter()
            .map(|site| NodeId::new(format!("{}:{}", site.host, site.port)))
            .collect();
        Ok(Self {
            sites,
            nodes,
            form: Arc::new(Form { domain, entries }),
        })
    }
}

impl Site {
    fn new(text: &str, reach: Reach, trust: &Trust) -> Result<Self, TargetError> {
        let shown = text
            .split_once("://")
            .map_or("the URL".to_owned(), |(scheme, _)| {
                format!("{scheme}://...")
            });
        let refuse = |reason: String| TargetError::Url {
            shown: shown.clone(),
            reason,
        };
        let url = Url::parse(text).map_err(|e| refuse(e.to_string()))?;
        let tls = match url.scheme() {
            "http" => None,
            "https" => Some(trust.clone()),
            other => {
                return Err(refuse(format!(
                    "{other}:// is neither http:// nor https://"
                )));
            }
        };
        let host = url
            .host_str()
            .ok_or_else(|| refuse("it has no host".into()))?
            .to_owned();
        let port = url.port_or_known_default().unwrap_or(80);
        reach.permit(crate::is_loopback(&host), &format!("{host}:{port}"))?;
        Ok(Self { host, port, tls })
    }
}

impl Target for GrpcTarget {
    fn nodes(&self) -> &[NodeId] {
        &self.nodes
    }

    fn connect(&self, node: usize) -> BoxFuture<'_, Result<Box<dyn Connection>, TargetError>> {
        async move {
            let opened =
                GrpcConnection::open(self.sites[node].clone(), Arc::clone(&self.form)).await;
            let connection = opened.map_err(|source| TargetError::Connect {
                node: self.nodes[node].clone(),
                source,
            })?;
            Ok(Box::new(connection) as Box<dyn Connection>)
        }
        .boxed()
    }

    fn describe(&self) -> String {
        let nodes: Vec<String> = self.nodes.iter().map(ToString::to_string).collect();
        format!(
            "RLS v3 at {}; domain {}",
            nodes.join(", "),
            self.form.domain
        )
    }
}

struct GrpcConnection {
    site: Site,
    form: Arc<Form>,
    sender: SendRequest<Full<Bytes>>,
    driver: AbortHandle,
}

impl Connection for GrpcConnection {
    fn check<'a>(&'a mut self, check: &'a Check) -> BoxFuture<'a, Answer> {
        async move {
            match timeout(check.deadline, self.exchange(check)).await {
                Ok(answer) => answer,
                Err(_) => Answer::unknown(format!(
                    "no answer within {} ms",
                    check.deadline.as_millis()
                )),
            }
        }
        .boxed()
    }

    fn hold(&self) -> Option<Arc<Hold>> {
        None
    }
}

impl GrpcConnection {
    async fn open(site: Site, form: Arc<Form>) -> io::Result<Self> {
        let (stream, _) =
            stream::connect(&site.host, site.port, site.tls.as_ref(), &["h2"]).await?;
        let (sender, driver) = http2::handshake(TokioExecutor::new(), TokioIo::new(stream))
            .await
            .map_err(io::Error::other)?;
        let driver = tokio::spawn(async move { drop(driver.await) }).abort_handle();
        Ok(Self {
            site,
            form,
            sender,
            driver,
        })
    }

    async fn exchange(&mut self, check: &Check) -> Answer {
        let Site { host, port, tls } = &self.site;
        let scheme = if tls.is_some() { "https" } else { "http" };
        let entries: Vec<(String, String)> = self
            .form
            .entries
            .iter()
            .map(|(key, value)| (key.clone(), value.fill(check)))
            .collect();
        let body = message::request(&self.form.domain, &entries, check.cost);
        let request = Request::builder()
            .method(Method::POST)
            .uri(format!("{scheme}://{host}:{port}{METHOD}"))
            .header(CONTENT_TYPE, "application/grpc")
            .header(TE, "trailers")
            .body(Full::new(Bytes::from(body)));
        let request = match request {
            Ok(request) => request,
            Err(error) => return Answer::unknown(error.to_string()),
        };
        let response = match self.sender.send_request(request).await {
            Ok(response) => response,
            Err(error) => return Answer::unknown(format!("the connection broke: {error}")),
        };
        let (head, body) = response.into_parts();
        let collected = match Limited::new(body, LARGEST).collect().await {
            Ok(collected) => collected,
            Err(error) => return Answer::unknown(format!("the answer broke off: {error}")),
        };
        let status = collected
            .trailers()
            .and_then(|trailers| trailers.get("grpc-status"));
        let status = status
            .or(head.headers.get("grpc-status"))
            .and_then(|status| status.to_str().ok());
        let status = status.map(ToOwned::to_owned);
        match status.as_deref() {
            Some("0") => message::answer(&collected.to_bytes()),
            Some(status) => Answer::unknown(format!("grpc-status {status}")),
            None => Answer::unknown(format!(
                "HTTP status {} without grpc-status",
                head.status.as_u16()
            )),
        }
    }
}

impl Drop for GrpcConnection {
    fn drop(&mut self) {
        self.driver.abort();
    }
}
