//! The faults of a run.

use fastrand::Rng;

/// Something that happens to the store, the network, the nodes or the limits. Times are
/// microseconds.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Fault {
    /// Messages of a node take up to so much longer.
    Delay {
        node: usize,
        extra_us: u64,
        for_us: u64,
    },
    /// The connections of a node are closed.
    Cut { node: usize },
    /// Bytes of a node vanish, both ways.
    Partition { node: usize, for_us: u64 },
    /// Requests of a node arrive, and their replies do not.
    RepliesLost { node: usize, for_us: u64 },
    /// A node is killed, and started again.
    Kill { node: usize, away_us: u64 },
    /// A node is asked to end, and started again.
    Stop { node: usize, away_us: u64 },
    /// A node stands still.
    Freeze { node: usize, for_us: u64 },
    /// The store takes no writes.
    WritesPaused { for_us: u64 },
    /// The store is away, and comes back with its state.
    StoreAway { for_us: u64 },
    /// The store has forgotten its scripts.
    ScriptsFlushed,
    /// The store restarts empty.
    StoreEmptied { away_us: u64 },
    /// The store restarts empty, and a node with it.
    HostLost { node: usize, away_us: u64 },
    /// A replica takes over that lacks the last writes.
    Failover { lost_us: u64 },
    /// One entry of a key is gone.
    PartLost { key: usize, part: usize },
    /// All entries of a key are gone.
    KeyLost { key: usize },
    /// Entries are gone at random, of all keys and of the limits.
    Evicted { share: u64 },
    /// The limits are gone, or a companion of theirs.
    LimitsLost { part: usize },
    /// An entry has another type.
    WrongType { key: usize, part: usize },
    /// The store's clock steps, for a while or for ever.
    ClockStep { by_us: i64, for_us: Option<u64> },
    /// A limit is changed to a part of what it was, or to more; percent.
    LimitChanged {
        key: usize,
        node: usize,
        percent: u32,
    },
    /// A counter is reset.
    CounterReset { key: usize, node: usize },
    /// A limit is deleted, and set again.
    LimitDeleted {
        key: usize,
        node: usize,
        after_us: u64,
    },
}

/// The kinds of faults, by which some are left out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum FaultKind {
    Delay,
    Cut,
    Partition,
    RepliesLost,
    Kill,
    Stop,
    Freeze,
    WritesPaused,
    StoreAway,
    ScriptsFlushed,
    StoreEmptied,
    HostLost,
    Failover,
    PartLost,
    KeyLost,
    Evicted,
    LimitsLost,
    WrongType,
    ClockStep,
    LimitChanged,
    CounterReset,
    LimitDeleted,
}

const SECOND: u64 = 1_000_000;

impl FaultKind {
    pub(crate) const ALL: [Self; 22] = [
        Self::Delay,
        Self::Cut,
        Self::Partition,
        Self::RepliesLost,
        Self::Kill,
        Self::Stop,
        Self::Freeze,
        Self::WritesPaused,
        Self::StoreAway,
        Self::ScriptsFlushed,
        Self::StoreEmptied,
        Self::HostLost,
        Self::Failover,
        Self::PartLost,
        Self::KeyLost,
        Self::Evicted,
        Self::LimitsLost,
        Self::WrongType,
        Self::ClockStep,
        Self::LimitChanged,
        Self::CounterReset,
        Self::LimitDeleted,
    ];

    /// Whether the store may have lost admissions or grants.
    pub(crate) fn loses_state(self) -> bool {
        use FaultKind as K;
        matches!(
            self,
            K::StoreEmptied
                | K::HostLost
                | K::Failover
                | K::PartLost
                | K::KeyLost
                | K::Evicted
                | K::LimitsLost
                | K::WrongType
        )
    }

    /// A fault of this kind.
    pub(crate) fn draw(self, rng: &mut Rng, nodes: usize, keys: usize) -> Fault {
        let (node, key) = (rng.usize(0..nodes), rng.usize(0..keys));
        let part = rng.usize(0..4);
        // Short as a rule.
        let for_us = match rng.u64(0..4) {
            0 => rng.u64(SECOND..4 * SECOND),
            _ => rng.u64(20_000..SECOND),
        };
        let away_us = for_us;
        match self {
            Self::Delay => Fault::Delay {
                node,
                extra_us: rng.u64(10_000..400_000),
                for_us,
            },
            Self::Cut => Fault::Cut { node },
            Self::Partition => Fault::Partition { node, for_us },
            Self::RepliesLost => Fault::RepliesLost { node, for_us },
            Self::Kill => Fault::Kill { node, away_us },
            Self::Stop => Fault::Stop { node, away_us },
            Self::Freeze => Fault::Freeze { node, for_us },
            Self::WritesPaused => Fault::WritesPaused { for_us },
            Self::StoreAway => Fault::StoreAway { for_us },
            Self::ScriptsFlushed => Fault::ScriptsFlushed,
            Self::StoreEmptied => Fault::StoreEmptied { away_us },
            Self::HostLost => Fault::HostLost { node, away_us },
            Self::Failover => Fault::Failover {
                lost_us: rng.u64(10_000..SECOND),
            },
            Self::PartLost => Fault::PartLost { key, part },
            Self::KeyLost => Fault::KeyLost { key },
            Self::Evicted => Fault::Evicted {
                share: rng.u64(10..90),
            },
            Self::LimitsLost => Fault::LimitsLost {
                part: rng.usize(0..5),
            },
            Self::WrongType => Fault::WrongType { key, part },
            Self::ClockStep => {
                let size = [800_000, 3 * SECOND, 25 * SECOND][rng.usize(0..3)].cast_signed();
                Fault::ClockStep {
                    by_us: if rng.bool() { size } else { -size },
                    for_us: rng.bool().then_some(for_us),
                }
            }
            Self::LimitChanged => {
                let percent = [20, 50, 200][rng.usize(0..3)];
                Fault::LimitChanged { key, node, percent }
            }
            Self::CounterReset => Fault::CounterReset { key, node },
            Self::LimitDeleted => Fault::LimitDeleted {
                key,
                node,
                after_us: for_us,
            },
        }
    }
}
