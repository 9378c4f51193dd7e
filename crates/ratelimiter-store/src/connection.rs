use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use client_tls::{Stream, TlsError};
use redis::aio::{MultiplexedConnection, PubSub};
use redis::{AsyncConnectionConfig, ConnectionAddr, ErrorKind, RedisError, RedisResult};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpStream, UnixStream};
use tokio::task::AbortHandle;
use tokio_util::either::Either;
use tokio_util::io::{InspectReader, InspectWriter};

use crate::StoreUrl;
use crate::url::StoreAddress;

/// One open connection, closed when the last use lets go of it.
///
/// Its driver reads all the time, so that a connection which the store closes is known to be closed
/// before the next use.
pub(crate) struct OpenConnection {
    handle: MultiplexedConnection,
    driver: AbortHandle,
    traffic: Arc<ByteCounts>,
}

impl OpenConnection {
    /// Connects to an address of this store, and logs in.
    pub(crate) async fn open(address: &ConnectionAddr, url: &StoreUrl) -> RedisResult<Self> {
        let traffic = Arc::<ByteCounts>::default();
        let opened = async {
            let stream = reach(address, url, &traffic).await?;
            // A link keeps one deadline around everything; a second one in here would end a use
            // without its error.
            let config = AsyncConnectionConfig::new().set_response_timeout(None);
            MultiplexedConnection::new_with_config(url.settings(), stream, config).await
        };
        match opened.await {
            Ok((handle, driver)) => Ok(Self {
                handle,
                driver: tokio::spawn(driver).abort_handle(),
                traffic,
            }),
            Err(error) => Err(traffic.explain(error, url)),
        }
    }

    /// The handle that commands are sent with.
    pub(crate) fn handle(&self) -> MultiplexedConnection {
        self.handle.clone()
    }

    /// Whether the other end has closed it, or it broke.
    pub(crate) fn is_closed(&self) -> bool {
        self.driver.is_finished()
    }

    /// Closes it, and ends every use that is on its way.
    pub(crate) fn abort(&self) {
        self.driver.abort();
    }

    /// Bytes handed to the network so far, by all uses.
    pub(crate) fn sent(&self) -> u64 {
        self.traffic.sent.load(Ordering::Acquire)
    }

    /// An error of a use, with its likely cause.
    pub(crate) fn explain(&self, error: RedisError, url: &StoreUrl) -> RedisError {
        self.traffic.explain(error, url)
    }
}

impl Drop for OpenConnection {
    fn drop(&mut self) {
        self.driver.abort();
    }
}

impl fmt::Debug for OpenConnection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Connection")
            .field("closed", &self.is_closed())
            .field("sent", &self.sent())
            .finish()
    }
}

/// A stream to an address, encrypted where the store is behind TLS. Below TLS, which takes bytes
/// before they leave, it counts them, and notes whether any came back.
async fn reach(
    address: &ConnectionAddr,
    url: &StoreUrl,
    traffic: &Arc<ByteCounts>,
) -> RedisResult<Stream<impl AsyncRead + AsyncWrite + Send + Unpin + use<>>> {
    let (stream, host) = match address {
        ConnectionAddr::Tcp(host, port) => {
            let stream = TcpStream::connect((host.as_str(), *port)).await?;
            // A command is one small packet: waiting to fill it would only delay the answer.
            stream.set_nodelay(true)?;
            (Either::Left(stream), host.as_str())
        }
        ConnectionAddr::Unix(path) => (Either::Right(UnixStream::connect(path).await?), ""),
        _ => return Err(refused(format!("{address} is no HOST:PORT"))),
    };
    let (sending, receiving) = (Arc::clone(traffic), Arc::clone(traffic));
    let stream = InspectWriter::new(stream, move |bytes| {
        sending.sent.fetch_add(bytes.len() as u64, Ordering::AcqRel);
    });
    let stream = InspectReader::new(stream, move |bytes| {
        receiving
            .answered
            .fetch_or(!bytes.is_empty(), Ordering::AcqRel);
    });
    let Some(trust) = url.trust() else {
        return Ok(Stream::Left(stream));
    };
    let encrypted = trust.connect(host, stream, &[]).await;
    encrypted.map(Stream::Right).map_err(|error| match error {
        TlsError::Io(error) => error.into(),
        TlsError::UnknownAuthority => refused(format!("{error} (--store-ca)")),
        TlsError::NotTls => refused(format!("{error}; redis:// is for a port without TLS")),
        error => refused(error.to_string()),
    })
}

/// Another attempt would end in the same way.
fn refused(why: String) -> RedisError {
    RedisError::from((ErrorKind::InvalidClientConfig, "refused", why))
}

/// A connection to one store with host and port, for subscriptions.
pub(crate) async fn subscriber(address: &ConnectionAddr, url: &StoreUrl) -> RedisResult<PubSub> {
    PubSub::new(url.settings(), reach(address, url, &Arc::default()).await?).await
}

/// Bytes of one connection so far.
#[derive(Debug, Default)]
struct ByteCounts {
    sent: AtomicU64,
    answered: AtomicBool,
}

impl ByteCounts {
    /// An error, and what the end of a connection before its first answer hints at.
    fn explain(&self, error: RedisError, url: &StoreUrl) -> RedisError {
        let is_file = matches!(url.address(), StoreAddress::One(ConnectionAddr::Unix(_)));
        let explained = url.trust().is_some() || is_file || self.answered.load(Ordering::Acquire);
        if explained || !error.is_connection_dropped() {
            return error;
        }
        let why = format!(
            "{error}, before the first answer (a port for TLS ends so: rediss:// is for that)"
        );
        RedisError::from((ErrorKind::Io, "no answer", why))
    }
}
