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
use tokio_util::task::AbortOnDropHandle;
use url::Url;

use crate::answer::within;
use crate::route::SiteRoute;
use crate::site::{SiteAddress, refused};
use crate::target::node_list;
use crate::{
    Authorities, Check, CheckAnswer, Connection, Cork, Reach, Target, TargetError, Template,
    message,
};

const METHOD: &str = "/envoy.service.ratelimit.v3.RateLimitService/ShouldRateLimit";
/// The largest answer that is read, bytes.
const LARGEST: usize = 1 << 20;

/// A limiter behind Envoy's rate limit service (gRPC, RLS v3): Envoy ratelimit, limitador,
/// kgateway.
///
/// An overall code of OK allows and OVER_LIMIT denies; another code, or another gRPC status than 0,
/// is Unknown. It cannot keep a byte back, since other frames of its connection may come in
/// between: bursts fall back to the barrier.
#[derive(Clone, Debug)]
pub struct GrpcTarget {
    sites: Vec<SiteAddress>,
    nodes: Vec<NodeId>,
    form: Arc<GrpcForm>,
}

#[derive(Debug)]
struct GrpcForm {
    domain: String,
    entries: Vec<(String, Template)>,
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
        trust: &Authorities,
    ) -> Result<Self, TargetError> {
        let sites = urls
            .iter()
            .map(|text| {
                let url = Url::parse(text).map_err(|e| refused(text, e.to_string()))?;
                SiteAddress::of_http(&url, SiteRoute::default(), reach, trust)
            })
            .collect::<Result<Vec<_>, _>>()?;
        if sites.is_empty() {
            return Err(TargetError::NoNodes);
        }
        let nodes = sites
            .iter()
            .map(|site| NodeId::new(site.to_string()))
            .collect();
        Ok(Self {
            sites,
            nodes,
            form: Arc::new(GrpcForm { domain, entries }),
        })
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
        let nodes = node_list(&self.nodes);
        format!("RLS v3 at {nodes}; domain {}", self.form.domain)
    }

    fn has_key(&self) -> bool {
        self.form.entries.iter().any(|(_, value)| value.has_key())
    }
}

struct GrpcConnection {
    site: SiteAddress,
    form: Arc<GrpcForm>,
    sender: SendRequest<Full<Bytes>>,
    _driver: AbortOnDropHandle<()>,
}

impl Connection for GrpcConnection {
    fn check<'a>(&'a mut self, check: &'a Check) -> BoxFuture<'a, CheckAnswer> {
        within(check.deadline, self.exchange(check)).boxed()
    }

    fn cork(&self) -> Option<Arc<Cork>> {
        None
    }
}

impl GrpcConnection {
    async fn open(site: SiteAddress, form: Arc<GrpcForm>) -> io::Result<Self> {
        let (stream, _) = site.connect(&["h2"]).await?;
        let (sender, driver) = http2::handshake(TokioExecutor::new(), TokioIo::new(stream))
            .await
            .map_err(io::Error::other)?;
        let driver = tokio::spawn(async move { drop(driver.await) });
        Ok(Self {
            site,
            form,
            sender,
            _driver: AbortOnDropHandle::new(driver),
        })
    }

    async fn exchange(&mut self, check: &Check) -> CheckAnswer {
        let scheme = match self.site.tls {
            Some(_) => "https",
            None => "http",
        };
        let entries: Vec<(String, String)> = self
            .form
            .entries
            .iter()
            .map(|(key, value)| (key.clone(), value.fill(check)))
            .collect();
        let body = message::request(&self.form.domain, &entries, check.cost);
        let request = Request::builder()
            .method(Method::POST)
            .uri(format!("{scheme}://{}{METHOD}", self.site))
            .header(CONTENT_TYPE, "application/grpc")
            .header(TE, "trailers")
            .body(Full::new(Bytes::from(body)));
        let request = match request {
            Ok(request) => request,
            Err(error) => return CheckAnswer::unknown(error.to_string()),
        };
        let response = match self.sender.send_request(request).await {
            Ok(response) => response,
            Err(error) => return CheckAnswer::unknown(format!("the connection broke: {error}")),
        };
        let (head, body) = response.into_parts();
        let collected = match Limited::new(body, LARGEST).collect().await {
            Ok(collected) => collected,
            Err(error) => return CheckAnswer::unknown(format!("the answer broke off: {error}")),
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
            Some(status) => CheckAnswer::unknown(format!("grpc-status {status}")),
            None => CheckAnswer::unknown(format!(
                "HTTP status {} without grpc-status",
                head.status.as_u16()
            )),
        }
    }
}
