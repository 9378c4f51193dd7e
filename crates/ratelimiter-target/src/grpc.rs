use std::io;
use std::sync::Arc;

use bytes::Bytes;
use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use hyper::Request;
use hyper::header::{CONTENT_TYPE, TE};
use ratelimiter_api::NodeId;
use url::Url;

use crate::answer::within;
use crate::http2::{CONNECTIONS, Http2Connection, Http2Lanes, SiteConnection};
use crate::route::SiteRoute;
use crate::site::{SiteAddress, refused};
use crate::target::node_list;
use crate::{
    Authorities, Check, CheckAnswer, Connection, Cork, Reach, Target, TargetError, Template,
    message,
};

const METHOD: &str = "/envoy.service.ratelimit.v3.RateLimitService/ShouldRateLimit";

/// A limiter behind Envoy's rate limit service (gRPC, RLS v3): Envoy ratelimit, limitador,
/// kgateway.
///
/// An overall code of OK allows and OVER_LIMIT denies; another code, or another gRPC status than 0,
/// is Unknown. Its checks share connections as those of HTTP/2 do.
#[derive(Clone, Debug)]
pub struct GrpcTarget {
    sites: Vec<GrpcSite>,
    nodes: Vec<NodeId>,
    form: Arc<GrpcForm>,
}

#[derive(Clone, Debug)]
struct GrpcSite {
    address: SiteAddress,
    lanes: Arc<Http2Lanes>,
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
        let body = domain.len() + entries.iter().map(|(_, value)| value.room()).sum::<usize>();
        let site = |text: &String| {
            let url = Url::parse(text).map_err(|e| refused(text, e.to_string()))?;
            Ok(GrpcSite {
                address: SiteAddress::of_http(&url, SiteRoute::default(), reach, trust)?,
                lanes: Arc::new(Http2Lanes::new(CONNECTIONS, true, body)),
            })
        };
        let sites = urls
            .iter()
            .map(site)
            .collect::<Result<Vec<_>, TargetError>>()?;
        if sites.is_empty() {
            return Err(TargetError::NoNodes);
        }
        let nodes = sites
            .iter()
            .map(|site| NodeId::new(site.address.to_string()))
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
    site: GrpcSite,
    form: Arc<GrpcForm>,
    shared: Arc<Http2Connection>,
}

impl Connection for GrpcConnection {
    fn check<'a>(&'a mut self, check: &'a Check) -> BoxFuture<'a, CheckAnswer> {
        within(check.deadline, self.exchange(check)).boxed()
    }

    fn cork(&self) -> Option<Arc<Cork>> {
        self.shared.cork()
    }
}

impl GrpcConnection {
    async fn open(site: GrpcSite, form: Arc<GrpcForm>) -> io::Result<Self> {
        match site.lanes.connect(&site.address).await? {
            SiteConnection::Http2(shared) => Ok(Self { site, form, shared }),
            SiteConnection::Http1(..) => unreachable!("HTTP/2 is known"),
        }
    }

    async fn exchange(&mut self, check: &Check) -> CheckAnswer {
        match self.shared.is_ready() {
            Ok(true) => {}
            Ok(false) => match Self::open(self.site.clone(), Arc::clone(&self.form)).await {
                Ok(opened) => *self = opened,
                Err(error) => return CheckAnswer::failed(format!("no connection: {error}")),
            },
            Err(error) => return CheckAnswer::failed(format!("no connection: {error}")),
        }
        let entries: Vec<(String, String)> = self
            .form
            .entries
            .iter()
            .map(|(key, value)| (key.clone(), value.fill(check)))
            .collect();
        let body = message::request(&self.form.domain, &entries, check.cost);
        let request = Request::post(METHOD)
            .header(CONTENT_TYPE, "application/grpc")
            .header(TE, "trailers")
            .body(Bytes::from(body));
        let request = match request {
            Ok(request) => request,
            Err(error) => return CheckAnswer::failed(error.to_string()),
        };
        let answer = match self.shared.send(request, &self.site.address).await {
            Ok(answer) => answer,
            Err(error) => return error.into(),
        };
        let status = answer.trailers.get("grpc-status");
        let status = status.or(answer.head.headers.get("grpc-status"));
        match status.and_then(|status| status.to_str().ok()) {
            Some("0") => message::answer(&answer.body),
            Some(status) => CheckAnswer::unknown(format!("grpc-status {status}")),
            None => CheckAnswer::unknown(format!(
                "HTTP status {} without grpc-status",
                answer.head.status.as_u16()
            )),
        }
    }
}
