use std::fmt;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::task::{Context, Poll, ready};

use client_tls::{Stream, TlsError};
use redis::aio::{MultiplexedConnection, PubSub};
use redis::{
    AsyncConnectionConfig, ConnectionAddr, ErrorKind, RedisConnectionInfo, RedisError, RedisResult,
};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpStream, UnixStream};
use tokio::task::AbortHandle;

use crate::StoreUrl;
use crate::url::Place;

/// One open connection, closed when the last use lets go of it.
///
/// Its driver reads all the time, so that a connection which the store closes is known to be closed
/// before the next use.
pub(crate) struct Connection {
    handle: MultiplexedConnection,
    driver: AbortHandle,
    traffic: Arc<Traffic>,
}

impl Connection {
    /// Connects to an address of this store, and logs in.
    pub(crate) async fn open(address: &ConnectionAddr, url: &StoreUrl) -> RedisResult<Self> {
        let traffic = Arc::<Traffic>::default();
        let opened = match address {
            ConnectionAddr::Unix(path) => {
                let stream = UnixStream::connect(path).await?;
                Self::over(
                    Metered {
                        stream,
                        traffic: Arc::clone(&traffic),
                    },
                    url.settings(),
                    &traffic,
                )
                .await
            }
            _ => {
                Self::over(
                    reach(address, url, &traffic).await?,
                    url.settings(),
                    &traffic,
                )
                .await
            }
        };
        opened.map_err(|error| traffic.explain(error, url))
    }

    async fn over<S>(
        stream: S,
        settings: &RedisConnectionInfo,
        traffic: &Arc<Traffic>,
    ) -> RedisResult<Self>
    where
        S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
    {
        // A link keeps one deadline around everything; a second one in here would end a use without
        // its error.
        let config = AsyncConnectionConfig::new().set_response_timeout(None);
        let (handle, driver) =
            MultiplexedConnection::new_with_config(settings, stream, config).await?;
        let driver = tokio::spawn(driver).abort_handle();
        Ok(Self {
            handle,
            driver,
            traffic: Arc::clone(traffic),
        })
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

impl Drop for Connection {
    fn drop(&mut self) {
        self.driver.abort();
    }
}

impl fmt::Debug for Connection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Connection")
            .field("closed", &self.is_closed())
            .field("sent", &self.sent())
            .finish()
    }
}

/// A connection to a host and port, encrypted where the store is behind TLS.
async fn reach(
    address: &ConnectionAddr,
    url: &StoreUrl,
    traffic: &Arc<Traffic>,
) -> RedisResult<Stream<Metered<TcpStream>>> {
    let ConnectionAddr::Tcp(host, port) = address else {
        return Err(refused(format!("{address} is no HOST:PORT")));
    };
    let stream = TcpStream::connect((host.as_str(), *port)).await?;
    // A command is one small packet: waiting to fill it would only delay the answer.
    stream.set_nodelay(true)?;
    // Below TLS, which takes bytes before they leave.
    let stream = Metered {
        stream,
        traffic: Arc::clone(traffic),
    };
    let Some(trust) = url.trust() else {
        return Ok(Stream::Plain(stream));
    };
    trust
        .connect(host, stream, &[])
        .await
        .map_err(|error| match error {
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
struct Traffic {
    sent: AtomicU64,
    answered: AtomicBool,
}

impl Traffic {
    /// An error, and what the end of a connection before its first answer hints at.
    fn explain(&self, error: RedisError, url: &StoreUrl) -> RedisError {
        let is_file = matches!(url.place(), Place::One(ConnectionAddr::Unix(_)));
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

/// A stream that counts the bytes that leave through it, and notes whether any came back.
struct Metered<S> {
    stream: S,
    traffic: Arc<Traffic>,
}

impl<S> Metered<S> {
    fn count(&self, written: usize) -> usize {
        self.traffic
            .sent
            .fetch_add(written as u64, Ordering::AcqRel);
        written
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Metered<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        into: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = into.filled().len();
        let read = Pin::new(&mut self.stream).poll_read(cx, into);
        if into.filled().len() > before {
            self.traffic.answered.store(true, Ordering::Release);
        }
        read
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Metered<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        from: &[u8],
    ) -> Poll<io::Result<usize>> {
        let written = ready!(Pin::new(&mut self.stream).poll_write(cx, from))?;
        Poll::Ready(Ok(self.count(written)))
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        from: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = ready!(Pin::new(&mut self.stream).poll_write_vectored(cx, from))?;
        Poll::Ready(Ok(self.count(written)))
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}
