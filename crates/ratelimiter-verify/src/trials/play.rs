//! Plays one fault, and measures it.
//!
//! ```text
//!   used    burst |        burst          |        | burst
//!   fresh         |   burst               |        | burst      | in turn
//!   single        | 1  2  3  ... half     |        | the rest   | in turn
//!   recover       |                       | n n n  |
//!   after         |                       |        | burst
//!                 +-- the fault ----------+        +-- a window --+
//! ```

use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use futures_util::future::join_all;
use parking_lot::Mutex;
use ratelimiter_api::{Key, NodeId, Operation, Outcome};
use ratelimiter_chaos::{DueCheck, Failover, HeldReplicas, PacedChecks, Reach, Release, volley};
use ratelimiter_target::{Check, Target};
use ratelimiter_verify::{CellFigure, StoreCount, TimeBand, TrialRecord};
use resp_proxy::{Rule, RuleGuard, RuleReport};
use tokio::time::{Instant, sleep, sleep_until};

use super::faults::{FaultRow, TrialFault};
use super::stop::StopWatch;
use crate::asked::set_limits;
use crate::system::{NodeAct, RunningSystem, SystemStore, SystemTarget};

/// Time for a fault to take effect before checks are sent.
const SETTLE: Duration = Duration::from_millis(100);
/// Least time between two rounds of recovery.
const ROUND: Duration = Duration::from_millis(50);
/// Time for nodes that write later to have written, before keys are lost.
const WRITTEN: Duration = Duration::from_millis(400);
/// Keys by which recovery is asked, so that none is used up.
const RECOVERY_KEYS: usize = 16;

/// The settings of all trials.
pub(super) struct TrialSettings {
    pub(super) limit: u64,
    pub(super) window: Duration,
    pub(super) deadline: Duration,
    pub(super) lasts: Duration,
    pub(super) recovers_within: Duration,
    pub(super) seed: u64,
    /// Part of the keys' names.
    pub(super) part: String,
}

/// A trial's record, and the time of its fault as it was measured.
pub(super) struct PlayedTrial {
    pub(super) record: TrialRecord,
    pub(super) requested: TimeBand,
    pub(super) measured: Option<TimeBand>,
}

/// A fault in force.
enum Injection {
    None,
    Rule(RuleGuard),
    Store { run_id: String },
    Replicas(HeldReplicas),
    Keys(u64),
    Node { process: Option<u32> },
}

/// One trial while it is played.
pub(super) struct Trial<'a> {
    pub(super) system: &'a mut RunningSystem,
    pub(super) settings: &'a TrialSettings,
    pub(super) row: &'a FaultRow,
    pub(super) victim: usize,
    pub(super) watch: &'a StopWatch,
    pub(super) origin: Instant,
    pub(super) target: Arc<SystemTarget>,
    pub(super) operations: Mutex<Vec<Operation>>,
    pub(super) counts: Vec<StoreCount>,
}

impl Trial<'_> {
    fn key(&self, role: &str) -> Result<Key, ratelimiter_api::KeyError> {
        Key::new(format!("{}-{}-{role}", self.settings.part, self.row.name))
    }

    /// Plays the fault with checks before, during and after it.
    pub(super) async fn play(mut self) -> anyhow::Result<PlayedTrial> {
        let [used, fresh, single, after] =
            ["used", "fresh", "single", "after"].map(|role| self.key(role));
        let (used, fresh, single, after) = (used?, fresh?, single?, after?);
        let recovery: Result<Vec<Key>, _> = (0..RECOVERY_KEYS)
            .map(|n| self.key(&format!("recover-{n}")))
            .collect();
        let recovery = recovery?;
        let keys = [&used, &fresh, &single, &after];
        set_limits(&self.system.asked, keys.into_iter().chain(&recovery)).await?;
        let (limit, window, lasts) = (
            self.settings.limit,
            self.settings.window,
            self.settings.lasts,
        );
        self.burst(&used, 2 * limit).await?;

        if matches!(self.row.means, TrialFault::KeysLost { .. }) {
            sleep(WRITTEN).await;
        }
        let start = Instant::now();
        let injection = self.inject(&used).await?;
        let end = start + lasts;
        let at = |share: f64| start + SETTLE + lasts.mul_f64(share);
        let half = limit.div_ceil(2);
        let during = [
            (&used, vec![at(0.0); 2 * limit as usize]),
            (&fresh, self.on_fresh(at(0.05), lasts)),
            (
                &single,
                (0..half)
                    .map(|n| at(0.25 + 0.55 * n as f64 / half as f64))
                    .collect(),
            ),
        ];
        // A stopped node gets its checks near the end of the fault, so that they are answered: one
        // without an answer may have been admitted at any time, which leaves the excess open.
        let is_pause = matches!(self.row.means, TrialFault::Node(NodeAct::Pause, _));
        let late = is_pause.then(|| (self.victim, at(0.75)));
        let sent = Self::send(
            &self.target,
            &self.operations,
            (self.origin, self.settings.deadline, self.watch),
            late,
            during,
        );
        let system = &mut *self.system;
        let heal = async {
            sleep_until(end).await;
            heal(system, self.victim, self.row, injection).await
        };
        let ((), healed) = tokio::join!(sent, heal);
        let mut healed = healed?;
        let fault = self.band(start, healed.at);
        let measured = self.measure(&mut healed, fault);
        let recovered = self.recover(&recovery, healed.at).await;
        self.sample(&[&used, &fresh, &single]).await;

        let now = Instant::now();
        let rest = limit.saturating_sub(half).max(1);
        let later = [
            (&used, vec![now; 2 * limit as usize]),
            (&fresh, vec![now; 2 * limit as usize]),
            (&single, vec![now; rest as usize]),
        ];
        self.send_all(later).await;
        self.burst(&after, 2 * limit).await?;
        self.sample(&[&used, &fresh, &single, &after]).await;

        if !self.watch.is_stopped() {
            sleep(window + window / 10).await;
        }
        // One after the other, but in less than a window.
        let now = Instant::now();
        let gap = (window / 4)
            .min(Duration::from_millis(250))
            .div_f64(limit as f64);
        let in_turn = |key| {
            (
                key,
                (0..limit).map(|n| now + gap.mul_f64(n as f64)).collect(),
            )
        };
        self.send_all([in_turn(&fresh), in_turn(&single)]).await;

        let requested = self.band(start, end);
        let mut operations = std::mem::take(&mut *self.operations.lock());
        operations.sort_by_key(|op| op.invoke);
        let by_node = self.system.is_by_node();
        let of_node = matches!(self.row.means, TrialFault::Node(..));
        let record = TrialRecord {
            operations,
            fault,
            is_of_store: self.row.is_of_store(),
            is_outage: self.row.is_outage,
            victim: (of_node && by_node).then(|| self.victim_id()),
            fresh,
            recovered,
            effects: healed.effects,
            counts: self.has_counts().then_some(self.counts),
        };
        Ok(PlayedTrial {
            record,
            requested,
            measured,
        })
    }

    fn victim_id(&self) -> NodeId {
        let nodes = self.target.nodes();
        nodes[self.victim.min(nodes.len() - 1)].clone()
    }

    fn has_counts(&self) -> bool {
        self.system.store.as_ref().is_some_and(SystemStore::counts)
    }

    fn band(&self, start: Instant, end: Instant) -> TimeBand {
        TimeBand {
            start: start.saturating_duration_since(self.origin),
            end: end.saturating_duration_since(self.origin),
        }
    }

    /// The instants of the checks on the key that is new during the fault.
    fn on_fresh(&self, at: Instant, lasts: Duration) -> Vec<Instant> {
        let limit = self.settings.limit;
        match self.row.means {
            TrialFault::Burst => vec![at; 4 * limit as usize],
            TrialFault::Overload => {
                let windows = lasts.as_secs_f64() / self.settings.window.as_secs_f64();
                let all = (5.0 * limit as f64 * windows.max(0.5)).ceil();
                (0..all as u64)
                    .map(|n| at + lasts.mul_f64(0.8 * n as f64 / all))
                    .collect()
            }
            _ => vec![at; 2 * limit as usize],
        }
    }

    /// A burst at one instant; where a node cannot be reached, without the last byte held back.
    async fn burst(&self, key: &Key, count: u64) -> anyhow::Result<()> {
        let check = self.check(key);
        let own = self.target.of_key(key);
        let target = own.as_deref().unwrap_or(&*self.target);
        let checks = vec![check; count as usize];
        match volley(target, checks, Release::default(), self.origin).await {
            Ok(report) => {
                report.operations.iter().for_each(|op| self.watch.note(op));
                self.operations.lock().extend(report.operations);
            }
            Err(_) => {
                self.send_all([(key, vec![Instant::now(); count as usize])])
                    .await;
            }
        }
        Ok(())
    }

    fn check(&self, key: &Key) -> Check {
        Check::new(key.clone(), 1, self.settings.deadline)
    }

    async fn send_all<const N: usize>(&self, due: [(&Key, Vec<Instant>); N]) {
        let means = (self.origin, self.settings.deadline, self.watch);
        Self::send(&self.target, &self.operations, means, None, due).await;
    }

    /// Sends the checks of each key at their instants, over the nodes by turns. Those of the node
    /// of `late` are sent no earlier than it.
    async fn send<const N: usize>(
        target: &Arc<SystemTarget>,
        operations: &Mutex<Vec<Operation>>,
        (origin, deadline, watch): (Instant, Duration, &StopWatch),
        late: Option<(usize, Instant)>,
        due: [(&Key, Vec<Instant>); N],
    ) {
        let of_key = due.into_iter().map(|(key, instants)| async move {
            let own = target.of_key(key);
            let target = own.as_deref().unwrap_or(&**target);
            let nodes = target.nodes().len();
            let check = Check::new(key.clone(), 1, deadline);
            let mut due = Vec::from_iter(instants.into_iter().enumerate().map(|(n, at)| {
                let node = n % nodes;
                let not_before = late.filter(|(one, _)| *one == node);
                DueCheck {
                    at: not_before.map_or(at, |(_, late)| at.max(late)),
                    node,
                    check: check.clone(),
                }
            }));
            due.sort_by_key(|due| due.at);
            let checks = PacedChecks::new(target, origin).until(watch.token());
            checks
                .send(due.into_iter(), |record| {
                    if let Some(record) = record {
                        watch.note(&record.operation);
                        operations.lock().push(record.operation);
                    }
                })
                .await;
        });
        join_all(of_key).await;
    }

    /// Puts the fault into force.
    async fn inject(&mut self, key: &Key) -> anyhow::Result<Injection> {
        let store = self.system.store.as_mut();
        Ok(match self.row.means {
            TrialFault::Burst | TrialFault::Overload => Injection::None,
            TrialFault::Rule(text) => {
                let seeded = match text.contains("percent=") {
                    true => format!("{text} seed={}", self.settings.seed),
                    false => text.to_owned(),
                };
                let rule: Rule = seeded.parse().context("a rule of the table")?;
                Injection::Rule(self.system.rules.add(rule))
            }
            TrialFault::StoreKilled => {
                let store = store.context("no store")?;
                let run_id = store.info("run_id").await?;
                store.kill();
                Injection::Store { run_id }
            }
            TrialFault::Failover => {
                let store = store.context("no store")?;
                let failover = Failover::new(store.url.clone(), key.as_str(), Reach::new(false))?;
                Injection::Replicas(failover.hold().await?)
            }
            TrialFault::KeysLost { all } => {
                let part = format!("{}-{}", self.settings.part, self.row.name);
                let part = (!all).then_some(part.as_str());
                Injection::Keys(store.context("no store")?.delete(part).await?)
            }
            TrialFault::Node(begin, _) => {
                let process = self.system.process_id(self.victim);
                self.system.act(self.victim, begin).await?;
                Injection::Node { process }
            }
        })
    }

    /// Adds the effects that the checks show, and gives the measured time of the fault.
    fn measure(&self, healed: &mut HealedFault, fault: TimeBand) -> Option<TimeBand> {
        let effects = &mut healed.effects;
        let operations = self.operations.lock();
        match self.row.means {
            TrialFault::Burst | TrialFault::Overload => {
                let inside = || operations.iter().filter(|op| op.invoke >= fault.start);
                let mut edges: Vec<_> = inside()
                    .flat_map(|op| [(op.invoke, 1i64), (op.complete, -1)])
                    .collect();
                edges.sort_unstable();
                let level = edges.iter().scan(0, |open, (_, by)| {
                    *open += by;
                    Some(*open)
                });
                let most = level.max().unwrap_or_default();
                let all = inside().count();
                let windows = (fault.end - fault.start).div_duration_f64(self.settings.window);
                effects.push(match self.row.means {
                    TrialFault::Burst => {
                        CellFigure::new("checks at one instant", most as f64, all as f64)
                    }
                    _ => CellFigure::new(
                        "checks a window",
                        all as f64 / windows,
                        self.settings.limit as f64,
                    ),
                });
            }
            TrialFault::Node(..) => {
                let is_victim = |op: &&Operation| {
                    let by_node = self.system.is_by_node();
                    (!by_node || op.node == self.victim_id())
                        && op.invoke >= fault.start
                        && op.invoke < fault.end
                };
                let asked = operations.iter().filter(is_victim);
                let lost = asked.clone().filter(|op| {
                    let undecided = matches!(op.outcome, Outcome::Failed | Outcome::Unknown);
                    undecided || op.complete > fault.end
                });
                effects.push(CellFigure::new(
                    "checks that the node did not answer during the fault",
                    lost.clone().count() as f64,
                    asked.count() as f64,
                ));
                let now = self.system.process_id(self.victim);
                if healed.process.is_some()
                    && !matches!(self.row.means, TrialFault::Node(NodeAct::Pause, _))
                {
                    let other = f64::from(u8::from(now != healed.process));
                    effects.push(CellFigure::new("processes replaced", other, 1.0));
                }
            }
            _ => {}
        }
        let had_effect = effects.iter().any(|figure| figure.value > 0.0);
        let since = |at: std::time::Instant| Instant::from_std(at) - self.origin;
        let rule = healed.rule.unwrap_or_default();
        had_effect.then(|| TimeBand {
            start: rule.began.map_or(fault.start, since),
            end: rule.healed.map_or(fault.end, since),
        })
    }

    /// Asks every node on keys without admissions until all admit; the time from `end` on.
    async fn recover(&self, keys: &[Key], end: Instant) -> Option<Duration> {
        let nodes = self.target.nodes().len();
        let until = end + self.settings.recovers_within;
        let quota = self.settings.limit as f64 * keys.len() as f64;
        let pace = self.settings.window.mul_f64(1.2 * nodes as f64 / quota);
        for key in keys.iter().cycle() {
            let began = Instant::now();
            let before = self.operations.lock().len();
            self.send_all([(key, vec![began; nodes])]).await;
            let admitted = |op: &Operation| op.outcome == Outcome::Allowed;
            let sent = self.operations.lock().len();
            if sent > before && self.operations.lock()[before..].iter().all(admitted) {
                return Some(Instant::now().saturating_duration_since(end));
            }
            if Instant::now() >= until || self.watch.is_stopped() {
                break;
            }
            sleep_until(began + pace.max(ROUND)).await;
        }
        None
    }

    /// Asks the store for the counts of keys.
    async fn sample(&mut self, keys: &[&Key]) {
        let Some(store) = self.system.store.as_ref().filter(|store| store.counts()) else {
            return;
        };
        for key in keys {
            let count = store.count_of(key.as_str()).await;
            self.counts.push(StoreCount {
                at: self.origin.elapsed(),
                key: key.to_string(),
                count,
            });
        }
    }
}

/// A fault after its end.
struct HealedFault {
    at: Instant,
    /// The effects that it measured itself.
    effects: Vec<CellFigure>,
    rule: Option<RuleReport>,
    /// The process id of the node before the fault.
    process: Option<u32>,
}

/// Ends the fault.
async fn heal(
    system: &mut RunningSystem,
    victim: usize,
    row: &FaultRow,
    injection: Injection,
) -> anyhow::Result<HealedFault> {
    let mut healed = HealedFault {
        at: Instant::now(),
        effects: Vec::new(),
        rule: None,
        process: None,
    };
    let yes = |condition| f64::from(u8::from(condition));
    let mut note = |name: &str, value: f64, of: Option<f64>| {
        healed.effects.push(CellFigure::new(name, value, of));
    };
    match injection {
        Injection::None => {}
        Injection::Rule(guard) => {
            let report = guard.heal();
            let (effects, fitted) = (report.effects as f64, report.fitted as f64);
            let of = Some(fitted).filter(|fitted| *fitted >= effects && *fitted > 0.0);
            note("commands or connections that it met", effects, of);
            healed.rule = Some(report);
        }
        Injection::Store { run_id } => {
            let store = system.store.as_mut().context("no store")?;
            store.restart().await?;
            let is_other = store.info("run_id").await? != run_id;
            note("stores replaced by empty ones", yes(is_other), Some(1.0));
        }
        Injection::Replicas(held) => {
            let behind = held.acknowledged().await? == 0;
            held.fail_over().await?;
            note(
                "replicas promoted without the last writes",
                yes(behind),
                Some(1.0),
            );
            system.store.as_mut().context("no store")?.restart().await?;
        }
        Injection::Keys(lost) => note("keys lost", lost as f64, None),
        Injection::Node { process } => {
            if let TrialFault::Node(_, end) = row.means {
                system.act(victim, end).await?;
            }
            healed.process = process;
        }
    }
    healed.at = Instant::now();
    Ok(healed)
}
