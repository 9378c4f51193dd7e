use std::fmt;
use std::io;
use std::str::FromStr;
use std::sync::Arc;

use bytes::Bytes;
use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::client::conn::http1::{self, SendRequest};
use hyper::header::{CONTENT_TYPE, HOST, HeaderName, HeaderValue};
use hyper::{Method, Request, StatusCode};
use hyper_util::rt::TokioIo;
use ratelimiter_api::{Claims, Endpoint, NodeId, Outcome};
use tokio::task::AbortHandle;
use tokio::time::timeout;
use url::Url;

use crate::{
    Answer, Check, Connection, Expectation, Hold, Reach, Target, TargetError, Template, Trust,
    claims, stream,
};

/// The largest answer that is read, bytes.
const LARGEST: usize = 1 << 20;

/// A limiter behind HTTP/1.1: the request is a template, the answer is read by its status and
/// perhaps a field of its body.
#[derive(Clone, Debug)]
pub struct HttpTarget {
    sites: Vec<Site>,
    nodes: Vec<NodeId>,
    form: Arc<Form>,
}

/// One URL.
#[derive(Clone)]
struct Site {
    host: String,
    port: u16,
    /// The authorities of an `https://` URL.
    tls: Option<Trust>,
    /// Path and query.
    path: Template,
}

/// The form of requests and answers.
#[derive(Clone)]
struct Form {
    method: Method,
    headers: Vec<(HeaderName, Template)>,
    body: Option<Template>,
    allowed: StatusSet,
    denied: StatusSet,
    expectation: Option<Expectation>,
    /// Other statuses are known to be no admissions.
    failures_are_definite: bool,
}

impl fmt::Debug for Form {
    /// Without header values and body, which may hold secrets.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "Form({} allowed {} denied {})",
            self.method, self.allowed, self.denied
        )
    }
}

impl fmt::Debug for Site {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.host, self.port)
    }
}

/// Statuses: `200-399`, `429,503`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StatusSet(Vec<(u16, u16)>);

impl StatusSet {
    fn has(&self, status: StatusCode) -> bool {
        self.0
            .iter()
            .any(|(first, last)| (*first..=*last).contains(&status.as_u16()))
    }
}

impl FromStr for StatusSet {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let status =
            |text: &str| {
                text.trim().parse().ok().filter(|code| (100..=599).contains(code)).ok_or_else(|| {
                format!("{text:?} is no HTTP status; expected statuses such as 200-399 or 429,503")
            })
            };
        let range = |part: &str| {
            let (first, last) = part.split_once('-').unwrap_or((part, part));
            Ok((status(first)?, status(last)?))
        };
        text.split(',')
            .map(range)
            .collect::<Result<_, String>>()
            .map(Self)
    }
}

impl fmt::Display for StatusSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let part = |(first, last): &(u16, u16)| match first == last {
            true => first.to_string(),
            false => format!("{first}-{last}"),
        };
        f.write_str(&self.0.iter().map(part).collect::<Vec<_>>().join(","))
    }
}

impl HttpTarget {
    /// The limiter at these URLs, in which `{key}` and `{cost}` may stand. GET; statuses 200 to 399
    /// allow and 429 denies, unless set otherwise.
    ///
    /// # Errors
    /// When there is no URL, one is no HTTP URL, or one is out of reach.
    pub fn new(urls: &[String], reach: Reach) -> Result<Self, TargetError> {
        let trust = Trust::default();
        let sites = urls
            .iter()
            .map(|url| Site::new(url, reach, &trust))
            .collect::<Result<Vec<_>, _>>()?;
        if sites.is_empty() {
            return Err(TargetError::NoNodes);
        }
        let nodes = sites
            .iter()
            .map(|site| NodeId::new(format!("{site:?}")))
            .collect();
        let form = Form {
            method: Method::GET,
            headers: Vec::new(),
            body: None,
            allowed: StatusSet(vec![(200, 399)]),
            denied: StatusSet(vec![(429, 429)]),
            expectation: None,
            failures_are_definite: false,
        };
        Ok(Self {
            sites,
            nodes,
            form: Arc::new(form),
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
        let template = |text: &str| text.parse().ok();
        let target = Self::new(&urls, reach)?
            .method(Method::POST)
            .header(CONTENT_TYPE, template("application/json"))
            .body(template(r#"{"key":"{key}","cost":{cost}}"#))
            .allowed(StatusSet(vec![(200, 200)]));
        Ok(target.with(|form| form.failures_are_definite = true))
    }

    fn with(mut self, change: impl FnOnce(&mut Form)) -> Self {
        change(Arc::make_mut(&mut self.form));
        self
    }

    /// The authorities for `https://` URLs, instead of the system's alone.
    #[must_use]
    pub fn trusting(mut self, trust: &Trust) -> Self {
        self.sites
            .iter_mut()
            .filter_map(|site| site.tls.as_mut())
            .for_each(|tls| *tls = trust.clone());
        self
    }

    /// The request's method.
    #[must_use]
    pub fn method(self, method: Method) -> Self {
        self.with(|form| form.method = method)
    }

    /// A header field of every request; nothing to leave it out.
    #[must_use]
    pub fn header(self, name: HeaderName, value: Option<Template>) -> Self {
        self.with(|form| form.headers.extend(value.map(|value| (name, value))))
    }

    /// The request's body.
    #[must_use]
    pub fn body(self, body: Option<Template>) -> Self {
        self.with(|form| form.body = body)
    }

    /// Statuses of an allowed check.
    #[must_use]
    pub fn allowed(self, statuses: StatusSet) -> Self {
        self.with(|form| form.allowed = statuses)
    }

    /// Statuses of a denied check.
    #[must_use]
    pub fn denied(self, statuses: StatusSet) -> Self {
        self.with(|form| form.denied = statuses)
    }

    /// The field of the JSON body that decides among the allowed statuses.
    #[must_use]
    pub fn expecting(self, expectation: Option<Expectation>) -> Self {
        self.with(|form| form.expectation = expectation)
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

    /// Whether checks of different keys differ at all.
    pub fn has_key(&self) -> bool {
        self.templates().any(Template::has_key)
    }

    /// Whether checks of different costs differ.
    pub fn has_cost(&self) -> bool {
        self.templates().any(Template::has_cost)
    }

    fn templates(&self) -> impl Iterator<Item = &Template> {
        let form = &self.form;
        let paths = self.sites.iter().map(|site| &site.path);
        paths
            .chain(&form.body)
            .chain(form.headers.iter().map(|(_, value)| value))
    }
}

impl Site {
    fn new(text: &str, reach: Reach, trust: &Trust) -> Result<Self, TargetError> {
        // Braces are no part of a URL: they are taken out for parsing, and put back.
        let shown = text.split(['?', '#']).next().unwrap_or_default();
        let shown = shown
            .rsplit_once('@')
            .map_or(shown, |(_, host)| host)
            .to_owned();
        let refuse = |reason: String| TargetError::Url {
            shown: shown.clone(),
            reason,
        };
        let url = Url::parse(&text.replace('{', "%7B").replace('}', "%7D"))
            .map_err(|e| refuse(e.to_string()))?;
        let tls = match url.scheme() {
            "http" => None,
            "https" => Some(trust.clone()),
            other => {
                return Err(refuse(format!(
                    "{other}:// is neither http:// nor https://"
                )));
            }
        };
        if !url.username().is_empty() || url.password().is_some() {
            return Err(refuse(
                "credentials belong into --header 'Authorization: ...'".into(),
            ));
        }
        let host = url
            .host_str()
            .ok_or_else(|| refuse("it has no host".into()))?
            .to_owned();
        let port = url.port_or_known_default().unwrap_or(80);
        reach.permit(crate::is_loopback(&host), &format!("{host}:{port}"))?;
        let query = url
            .query()
            .map(|query| format!("?{query}"))
            .unwrap_or_default();
        let path = format!("{}{query}", url.path())
            .replace("%7B", "{")
            .replace("%7D", "}");
        let path = path
            .parse()
            .map_err(|e: crate::TemplateError| refuse(e.to_string()))?;
        Ok(Self {
            host,
            port,
            tls,
            path,
        })
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
        let sites: Vec<String> = self.nodes.iter().map(ToString::to_string).collect();
        let form = &self.form;
        let field = form
            .expectation
            .as_ref()
            .map(|e| format!(" with {e}"))
            .unwrap_or_default();
        format!(
            "{} at {}; allowed: status {}{field}, denied: status {}",
            form.method,
            sites.join(", "),
            form.allowed,
            form.denied
        )
    }
}

struct HttpConnection {
    site: Site,
    form: Arc<Form>,
    sender: SendRequest<Full<Bytes>>,
    hold: Arc<Hold>,
    driver: AbortHandle,
}

impl Connection for HttpConnection {
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
        Some(Arc::clone(&self.hold))
    }
}

impl HttpConnection {
    async fn open(site: Site, form: Arc<Form>) -> io::Result<Self> {
        let (stream, hold) = stream::connect(&site.host, site.port, site.tls.as_ref(), &[]).await?;
        let (sender, driver) = http1::handshake(TokioIo::new(stream))
            .await
            .map_err(io::Error::other)?;
        // The end of the connection is reported to the waiting request.
        let driver = tokio::spawn(async move { drop(driver.await) }).abort_handle();
        Ok(Self {
            site,
            form,
            sender,
            hold,
            driver,
        })
    }

    /// Waits until the connection can take a request. A server may close an idle one: it is opened
    /// again, since nothing was sent on it.
    async fn be_ready(&mut self) -> io::Result<()> {
        if self.sender.ready().await.is_err() {
            *self = Self::open(self.site.clone(), Arc::clone(&self.form)).await?;
        }
        Ok(())
    }

    fn request(&self, check: &Check) -> Result<Request<Full<Bytes>>, String> {
        let body = self
            .form
            .body
            .as_ref()
            .map(|body| body.fill(check))
            .unwrap_or_default();
        let mut request = Request::builder()
            .method(self.form.method.clone())
            .uri(self.site.path.fill(check))
            .header(HOST, format!("{}:{}", self.site.host, self.site.port));
        for (name, value) in &self.form.headers {
            let mut value = HeaderValue::from_str(&value.fill(check))
                .map_err(|_| format!("header {name} is no header value for this key"))?;
            value.set_sensitive(true);
            request = request.header(name, value);
        }
        request
            .body(Full::new(body.into()))
            .map_err(|e| e.to_string())
    }

    async fn exchange(&mut self, check: &Check) -> Answer {
        let request = match self.request(check) {
            Ok(request) => request,
            // Never sent.
            Err(detail) => {
                return Answer {
                    detail,
                    ..Answer::plain(Outcome::Failed)
                };
            }
        };
        if let Err(error) = self.be_ready().await {
            return Answer {
                detail: format!("no connection: {error}"),
                ..Answer::plain(Outcome::Failed)
            };
        }
        let response = match self.sender.send_request(request).await {
            Ok(response) => response,
            Err(error) => return Answer::unknown(format!("the connection broke: {error}")),
        };
        let (head, body) = response.into_parts();
        let body = match Limited::new(body, LARGEST).collect().await {
            Ok(body) => body.to_bytes(),
            Err(error) => return Answer::unknown(format!("the answer broke off: {error}")),
        };
        self.form
            .read(head.status, claims::of(&head.headers), &body)
    }
}

impl Form {
    fn read(&self, status: StatusCode, claims: Claims, body: &[u8]) -> Answer {
        let answer = |outcome| Answer {
            outcome,
            claims,
            detail: String::new(),
        };
        if self.denied.has(status) {
            return answer(Outcome::Denied);
        }
        if !self.allowed.has(status) {
            let outcome = if self.failures_are_definite {
                Outcome::Failed
            } else {
                Outcome::Unknown
            };
            return Answer {
                detail: format!("status {}", status.as_u16()),
                ..answer(outcome)
            };
        }
        let Some(expectation) = &self.expectation else {
            return answer(Outcome::Allowed);
        };
        let json = serde_json::from_slice(body).unwrap_or(serde_json::Value::Null);
        match expectation.is_met(&json) {
            Some(true) => answer(Outcome::Allowed),
            Some(false) => answer(Outcome::Denied),
            None => Answer {
                detail: format!("the body has no {expectation}"),
                ..answer(Outcome::Unknown)
            },
        }
    }
}

impl Drop for HttpConnection {
    fn drop(&mut self) {
        self.driver.abort();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn statuses_are_ranges_and_lists() {
        let set: StatusSet = "200-399,503".parse().unwrap();
        let has = |code| set.has(StatusCode::from_u16(code).unwrap());
        assert!(has(200) && has(399) && has(503) && !has(400) && !has(429));
        assert_eq!(set.to_string(), "200-399,503");
        assert!("2xx".parse::<StatusSet>().is_err());
    }

    #[test]
    fn urls_out_of_reach_are_refused_without_secrets() {
        let refused = |url: &str| {
            HttpTarget::new(&[url.to_owned()], Reach::ThisMachine)
                .unwrap_err()
                .to_string()
        };
        assert!(refused("http://10.0.0.1/check").contains("--allow-remote"));
        for url in [
            "http://u:hunter2@localhost/",
            "ftp://localhost/?token=hunter2",
            "nonsense",
        ] {
            assert!(!refused(url).contains("hunter2"), "{}", refused(url));
        }
        let target = HttpTarget::new(
            &["http://localhost:1/l/{key}?n={cost}".into()],
            Reach::ThisMachine,
        )
        .unwrap();
        assert!(target.has_key());
        assert_eq!(target.nodes()[0].as_str(), "localhost:1");
    }

    #[test]
    fn answers_are_read_by_status_and_field() {
        let target = HttpTarget::new(&["http://localhost:1".into()], Reach::ThisMachine).unwrap();
        let read = |target: &HttpTarget, status, body: &str| {
            target
                .form
                .read(
                    StatusCode::from_u16(status).unwrap(),
                    Claims::default(),
                    body.as_bytes(),
                )
                .outcome
        };
        assert_eq!(read(&target, 204, ""), Outcome::Allowed);
        assert_eq!(read(&target, 429, ""), Outcome::Denied);
        assert_eq!(read(&target, 500, ""), Outcome::Unknown);
        let target = target.expecting(Some("/allowed=true".parse().unwrap()));
        assert_eq!(read(&target, 200, r#"{"allowed":true}"#), Outcome::Allowed);
        assert_eq!(read(&target, 200, r#"{"allowed":false}"#), Outcome::Denied);
        assert_eq!(read(&target, 200, "<html>"), Outcome::Unknown);
    }
}
