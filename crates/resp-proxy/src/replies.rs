//! The direction from store to client: matches replies with commands and lets their fate happen.

use std::sync::Arc;
use std::time::Instant;

use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::time::sleep_until;

use crate::frame::{ElementCapture, FrameScanner, NoCapture, ScanProgress, StreamSide};
use crate::queue::{ReplyFate, ReplyForm};
use crate::rules::ActiveRule;
use crate::state::{ConnectionEnd, ConnectionState, FaultGate};

/// Bytes read at once.
const BUFFER: usize = 32 * 1024;

/// The beginning of the first word of a push, which tells a subscription's confirmation from a
/// message.
#[derive(Debug, Default)]
struct PushWord {
    bytes: [u8; 16],
    length: usize,
}

impl PushWord {
    fn confirms_subscription(&self) -> bool {
        self.bytes[..self.length].ends_with(b"subscribe")
    }
}

impl ElementCapture for PushWord {
    fn piece(&mut self, index: usize, bytes: &[u8]) {
        let room = &mut self.bytes[self.length..];
        let taken = if index == 0 {
            bytes.len().min(room.len())
        } else {
            0
        };
        room[..taken].copy_from_slice(&bytes[..taken]);
        self.length += taken;
    }
}

/// One connection's replies.
pub(crate) struct ReplyStream<'a, R, W> {
    upstream: R,
    client: W,
    exchange: &'a ConnectionState,
    gate: FaultGate,
    scanner: FrameScanner,
    word: PushWord,
    /// Version of RESP in force.
    version: u8,
    /// Something else was sent in place of the current frame.
    replaced: bool,
    /// Nothing passes any more: a reply was swallowed, and those behind it would be taken for it.
    swallowed: Option<Arc<ActiveRule>>,
}

impl<'a, R: AsyncRead + Unpin, W: AsyncWrite + Unpin> ReplyStream<'a, R, W> {
    pub(crate) fn new(upstream: R, client: W, exchange: &'a ConnectionState) -> Self {
        Self {
            upstream,
            client,
            exchange,
            gate: exchange.gate(),
            scanner: FrameScanner::new(StreamSide::Replies),
            word: PushWord::default(),
            version: 2,
            replaced: false,
            swallowed: None,
        }
    }

    /// Passes replies on until the store has sent its last.
    pub(crate) async fn run(mut self) -> Result<(), ConnectionEnd> {
        let mut buffer = vec![0; BUFFER];
        loop {
            let swallowed = self.swallowed.clone();
            let fault_ended = async {
                match &swallowed {
                    Some(active) => active.ended.cancelled().await,
                    None => std::future::pending().await,
                }
            };
            let read = tokio::select! {
                biased;
                // A connection that lost a reply is of no use: its client may open another.
                () = fault_ended => return Err(ConnectionEnd::Reset),
                read = self.upstream.read(&mut buffer) => read?,
                () = self.exchange.replies_woken() => {
                    if self.scanner.at_frame_start() {
                        self.local().await?;
                    }
                    continue;
                }
            };
            if read == 0 {
                self.client.shutdown().await?;
                return Ok(());
            }
            self.gate.open(self.exchange).await;
            self.pass(&buffer[..read]).await?;
        }
    }

    async fn pass(&mut self, bytes: &[u8]) -> Result<(), ConnectionEnd> {
        let (mut at, mut done) = (0, 0);
        while at < bytes.len() && !self.exchange.is_transparent() {
            if self.scanner.at_frame_start() {
                // All before this frame leaves before its own fate, which may be to wait or to end
                // everything.
                if self.exchange.has_special() {
                    self.forward(&bytes[done..at]).await?;
                    done = at;
                    self.local().await?;
                }
                self.begin(bytes[at]).await?;
            }
            let is_push = self.scanner.kind() == b'>' || self.scanner.at_frame_start();
            let rest = &bytes[at..];
            let scanned = if is_push {
                self.scanner.scan(rest, &mut self.word)
            } else {
                self.scanner.scan(rest, &mut NoCapture)
            };
            let Ok((used, progress)) = scanned else {
                self.exchange.give_up();
                break;
            };
            at += used;
            if self.replaced {
                done = at;
            }
            if progress == ScanProgress::End {
                self.end();
            }
        }
        let end = if self.exchange.is_transparent() {
            bytes.len()
        } else {
            at
        };
        self.forward(&bytes[done..end]).await?;
        if self.scanner.at_frame_start() {
            self.local().await
        } else {
            Ok(())
        }
    }

    /// A frame begins: its fate is decided by its first byte and by the command that it answers.
    async fn begin(&mut self, kind: u8) -> Result<(), ConnectionEnd> {
        self.word.length = 0;
        self.replaced = false;
        if matches!(kind, b'>' | b'|') {
            return Ok(());
        }
        let Some(fate) = self.exchange.fate() else {
            self.exchange.link.counters.lock().unmatched += 1;
            return Ok(());
        };
        match fate {
            ReplyFate::Pass | ReplyFate::Local(_) => {}
            ReplyFate::NotBefore(due, active) if due > Instant::now() => {
                // The client's other replies wait as well, but not for a fault that is over.
                tokio::select! {
                    () = sleep_until(due.into()) => {}
                    () = active.ended.cancelled() => {}
                }
            }
            ReplyFate::NotBefore(..) => {}
            // A fault that is over has no effects.
            ReplyFate::Swallow(active) | ReplyFate::Reset(active)
                if active.ended.is_cancelled() => {}
            ReplyFate::Swallow(active) => {
                self.gate.view.took_effect(&active);
                self.swallowed.get_or_insert(active);
            }
            ReplyFate::Reset(active) => {
                self.gate.view.took_effect(&active);
                return Err(ConnectionEnd::Reset);
            }
            ReplyFate::Replaced(line) => {
                self.forward(&line).await?;
                self.replaced = true;
            }
        }
        Ok(())
    }

    /// A frame ended: it answered a command, confirmed a subscription, or was a push.
    fn end(&mut self) {
        let kind = self.scanner.kind();
        if kind == b'|' {
            return;
        }
        let form = self.exchange.form();
        if kind == b'>' {
            if form == Some(ReplyForm::Subscribe) && self.word.confirms_subscription() {
                self.exchange.answered();
            }
            return;
        }
        match form {
            Some(ReplyForm::Hello(version)) if kind != b'-' => self.version = version,
            Some(ReplyForm::Stream) if kind != b'-' => self.exchange.become_transparent(),
            Some(ReplyForm::Subscribe) if kind != b'-' && self.version == 2 => {
                self.exchange.become_transparent();
            }
            _ => {}
        }
        self.exchange.answered();
    }

    /// Errors that answer commands instead of the store, as far as it is their turn.
    async fn local(&mut self) -> Result<(), ConnectionEnd> {
        while let Some(line) = self.exchange.take_local() {
            self.forward(&line).await?;
        }
        Ok(())
    }

    async fn forward(&mut self, bytes: &[u8]) -> Result<(), ConnectionEnd> {
        if self.swallowed.is_some() || bytes.is_empty() {
            return Ok(());
        }
        self.gate
            .write(self.exchange, &mut self.client, bytes)
            .await
    }
}
