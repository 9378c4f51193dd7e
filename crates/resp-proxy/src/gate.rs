//! The faults of connections, as one direction of bytes meets them.

use std::future::poll_fn;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::active::ActiveRule;
use crate::client::leaves;
use crate::latency::DelayLine;
use crate::rule::{ConnectionFault, LinkDirection};
use crate::rules::RuleView;
use crate::state::{ConnectionEnd, ConnectionState};
use crate::window::ByteWindow;

/// One direction of one connection.
pub(crate) struct FaultGate<'a> {
    pub(crate) view: RuleView,
    exchange: &'a ConnectionState,
    direction: LinkDirection,
    /// Bytes of this direction were dropped, so that later ones make no sense.
    has_lost: bool,
}

impl<'a> FaultGate<'a> {
    pub(crate) fn new(exchange: &'a ConnectionState, direction: LinkDirection) -> Self {
        Self {
            view: exchange.link.view(),
            exchange,
            direction,
            has_lost: false,
        }
    }

    fn find(&self, wanted: impl Fn(ConnectionFault) -> bool) -> Option<Arc<ActiveRule>> {
        self.exchange.find_fault(&self.view, wanted)
    }

    /// Counts an effect on a connection once, and its last moment always.
    fn meets(&self, active: &Arc<ActiveRule>) {
        if self.exchange.is_first(active) {
            self.view.took_effect(active);
        } else {
            active.goes_on();
        }
    }

    fn is_here(&self, stream: Option<LinkDirection>) -> bool {
        stream.is_none_or(|stream| stream == self.direction)
    }

    /// Reads into a window the bytes that have arrived by a line. Returns their number, zero at the
    /// end.
    pub(crate) async fn read(
        &mut self,
        late: &mut DelayLine,
        window: &mut ByteWindow,
        reader: &mut (impl AsyncRead + Unpin),
    ) -> std::io::Result<usize> {
        poll_fn(|context| {
            window.poll_fill(context, |context, out| {
                late.poll_read(context, reader, || self.latency(), out)
            })
        })
        .await
    }

    /// The rule that makes bytes late that come now, and the time.
    fn latency(&mut self) -> Option<(Arc<ActiveRule>, Duration)> {
        self.view.refresh();
        let active = self.find(|fault| match fault {
            ConnectionFault::Latency { stream, .. } => self.is_here(stream),
            _ => false,
        })?;
        let Some(ConnectionFault::Latency { by, jitter, .. }) = active.of_connections() else {
            return None;
        };
        self.meets(&active);
        let delay = active.drawn_delay(by, jitter);
        Some((active, delay))
    }

    /// Takes over changes of the rules, and waits while the connection is silenced. `client` is the
    /// client whose leaving ends the wait.
    pub(crate) async fn open(&mut self, client: Option<&TcpStream>) -> Result<(), ConnectionEnd> {
        self.view.refresh();
        while let Some(active) = self.find(|fault| fault == ConnectionFault::Silence) {
            self.meets(&active);
            let left = async {
                match client {
                    Some(client) => leaves(client).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                biased;
                () = active.ended.cancelled() => {}
                () = left => return Err(ConnectionEnd::Closed),
            }
            self.view.refresh();
        }
        Ok(())
    }

    /// Writes, no faster than the connection may be, and nothing that a rule drops.
    pub(crate) async fn write(
        &mut self,
        out: &mut (impl AsyncWrite + Unpin),
        bytes: &[u8],
    ) -> std::io::Result<()> {
        if self.loses(bytes) {
            return Ok(());
        }
        let mut rest = bytes;
        while !rest.is_empty()
            && let Some(active) =
                self.find(|fault| matches!(fault, ConnectionFault::Bandwidth { .. }))
            && let Some(ConnectionFault::Bandwidth { rate }) = active.of_connections()
        {
            self.meets(&active);
            // Twenty times a second, so that a change of the rules is noticed soon.
            let (now, later) = rest.split_at(rest.len().min(1 + rate.get() as usize / 20));
            out.write_all(now).await?;
            out.flush().await?;
            let pace = now.len() as f64 / f64::from(rate.get());
            tokio::time::sleep(Duration::from_secs_f64(pace)).await;
            rest = later;
            self.view.refresh();
        }
        out.write_all(rest).await?;
        // A TLS stream may keep the last of it otherwise.
        out.flush().await
    }

    /// Whether these bytes are dropped. A rule that resets the connection for them begins to wait.
    fn loses(&mut self, bytes: &[u8]) -> bool {
        if !self.view.has_connection_faults || bytes.is_empty() {
            return false;
        }
        let found = self.find(|fault| match fault {
            ConnectionFault::Reset { stream, .. } | ConnectionFault::Timeout { stream, .. } => {
                self.is_here(stream)
            }
            _ => false,
        });
        let Some(active) = found else {
            return self.has_lost;
        };
        self.meets(&active);
        if let Some(ConnectionFault::Reset { after, .. }) = active.of_connections() {
            self.exchange.doom(Instant::now() + after, &active);
        }
        self.exchange.lost_bytes.store(true, Ordering::Relaxed);
        self.has_lost = true;
        true
    }
}
