//! State shared by the two directions of a connection, and by all connections of a proxy.

use std::io;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use tokio::sync::{Notify, watch};
use tokio_util::sync::CancellationToken;

use crate::active::ActiveRule;
use crate::counters::{LiveCounter, LiveCounters};
use crate::notice::Notices;
use crate::queue::{ReplyFate, ReplyForm, ReplyQueue};
use crate::rule::ConnectionFault;
use crate::rules::{RuleSet, RuleView, holds};
use crate::seen::{SeenCommands, SeenSample};
use crate::table::CommandTable;

/// Time between two questions to a store that does not list its commands.
const ASK_AGAIN: Duration = Duration::from_secs(10);

/// State shared by all connections of one proxy.
#[derive(Debug)]
pub(crate) struct ProxyState {
    pub(crate) name: String,
    pub(crate) rules: RuleSet,
    pub(crate) counters: LiveCounters,
    pub(crate) notices: Notices,
    pub(crate) seen: SeenSample,
    /// Whether connections are taken.
    pub(crate) listening: watch::Sender<bool>,
    built_in: CommandTable,
    /// The store's own commands, once it has listed them.
    reported: OnceLock<CommandTable>,
    /// When the store was asked for them.
    asked: Mutex<Option<Instant>>,
}

impl ProxyState {
    pub(crate) fn new(name: String, rules: RuleSet, notices: Notices) -> Self {
        Self {
            name,
            rules,
            counters: LiveCounters::default(),
            notices,
            seen: SeenSample::default(),
            listening: watch::Sender::new(true),
            built_in: CommandTable::built_in(),
            reported: OnceLock::new(),
            asked: Mutex::default(),
        }
    }

    /// The rules as one of its connections, or its listener, sees them.
    pub(crate) fn view(&self) -> RuleView {
        self.rules.view(&self.name)
    }

    /// The store's own commands, or those that most stores have.
    pub(crate) fn commands(&self) -> &CommandTable {
        self.reported.get().unwrap_or(&self.built_in)
    }

    /// Whether the store, which answers now, is to be asked for its commands again: it was away, or
    /// refused them a while ago.
    pub(crate) fn is_to_ask(&self) -> bool {
        let mut asked = self.asked.lock();
        let is_due = self.reported.get().is_none()
            && (self.notices.is_store_away() || asked.is_none_or(|at| at.elapsed() > ASK_AGAIN));
        if is_due {
            *asked = Some(Instant::now());
        }
        is_due
    }

    pub(crate) fn set_commands(&self, reported: CommandTable) {
        // Two connections may both have asked.
        let _ = self.reported.set(reported);
    }

    pub(crate) fn seen(&self) -> SeenCommands {
        let reported = self.reported.get().into_iter();
        let tables = reported.chain([&self.built_in]);
        self.seen.with(tables.flat_map(CommandTable::all))
    }
}

/// Cause of an end before both sides have sent all.
#[derive(Debug)]
pub(crate) enum ConnectionEnd {
    /// A rule resets it, or one side did.
    Reset,
    /// One side closed it.
    Closed,
    /// The store takes no more; its last replies may still come.
    StoreGone,
}

impl From<io::Error> for ConnectionEnd {
    fn from(error: io::Error) -> Self {
        if error.kind() == io::ErrorKind::ConnectionReset {
            Self::Reset
        } else {
            Self::Closed
        }
    }
}

/// State shared by the two directions of one connection.
#[derive(Debug)]
pub(crate) struct ConnectionState {
    pub(crate) link: Arc<ProxyState>,
    pub(crate) address: SocketAddr,
    expected: Mutex<ReplyQueue>,
    /// Whether changes of the dialogue were accepted, in their order, until it takes them.
    outcomes: Mutex<Vec<bool>>,
    has_outcomes: AtomicBool,
    is_transparent: AtomicBool,
    client: Mutex<String>,
    /// Faults of connections that have met this one, so that each is counted once.
    met: Mutex<Vec<Arc<ActiveRule>>>,
    /// A rule that resets this connection, and when.
    doom: Mutex<Option<(Instant, Arc<ActiveRule>)>>,
    /// Bytes were dropped, so that later ones make no sense.
    pub(crate) lost_bytes: AtomicBool,
    /// The client has closed its side.
    pub(crate) client_left: CancellationToken,
    /// Reads from the store so far.
    pub(crate) reads: LiveCounter,
    /// The replies have a local one to look at.
    pub(crate) wake: Notify,
    /// The connection has a fault that it had not, or another name.
    pub(crate) fault: Notify,
}

impl ConnectionState {
    pub(crate) fn new(link: Arc<ProxyState>, address: SocketAddr) -> Self {
        Self {
            link,
            address,
            expected: Mutex::default(),
            outcomes: Mutex::default(),
            has_outcomes: AtomicBool::new(false),
            is_transparent: AtomicBool::new(false),
            client: Mutex::default(),
            met: Mutex::default(),
            doom: Mutex::default(),
            lost_bytes: AtomicBool::new(false),
            client_left: CancellationToken::new(),
            reads: LiveCounter::default(),
            wake: Notify::new(),
            fault: Notify::new(),
        }
    }

    pub(crate) fn set_client(&self, name: &str) {
        name.clone_into(&mut self.client.lock());
        self.fault.notify_one();
    }

    /// The first fault of this connection that is `wanted`.
    pub(crate) fn find_fault(
        &self,
        view: &RuleView,
        wanted: impl Fn(ConnectionFault) -> bool,
    ) -> Option<Arc<ActiveRule>> {
        if !view.has_connection_faults {
            return None;
        }
        view.of_connection(&self.client.lock(), self.address, wanted)
    }

    /// Whether a fault of connections meets this one for the first time.
    pub(crate) fn is_first(&self, active: &Arc<ActiveRule>) -> bool {
        let mut met = self.met.lock();
        let is_first = !holds(&met, active);
        if is_first {
            met.push(Arc::clone(active));
        }
        is_first
    }

    /// The expected replies; none are while the connection passes untouched.
    pub(crate) fn expected<T: Default>(&self, ask: impl FnOnce(&mut ReplyQueue) -> T) -> T {
        if self.is_transparent() {
            return T::default();
        }
        ask(&mut self.expected.lock())
    }

    /// Form and fate of the reply that comes next.
    pub(crate) fn front(&self) -> Option<(ReplyForm, ReplyFate)> {
        self.expected(|queue| queue.front().map(|(form, fate)| (form, fate.clone())))
    }

    /// The local reply whose turn it is.
    pub(crate) fn take_local(&self) -> Option<Arc<[u8]>> {
        self.expected(|queue| {
            let line = match queue.front() {
                Some((_, ReplyFate::Local(line))) => Arc::clone(line),
                _ => return None,
            };
            queue.pop();
            Some(line)
        })
    }

    /// Notes whether the oldest change of the dialogue was accepted.
    pub(crate) fn note_outcome(&self, accepted: bool) {
        self.outcomes.lock().push(accepted);
        self.has_outcomes.store(true, Ordering::Release);
    }

    pub(crate) fn take_outcomes(&self) -> Vec<bool> {
        // There are hardly any, and one look is cheaper than an exchange.
        if !self.has_outcomes.load(Ordering::Acquire) {
            return Vec::new();
        }
        self.has_outcomes.store(false, Ordering::Release);
        std::mem::take(&mut self.outcomes.lock())
    }

    /// Whether bytes pass without being looked at.
    pub(crate) fn is_transparent(&self) -> bool {
        self.is_transparent.load(Ordering::Relaxed)
    }

    /// From here on replies belong to no command.
    pub(crate) fn become_transparent(&self) {
        self.link.counters.streams.note();
        self.pass_untouched();
    }

    /// The bytes are not RESP: they pass as they are.
    pub(crate) fn give_up(&self) {
        self.link.counters.not_resp.note();
        self.pass_untouched();
    }

    fn pass_untouched(&self) {
        self.is_transparent.store(true, Ordering::Relaxed);
        self.expected.lock().clear();
    }

    /// A rule resets this connection at that instant.
    pub(crate) fn doom(&self, at: Instant, active: &Arc<ActiveRule>) {
        let mut doom = self.doom.lock();
        if doom.is_none() {
            *doom = Some((at, Arc::clone(active)));
            self.fault.notify_one();
        }
    }

    /// The rule that resets this connection, unless it is over.
    pub(crate) fn doomed(&self) -> Option<(Instant, Arc<ActiveRule>)> {
        let mut doom = self.doom.lock();
        doom.take_if(|(_, active)| active.ended.is_cancelled());
        doom.clone()
    }
}
