//! The direction from store to client: matches replies with commands and lets their fate happen.

use std::pin::pin;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt as _};
use tokio::time::{sleep, sleep_until};

use crate::active::ActiveRule;
use crate::frame::{FrameScanner, NoCapture, ScanProgress, StreamSide};
use crate::gate::FaultGate;
use crate::latency::DelayLine;
use crate::queue::{ReplyFate, ReplyForm, ReplyQueue};
use crate::rule::LinkDirection;
use crate::state::{ConnectionEnd, ConnectionState};
use crate::subscriptions::{FrameWords, Subscriptions};
use crate::window::{BUFFER, ByteWindow};

/// The most that a late reply keeps a connection whose client has closed its side.
const FAREWELL: Duration = Duration::from_secs(1);

/// The meaning of the current frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum FrameRole {
    /// Its first words will tell; it is held back until then.
    Unknown,
    /// It answers no command, or one whose reply has no further meaning.
    Passing,
    Reply(ReplyForm),
    Confirmation,
    /// A confirmation that was not awaited.
    Announcement,
}

/// One connection's replies.
pub(crate) struct ReplyStream<'a, R, W> {
    upstream: R,
    client: W,
    exchange: &'a ConnectionState,
    gate: FaultGate<'a>,
    late: DelayLine,
    window: ByteWindow,
    scanner: FrameScanner,
    role: FrameRole,
    words: FrameWords,
    /// The words of the current frame matter.
    has_words: bool,
    /// Plain replies that come next, before the first of the queue.
    plain: u64,
    subscriptions: Subscriptions,
    /// Confirmations to come of the first command in the queue; zero before its first.
    unconfirmed: u32,
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
            gate: FaultGate::new(exchange, LinkDirection::Downstream),
            late: DelayLine::default(),
            window: ByteWindow::default(),
            scanner: FrameScanner::new(StreamSide::Replies),
            role: FrameRole::Unknown,
            words: FrameWords::default(),
            has_words: false,
            plain: 0,
            subscriptions: Subscriptions::default(),
            unconfirmed: 0,
            replaced: false,
            swallowed: None,
        }
    }

    /// Passes replies on until the store has sent its last.
    pub(crate) async fn run(mut self) -> Result<(), ConnectionEnd> {
        let exchange = self.exchange;
        let mut wake = pin!(exchange.wake.notified());
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
                read = self.gate.read(&mut self.late, &mut self.window, &mut self.upstream) => {
                    read?
                }
                () = &mut wake => {
                    wake.set(exchange.wake.notified());
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
            self.exchange.reads.note();
            self.gate.open(None).await?;
            self.pass().await?;
        }
    }

    /// Passes on the frames in the window.
    async fn pass(&mut self) -> Result<(), ConnectionEnd> {
        while self.window.has_unscanned() && !self.exchange.is_transparent() {
            let first = self.window.unscanned()[0];
            if self.scanner.at_frame_start() && !self.is_plain(first) {
                self.start(first).await?;
            }
            let bytes = self.window.unscanned();
            let scanned = if self.has_words {
                self.scanner.scan(bytes, &mut self.words)
            } else {
                self.scanner.scan(bytes, &mut NoCapture)
            };
            let Ok((used, progress)) = scanned else {
                self.exchange.give_up();
                break;
            };
            self.window.scanned += used;
            // No more than a buffer is held back for the words of a frame.
            let is_long = self.window.scanned - self.window.frame >= BUFFER / 2;
            if self.role == FrameRole::Unknown
                && (progress != ScanProgress::More || self.words.is_full() || is_long)
            {
                self.meet(self.scanner.kind()).await?;
            }
            if self.replaced {
                self.window.done = self.window.scanned;
            }
            if progress == ScanProgress::End {
                self.end();
            }
        }
        if self.exchange.is_transparent() {
            self.window.scan_all();
            self.role = FrameRole::Passing;
        }
        let end = if self.role == FrameRole::Unknown && !self.scanner.at_frame_start() {
            self.window.frame
        } else {
            self.window.scanned
        };
        self.forward(end).await?;
        if self.scanner.at_frame_start() {
            self.local().await
        } else {
            Ok(())
        }
    }

    /// Whether the frame that begins is one of the plain replies, which need no look.
    fn is_plain(&mut self, kind: u8) -> bool {
        if matches!(kind, b'>' | b'|') || self.subscriptions.has_array_messages() {
            return false;
        }
        if self.plain == 0 {
            self.plain = self.exchange.expected(ReplyQueue::take_plain);
        }
        if self.plain == 0 {
            return false;
        }
        self.plain -= 1;
        self.role = FrameRole::Passing;
        self.has_words = false;
        self.replaced = false;
        true
    }

    /// A frame begins that may have a fate of its own.
    async fn start(&mut self, kind: u8) -> Result<(), ConnectionEnd> {
        // All before it leaves first, since its fate may be to wait or to end everything.
        self.window.frame = self.window.scanned;
        self.forward(self.window.frame).await?;
        self.local().await?;
        self.role = FrameRole::Unknown;
        self.replaced = false;
        self.words.clear();
        let form = self.exchange.front().map(|(form, _)| form);
        if kind == b'\n' && form == Some(ReplyForm::Stream) {
            // A store that prepares a replication sends line breaks, so that the link stays open.
            self.exchange.become_transparent();
            return Ok(());
        }
        let awaits = self.plain == 0;
        self.has_words = match (kind, form) {
            (b'>' | b'*', Some(ReplyForm::Confirmations(..) | ReplyForm::Refusal))
            | (b'-', Some(ReplyForm::Refusal))
                if awaits =>
            {
                true
            }
            // Stores confirm subscriptions even while replies are switched off.
            (b'*', None) if awaits => true,
            (b'*', _) => self.subscriptions.has_array_messages(),
            _ => false,
        };
        if self.has_words {
            return Ok(());
        }
        self.meet(kind).await
    }

    /// Decides about the current frame, which is of this kind.
    async fn meet(&mut self, kind: u8) -> Result<(), ConnectionEnd> {
        self.role = FrameRole::Passing;
        let is_message = kind == b'*' && self.has_words && self.words.are_message();
        if kind == b'|' || is_message {
            return Ok(());
        }
        loop {
            if self.plain > 0 {
                self.plain -= u64::from(kind != b'>');
                return Ok(());
            }
            let confirms = matches!(kind, b'>' | b'*') && self.words.are_confirmation();
            let Some((form, fate)) = self.exchange.front() else {
                if self.has_words && confirms {
                    self.role = FrameRole::Announcement;
                } else if kind != b'>' {
                    self.exchange.link.counters.unmatched.note();
                }
                return Ok(());
            };
            match form {
                ReplyForm::Confirmations(channels, named) if self.has_words && confirms => {
                    self.role = FrameRole::Confirmation;
                    if self.unconfirmed > 0 {
                        return Ok(());
                    }
                    self.unconfirmed = self.subscriptions.confirmations(channels, named);
                }
                _ if kind == b'>' && !confirms => return Ok(()),
                ReplyForm::Refusal => {
                    let refuses =
                        kind == b'-' && self.has_words && self.words.refuse_client_reply();
                    self.exchange.expected(|queue| queue.settle(refuses));
                    self.exchange.note_outcome(!refuses);
                    if refuses {
                        return Ok(());
                    }
                    self.plain = self.exchange.expected(ReplyQueue::take_plain);
                    self.local().await?;
                    continue;
                }
                form => self.role = FrameRole::Reply(form),
            }
            return self.suffer(fate).await;
        }
    }

    /// Lets the fate of the current frame happen.
    async fn suffer(&mut self, fate: ReplyFate) -> Result<(), ConnectionEnd> {
        match fate {
            ReplyFate::Pass | ReplyFate::Local(_) => {}
            ReplyFate::NotBefore(due, active) if due > Instant::now() => {
                // The client's other replies wait as well, but not for a fault that is over, and
                // not long for a client that has left.
                let farewell = async {
                    self.exchange.client_left.cancelled().await;
                    sleep(FAREWELL).await;
                };
                tokio::select! {
                    () = sleep_until(due.into()) => {}
                    () = active.ended.cancelled() => {}
                    () = farewell => return Err(ConnectionEnd::Closed),
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
                self.send(&line).await?;
                self.replaced = true;
            }
        }
        Ok(())
    }

    /// A frame ended.
    fn end(&mut self) {
        let is_error = matches!(self.scanner.kind(), b'-' | b'!');
        let form = match self.role {
            FrameRole::Unknown | FrameRole::Passing => return,
            role @ (FrameRole::Confirmation | FrameRole::Announcement) => {
                let is_array = self.scanner.kind() == b'*';
                self.subscriptions.confirm(&self.words, is_array);
                if role == FrameRole::Confirmation {
                    self.unconfirmed -= 1;
                    if self.unconfirmed == 0 {
                        self.exchange.expected(ReplyQueue::pop);
                    }
                }
                return;
            }
            FrameRole::Reply(form) => form,
        };
        match form {
            ReplyForm::Hello(Some(version)) if !is_error => self.subscriptions.speak(version),
            ReplyForm::Reset if !is_error => self.subscriptions = Subscriptions::default(),
            ReplyForm::Stream if !is_error => self.exchange.become_transparent(),
            _ => {}
        }
        if form.has_outcome() {
            self.exchange.note_outcome(!is_error);
        }
        self.exchange.expected(ReplyQueue::pop);
    }

    /// Errors that answer commands instead of the store, as far as it is their turn.
    async fn local(&mut self) -> Result<(), ConnectionEnd> {
        while self.plain == 0
            && let Some(line) = self.exchange.take_local()
        {
            self.send(&line).await?;
        }
        Ok(())
    }

    /// Passes on the bytes up to `end`.
    async fn forward(&mut self, end: usize) -> Result<(), ConnectionEnd> {
        let bytes = self.window.waiting(end);
        if !bytes.is_empty() {
            if self.swallowed.is_none() {
                self.gate.write(&mut self.client, bytes).await?;
            }
            self.window.done = end;
        }
        Ok(())
    }

    /// Sends a line of the proxy's own.
    async fn send(&mut self, line: &[u8]) -> Result<(), ConnectionEnd> {
        if self.swallowed.is_none() {
            self.gate.write(&mut self.client, line).await?;
        }
        Ok(())
    }
}
