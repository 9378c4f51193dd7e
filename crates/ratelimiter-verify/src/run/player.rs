use std::time::Duration;

use ratelimiter_api::{Key, Outcome};
use ratelimiter_chaos::{ChaosError, CheckRecord, DueCheck, PacedChecks, Release, volley};
use ratelimiter_invariants::{Contract, ContractKind};
use ratelimiter_target::{Call, CallEnd, Check, Connection, Target};
use tokio::time::{Instant, sleep_until};
use tokio_util::sync::CancellationToken;

use super::record::StepRecord;
use super::{RunClock, StepError};
use crate::fault::{FaultPart, ReachableNodes};
use crate::{Phase, Plan};

/// Distance of two bursts from the edge between them, at most a tenth of the window.
const BESIDE: Duration = Duration::from_millis(100);

/// Plays one step: the ways of sending checks, which the phases use.
pub(super) struct StepPlayer<'a> {
    pub(super) plan: &'a Plan,
    pub(super) target: &'a dyn Target,
    pub(super) deadline: Duration,
    pub(super) stop: &'a CancellationToken,
    pub(super) clock: RunClock,
    pub(super) record: StepRecord,
    /// Nodes that accepted no connection since the last measurement of a fault.
    pub(super) unreachable: usize,
}

impl StepPlayer<'_> {
    /// Waits, unless the run is stopped.
    pub(super) async fn wait(&self, time: Duration) -> Result<(), StepError> {
        self.wait_until(Instant::now() + time).await
    }

    pub(super) async fn wait_until(&self, at: Instant) -> Result<(), StepError> {
        tokio::select! {
            biased;
            () = self.stop.cancelled() => Err(StepError::Stopped),
            () = sleep_until(at) => Ok(()),
        }
    }

    /// A check of a key, with its call where the limiter learns of the end of one.
    pub(super) fn check(&self, key: &Key) -> Check {
        let served = Call {
            lasts: Duration::ZERO,
            end: CallEnd::Done,
            used: self.plan.cost,
        };
        let shares_labels = self.record.phase == Phase::Second;
        let subject = self.record.keys.first().filter(|_| shares_labels);
        let subject = subject.unwrap_or(key).as_str();
        let labels = self
            .plan
            .labels()
            .map(|label| (label.clone(), subject.to_owned()));
        Check {
            labels: labels.collect(),
            call: self.plan.has_calls().then_some(served),
            ..Check::new(key.clone(), self.plan.cost, self.deadline)
        }
    }

    pub(super) async fn burst(&mut self, key: &Key, count: u64) -> Result<(), StepError> {
        self.burst_at(self.target, key, count).await
    }

    pub(super) async fn burst_at(
        &mut self,
        target: &dyn Target,
        key: &Key,
        count: u64,
    ) -> Result<(), StepError> {
        self.burst_of(target, self.check(key), count).await
    }

    pub(super) async fn burst_of(
        &mut self,
        target: &dyn Target,
        check: Check,
        count: u64,
    ) -> Result<(), StepError> {
        self.wait(Duration::ZERO).await?;
        let own = target.of_key(&check.key);
        let target = own.as_deref().unwrap_or(target);
        let checks = vec![check; count as usize];
        let report = volley(target, checks, Release::Cork, self.clock.origin).await?;
        self.record.add_burst(report);
        Ok(())
    }

    /// A burst over the nodes that can be reached.
    pub(super) async fn burst_somewhere(&mut self, key: &Key, count: u64) -> Result<(), StepError> {
        let own = self.target.of_key(key);
        let reachable = ReachableNodes::of(own.as_deref().unwrap_or(self.target)).await;
        let all = self.target.nodes().len();
        let missing = all - reachable.as_ref().map_or(0, |some| some.nodes().len());
        self.unreachable = self.unreachable.max(missing);
        let sent = match reachable {
            Some(reachable) => self.burst_at(&reachable, key, count).await,
            None => {
                self.record.detail("no node accepts a connection".into());
                Ok(())
            }
        };
        match sent {
            // A node went away in between.
            Err(StepError::Target(error)) => {
                self.unreachable = self.unreachable.max(1);
                self.record.detail(error.to_string());
                Ok(())
            }
            sent => sent,
        }
    }

    /// Measures the checks from an index on, and the connections since the last measurement.
    pub(super) fn since(&mut self, from: usize) -> FaultPart {
        let unreachable = std::mem::take(&mut self.unreachable);
        FaultPart::of(&self.record.operations[from..], unreachable)
    }

    /// Two bursts, one just before an instant and one just after it.
    pub(super) async fn around(
        &mut self,
        edge: Instant,
        key: &Key,
        counts: [u64; 2],
    ) -> Result<(), StepError> {
        let beside = BESIDE.min(self.plan.contract.window() / 10);
        let before = edge.checked_sub(beside).unwrap_or(edge);
        let after = before + self.plan.beside_returns(2 * beside);
        for (count, at) in counts.into_iter().zip([before, after]) {
            self.wait_until(at).await?;
            if count > 0 {
                self.burst(key, count).await?;
            }
        }
        Ok(())
    }

    pub(super) fn every_node(&self) -> Vec<usize> {
        (0..self.target.nodes().len()).collect()
    }

    /// One check after the other, over the nodes by turns.
    pub(super) async fn in_turn(&mut self, key: &Key, count: u64) -> Result<(), StepError> {
        let checks = (0..count).map(|_| self.check(key)).collect();
        self.each_in_turn(self.target, &self.every_node(), checks)
            .await
    }

    /// Checks of one key one after the other, over these nodes by turns.
    pub(super) async fn each_in_turn(
        &mut self,
        target: &dyn Target,
        nodes: &[usize],
        checks: Vec<Check>,
    ) -> Result<(), StepError> {
        let own = checks.first().and_then(|check| target.of_key(&check.key));
        let target = own.as_deref().unwrap_or(target);
        let mut connections: Vec<Option<Box<dyn Connection>>> =
            nodes.iter().map(|_| None).collect();
        for (n, check) in checks.into_iter().enumerate() {
            self.wait(Duration::ZERO).await?;
            let turn = n % nodes.len();
            let mut connection = match connections[turn].take() {
                Some(connection) => connection,
                None => target
                    .connect(nodes[turn])
                    .await
                    .map_err(ChaosError::from)?,
            };
            let name = target.nodes()[nodes[turn]].clone();
            let record = CheckRecord::make(&mut *connection, &check, name, self.clock.origin).await;
            // An answer that is none may have broken the connection.
            let usable = record.operation.outcome != Outcome::Unknown;
            connections[turn] = usable.then_some(connection);
            self.record.add(record);
        }
        Ok(())
    }

    /// `total` checks over the keys by turns, of which `a_window` are sent evenly over each window
    /// of a limit; an open model: a slow answer delays no other check.
    ///
    /// They stand a part of a gap beside the instants at which quota may return: a window after
    /// each of them; the ends of windows that follow each other from the first one on; from a
    /// bucket, a whole number of tokens after the first one.
    pub(super) async fn paced(
        &mut self,
        limit: &Contract,
        keys: &[Key],
        a_window: u64,
        total: u64,
    ) -> Result<(), StepError> {
        let (part_of_window, late) = match limit.kind() {
            ContractKind::Sliding => (0.5, 0.0),
            ContractKind::Fixed | ContractKind::Aligned | ContractKind::TwoPeriod => (0.25, 0.0),
            ContractKind::TokenBucket | ContractKind::Paced | ContractKind::InFlight => (0.0, 0.5),
        };
        let gap = limit.window().div_f64(a_window as f64 + part_of_window);
        let nodes = self.target.nodes().len() as u64;
        let own = self.target.of_key(&keys[0]);
        let keys = if own.is_some() { &keys[..1] } else { keys };
        let target = own.as_deref().unwrap_or(self.target);
        let checks = PacedChecks::new(target, self.clock.origin).until(self.stop.clone());
        let checks = checks.warmed().await?;
        let began = Instant::now();
        let by_key = Vec::from_iter(keys.iter().map(|key| self.check(key)));
        let due = |n: u64| DueCheck {
            at: began + gap.mul_f64(n as f64 + if n == 0 { 0.0 } else { late }),
            node: (n % nodes) as usize,
            check: by_key[n as usize % keys.len()].clone(),
        };
        let mut records = Vec::new();
        checks
            .send((0..total).map(due), |record| records.extend(record))
            .await;
        records.sort_by_key(|record| record.operation.invoke);
        records
            .into_iter()
            .for_each(|record| self.record.add(record));
        self.wait(Duration::ZERO).await
    }
}
