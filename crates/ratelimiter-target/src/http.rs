use std::io;
use std::path::PathBuf;
use std::sync::{Arc, Weak};
use std::time::SystemTime;

use bytes::Bytes;
use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::client::conn::http1::{self, SendRequest};
use hyper::header::{CONTENT_LENGTH, CONTENT_TYPE, FORWARDED, HOST, HeaderName, HeaderValue};
use hyper::{Method, Request, StatusCode};
use hyper_util::rt::TokioIo;
use ratelimiter_api::{Claims, Endpoint, Key, NodeId, Outcome};
use tokio_util::task::AbortOnDropHandle;
use url::Url;

use crate::answer::{SHOWN, within};
use crate::route::{KeyAddresses, ProxyProtocol, SiteRoute, SourceAddress};
use crate::site::{SiteAddress, refused};
use crate::target::node_list;
use crate::{
    Authorities, Check, CheckAnswer, Connection, Cork, Expectation, Reach, StatusSet, Target,
    TargetError, Template, claims,
};

/// Fields in which proxies state the address of the caller.
const ADDRESS_FIELDS: [&str; 6] = [
    "x-forwarded-for",
    "forwarded",
    "x-real-ip",
    "x-client-ip",
    "true-client-ip",
    "cf-connecting-ip",
];

/// The content type of forms.
const FORM: &str = "application/x-www-form-urlencoded";

/// The largest head of an answer, bytes. It also bounds the interim answers that are read at once:
/// a server may send them without end.
const LARGEST_HEAD: usize = 32 * 1024;

/// The largest answer that is read, bytes.
const LARGEST: usize = 1 << 20;

/// A limiter behind HTTP/1.1: the request is a template, the answer is read by its status and
/// perhaps a field of its body.
#[derive(Clone, Debug)]
pub struct HttpTarget {
    sites: Vec<HttpSite>,
    nodes: Vec<NodeId>,
    form: Arc<HttpForm>,
    addresses: Arc<KeyAddresses>,
}

/// The site of one URL, and its path and query.
#[derive(Clone, Debug)]
struct HttpSite {
    address: SiteAddress,
    path: Template,
}

/// The form of requests and answers. By default a GET; statuses 200 to 299 allow and 429 denies.
#[derive(Clone, Debug)]
pub struct HttpForm {
    /// The request's method.
    pub method: Method,
    /// Header fields of every request. A `Host` replaces the URL's; the length of the body is the
    /// client's own field.
    pub headers: Vec<(HeaderName, Template)>,
    /// The request's body.
    pub body: Option<Template>,
    /// Statuses of an allowed check.
    pub allowed: StatusSet,
    /// Statuses of a denied check.
    pub denied: StatusSet,
    /// The field of the JSON body that decides among the allowed statuses.
    pub expectation: Option<Expectation>,
    /// Statuses of a check that was not admitted, for another reason than quota. They go before the
    /// allowed ones. A status in none of the sets is unknown.
    pub failed: StatusSet,
    /// A socket file to connect to, instead of the URL's host and port.
    pub socket: Option<PathBuf>,
    /// The address from which connections come.
    pub source: Option<SourceAddress>,
    /// The version of the PROXY protocol that states an address for each key.
    pub proxy_protocol: Option<ProxyProtocol>,
}

impl Default for HttpForm {
    fn default() -> Self {
        Self {
            method: Method::GET,
            headers: Vec::new(),
            body: None,
            allowed: StatusSet::of([200..=299]),
            denied: StatusSet::of([429..=429]),
            expectation: None,
            failed: StatusSet::default(),
            socket: None,
            source: None,
            proxy_protocol: None,
        }
    }
}

impl HttpTarget {
    /// The limiter at these URLs, in which `{key}`, `{cost}` and `{ip}` may stand. The authorities
    /// are for `https://`. A URL may be `unix:/path/of/socket:/path?query`, too.
    ///
    /// # Errors
    /// When there is no URL, one is no HTTP URL, or one is out of reach.
    pub fn new(
        urls: &[String],
        form: HttpForm,
        reach: Reach,
        trust: &Authorities,
    ) -> Result<Self, TargetError> {
        let sites = urls
            .iter()
            .map(|url| HttpSite::new(url, &form, reach, trust))
            .collect::<Result<Vec<_>, _>>()?;
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
            form: Arc::new(form),
            addresses: Arc::default(),
        })
    }

    /// Nodes of this project.
    ///
    /// # Errors
    /// When there is none, or one is out of reach.
    pub fn node(endpoints: &[Endpoint], reach: Reach) -> Result<Self, TargetError> {
        let urls: Vec<String> = endpoints
            .iter()
            .map(|endpoint| format!("{endpoint}/check"))
            .collect();
        let form = HttpForm {
            method: Method::POST,
            headers: vec![(CONTENT_TYPE, Template::fixed("application/json"))],
            body: Some(Template::fixed(r#"{"key":"{key}","cost":{cost}}"#)),
            allowed: StatusSet::of([200..=200]),
            // Whatever else a node answers, it has not admitted.
            failed: StatusSet::of([100..=199, 201..=428, 430..=599]),
            ..HttpForm::default()
        };
        Self::new(&urls, form, reach, &Authorities::default())
    }

    /// The same target with other names of its nodes, in their order.
    #[must_use]
    pub fn named(mut self, names: impl IntoIterator<Item = NodeId>) -> Self {
        self.nodes
            .iter_mut()
            .zip(names)
            .for_each(|(node, name)| *node = name);
        self
    }

    /// Whether connections or requests have an address for each key.
    fn has_address(&self) -> bool {
        self.form.source == Some(SourceAddress::EachKey)
            || self.form.proxy_protocol.is_some()
            || self.templates().any(Template::has_address)
    }

    fn templates(&self) -> impl Iterator<Item = &Template> {
        let form = &self.form;
        let paths = self.sites.iter().map(|site| &site.path);
        paths
            .chain(&form.body)
            .chain(form.headers.iter().map(|(_, value)| value))
    }
}

impl HttpSite {
    fn new(
        text: &str,
        form: &HttpForm,
        reach: Reach,
        trust: &Authorities,
    ) -> Result<Self, TargetError> {
        let refuse = |reason: String| refused(text, reason);
        let (socket, text) = match text.strip_prefix("unix:") {
            Some(rest) => {
                let (socket, path) = rest
                    .split_once(":/")
                    .ok_or_else(|| refuse("expected unix:/path/of/socket:/path".into()))?;
                (Some(socket.into()), format!("http://localhost/{path}"))
            }
            None => (form.socket.clone(), text.to_owned()),
        };
        let source = match form.source {
            Some(SourceAddress::Fixed(source)) => Some(source),
            _ => None,
        };
        let route = SiteRoute {
            socket,
            source,
            stated: None,
        };
        // Braces are no part of a URL: they are taken out for parsing, and put back.
        let url = Url::parse(&text.replace('{', "%7B").replace('}', "%7D"))
            .map_err(|e| refuse(e.to_string()))?;
        let address = SiteAddress::of_http(&url, route, reach, trust)?;
        if !url.username().is_empty() || url.password().is_some() {
            return Err(refuse(
                "credentials belong into --header 'Authorization: ...'".into(),
            ));
        }
        let path = match url.query() {
            Some(query) => format!("{}?{query}", url.path()),
            None => url.path().to_owned(),
        };
        let path = path.replace("%7B", "{").replace("%7D", "}");
        let path = path
            .parse()
            .map_err(|e: crate::TemplateError| refuse(e.to_string()))?;
        Ok(Self { address, path })
    }
}

impl Target for HttpTarget {
    fn nodes(&self) -> &[NodeId] {
        &self.nodes
    }

    fn connect(&self, node: usize) -> BoxFuture<'_, Result<Box<dyn Connection>, TargetError>> {
        async move {
            let opened =
                HttpConnection::open(self.sites[node].clone(), Arc::clone(&self.form)).await;
            let connection = opened.map_err(|source| TargetError::Connect {
                node: self.nodes[node].clone(),
                source,
            })?;
            Ok(Box::new(connection) as Box<dyn Connection>)
        }
        .boxed()
    }

    fn describe(&self) -> String {
        let form = &self.form;
        let field = form
            .expectation
            .as_ref()
            .map(|e| format!(" with {e}"))
            .unwrap_or_default();
        let failed = match form.failed.to_string() {
            none if none.is_empty() => none,
            statuses => format!(", failed: status {statuses}"),
        };
        format!(
            "{} at {}; allowed: status {}{field}, denied: status {}{failed}",
            form.method,
            node_list(&self.nodes),
            form.allowed,
            form.denied
        )
    }

    fn has_key(&self) -> bool {
        self.has_address() || self.templates().any(Template::has_key)
    }

    fn has_cost(&self) -> bool {
        self.templates().any(Template::has_cost)
    }

    fn of_key(&self, key: &Key) -> Option<Box<dyn Target>> {
        if !self.has_address() {
            return None;
        }
        let address = self.addresses.of(key);
        let form = &self.form;
        let filled = |template: &Template| template.with_address(address);
        let site = |site: &HttpSite| {
            let mut of_key = site.clone();
            let route = &mut of_key.address.route;
            if form.source == Some(SourceAddress::EachKey) {
                route.source = Some(address.into());
            }
            route.stated = form.proxy_protocol.map(|version| (version, address));
            of_key.path = filled(&site.path);
            of_key
        };
        let header = |(name, value): &(HeaderName, Template)| (name.clone(), filled(value));
        Some(Box::new(Self {
            sites: self.sites.iter().map(site).collect(),
            form: Arc::new(HttpForm {
                headers: form.headers.iter().map(header).collect(),
                body: form.body.as_ref().map(filled),
                ..HttpForm::clone(form)
            }),
            ..self.clone()
        }))
    }

    fn forged(&self, n: u32) -> Option<Box<dyn Target>> {
        let [_, a, b, c] = n.to_be_bytes();
        let address = format!("10.{a}.{b}.{c}");
        let mut form = HttpForm::clone(&self.form);
        for name in ADDRESS_FIELDS {
            let name = HeaderName::from_static(name);
            let value = match name == FORWARDED {
                true => format!("for={address}"),
                false => address.clone(),
            };
            // A field of the user's own may be the key.
            if !form.headers.iter().any(|(own, _)| *own == name) {
                form.headers.push((name, value.parse().ok()?));
            }
        }
        Some(Box::new(Self {
            form: Arc::new(form),
            ..self.clone()
        }))
    }
}

struct HttpConnection {
    site: HttpSite,
    form: Arc<HttpForm>,
    sender: SendRequest<Full<Bytes>>,
    /// Whether a request was answered on it.
    answered: bool,
    cork: Weak<Cork>,
    _driver: AbortOnDropHandle<()>,
}

impl Connection for HttpConnection {
    fn check<'a>(&'a mut self, check: &'a Check) -> BoxFuture<'a, CheckAnswer> {
        within(check.deadline, self.exchange(check)).boxed()
    }

    fn cork(&self) -> Option<Arc<Cork>> {
        self.cork.upgrade()
    }
}

impl HttpConnection {
    async fn open(site: HttpSite, form: Arc<HttpForm>) -> io::Result<Self> {
        let (stream, cork) = site.address.connect(&[]).await?;
        let (sender, driver) = http1::Builder::new()
            .max_buf_size(LARGEST_HEAD)
            .handshake(TokioIo::new(stream))
            .await
            .map_err(io::Error::other)?;
        // The end of the connection is reported to the waiting request.
        let driver = tokio::spawn(async move { drop(driver.await) });
        Ok(Self {
            site,
            form,
            sender,
            answered: false,
            cork,
            _driver: AbortOnDropHandle::new(driver),
        })
    }

    /// Waits until the connection can take a request. A server may close an idle one: it is opened
    /// again, since nothing was sent on it. Where a close is an answer, an idle connection must not
    /// give it.
    async fn be_ready(&mut self) -> io::Result<()> {
        let idle = self.answered && self.form.closed() != Outcome::Unknown;
        if idle || self.sender.ready().await.is_err() {
            *self = Self::open(self.site.clone(), Arc::clone(&self.form)).await?;
        }
        Ok(())
    }

    fn request(&self, check: &Check) -> Result<Request<Full<Bytes>>, String> {
        let headers = &self.form.headers;
        let is_form = |(name, value): &(HeaderName, Template)| {
            *name == CONTENT_TYPE && value.fill(check).trim_start().starts_with(FORM)
        };
        let is_form = headers.iter().any(is_form);
        let body = self.form.body.as_ref();
        let body = body.map(|body| body.fill_body(check, is_form));
        let body = body.unwrap_or_default();
        let mut request = Request::builder()
            .method(self.form.method.clone())
            .uri(self.site.path.fill_url(check));
        if !headers.iter().any(|(name, _)| name == HOST) {
            request = request.header(HOST, self.site.address.to_string());
        }
        // The length follows from the body, which another one may contradict.
        for (name, value) in headers.iter().filter(|(name, _)| name != CONTENT_LENGTH) {
            request = request.header(name, header_value(name, &value.fill(check))?);
        }
        request
            .body(Full::new(body.into()))
            .map_err(|e| e.to_string())
    }

    async fn exchange(&mut self, check: &Check) -> CheckAnswer {
        let request = match self.request(check) {
            Ok(request) => request,
            // Never sent.
            Err(detail) => return CheckAnswer::failed(detail),
        };
        if let Err(error) = self.be_ready().await {
            return CheckAnswer::failed(format!("no connection: {error}"));
        }
        let response = match self.sender.send_request(request).await {
            Ok(response) => response,
            Err(error) if is_close(&error) && self.form.closed() != Outcome::Unknown => {
                return CheckAnswer::plain(self.form.closed()).seen("closed without an answer");
            }
            Err(error) => return CheckAnswer::unknown(format!("the connection broke: {error}")),
        };
        self.answered = true;
        let (head, body) = response.into_parts();
        let body = match Limited::new(body, LARGEST).collect().await {
            Ok(body) => body.to_bytes(),
            Err(error) => return CheckAnswer::unknown(format!("the answer broke off: {error}")),
        };
        let (claims, remarks) = claims::of(&head.headers, SystemTime::now());
        let mut answer = self.form.read(head.status, claims, &body);
        let detail = std::mem::take(&mut answer.detail);
        let details = std::iter::once(detail).chain(remarks);
        answer.detail = details
            .filter(|detail| !detail.is_empty())
            .collect::<Vec<_>>()
            .join(", ");
        let text = String::from_utf8_lossy(&body[..body.len().min(4 * SHOWN)]);
        let shown = self.form.without_secrets(check, &text);
        answer.seen(&format!("{} {shown}", head.status.as_u16()))
    }
}

/// A header field's value. White space at its ends would not arrive, so that two keys would be one.
fn header_value(name: &HeaderName, text: &str) -> Result<HeaderValue, String> {
    let refused = || format!("header {name} cannot carry this key");
    if text.trim() != text {
        return Err(refused());
    }
    let mut value = HeaderValue::from_bytes(text.as_bytes()).map_err(|_| refused())?;
    value.set_sensitive(true);
    Ok(value)
}

/// Whether the server closed the connection before an answer began.
fn is_close(error: &hyper::Error) -> bool {
    let cause = std::error::Error::source(error).and_then(|cause| cause.downcast_ref());
    let reset = |error: &io::Error| error.kind() == io::ErrorKind::ConnectionReset;
    error.is_incomplete_message() || cause.is_some_and(reset)
}

impl HttpForm {
    /// The outcome of a check whose connection is closed without an answer.
    fn closed(&self) -> Outcome {
        if self.denied.has_close() {
            Outcome::Denied
        } else if self.failed.has_close() {
            Outcome::Failed
        } else {
            Outcome::Unknown
        }
    }

    /// A text of the server without the values of our header fields, which it may repeat.
    fn without_secrets(&self, check: &Check, text: &str) -> String {
        let values = self.headers.iter().map(|(_, value)| value.fill(check));
        values.fold(text.to_owned(), |text, value| {
            let words = value.split_whitespace().filter(|word| word.len() >= 4);
            words.fold(text, |text, word| text.replace(word, "***"))
        })
    }

    fn read(&self, status: StatusCode, claims: Claims, body: &[u8]) -> CheckAnswer {
        let answer = |outcome| CheckAnswer {
            outcome,
            claims,
            ..CheckAnswer::plain(outcome)
        };
        let neither = |outcome| CheckAnswer {
            detail: format!("status {}", status.as_u16()),
            ..answer(outcome)
        };
        if self.denied.has(status) {
            return answer(Outcome::Denied);
        }
        if self.failed.has(status) {
            return neither(Outcome::Failed);
        }
        if !self.allowed.has(status) {
            return neither(Outcome::Unknown);
        }
        let Some(expectation) = &self.expectation else {
            return answer(Outcome::Allowed);
        };
        let json = serde_json::from_slice(body).unwrap_or(serde_json::Value::Null);
        match expectation.is_met(&json) {
            Some(true) => answer(Outcome::Allowed),
            Some(false) => answer(Outcome::Denied),
            None => CheckAnswer {
                detail: format!("the body has no {expectation}"),
                ..answer(Outcome::Unknown)
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn target(url: &str) -> Result<HttpTarget, TargetError> {
        let (form, trust) = (HttpForm::default(), Authorities::default());
        HttpTarget::new(&[url.to_owned()], form, Reach::ThisMachine, &trust)
    }

    #[test]
    fn urls_out_of_reach_are_refused_without_secrets() {
        let refused = |url: &str| target(url).unwrap_err().to_string();
        assert!(refused("http://10.0.0.1/check").contains("--allow-remote"));
        for url in [
            "http://u:hunter2@localhost/",
            "http://u:hunter2?@localhost/",
            "ftp://localhost/?token=hunter2",
            "nonsense",
        ] {
            assert!(!refused(url).contains("hunter2"), "{}", refused(url));
        }
        let target = target("http://localhost:1/l/{key}?n={cost}").unwrap();
        assert!(target.has_key());
        assert_eq!(target.nodes()[0].as_str(), "localhost:1");
    }

    #[test]
    fn answers_are_read_by_status_and_field() {
        let read = |form: &HttpForm, status, body: &str| {
            let status = StatusCode::from_u16(status).unwrap();
            form.read(status, Claims::default(), body.as_bytes())
                .outcome
        };
        let form = HttpForm::default();
        assert_eq!(read(&form, 204, ""), Outcome::Allowed);
        assert_eq!(read(&form, 429, ""), Outcome::Denied);
        assert_eq!(read(&form, 500, ""), Outcome::Unknown);
        let failing = HttpForm {
            failed: "302,503".parse().unwrap(),
            ..form.clone()
        };
        assert_eq!(read(&failing, 503, ""), Outcome::Failed);
        assert_eq!(read(&failing, 302, ""), Outcome::Failed);
        assert_eq!(read(&failing, 500, ""), Outcome::Unknown);
        let form = HttpForm {
            expectation: Some("/allowed=true".parse().unwrap()),
            ..form
        };
        assert_eq!(read(&form, 200, r#"{"allowed":true}"#), Outcome::Allowed);
        assert_eq!(read(&form, 200, r#"{"allowed":false}"#), Outcome::Denied);
        assert_eq!(read(&form, 200, "<html>"), Outcome::Unknown);
    }
}
