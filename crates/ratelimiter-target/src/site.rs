use std::sync::Weak;
use std::{fmt, io};

use client_tls::{Authorities, Reach, Stream, is_loopback};
use tokio::io::AsyncWriteExt as _;
use url::Url;

use crate::cork::CorkStream;
use crate::route::SiteRoute;
use crate::{Cork, TargetError};

/// The address of one node, the authorities to trust where it is behind TLS, and the route of its
/// connections.
#[derive(Clone)]
pub(crate) struct SiteAddress {
    pub(crate) host: String,
    pub(crate) port: u16,
    pub(crate) tls: Option<Authorities>,
    pub(crate) route: SiteRoute,
}

impl SiteAddress {
    /// An address within reach.
    pub(crate) fn new(
        host: &str,
        port: u16,
        tls: Option<Authorities>,
        reach: Reach,
    ) -> Result<Self, TargetError> {
        Self::by(SiteRoute::default(), host, port, tls, reach)
    }

    /// An address within reach by a route.
    fn by(
        route: SiteRoute,
        host: &str,
        port: u16,
        tls: Option<Authorities>,
        reach: Reach,
    ) -> Result<Self, TargetError> {
        let is_local = route.socket.is_some() || is_loopback(host);
        let host = host.to_owned();
        let site = Self {
            host,
            port,
            tls,
            route,
        };
        reach.permit(is_local, &site)?;
        if !is_local && site.tls.as_ref().is_some_and(Authorities::is_any) {
            return Err(TargetError::Unverified(site.to_string()));
        }
        Ok(site)
    }

    /// The address of an `http://` or `https://` URL.
    pub(crate) fn of_http(
        url: &Url,
        route: SiteRoute,
        reach: Reach,
        trust: &Authorities,
    ) -> Result<Self, TargetError> {
        let refuse = |reason: String| refused(url.as_str(), reason);
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
            .ok_or_else(|| refuse("it has no host".into()))?;
        let port = url.port_or_known_default().unwrap_or(80);
        Self::by(route, host, port, tls, reach)
    }

    /// Connects, over TLS where there are authorities to trust, and then with protocols to choose
    /// from (ALPN). The cork is below TLS. Its handle does not keep the connection open.
    pub(crate) async fn connect(
        &self,
        protocols: &[&str],
    ) -> io::Result<(Stream<CorkStream>, Weak<Cork>)> {
        let bare = self.host.trim_start_matches('[').trim_end_matches(']');
        let mut stream = CorkStream::new(self.route.connect(bare, self.port).await?);
        if let Some(header) = self.route.proxy_header(bare, self.port) {
            stream.write_all(&header).await?;
        }
        let cork = stream.cork();
        let stream = match &self.tls {
            None => Stream::Left(stream),
            Some(trust) => Stream::Right(trust.connect(&self.host, stream, protocols).await?),
        };
        Ok((stream, cork))
    }
}

impl fmt::Display for SiteAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.host, self.port)
    }
}

impl fmt::Debug for SiteAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SiteAddress({self})")
    }
}

/// Refuses a URL. The error shows its scheme and host alone: the rest may hold secrets.
pub(crate) fn refused(text: &str, reason: impl Into<String>) -> TargetError {
    let host = Url::parse(text)
        .ok()
        .and_then(|url| url.host_str().map(ToOwned::to_owned));
    let shown = match text.split_once("://") {
        Some((scheme, _)) => format!("{scheme}://{}", host.as_deref().unwrap_or("...")),
        None => "the URL".to_owned(),
    };
    TargetError::Url {
        shown,
        reason: reason.into(),
    }
}
