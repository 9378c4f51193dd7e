//! TCP, or TLS over it, with a hold below both: a TLS record without its last byte cannot be decrypted.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;

use crate::hold::HeldStream;
use crate::{Hold, Trust};

pub(crate) enum Stream {
    Plain(HeldStream),
    #[cfg(feature = "tls")]
    Tls(Box<tokio_rustls::client::TlsStream<HeldStream>>),
}

impl Stream {
    /// Connects, over TLS where there are authorities to trust.
    pub(crate) async fn connect(host: &str, port: u16, tls: Option<&Trust>) -> io::Result<(Self, Arc<Hold>)> {
        Self::speaking(host, port, tls, &[]).await
    }

    /// The same, with protocols to choose from (ALPN) where there is TLS.
    pub(crate) async fn speaking(
        host: &str,
        port: u16,
        tls: Option<&Trust>,
        protocols: &[&str],
    ) -> io::Result<(Self, Arc<Hold>)> {
        let stream = TcpStream::connect((host.trim_start_matches('[').trim_end_matches(']'), port)).await?;
        // A check is one small packet each way: waiting to fill it would be the latency measured.
        stream.set_nodelay(true)?;
        let stream = HeldStream::new(stream);
        let hold = stream.hold();
        let Some(trust) = tls else { return Ok((Self::Plain(stream), hold)) };
        #[cfg(not(feature = "tls"))]
        let _ = (trust, protocols);
        #[cfg(feature = "tls")]
        return Ok((Self::Tls(Box::new(encrypted(host, stream, trust, protocols).await?)), hold));
        #[cfg(not(feature = "tls"))]
        Err(io::Error::new(
            io::ErrorKind::Unsupported,
            "this build has no TLS: build it with `--features tls`",
        ))
    }
}

#[cfg(feature = "tls")]
async fn encrypted(
    host: &str,
    stream: HeldStream,
    trust: &Trust,
    protocols: &[&str],
) -> io::Result<tokio_rustls::client::TlsStream<HeldStream>> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let mut config = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(io::Error::other)?
        .with_root_certificates(trust.roots())
        .with_no_client_auth();
    config.alpn_protocols = protocols.iter().map(|protocol| protocol.as_bytes().to_vec()).collect();
    let name = rustls::pki_types::ServerName::try_from(host.to_owned())
        .map_err(|e| io::Error::new(io::ErrorKind::InvalidInput, e))?;
    tokio_rustls::TlsConnector::from(Arc::new(config)).connect(name, stream).await
}

impl AsyncRead for Stream {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_read(cx, buf),
            #[cfg(feature = "tls")]
            Self::Tls(stream) => Pin::new(stream).poll_read(cx, buf),
        }
    }
}

impl AsyncWrite for Stream {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_write(cx, bytes),
            #[cfg(feature = "tls")]
            Self::Tls(stream) => Pin::new(stream).poll_write(cx, bytes),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_flush(cx),
            #[cfg(feature = "tls")]
            Self::Tls(stream) => Pin::new(stream).poll_flush(cx),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_shutdown(cx),
            #[cfg(feature = "tls")]
            Self::Tls(stream) => Pin::new(stream).poll_shutdown(cx),
        }
    }
}
