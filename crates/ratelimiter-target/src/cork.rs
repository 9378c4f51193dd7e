//! A stream that can be corked: it keeps all that is written, until one write releases it.
//!
//! When many connections wait like this, one thread that does nothing but write completes all
//! requests within microseconds of each other. Not even the head of a request leaves before: a
//! server may decide once it has the head, although the body has not come, and the interval of a
//! check, which begins with its release, must hold the decision.

use std::io;
use std::pin::Pin;
use std::sync::{Arc, Weak};
use std::task::{Context, Poll, Waker, ready};
use std::time::Instant;

use parking_lot::Mutex;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpStream, UnixStream};
use tokio::sync::Notify;

/// The most bytes that a cork keeps. More are sent at once.
const LARGEST: usize = 256 * 1024;

/// The cork of one connection.
#[derive(Debug)]
pub struct Cork {
    stream: Socket,
    state: Mutex<CorkState>,
    change: Notify,
    /// Requests of a shared connection so far.
    queued: Mutex<usize>,
}

#[derive(Debug, Default)]
struct CorkState {
    armed: bool,
    /// The number of the last request that is to be kept.
    awaited: usize,
    /// Requests of a shared connection that were written as a whole. Where there is one request at
    /// a time none is counted: its flush completes it.
    whole: Option<usize>,
    kept: Vec<u8>,
    /// Whether a flush followed the last write.
    flushed: bool,
    /// The connection has ended.
    ended: bool,
    /// When the first byte left: at the release, or before it if there were too many.
    left: Option<Instant>,
    /// The task that writes the bytes for which a release found no place.
    writer: Option<Waker>,
}

impl CorkState {
    /// Whether all requests are kept as a whole, or none will be.
    fn is_whole(&self) -> bool {
        let is_counted = self.whole.is_none_or(|whole| whole >= self.awaited);
        self.ended || self.flushed && is_counted
    }
}

impl Cork {
    /// Keeps all that is written from now on, until it is released; for one request, and again for
    /// each further one of the connection.
    pub fn arm(&self) {
        let mut state = self.state.lock();
        if !std::mem::replace(&mut state.armed, true) {
            (state.flushed, state.left) = (false, None);
            state.awaited = *self.queued.lock();
        }
        state.awaited += 1;
    }

    /// Waits until all requests are kept as a whole.
    pub async fn ready(&self) {
        loop {
            let change = self.change.notified();
            if self.state.lock().is_whole() {
                return;
            }
            change.await;
        }
    }

    /// Writes the kept bytes, once for all requests, and returns the instant before the first left.
    /// For a thread that does nothing else.
    ///
    /// # Errors
    /// When the connection has ended before a byte was kept.
    pub fn release(&self) -> io::Result<Instant> {
        let mut state = self.state.lock();
        if state.ended && state.kept.is_empty() && state.left.is_none() {
            return Err(io::ErrorKind::NotConnected.into());
        }
        let at = *state.left.get_or_insert_with(Instant::now);
        if std::mem::take(&mut state.armed) {
            // Where there is no place for all, the task of the connection writes the rest.
            let written = self.stream.try_write(&state.kept).unwrap_or_default();
            state.kept.drain(..written);
            if let Some(writer) = state.writer.take().filter(|_| !state.kept.is_empty()) {
                writer.wake();
            }
        }
        Ok(at)
    }

    /// Whether it keeps what is written.
    pub(crate) fn is_armed(&self) -> bool {
        self.state.lock().armed
    }

    /// Queues a request of a shared connection. The writer of the connection takes the number of
    /// requests before it writes, which thus cannot pass those that it finds.
    pub(crate) fn queue<T>(&self, request: impl FnOnce() -> T) -> T {
        let mut queued = self.queued.lock();
        *queued += 1;
        request()
    }

    /// Writes all that is queued, and then counts the requests as whole.
    pub(crate) fn write_queued<T>(&self, write: impl FnOnce() -> T) -> T {
        let queued = *self.queued.lock();
        let written = write();
        self.state.lock().whole = Some(queued);
        self.change.notify_one();
        written
    }

    /// Writes the bytes that are still kept.
    fn poll_kept(&self, state: &mut CorkState, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        while !state.kept.is_empty() {
            let written = ready!(self.poll_write(&state.kept, cx))?;
            state.kept.drain(..written);
        }
        Poll::Ready(Ok(()))
    }

    fn poll_write(&self, bytes: &[u8], cx: &mut Context<'_>) -> Poll<io::Result<usize>> {
        loop {
            ready!(self.stream.poll_write_ready(cx))?;
            match self.stream.try_write(bytes) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                written => return Poll::Ready(written),
            }
        }
    }
}

/// A socket of a connection.
#[derive(Debug)]
pub(crate) enum Socket {
    Tcp(TcpStream),
    Unix(UnixStream),
}

impl Socket {
    fn try_write(&self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Self::Tcp(stream) => stream.try_write(bytes),
            Self::Unix(stream) => stream.try_write(bytes),
        }
    }

    fn try_read(&self, bytes: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::Tcp(stream) => stream.try_read(bytes),
            Self::Unix(stream) => stream.try_read(bytes),
        }
    }

    fn poll_read_ready(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self {
            Self::Tcp(stream) => stream.poll_read_ready(cx),
            Self::Unix(stream) => stream.poll_read_ready(cx),
        }
    }

    fn poll_write_ready(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self {
            Self::Tcp(stream) => stream.poll_write_ready(cx),
            Self::Unix(stream) => stream.poll_write_ready(cx),
        }
    }
}

/// A stream with a cork.
#[derive(Debug)]
pub(crate) struct CorkStream(Arc<Cork>);

impl CorkStream {
    pub(crate) fn new(stream: Socket) -> Self {
        Self(Arc::new(Cork {
            stream,
            state: Mutex::default(),
            change: Notify::new(),
            queued: Mutex::default(),
        }))
    }

    pub(crate) fn cork(&self) -> Weak<Cork> {
        Arc::downgrade(&self.0)
    }
}

impl Drop for CorkStream {
    /// A connection that has ended keeps nothing back.
    fn drop(&mut self) {
        self.0.state.lock().ended = true;
        self.0.change.notify_one();
    }
}

impl AsyncRead for CorkStream {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        loop {
            ready!(self.0.stream.poll_read_ready(cx))?;
            match self.0.stream.try_read(buf.initialize_unfilled()) {
                Ok(read) => {
                    buf.advance(read);
                    return Poll::Ready(Ok(()));
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(error) => return Poll::Ready(Err(error)),
            }
        }
    }
}

impl AsyncWrite for CorkStream {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let mut state = self.0.state.lock();
        if state.armed && state.kept.len() + bytes.len() <= LARGEST {
            state.flushed = false;
            state.kept.extend_from_slice(bytes);
            return Poll::Ready(Ok(bytes.len()));
        }
        if state.armed {
            state.left.get_or_insert_with(Instant::now);
        }
        ready!(self.0.poll_kept(&mut state, cx))?;
        self.0.poll_write(bytes, cx)
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let mut state = self.0.state.lock();
        if !state.armed {
            return self.0.poll_kept(&mut state, cx);
        }
        state.writer = Some(cx.waker().clone());
        if (!state.kept.is_empty() || state.left.is_some()) && !state.flushed {
            state.flushed = true;
            drop(state);
            self.0.change.notify_one();
        }
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        // Closed when dropped: half-open connections serve no purpose here.
        Poll::Ready(Ok(()))
    }
}
