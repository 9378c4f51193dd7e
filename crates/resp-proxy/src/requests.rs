//! The direction from client to store: finds commands, asks the rules, and passes on the rest.

use std::io;
use std::sync::Arc;
use std::time::Instant;

use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};

use crate::class::CommandKind;
use crate::command::Command;
use crate::dialogue::Dialogue;
use crate::frame::{FrameScanner, ScanProgress, StreamSide};
use crate::queue::{ReplyFate, ReplyForm};
use crate::rule::CommandFault;
use crate::rules::ActiveRule;
use crate::state::{ConnectionEnd, ConnectionState, FaultGate};

/// Bytes read at once, and the most of a command that is held back until the rules can decide about
/// it.
const BUFFER: usize = 32 * 1024;

/// Sent in place of an EXEC that is answered by a rule, so that the store's transaction ends as the
/// client believes.
const DISCARD: &[u8] = b"*1\r\n$7\r\nDISCARD\r\n";

/// Passage of the current frame's bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum FramePassage {
    /// Not enough of the command is known yet.
    Undecided,
    Forward,
    Discard,
}

/// One connection's requests.
pub(crate) struct RequestStream<'a, R, W> {
    client: R,
    upstream: W,
    exchange: &'a ConnectionState,
    gate: FaultGate,
    dialogue: Dialogue,
    command: Command,
    scanner: FrameScanner,
    passage: FramePassage,
    buffer: Vec<u8>,
    /// Bytes of the buffer before this one are dealt with.
    done: usize,
    /// Bytes before this one are scanned.
    scanned: usize,
    /// Bytes before this one are filled.
    filled: usize,
    /// First byte of the current frame.
    frame: usize,
}

impl<'a, R: AsyncRead + Unpin, W: AsyncWrite + Unpin> RequestStream<'a, R, W> {
    pub(crate) fn new(client: R, upstream: W, exchange: &'a ConnectionState) -> Self {
        Self {
            client,
            upstream,
            exchange,
            gate: exchange.gate(),
            dialogue: Dialogue::default(),
            command: Command::new(),
            scanner: FrameScanner::new(StreamSide::Requests),
            passage: FramePassage::Undecided,
            buffer: vec![0; BUFFER],
            done: 0,
            scanned: 0,
            filled: 0,
            frame: 0,
        }
    }

    /// Passes requests on until the client has sent its last.
    pub(crate) async fn run(mut self) -> Result<(), ConnectionEnd> {
        while self.read().await? > 0 {
            self.gate.open(self.exchange).await;
            while self.scanned < self.filled && !self.exchange.is_transparent() {
                self.step().await?;
            }
            if self.exchange.is_transparent() {
                self.scanned = self.filled;
                self.passage = FramePassage::Forward;
            }
            self.forward(self.decided()).await?;
        }
        self.upstream.shutdown().await?;
        Ok(())
    }

    /// Reads more, behind the bytes that are held back.
    async fn read(&mut self) -> io::Result<usize> {
        self.exchange.room().await;
        self.compact();
        let read = self.client.read(&mut self.buffer[self.filled..]).await?;
        self.filled += read;
        Ok(read)
    }

    fn compact(&mut self) {
        self.buffer.copy_within(self.done..self.filled, 0);
        self.scanned -= self.done;
        self.filled -= self.done;
        self.frame = self.frame.saturating_sub(self.done);
        self.done = 0;
    }

    /// How far the bytes may be passed on.
    fn decided(&self) -> usize {
        if self.passage == FramePassage::Undecided {
            self.frame
        } else {
            self.scanned
        }
    }

    /// Scans to the next event, and decides about a command as soon as enough of it is known.
    async fn step(&mut self) -> Result<(), ConnectionEnd> {
        if self.scanner.at_frame_start() {
            self.frame = self.scanned;
            self.passage = FramePassage::Undecided;
            self.command.clear(self.buffer[self.scanned] != b'*');
        }
        let bytes = &self.buffer[self.scanned..self.filled];
        let Ok((used, progress)) = self.scanner.scan(bytes, &mut self.command) else {
            self.exchange.give_up();
            return Ok(());
        };
        self.scanned += used;
        if self.passage == FramePassage::Undecided {
            let full =
                self.filled == self.buffer.len() && self.frame == self.done && self.done == 0;
            let known = match progress {
                ScanProgress::End => {
                    self.command.split_inline();
                    usize::MAX
                }
                _ => self.scanner.elements(),
            };
            let (kind, is_enough) =
                Dialogue::kind(&self.command, known, &self.exchange.link.commands);
            let enough = match progress {
                ScanProgress::End => true,
                ScanProgress::Element => is_enough,
                ScanProgress::More => full && self.scanned == self.filled,
            };
            if enough {
                self.command.split_inline();
                self.decide(kind).await?;
            }
        }
        if self.passage == FramePassage::Discard {
            self.done = self.scanned;
        }
        Ok(())
    }

    async fn decide(&mut self, kind: CommandKind) -> Result<(), ConnectionEnd> {
        self.passage = FramePassage::Forward;
        if self.command.is_empty() {
            self.dialogue.take_empty();
            return Ok(());
        }
        self.exchange.link.counters.lock().commands += 1;
        let step = self.dialogue.look(&self.command, kind);
        let found = step.subject.and_then(|subject| {
            self.gate
                .view
                .of_command(self.dialogue.client(), &self.command, subject)
        });
        let found = found
            .as_ref()
            .and_then(|active| Some((active, active.command_fault()?)));
        let is_passed_on = !matches!(found, Some((_, CommandFault::Error(_)))) || step.executes;
        if is_passed_on && self.dialogue.take(&self.command, kind) {
            self.exchange.set_client(self.dialogue.client());
        }
        let Some((active, fault)) = found else {
            self.expect(step.reply, ReplyFate::Pass);
            return Ok(());
        };
        match fault {
            CommandFault::Delay { by, jitter } => {
                let due = Instant::now() + active.drawn_delay(*by, *jitter);
                self.gate.view.took_effect(active);
                self.expect(step.reply, ReplyFate::NotBefore(due, Arc::clone(active)));
            }
            CommandFault::Hold => {
                self.forward(self.frame).await?;
                self.gate.view.took_effect(active);
                self.hold(active).await?;
                self.expect(step.reply, ReplyFate::Pass);
            }
            // Noted when the reply comes: only then has the store executed the command.
            CommandFault::SwallowReply => {
                self.expect(step.reply, ReplyFate::Swallow(Arc::clone(active)));
            }
            CommandFault::ResetAfter => {
                self.expect(step.reply, ReplyFate::Reset(Arc::clone(active)));
            }
            CommandFault::ResetBefore => {
                self.forward(self.frame).await?;
                self.gate.view.took_effect(active);
                return Err(ConnectionEnd::Reset);
            }
            CommandFault::Error(line) => {
                self.forward(self.frame).await?;
                self.gate.view.took_effect(active);
                self.passage = FramePassage::Discard;
                let line: Arc<[u8]> = format!("-{}\r\n", line.as_str()).into_bytes().into();
                let form = step.reply.map(|_| ReplyForm::One);
                if step.executes {
                    self.expect(form, ReplyFate::Replaced(line));
                    self.gate
                        .write(self.exchange, &mut self.upstream, DISCARD)
                        .await?;
                } else {
                    self.expect(form, ReplyFate::Local(line));
                    self.exchange.wake_replies();
                }
            }
        }
        Ok(())
    }

    fn expect(&self, form: Option<ReplyForm>, fate: ReplyFate) {
        if let Some(form) = form {
            self.exchange.expect(form, fate);
        }
    }

    /// Waits until the rule ends. A client that leaves meanwhile takes its command with it.
    async fn hold(&mut self, active: &ActiveRule) -> Result<(), ConnectionEnd> {
        self.compact();
        loop {
            let full = self.filled == self.buffer.len();
            tokio::select! {
                biased;
                () = active.ended.cancelled() => {
                    self.gate.view.refresh();
                    return Ok(());
                }
                read = self.client.read(&mut self.buffer[self.filled..]), if !full => match read? {
                    0 => return Err(ConnectionEnd::Closed),
                    read => self.filled += read,
                },
            }
        }
    }

    /// Passes on the bytes up to `end`.
    async fn forward(&mut self, end: usize) -> Result<(), ConnectionEnd> {
        if self.done < end {
            let bytes = &self.buffer[self.done..end];
            self.gate
                .write(self.exchange, &mut self.upstream, bytes)
                .await?;
            self.done = end;
        }
        Ok(())
    }
}
