//! The bytes of one direction that were read and are not passed on yet.

use std::cell::RefCell;
use std::io;
use std::task::{Context, Poll, ready};

use tokio::io::ReadBuf;

/// Bytes read at once, and the most of a frame that is held back until its fate is known.
pub(crate) const BUFFER: usize = 32 * 1024;
/// The most that a held connection keeps of what its client sends, bytes. A store takes as much
/// while it is paused, and so notices clients that leave.
const LARGEST: usize = 64 << 20;
/// Buffers that are kept for the next connection that has bytes, on each thread.
const SPARE: usize = 16;

thread_local! {
    static BUFFERS: RefCell<Vec<Vec<u8>>> = const { RefCell::new(Vec::new()) };
}

/// A buffer of [`BUFFER`] bytes.
pub(crate) fn take_buffer() -> Vec<u8> {
    let spare = BUFFERS.with_borrow_mut(Vec::pop);
    spare.unwrap_or_else(|| vec![0; BUFFER])
}

/// Gives a buffer back.
pub(crate) fn give_buffer(buffer: Vec<u8>) {
    BUFFERS.with_borrow_mut(|buffers| {
        if buffers.len() < SPARE && buffer.len() == BUFFER {
            buffers.push(buffer);
        }
    });
}

/// A window on one direction's bytes. It has no buffer while it holds no bytes, so that an idle
/// connection needs none.
#[derive(Debug, Default)]
pub(crate) struct ByteWindow {
    buffer: Vec<u8>,
    /// Bytes before this one are passed on.
    pub(crate) done: usize,
    /// First byte of the current frame.
    pub(crate) frame: usize,
    /// Bytes before this one are scanned.
    pub(crate) scanned: usize,
    filled: usize,
}

impl ByteWindow {
    /// The bytes that are not scanned yet.
    pub(crate) fn unscanned(&self) -> &[u8] {
        &self.buffer[self.scanned..self.filled]
    }

    pub(crate) fn has_unscanned(&self) -> bool {
        self.scanned < self.filled
    }

    /// The bytes up to `end` that are to be passed on.
    pub(crate) fn waiting(&self, end: usize) -> &[u8] {
        &self.buffer[self.done.min(end)..end]
    }

    /// Whether nothing more can be read behind the bytes that are held back.
    pub(crate) fn is_full(&self) -> bool {
        self.done == 0 && self.filled == self.buffer.len().max(BUFFER)
    }

    /// Makes room behind the bytes that are held back, unless there are too many.
    pub(crate) fn grow(&mut self) {
        self.compact();
        if self.is_full() && self.filled < LARGEST {
            self.buffer.resize(2 * self.filled, 0);
        }
    }

    /// Takes all bytes as scanned.
    pub(crate) fn scan_all(&mut self) {
        self.scanned = self.filled;
    }

    /// Reads by `read`, behind the bytes that are held back. Returns the number of bytes read.
    pub(crate) fn poll_fill(
        &mut self,
        context: &mut Context<'_>,
        mut read: impl FnMut(&mut Context<'_>, &mut ReadBuf<'_>) -> Poll<io::Result<()>>,
    ) -> Poll<io::Result<usize>> {
        self.compact();
        if self.buffer.is_empty() {
            self.buffer = take_buffer();
        }
        let mut room = ReadBuf::new(&mut self.buffer[self.filled..]);
        let polled = read(context, &mut room);
        let count = room.filled().len();
        self.filled += count;
        if self.filled == 0 {
            give_buffer(std::mem::take(&mut self.buffer));
        }
        ready!(polled)?;
        Poll::Ready(Ok(count))
    }

    fn compact(&mut self) {
        if self.done == 0 {
            return;
        }
        self.buffer.copy_within(self.done..self.filled, 0);
        self.frame = self.frame.saturating_sub(self.done);
        self.scanned -= self.done;
        self.filled -= self.done;
        self.done = 0;
    }
}

impl Drop for ByteWindow {
    fn drop(&mut self) {
        if !self.buffer.is_empty() {
            give_buffer(std::mem::take(&mut self.buffer));
        }
    }
}
