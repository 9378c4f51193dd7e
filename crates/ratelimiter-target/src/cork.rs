//! A stream that can be corked: it keeps all that is written, until one write releases it.
//!
//! When many connections wait like this, one thread that does nothing but write completes all
//! requests within microseconds of each other. Not even the head of a request leaves before: a
//! server may decide once it has the head, although the body has not come, and the interval of a
//! check, which begins with its release, must hold the decision.

use std::io;
use std::pin::Pin;
use std::sync::{Arc, Weak};
use std::task::{Context, Poll};
use std::time::Instant;

use parking_lot::Mutex;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpStream, UnixStream};
use tokio::sync::Notify;

/// The most bytes that a cork keeps: what a socket takes in one write. More are sent at once.
const LARGEST: usize = 16 * 1024;

/// The cork of one connection.
#[derive(Debug)]
pub struct Cork {
    stream: Socket,
    state: Mutex<CorkState>,
    flushed: Notify,
}

#[derive(Debug, Default)]
struct CorkState {
    armed: bool,
    kept: Vec<u8>,
    /// Whether a flush followed the last write: the request is whole.
    flushed: bool,
    /// When too much was written to be kept, and left.
    overflow: Option<Instant>,
}

impl Cork {
    /// Keeps all that is written from now on.
    pub fn arm(&self) {
        *self.state.lock() = CorkState {
            armed: true,
            ..CorkState::default()
        };
    }

    /// Waits until a whole request is kept.
    pub async fn ready(&self) {
        loop {
            let flushed = self.flushed.notified();
            if self.state.lock().flushed {
                return;
            }
            flushed.await;
        }
    }

    /// Writes the kept bytes, and returns the instant before the first left. For a thread that does
    /// nothing else.
    ///
    /// # Errors
    /// When the connection is gone, or its buffer is full.
    pub fn release(&self) -> io::Result<Instant> {
        let mut state = self.state.lock();
        state.armed = false;
        let kept = std::mem::take(&mut state.kept);
        let at = state.overflow.unwrap_or_else(Instant::now);
        if self.stream.try_write(&kept)? < kept.len() {
            return Err(io::ErrorKind::WriteZero.into());
        }
        Ok(at)
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
            flushed: Notify::new(),
        }))
    }

    pub(crate) fn cork(&self) -> Weak<Cork> {
        Arc::downgrade(&self.0)
    }
}

impl Drop for CorkStream {
    /// A connection that has ended keeps nothing back.
    fn drop(&mut self) {
        self.0.state.lock().flushed = true;
        self.0.flushed.notify_one();
    }
}

impl AsyncRead for CorkStream {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        loop {
            std::task::ready!(self.0.stream.poll_read_ready(cx))?;
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
            state.overflow.get_or_insert_with(Instant::now);
        }
        loop {
            std::task::ready!(self.0.stream.poll_write_ready(cx))?;
            let next = if state.kept.is_empty() {
                bytes
            } else {
                &state.kept
            };
            match self.0.stream.try_write(next) {
                Ok(written) if state.kept.is_empty() => return Poll::Ready(Ok(written)),
                Ok(written) => drop(state.kept.drain(..written)),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(error) => return Poll::Ready(Err(error)),
            }
        }
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        let mut state = self.0.state.lock();
        if (!state.kept.is_empty() || state.overflow.is_some()) && !state.flushed {
            state.flushed = true;
            drop(state);
            self.0.flushed.notify_one();
        }
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        // Closed when dropped: half-open connections serve no purpose here.
        Poll::Ready(Ok(()))
    }
}
