//! State shared by the two directions of a connection, and by all connections of a proxy.

use std::fmt;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use parking_lot::Mutex;
use tokio::io::{AsyncWrite, AsyncWriteExt as _};
use tokio::sync::Notify;

use crate::class::CommandTable;
use crate::queue::{ReplyFate, ReplyForm, ReplyQueue};
use crate::rule::ConnectionFault;
use crate::rules::{ActiveRule, RuleSet, RuleView};

/// Entries of expected replies beyond which no more requests are read. Runs of plain commands are
/// one entry, so that only rules fill the queue.
const BACKLOG: usize = 65_536;

/// State shared by all connections of one proxy.
#[derive(Debug)]
pub(crate) struct ProxyState {
    pub(crate) name: String,
    pub(crate) rules: RuleSet,
    pub(crate) commands: CommandTable,
    pub(crate) counters: Mutex<ProxyCounters>,
}

/// Counts of one proxy.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ProxyCounters {
    /// Connections accepted.
    pub connections: u64,
    /// Connections that could not be opened to the store.
    pub unreachable: u64,
    /// Commands passed on, held, or answered by a rule.
    pub commands: u64,
    /// Replies that answered no command known.
    pub unmatched: u64,
    /// Connections that pass untouched since some point: subscriptions of RESP2, MONITOR,
    /// replication.
    pub streams: u64,
    /// Connections that pass untouched since bytes came that are not RESP.
    pub not_resp: u64,
}

impl fmt::Display for ProxyCounters {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            connections,
            unreachable,
            commands,
            unmatched,
            streams,
            not_resp,
        } = self;
        write!(
            f,
            "{connections} connections ({unreachable} without a store), {commands} commands, "
        )?;
        write!(
            f,
            "{unmatched} unmatched replies, {streams} streams, {not_resp} not RESP"
        )
    }
}

/// Cause of an end before both sides have sent all.
#[derive(Debug)]
pub(crate) enum ConnectionEnd {
    /// A rule resets it.
    Reset,
    /// One side closed it.
    Closed,
    /// It broke.
    Io,
}

impl From<io::Error> for ConnectionEnd {
    fn from(_: io::Error) -> Self {
        // Which error does not matter to the other side, which can only be closed.
        Self::Io
    }
}

/// State shared by the two directions of one connection.
#[derive(Debug)]
pub(crate) struct ConnectionState {
    pub(crate) link: Arc<ProxyState>,
    expected: Mutex<ReplyQueue>,
    /// Entries of `expected` that are not plain: while there are none, replies pass without a look
    /// at the queue's front.
    special: AtomicUsize,
    transparent: AtomicBool,
    client: Mutex<String>,
    /// Faults of connections that have met this one, so that each is counted once.
    met: Mutex<Vec<Arc<ActiveRule>>>,
    wake: Notify,
    drained: Notify,
}

impl ConnectionState {
    pub(crate) fn new(link: Arc<ProxyState>) -> Self {
        Self {
            link,
            expected: Mutex::default(),
            special: AtomicUsize::new(0),
            transparent: AtomicBool::new(false),
            client: Mutex::default(),
            met: Mutex::default(),
            wake: Notify::new(),
            drained: Notify::new(),
        }
    }

    pub(crate) fn gate(&self) -> FaultGate {
        FaultGate {
            view: self.link.rules.view(&self.link.name),
        }
    }

    /// The name that the client set.
    pub(crate) fn client(&self) -> String {
        self.client.lock().clone()
    }

    pub(crate) fn set_client(&self, name: &str) {
        name.clone_into(&mut self.client.lock());
    }

    /// Whether a fault of connections meets this one for the first time.
    fn is_first(&self, active: &Arc<ActiveRule>) -> bool {
        let mut met = self.met.lock();
        let is_first = !met.iter().any(|other| Arc::ptr_eq(other, active));
        if is_first {
            met.push(Arc::clone(active));
        }
        is_first
    }

    /// Notes the reply that a command will have, before the command is passed on.
    pub(crate) fn expect(&self, form: ReplyForm, fate: ReplyFate) {
        if self.is_transparent() {
            return;
        }
        if !matches!(fate, ReplyFate::Pass) {
            self.special.fetch_add(1, Ordering::Relaxed);
        }
        self.expected.lock().push(form, fate);
    }

    /// Whether some expected reply has a fate of its own.
    pub(crate) fn has_special(&self) -> bool {
        self.special.load(Ordering::Relaxed) > 0
    }

    /// Fate of the reply that comes next.
    pub(crate) fn fate(&self) -> Option<ReplyFate> {
        self.expected.lock().front().map(|(_, fate)| fate.clone())
    }

    /// Form of the reply that comes next.
    pub(crate) fn form(&self) -> Option<ReplyForm> {
        self.expected.lock().front().map(|(form, _)| form)
    }

    /// The next command has its reply.
    pub(crate) fn answered(&self) {
        let mut expected = self.expected.lock();
        if expected
            .front()
            .is_some_and(|(_, fate)| !matches!(fate, ReplyFate::Pass))
        {
            self.special.fetch_sub(1, Ordering::Relaxed);
        }
        expected.pop();
        if expected.entries() == BACKLOG / 2 {
            self.drained.notify_one();
        }
    }

    /// Waits until the queue of expected replies has room.
    pub(crate) async fn room(&self) {
        while self.expected.lock().entries() > BACKLOG {
            self.drained.notified().await;
        }
    }

    /// The local reply whose turn it is.
    pub(crate) fn take_local(&self) -> Option<Arc<[u8]>> {
        let line = match self.expected.lock().front() {
            Some((_, ReplyFate::Local(line))) => Arc::clone(line),
            _ => return None,
        };
        self.answered();
        Some(line)
    }

    pub(crate) fn wake_replies(&self) {
        self.wake.notify_one();
    }

    pub(crate) async fn replies_woken(&self) {
        self.wake.notified().await;
    }

    /// Whether bytes pass without being looked at.
    pub(crate) fn is_transparent(&self) -> bool {
        self.transparent.load(Ordering::Relaxed)
    }

    /// From here on replies belong to no command.
    pub(crate) fn become_transparent(&self) {
        self.link.counters.lock().streams += 1;
        self.pass_untouched();
    }

    /// The bytes are not RESP: they pass as they are.
    pub(crate) fn give_up(&self) {
        self.link.counters.lock().not_resp += 1;
        self.pass_untouched();
    }

    fn pass_untouched(&self) {
        self.transparent.store(true, Ordering::Relaxed);
        self.expected.lock().clear();
        self.special.store(0, Ordering::Relaxed);
        // Requests that waited for room need none now.
        self.drained.notify_one();
    }
}

/// The faults of connections, as one direction meets them.
#[derive(Debug)]
pub(crate) struct FaultGate {
    pub(crate) view: RuleView,
}

impl FaultGate {
    /// Counts an effect on a connection once, and its last moment always.
    fn meets(&self, exchange: &ConnectionState, active: &Arc<ActiveRule>) {
        if exchange.is_first(active) {
            self.view.took_effect(active);
        } else {
            active.goes_on();
        }
    }

    /// Takes over changes of the rules, and waits while the connection is silenced.
    pub(crate) async fn open(&mut self, exchange: &ConnectionState) {
        self.view.refresh();
        let silent = |fault| fault == ConnectionFault::Silence;
        while self.view.has_connection_faults()
            && let Some(active) = self.view.of_connection(&exchange.client(), silent)
        {
            self.meets(exchange, &active);
            active.ended.cancelled().await;
            self.view.refresh();
        }
    }

    /// Writes, no faster than the connection may be.
    pub(crate) async fn write(
        &mut self,
        exchange: &ConnectionState,
        out: &mut (impl AsyncWrite + Unpin),
        bytes: &[u8],
    ) -> Result<(), ConnectionEnd> {
        let slow = |fault| matches!(fault, ConnectionFault::Bandwidth { .. });
        let mut rest = bytes;
        while self.view.has_connection_faults()
            && !rest.is_empty()
            && let Some(active) = self.view.of_connection(&exchange.client(), slow)
            && let Some(rate) = active.rate()
        {
            self.meets(exchange, &active);
            // Twenty times a second, so that a change of the rules is noticed soon.
            let (now, later) = rest.split_at(rest.len().min(1 + rate as usize / 20));
            out.write_all(now).await?;
            out.flush().await?;
            tokio::time::sleep(Duration::from_secs_f64(now.len() as f64 / f64::from(rate))).await;
            rest = later;
            self.view.refresh();
        }
        out.write_all(rest).await?;
        // A TLS stream may keep the last of it otherwise.
        out.flush().await?;
        Ok(())
    }
}
