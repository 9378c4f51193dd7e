use std::fmt;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll, ready};

use redis::aio::MultiplexedConnection;
use redis::{AsyncConnectionConfig, ConnectionAddr, ErrorKind, RedisConnectionInfo, RedisError, RedisResult};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpStream, UnixStream};
use tokio::task::AbortHandle;

/// One open connection, closed when the last use lets go of it.
///
/// Its driver reads all the time, so that a connection which the store closes is known to be closed before the next use.
pub(crate) struct Connection {
    handle: MultiplexedConnection,
    driver: AbortHandle,
    sent: Arc<AtomicU64>,
}

impl Connection {
    /// Connects and logs in.
    pub(crate) async fn open(address: &ConnectionAddr, settings: &RedisConnectionInfo) -> RedisResult<Self> {
        match address {
            ConnectionAddr::Tcp(host, port) => {
                let stream = TcpStream::connect((host.as_str(), *port)).await?;
                // A command is one small packet: waiting to fill it would only delay the answer.
                stream.set_nodelay(true)?;
                Self::over(stream, settings).await
            }
            ConnectionAddr::Unix(path) => Self::over(UnixStream::connect(path).await?, settings).await,
            _ => Err(RedisError::from((ErrorKind::InvalidClientConfig, "TLS is not supported"))),
        }
    }

    async fn over<S>(stream: S, settings: &RedisConnectionInfo) -> RedisResult<Self>
    where
        S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
    {
        let sent = Arc::<AtomicU64>::default();
        let stream = Metered { stream, sent: Arc::clone(&sent) };
        // A link keeps one deadline around everything; a second one in here would end a use without its error.
        let config = AsyncConnectionConfig::new().set_response_timeout(None);
        let (handle, driver) = MultiplexedConnection::new_with_config(settings, stream, config).await?;
        let driver = tokio::spawn(driver).abort_handle();
        Ok(Self { handle, driver, sent })
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
        self.sent.load(Ordering::Acquire)
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        self.driver.abort();
    }
}

impl fmt::Debug for Connection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Connection").field("closed", &self.is_closed()).field("sent", &self.sent()).finish()
    }
}

/// A stream that counts the bytes that leave through it.
struct Metered<S> {
    stream: S,
    sent: Arc<AtomicU64>,
}

impl<S> Metered<S> {
    fn count(&self, written: usize) -> usize {
        self.sent.fetch_add(written as u64, Ordering::AcqRel);
        written
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Metered<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        into: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(cx, into)
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Metered<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, from: &[u8]) -> Poll<io::Result<usize>> {
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
