mod connection;
mod form;

use std::sync::Arc;

use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use hyper::header::{CONTENT_TYPE, FORWARDED, HeaderName};
use ratelimiter_api::{Endpoint, Key, NodeId};
use url::Url;

use crate::http2::Http2Lanes;
use crate::route::{KeyAddresses, SiteRoute, SourceAddress};
use crate::site::{SiteAddress, refused};
use crate::target::node_list;
use crate::{Authorities, Connection, Reach, StatusSet, Target, TargetError, Template};
use connection::HttpConnection;
pub use form::HttpForm;

/// Fields in which proxies state the address of the caller.
const ADDRESS_FIELDS: [&str; 6] = [
    "x-forwarded-for",
    "forwarded",
    "x-real-ip",
    "x-client-ip",
    "true-client-ip",
    "cf-connecting-ip",
];

/// A limiter behind HTTP: the request is a template, the answer is read by its status and
/// perhaps a field of its body.
#[derive(Clone, Debug)]
pub struct HttpTarget {
    sites: Vec<HttpSite>,
    nodes: Vec<NodeId>,
    form: Arc<HttpForm>,
    addresses: Arc<KeyAddresses>,
}

/// The site of one URL, its path and query, and its shared connections.
#[derive(Clone, Debug)]
struct HttpSite {
    address: SiteAddress,
    path: Template,
    lanes: Arc<Http2Lanes>,
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
            method: hyper::Method::POST,
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
        let lanes = form.lanes();
        Ok(Self {
            address,
            path,
            lanes,
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
            of_key.lanes = form.lanes();
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
}
