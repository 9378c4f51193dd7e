use std::sync::Weak;
use std::{fmt, io};

use client_tls::{Authorities, Reach, Stream, is_loopback};
use tokio::net::TcpStream;
use url::Url;

use crate::last_byte::HeldStream;
use crate::{LastByte, TargetError};

/// The address of one node, and the authorities to trust where it is behind TLS.
#[derive(Clone)]
pub(crate) struct SiteAddress {
    pub(crate) host: String,
    pub(crate) port: u16,
    pub(crate) tls: Option<Authorities>,
}

impl SiteAddress {
    /// An address within reach.
    pub(crate) fn new(
        host: &str,
        port: u16,
        tls: Option<Authorities>,
        reach: Reach,
    ) -> Result<Self, TargetError> {
        let host = host.to_owned();
        let site = Self { host, port, tls };
        reach.permit(is_loopback(&site.host), &site)?;
        Ok(site)
    }

    /// The address of an `http://` or `https://` URL.
    pub(crate) fn of_http(
        url: &Url,
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
        Self::new(host, url.port_or_known_default().unwrap_or(80), tls, reach)
    }

    /// Connects, over TLS where there are authorities to trust, and then with protocols to choose
    /// from (ALPN). The last byte is kept back below TLS: a record without its last byte cannot be
    /// decrypted. Its handle does not keep the connection open.
    pub(crate) async fn connect(
        &self,
        protocols: &[&str],
    ) -> io::Result<(Stream<HeldStream>, Weak<LastByte>)> {
        let bare = self.host.trim_start_matches('[').trim_end_matches(']');
        let stream = TcpStream::connect((bare, self.port)).await?;
        // A check is one small packet each way: waiting to fill it would be the latency measured.
        stream.set_nodelay(true)?;
        let stream = HeldStream::new(stream);
        let last_byte = stream.last_byte();
        let stream = match &self.tls {
            None => Stream::Left(stream),
            Some(trust) => Stream::Right(trust.connect(&self.host, stream, protocols).await?),
        };
        Ok((stream, last_byte))
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
