//! Last-byte synchronisation: a stream that keeps the last byte of what is written until it is
//! released.
//!
//! A request that lacks its last byte is in the server's buffers and cannot be acted on. When many
//! connections wait like this, one thread that only writes single bytes completes all requests
//! within microseconds of each other.

use std::io;
use std::pin::Pin;
use std::sync::{Arc, Weak};
use std::task::{Context, Poll};
use std::time::Instant;

use parking_lot::Mutex;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpStream, UnixStream};
use tokio::sync::Notify;

/// The last byte of a check on one connection, which can be kept back.
#[derive(Debug)]
pub struct LastByte {
    stream: Socket,
    state: Mutex<LastByteState>,
    flushed: Notify,
}

#[derive(Debug, Default)]
struct LastByteState {
    armed: bool,
    /// The byte that is kept back.
    last: Option<u8>,
    /// Whether a flush followed the last write: the request is complete but for its last byte.
    flushed: bool,
}

impl LastByte {
    /// Keeps the last byte of all that is written from now on.
    pub fn arm(&self) {
        *self.state.lock() = LastByteState {
            armed: true,
            ..LastByteState::default()
        };
    }

    /// Waits until a request is out but for its last byte.
    pub async fn ready(&self) {
        loop {
            let flushed = self.flushed.notified();
            if self.state.lock().flushed {
                return;
            }
            flushed.await;
        }
    }

    /// Writes the last byte, and returns the instant before it left. For a thread that does nothing
    /// else.
    ///
    /// # Errors
    /// When the connection is gone, or its buffer is full.
    pub fn release(&self) -> io::Result<Instant> {
        let mut state = self.state.lock();
        state.armed = false;
        let last = state.last.take();
        let at = Instant::now();
        if let Some(byte) = last
            && self.stream.try_write(&[byte])? == 0
        {
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

/// A stream whose last byte can be kept back.
#[derive(Debug)]
pub(crate) struct HeldStream(Arc<LastByte>);

impl HeldStream {
    pub(crate) fn new(stream: Socket) -> Self {
        Self(Arc::new(LastByte {
            stream,
            state: Mutex::default(),
            flushed: Notify::new(),
        }))
    }

    pub(crate) fn last_byte(&self) -> Weak<LastByte> {
        Arc::downgrade(&self.0)
    }
}

impl Drop for HeldStream {
    /// A connection that has ended keeps nothing back.
    fn drop(&mut self) {
        self.0.state.lock().flushed = true;
        self.0.flushed.notify_one();
    }
}

impl AsyncRead for HeldStream {
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

impl AsyncWrite for HeldStream {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        loop {
            std::task::ready!(self.0.stream.poll_write_ready(cx))?;
            let mut state = self.0.state.lock();
            let written = if state.armed && !bytes.is_empty() {
                state.flushed = false;
                match state.last {
                    // The byte that was kept is followed by others after all.
                    Some(byte) => self.0.stream.try_write(&[byte]).map(|_| {
                        state.last = None;
                        0
                    }),
                    None if bytes.len() == 1 => {
                        state.last = Some(bytes[0]);
                        Ok(1)
                    }
                    None => self
                        .0
                        .stream
                        .try_write(&bytes[..bytes.len() - 1])
                        .map(|written| {
                            if written == bytes.len() - 1 {
                                state.last = Some(bytes[written]);
                                written + 1
                            } else {
                                written
                            }
                        }),
                }
            } else {
                self.0.stream.try_write(bytes)
            };
            match written {
                Ok(0) if !bytes.is_empty() => {}
                Ok(written) => return Poll::Ready(Ok(written)),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(error) => return Poll::Ready(Err(error)),
            }
        }
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        let mut state = self.0.state.lock();
        if state.last.is_some() && !state.flushed {
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
