//! The rows of the matrix: one fault each, under load, judged by the history checker.

use std::fmt;
use std::time::Duration;

use ratelimiter_api::{CountingMode, DecidedBy, Operation, Outcome};
use ratelimiter_invariants::check_history;
use rustix::process::Signal;
use tokio::time::sleep;

use crate::load::{Load, Record};
use crate::world::{LIMIT, MODES, NODES, World, limit};

const PATIENCE: Duration = Duration::from_secs(20);

/// A fault of the matrix.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    /// No fault, for comparison.
    Nothing,
    /// The store is killed and restarted empty.
    StoreKilled,
    /// The store's process is stopped (SIGSTOP): connections stay open.
    StoreStopped,
    /// The store takes no writes (`CLIENT PAUSE ... WRITE`).
    WritesPaused,
    /// One node's connections to the store are reset and refused.
    LinkCut,
    /// One node's connections to the store stay open and pass nothing.
    LinkSilent,
    /// One node's answers from the store take longer than a check waits.
    LinkSlow,
    /// Connections are reset before one in five scripts and writes reaches the store.
    ResetBefore,
    /// Connections are reset in place of one in five answers to scripts and writes.
    ResetAfter,
    /// Answers to one in twenty scripts and writes are lost, with all behind them.
    RepliesLost,
    /// The store closes all its connections, ten times.
    ConnectionsClosed,
    /// Each node is killed and restarted, one after the other.
    NodesKilled,
    /// All nodes are stopped (SIGSTOP).
    NodesFrozen,
    /// The store's clock is 25 s ahead, and returns.
    ClockAhead,
    /// The store's clock is 25 s behind, and returns.
    ClockBehind,
    /// One client checks many keys that have no limit.
    UnknownKeys,
    /// The store restarts empty when a day's window of one key holds many admissions, and as many
    /// are added before it returns.
    LargeWindow,
}

impl Fault {
    /// All rows, in the order of the table.
    pub(crate) const ALL: [Self; 17] = [
        Self::Nothing,
        Self::StoreKilled,
        Self::StoreStopped,
        Self::WritesPaused,
        Self::LinkCut,
        Self::LinkSilent,
        Self::LinkSlow,
        Self::ResetBefore,
        Self::ResetAfter,
        Self::RepliesLost,
        Self::ConnectionsClosed,
        Self::NodesKilled,
        Self::NodesFrozen,
        Self::ClockAhead,
        Self::ClockBehind,
        Self::UnknownKeys,
        Self::LargeWindow,
    ];

    /// Prepares the world for the fault.
    async fn prepare(self, world: &World, scale: Scale) {
        if self == Self::LargeWindow {
            world.set_large().await;
            world.fill(scale.many / 2).await;
            world.large_is_flushed().await;
        }
    }

    /// Holds the fault for a while, and heals it.
    async fn hold(self, world: &mut World, scale: Scale) {
        let hold = scale.hold;
        let rule = match self {
            Self::Nothing => return sleep(hold).await,
            Self::ClockAhead | Self::ClockBehind => {
                world.clock.set_ms(if self == Self::ClockAhead {
                    25_000
                } else {
                    -25_000
                });
                sleep(hold).await;
                return world.clock.set_ms(0);
            }
            Self::UnknownKeys => return world.ask_unknown(scale.many).await,
            Self::LargeWindow => {
                world.cluster.kill_store();
                world.fill(scale.many / 2).await;
                world.cluster.restart_store().await.unwrap();
                return world.large_is_flushed().await;
            }
            Self::StoreKilled => {
                world.cluster.kill_store();
                sleep(hold).await;
                return world.cluster.restart_store().await.unwrap();
            }
            Self::StoreStopped => {
                world.cluster.freeze_store().unwrap();
                sleep(hold).await;
                return world.cluster.thaw_store().unwrap();
            }
            Self::WritesPaused => {
                world.client_command(&["PAUSE", "600000", "WRITE"]).await;
                sleep(hold).await;
                return world.client_command(&["UNPAUSE"]).await;
            }
            Self::ConnectionsClosed => {
                for _ in 0..10 {
                    world.client_command(&["KILL", "TYPE", "normal"]).await;
                    sleep(hold / 10).await;
                }
                return;
            }
            Self::NodesKilled => {
                for node in 0..NODES as usize {
                    world.cluster.kill_node(node).unwrap();
                    sleep(hold / NODES as u32).await;
                    world.cluster.restart_node(node).await.unwrap();
                }
                return;
            }
            Self::NodesFrozen => {
                world.signal_nodes(Signal::STOP);
                sleep(hold).await;
                return world.signal_nodes(Signal::CONT);
            }
            Self::LinkCut => "link=node-1 do=refuse",
            Self::LinkSilent => "link=node-1 do=silence",
            Self::LinkSlow => "link=node-1 do=delay by=300ms",
            Self::ResetBefore => "class=script,write percent=20 seed=7 do=reset-before",
            Self::ResetAfter => "class=script,write percent=20 seed=7 do=reset-after",
            Self::RepliesLost => "class=script,write percent=5 seed=7 do=swallow-reply",
        };
        let guard = world.inject(rule);
        sleep(hold).await;
        guard.heal();
    }

    /// The most admissions of a mode in one window, under this fault: the limit for each node that
    /// decides alone.
    fn most(self, mode: CountingMode, alone: usize) -> u64 {
        match (mode, self) {
            (CountingMode::Leased, _) => LIMIT,
            // A killed node forgets the admissions that it had not flushed.
            (_, Self::NodesKilled) => 2 * NODES * LIMIT,
            (CountingMode::Atomic, _) if alone == 0 => LIMIT,
            _ => NODES * LIMIT,
        }
    }

    /// Whether a check in flight may wait as long as the fault itself, since its node does nothing
    /// meanwhile.
    pub(crate) fn stops_nodes(self) -> bool {
        matches!(self, Self::NodesFrozen)
    }
}

/// Length of the three parts of a row.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Scale {
    /// Load before the fault.
    pub(crate) before: Duration,
    /// The fault itself.
    pub(crate) hold: Duration,
    /// Load after the fault.
    pub(crate) after: Duration,
    /// Unknown keys, or admissions in a large window.
    pub(crate) many: usize,
}

/// The outcome of a row.
#[derive(Clone, Debug)]
pub(crate) struct Row {
    pub(crate) fault: Fault,
    /// Checks by decider during the fault: store or its grant, local, policy; then those without an
    /// answer.
    pub(crate) during: [usize; 4],
    /// Longest wait of an answered check, over the whole row.
    pub(crate) longest: Duration,
    /// Most admissions that certainly share a window, for each of [`MODES`].
    pub(crate) peaks: [u64; MODES.len()],
    /// Most admissions missing in a window in which a check was denied, for each of [`MODES`].
    /// Denials by the failure policy are announced as such and do not count.
    pub(crate) short: [u64; MODES.len()],
    /// Time from healing until the store decided every later check of the atomic key.
    pub(crate) steady: Duration,
    /// Time after the load for which nodes held unspent grants. Zero where nodes were killed: their
    /// grants count until the next check after their end.
    pub(crate) held: Duration,
    /// Checks that were decided without the store, over the whole row, for each of [`MODES`]. On a
    /// busy machine a healthy store may be late.
    alone: [usize; MODES.len()],
    /// Whether the store decided the last atomic checks of every node.
    pub(crate) recovered: bool,
}

impl Row {
    /// The modes that admitted more than they may under this fault.
    pub(crate) fn broken(&self) -> Vec<CountingMode> {
        let over = |i: &usize| self.peaks[*i] > self.fault.most(MODES[*i], self.alone[*i]);
        (0..MODES.len()).filter(over).map(|i| MODES[i]).collect()
    }
}

/// Plays one row on a cluster of its own.
pub(crate) async fn play(fault: Fault, scale: Scale) -> Row {
    let mut world = World::start().await;
    fault.prepare(&world, scale).await;
    let load = Load::start(&world);
    sleep(scale.before).await;
    let began = load.now();
    fault.hold(&mut world, scale).await;
    let healed = load.now();
    sleep(scale.after).await;
    let recovered = load.is_steady(3 * PATIENCE).await;
    let records = load.stop().await;
    let held = if fault == Fault::NodesKilled {
        Duration::ZERO
    } else {
        world.grants_are_returned().await
    };
    world.cluster.shutdown().await;
    Row {
        recovered,
        held,
        ..judge(fault, &records, began, healed)
    }
}

fn judge(fault: Fault, records: &[Record], began: Duration, healed: Duration) -> Row {
    let mut row = Row {
        fault,
        during: [0; 4],
        longest: Duration::ZERO,
        peaks: [0; MODES.len()],
        short: [0; MODES.len()],
        steady: Duration::ZERO,
        held: Duration::ZERO,
        alone: [0; MODES.len()],
        recovered: false,
    };
    for Record {
        mode,
        operation: Operation {
            invoke, complete, ..
        },
        by,
    } in records
    {
        if by.is_some() {
            row.longest = row.longest.max(*complete - *invoke);
        }
        if *complete > began && *invoke < healed {
            row.during[match by {
                Some(DecidedBy::Store | DecidedBy::Lease) => 0,
                Some(DecidedBy::Local) => 1,
                Some(DecidedBy::Policy) => 2,
                None => 3,
            }] += 1;
        }
        if *mode == CountingMode::Atomic && *by != Some(DecidedBy::Store) {
            row.steady = row.steady.max(complete.saturating_sub(healed));
        }
    }
    for (i, mode) in MODES.into_iter().enumerate() {
        let alone = |r: &&Record| {
            r.mode == mode && matches!(r.by, Some(DecidedBy::Local | DecidedBy::Policy))
        };
        row.alone[i] = records.iter().filter(alone).count();
        let by_policy =
            |r: &Record| r.by == Some(DecidedBy::Policy) && r.operation.outcome == Outcome::Denied;
        let history: Vec<_> = records
            .iter()
            .filter(|r| r.mode == mode && !by_policy(r))
            .map(|r| r.operation.clone())
            .collect();
        let report = check_history(&history, limit()).unwrap();
        row.peaks[i] = report.definite_peak;
        let missing = report
            .unjustified_denials
            .iter()
            .map(|denial| LIMIT.saturating_sub(denial.possible));
        row.short[i] = missing.max().unwrap_or(0);
    }
    row
}

impl fmt::Display for Row {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [store, local, policy, unknown] = self.during;
        let over = |i: usize| self.peaks[i].saturating_sub(LIMIT);
        write!(
            f,
            "{:<17} {store:>7} {local:>7} {policy:>7} {unknown:>9} {:>7.1} {:>8} {:>6} {:>6} {:>8} \
             {:>6} {:>6} {:>9.0} {:>8.0}",
            format!("{:?}", self.fault),
            self.longest.as_secs_f64() * 1e3,
            over(0),
            over(1),
            over(2),
            self.short[0],
            self.short[1],
            self.short[2],
            self.steady.as_secs_f64() * 1e3,
            self.held.as_secs_f64() * 1e3,
        )
    }
}

/// Head of the table, for rows as they print themselves.
pub(crate) const HEAD: &str = concat!(
    "                  checks during the fault, decided by   longest       above the limit        \
     short of limit    steady  unspent\n",
    "fault               store   local  policy no answer wait ms   atomic cached leased   atomic \
     cached leased  after ms  held ms",
);
