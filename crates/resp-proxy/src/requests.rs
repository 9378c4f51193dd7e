//! The direction from client to store: finds commands, asks the rules, and passes on the rest.

use std::io;
use std::sync::Arc;
use std::time::Instant;

use tokio::io::{AsyncWrite, AsyncWriteExt as _};
use tokio::net::tcp::ReadHalf;

use crate::active::ActiveRule;
use crate::class::{CommandClasses, CommandRole};
use crate::client::{has_left, leaves};
use crate::command::Command;
use crate::dialogue::Dialogue;
use crate::frame::{FrameScanner, ScanProgress, StreamSide};
use crate::gate::FaultGate;
use crate::key::FirstKey;
use crate::latency::DelayLine;
use crate::queue::{ReplyFate, ReplyForm};
use crate::rule::{CommandFault, LinkDirection};
use crate::rules::RuleSubject;
use crate::state::{ConnectionEnd, ConnectionState};
use crate::table::{CommandTable, KnownCommand};
use crate::window::ByteWindow;

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
pub(crate) struct RequestStream<'a, W> {
    client: ReadHalf<'a>,
    upstream: W,
    exchange: &'a ConnectionState,
    gate: FaultGate<'a>,
    dialogue: Dialogue,
    /// The rules that fit a command of the open transaction.
    queued: Vec<Arc<ActiveRule>>,
    command: Command,
    scanner: FrameScanner,
    passage: FramePassage,
    /// A part of the current frame has been passed on.
    has_begun: bool,
    late: DelayLine,
    window: ByteWindow,
}

impl<'a, W: AsyncWrite + Unpin> RequestStream<'a, W> {
    pub(crate) fn new(client: ReadHalf<'a>, upstream: W, exchange: &'a ConnectionState) -> Self {
        Self {
            client,
            upstream,
            exchange,
            gate: FaultGate::new(exchange, LinkDirection::Upstream),
            dialogue: Dialogue::default(),
            queued: Vec::new(),
            command: Command::default(),
            scanner: FrameScanner::new(StreamSide::Requests),
            passage: FramePassage::Undecided,
            has_begun: false,
            late: DelayLine::default(),
            window: ByteWindow::default(),
        }
    }

    /// Passes requests on until the client has sent its last.
    pub(crate) async fn run(mut self) -> Result<(), ConnectionEnd> {
        while self.read().await? > 0 {
            self.gate.open(Some(self.client.as_ref())).await?;
            while self.window.has_unscanned() && !self.exchange.is_transparent() {
                self.step().await?;
            }
            if self.exchange.is_transparent() {
                self.window.scan_all();
                self.passage = FramePassage::Forward;
            }
            self.forward(self.decided()).await?;
        }
        self.exchange.client_left.cancel();
        gone(self.upstream.shutdown().await)
    }

    /// Reads more, behind the bytes that are held back.
    async fn read(&mut self) -> io::Result<usize> {
        let window = &mut self.window;
        self.gate
            .read(&mut self.late, window, &mut self.client)
            .await
    }

    /// How far the bytes may be passed on. Those of a command that is not decided about wait only
    /// for a rule that may keep it from the store.
    fn decided(&self) -> usize {
        if self.passage == FramePassage::Undecided && self.gate.view.withholds {
            self.window.frame
        } else {
            self.window.scanned
        }
    }

    /// Scans to the next event, and decides about a command as soon as enough of it is known.
    async fn step(&mut self) -> Result<(), ConnectionEnd> {
        if self.scanner.at_frame_start() {
            self.window.frame = self.window.scanned;
            self.passage = FramePassage::Undecided;
            self.has_begun = false;
            self.command.clear(self.window.unscanned()[0] != b'*');
        }
        let bytes = self.window.unscanned();
        let Ok((used, progress)) = self.scanner.scan(bytes, &mut self.command) else {
            self.exchange.give_up();
            return Ok(());
        };
        self.window.scanned += used;
        if self.passage == FramePassage::Undecided {
            let known = match progress {
                ScanProgress::End => {
                    self.command.split_inline();
                    usize::MAX
                }
                _ => self.scanner.elements(),
            };
            let exchange = self.exchange;
            let commands = exchange.link.commands();
            let (found, is_enough) = Dialogue::known(&self.command, known, commands);
            let is_decided = match progress {
                ScanProgress::End => true,
                ScanProgress::Element => is_enough,
                ScanProgress::More => {
                    let is_full = self.window.frame == 0 && self.window.is_full();
                    (is_full && !self.window.has_unscanned()) || self.scanner.exceeds_stores()
                }
            };
            if is_decided {
                self.command.split_inline();
                self.decide(found, commands).await?;
            }
        }
        if self.passage == FramePassage::Discard {
            self.window.done = self.window.scanned;
        }
        Ok(())
    }

    async fn decide(
        &mut self,
        known: &KnownCommand,
        commands: &CommandTable,
    ) -> Result<(), ConnectionEnd> {
        self.passage = FramePassage::Forward;
        self.settle();
        if self.command.is_empty() && self.scanner.announced() == 0 {
            self.dialogue.take_empty();
            return Ok(());
        }
        let kind = &known.kind;
        let key = match kind.key.first_key(&self.command, usize::MAX) {
            FirstKey::Some(key) => Some(key),
            FirstKey::None | FirstKey::Unknown => None,
        };
        let exchange = self.exchange;
        let link = &exchange.link;
        link.counters.commands.note();
        known.seen.note();
        if commands.is_unknown(known) {
            link.seen.note_unknown(self.command.name());
        }
        if let Some(key) = key {
            link.seen.note_key(key);
        }
        let arguments = self.scanner.announced().max(self.command.count() as u64);
        let step = self.dialogue.look(&self.command, kind, arguments);
        let mut found = None;
        if self.gate.view.has_command_faults {
            let subject = |classes| RuleSubject {
                client: self.dialogue.client(),
                address: self.exchange.address,
                command: &self.command,
                classes,
                key,
            };
            let queued: &[_] = if step.executes { &self.queued } else { &[] };
            if let Some(classes) = step.subject {
                found = self.gate.view.of_command(subject(classes), queued);
            } else {
                let subject = subject(CommandClasses::one(kind.class_of(&self.command)));
                self.gate.view.note_queued(subject, &mut self.queued);
            }
        }
        if matches!(
            kind.role,
            CommandRole::Multi | CommandRole::Exec | CommandRole::Discard | CommandRole::Reset
        ) {
            self.queued.clear();
        }
        let fault = found
            .as_ref()
            .and_then(|active| Some((active, active.of_commands()?.1)))
            // The store has a part of it, so that no reply can take its place.
            .filter(|(_, fault)| !(self.has_begun && matches!(fault, CommandFault::Error(_))));
        let is_passed_on = !matches!(fault, Some((_, CommandFault::Error(_)))) || step.executes;
        if is_passed_on && self.dialogue.take(&self.command, kind, step.reply) {
            self.exchange.set_client(self.dialogue.client());
        }
        match fault {
            None => self.expect(step.reply, ReplyFate::Pass),
            Some((active, fault)) => {
                self.meet(active, fault, step.reply, step.executes).await?;
            }
        }
        Ok(())
    }

    /// Takes back changes of the dialogue that were refused.
    fn settle(&mut self) {
        for accepted in self.exchange.take_outcomes() {
            if self.dialogue.settle(accepted) {
                self.exchange.set_client(self.dialogue.client());
            }
        }
    }

    /// Lets the fault of a command happen.
    async fn meet(
        &mut self,
        active: &Arc<ActiveRule>,
        fault: &CommandFault,
        reply: Option<ReplyForm>,
        executes: bool,
    ) -> Result<(), ConnectionEnd> {
        match fault {
            CommandFault::Delay { by, jitter } => {
                let due = Instant::now() + active.drawn_delay(*by, *jitter);
                self.gate.view.took_effect(active);
                self.expect(reply, ReplyFate::NotBefore(due, Arc::clone(active)));
            }
            CommandFault::Hold => {
                self.forward(self.window.frame).await?;
                self.gate.view.took_effect(active);
                self.hold(active).await?;
                self.expect(reply, ReplyFate::Pass);
            }
            // Noted when the reply comes: only then has the store executed the command.
            CommandFault::SwallowReply => {
                self.expect(reply, ReplyFate::Swallow(Arc::clone(active)));
            }
            CommandFault::ResetAfter => {
                self.expect(reply, ReplyFate::Reset(Arc::clone(active)));
            }
            CommandFault::ResetBefore => {
                self.forward(self.window.frame).await?;
                self.gate.view.took_effect(active);
                return Err(ConnectionEnd::Reset);
            }
            CommandFault::Error(line) => {
                self.forward(self.window.frame).await?;
                self.gate.view.took_effect(active);
                self.passage = FramePassage::Discard;
                let line: Arc<[u8]> = format!("-{}\r\n", line.0).into_bytes().into();
                let form = reply.map(|_| ReplyForm::One);
                if executes {
                    self.expect(form, ReplyFate::Replaced(line));
                    gone(self.gate.write(&mut self.upstream, DISCARD).await)?;
                } else if let Some(form) = form {
                    self.exchange
                        .expected(|queue| queue.push(form, ReplyFate::Local(line)));
                    self.exchange.wake.notify_one();
                }
            }
        }
        Ok(())
    }

    fn expect(&self, reply: Option<ReplyForm>, fate: ReplyFate) {
        self.exchange.expected(|queue| match reply {
            Some(form) => queue.push(form, fate),
            None => queue.push_silenced(),
        });
    }

    /// Waits until the rule ends. A client that leaves meanwhile takes its command with it.
    async fn hold(&mut self, active: &ActiveRule) -> Result<(), ConnectionEnd> {
        loop {
            self.window.grow();
            // The system reports no end behind bytes that there is no room for.
            let is_full = self.window.is_full();
            let left = async {
                if is_full {
                    leaves(self.client.as_ref()).await;
                    Ok(0)
                } else {
                    self.read().await
                }
            };
            tokio::select! {
                biased;
                () = active.ended.cancelled() => break,
                read = left => if read? == 0 {
                    return Err(ConnectionEnd::Closed);
                },
            }
        }
        if has_left(self.client.as_ref()) {
            return Err(ConnectionEnd::Closed);
        }
        self.gate.view.refresh();
        Ok(())
    }

    /// Passes on the bytes up to `end`.
    async fn forward(&mut self, end: usize) -> Result<(), ConnectionEnd> {
        let bytes = self.window.waiting(end);
        if !bytes.is_empty() {
            gone(self.gate.write(&mut self.upstream, bytes).await)?;
            self.window.done = end;
            self.has_begun = end > self.window.frame;
        }
        Ok(())
    }
}

/// The end of a connection whose store takes no more.
fn gone(written: io::Result<()>) -> Result<(), ConnectionEnd> {
    written.map_err(|_| ConnectionEnd::StoreGone)
}
