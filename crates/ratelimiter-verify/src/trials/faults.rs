//! The faults, as a table over the values that stand: rules of the proxies, acts on nodes, commands
//! of the store.

use crate::system::{NodeAct, RunningSystem, SystemStore};

/// A fault that a trial plays.
#[derive(Debug)]
pub(super) struct FaultRow {
    pub(super) name: &'static str,
    pub(super) about: &'static str,
    pub(super) means: TrialFault,
    /// No check can be decided with the store while it lasts.
    pub(super) is_outage: bool,
    /// A part of `--quick`.
    pub(super) is_quick: bool,
}

/// The means of a fault.
#[derive(Clone, Copy, Debug)]
pub(super) enum TrialFault {
    /// Four limits at one instant.
    Burst,
    /// Five times as many checks as the limit permits.
    Overload,
    /// A rule of the proxies before the store.
    Rule(&'static str),
    /// The store is killed, and started again at the end.
    StoreKilled,
    /// A primary ends while its replicas lack its last writes.
    Failover,
    /// The store loses the keys of the trial, or all.
    KeysLost { all: bool },
    /// Acts on one node, at the beginning and at the end.
    Node(NodeAct, NodeAct),
}

const fn row(
    name: &'static str,
    about: &'static str,
    means: TrialFault,
    [is_outage, is_quick]: [bool; 2],
) -> FaultRow {
    FaultRow {
        name,
        about,
        means,
        is_outage,
        is_quick,
    }
}

use TrialFault::{Burst, Failover, KeysLost, Node, Overload, Rule, StoreKilled};

const NO: bool = false;
const YES: bool = true;

/// A replica's answer to a write.
const READONLY: &str = "class=write,script do=error \
    text=\"READONLY You can't write against a read only replica.\"";
/// A full store's answer to a write.
const OOM: &str = "class=write,script do=error \
    text=\"OOM command not allowed when used memory > 'maxmemory'.\"";
/// The answer of a store that was started anew to the digest of a script.
const NOSCRIPT: &str = "command=EVALSHA percent=50 do=error \
    text=\"NOSCRIPT No matching script. Please use EVAL.\"";

/// All faults, in the order of play.
#[rustfmt::skip]
pub(super) const FAULTS: &[FaultRow] = &[
    row("barrier-burst", "four times the limit arrives at one instant", Burst, [NO, YES]),
    row("overload", "five times the limit arrives, evenly", Overload, [NO, NO]),
    row("writes-held", "the store takes writes and scripts and runs them after the fault",
        Rule("class=write,script do=hold"), [YES, YES]),
    row("replies-lost", "the store runs half of the writes, and their replies are lost",
        Rule("class=write,script percent=50 do=swallow-reply"), [NO, YES]),
    row("cut-between", "the connection is reset before every other write",
        Rule("class=write,script every=2 do=reset-before"), [NO, NO]),
    row("silence", "nothing passes between nodes and store, and connections stay open",
        Rule("do=silence"), [YES, YES]),
    row("reset", "every connection to the store is reset at its next bytes",
        Rule("do=reset"), [YES, NO]),
    row("readonly", "the store answers writes with READONLY", Rule(READONLY), [YES, YES]),
    row("oom", "the store answers writes with OOM", Rule(OOM), [YES, NO]),
    row("noscript", "the store has forgotten its scripts", Rule(NOSCRIPT), [NO, NO]),
    row("loading", "the store loads its data and answers LOADING",
        Rule("do=error text=\"LOADING Redis is loading the dataset in memory\""), [YES, NO]),
    row("store-killed", "the store is killed and comes back empty", StoreKilled, [YES, YES]),
    row("failover", "a failover loses the last writes", Failover, [NO, NO]),
    row("node-killed", "a node is killed, and started again at the end",
        Node(NodeAct::Kill, NodeAct::Start), [NO, YES]),
    row("node-paused", "a node stops, and goes on at the end",
        Node(NodeAct::Pause, NodeAct::Resume), [NO, NO]),
    row("node-restarted", "a node is asked to end, and started again at the end",
        Node(NodeAct::Stop, NodeAct::Start), [NO, NO]),
    row("keys-evicted", "the store loses the keys of the trial", KeysLost { all: false }, [NO, NO]),
    row("keys-flushed", "the store loses all keys", KeysLost { all: true }, [NO, YES]),
];

impl FaultRow {
    /// Whether it is between the limiter and its store.
    pub(super) fn is_of_store(&self) -> bool {
        matches!(
            self.means,
            Rule(_) | StoreKilled | Failover | KeysLost { .. }
        )
    }

    /// Whether the store loses what it has confirmed.
    pub(super) fn is_loss(&self) -> bool {
        matches!(self.means, StoreKilled | Failover | KeysLost { .. })
    }

    /// The reason why a system does not permit it.
    pub(super) fn obstacle(&self, system: &RunningSystem, victim: usize) -> Option<&'static str> {
        let store = system.store.as_ref();
        match self.means {
            Burst | Overload => None,
            Rule(_) if system.proxies.is_empty() => {
                Some("no proxy stands before a store: {store} is put nowhere, or it is not single")
            }
            Rule(_) => None,
            StoreKilled | KeysLost { .. } | Failover if store.is_none() => {
                Some("the file has no [store]")
            }
            Failover if store.is_some_and(SystemStore::is_single) => {
                Some("a single store has no replica: start = \"sentinel\" has one")
            }
            StoreKilled | KeysLost { .. } | Failover => store?.obstacle(),
            Node(begin, end) => (!system.permits(victim, &[begin, end]))
                .then_some("the file does not say how a node is stopped and started"),
        }
    }
}
