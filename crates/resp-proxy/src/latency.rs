//! Bytes that arrive later: a line between a socket and its reader.

use std::collections::VecDeque;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::{Duration, Instant};

use tokio::io::{AsyncRead, ReadBuf};
use tokio::time::timeout_at;

use crate::active::ActiveRule;
use crate::window::{give_buffer, take_buffer};

/// The most bytes on one line. A sender of more waits, as on a link whose window is full.
const LONGEST: usize = 1 << 20;

/// Bytes with the instant of their arrival. The end of the stream is an empty piece.
struct LatePiece {
    bytes: Vec<u8>,
    taken: usize,
    due: Instant,
    active: Arc<ActiveRule>,
}

/// The bytes of one direction that have not arrived yet, in order. It goes on reading meanwhile, so
/// that the delays of consecutive pieces overlap.
#[derive(Default)]
pub(crate) struct DelayLine {
    pieces: VecDeque<LatePiece>,
    length: usize,
    has_ended: bool,
    /// Ends when the first piece is due, or its rule over.
    arrival: Option<Pin<Box<dyn Future<Output = ()> + Send>>>,
}

impl DelayLine {
    /// Reads the bytes that have arrived. `delay` is the rule and the time for bytes that come now.
    pub(crate) fn poll_read(
        &mut self,
        context: &mut Context<'_>,
        reader: &mut (impl AsyncRead + Unpin),
        mut delay: impl FnMut() -> Option<(Arc<ActiveRule>, Duration)>,
        out: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if self.pieces.is_empty() {
            ready!(Pin::new(&mut *reader).poll_read(context, out))?;
            // The end of the stream is not late when nothing before it is.
            let has_bytes = !out.filled().is_empty();
            let Some(delay) = has_bytes.then(&mut delay).flatten() else {
                return Poll::Ready(Ok(()));
            };
            self.push(out.filled().to_vec(), delay);
            out.clear();
        }
        self.read_on(context, reader, delay)?;
        let Some(first) = self.pieces.front_mut() else {
            return Poll::Ready(Ok(()));
        };
        if first.due > Instant::now() && !first.active.ended.is_cancelled() {
            let arrival = self.arrival.get_or_insert_with(|| {
                let (due, active) = (first.due, Arc::clone(&first.active));
                Box::pin(async move {
                    let _ = timeout_at(due.into(), active.ended.cancelled()).await;
                })
            });
            ready!(arrival.as_mut().poll(context));
        }
        self.arrival = None;
        let rest = &first.bytes[first.taken..];
        let count = rest.len().min(out.remaining());
        out.put_slice(&rest[..count]);
        first.taken += count;
        self.length -= count;
        if first.taken == first.bytes.len() {
            self.pieces.pop_front();
        }
        Poll::Ready(Ok(()))
    }

    /// Takes in the bytes that wait in the socket.
    fn read_on(
        &mut self,
        context: &mut Context<'_>,
        reader: &mut (impl AsyncRead + Unpin),
        mut delay: impl FnMut() -> Option<(Arc<ActiveRule>, Duration)>,
    ) -> io::Result<()> {
        while self.length < LONGEST
            && !self.has_ended
            && let Some(last) = self.pieces.back()
        {
            // Behind pieces that are late, none is early.
            let active = Arc::clone(&last.active);
            let mut buffer = take_buffer();
            let mut room = ReadBuf::new(&mut buffer);
            let polled = Pin::new(&mut *reader).poll_read(context, &mut room);
            let bytes = room.filled().to_vec();
            give_buffer(buffer);
            match polled {
                Poll::Pending => break,
                Poll::Ready(read) => read?,
            }
            let delay = (!bytes.is_empty()).then(&mut delay).flatten();
            self.push(bytes, delay.unwrap_or((active, Duration::ZERO)));
        }
        Ok(())
    }

    fn push(&mut self, bytes: Vec<u8>, (active, delay): (Arc<ActiveRule>, Duration)) {
        let due = Instant::now() + delay;
        let last = self.pieces.back().map_or(due, |last| last.due);
        self.has_ended |= bytes.is_empty();
        self.length += bytes.len();
        self.pieces.push_back(LatePiece {
            bytes,
            taken: 0,
            due: due.max(last),
            active,
        });
    }
}
