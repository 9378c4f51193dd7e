use std::time::Duration;

use ratelimiter_api::{Key, Outcome, StatedTime};
use ratelimiter_invariants::ContractKind;
use ratelimiter_target::{Call, CallEnd, Check};
use rustix::process::{Pid, Signal, kill_process};
use tokio::time::{Instant, sleep};

use super::StepError;
use super::player::StepPlayer;
use crate::fault::{FaultCommand, FaultEffect};
use crate::phase::{CROSSING, FAULT, LASTS, PROBES};
use crate::{Phase, PlanStep};

/// Time for a fault to take or lose effect.
const SETTLE: Duration = Duration::from_millis(300);

impl StepPlayer<'_> {
    pub(super) async fn play(&mut self, step: &PlanStep) -> Result<(), StepError> {
        let limit = self.plan.limit();
        let window = self.plan.contract.window();
        let key = &step.keys[0];
        if step.phase != Phase::Probe {
            self.wait(self.plan.rest).await?;
            self.record.began += self.plan.rest;
            self.record.at += self.plan.rest;
        }
        match step.phase {
            Phase::Probe => self.probe(key).await?,
            Phase::Burst => self.burst(key, step.requests).await?,
            Phase::Costs => self.costs(&step.keys, limit).await?,
            Phase::TwoKeys => {
                self.in_turn(key, limit + 5).await?;
                self.in_turn(&step.keys[1], limit).await?;
            }
            Phase::OneNode => {
                let one = [0];
                let checks = (0..step.requests).map(|_| self.check(key)).collect();
                self.each_in_turn(self.target, &one, checks).await?;
            }
            Phase::Fields => self.in_turn(key, step.requests).await?,
            Phase::Return => self.come_back(key, limit).await?,
            Phase::Silent => self.silent(&step.keys, limit).await?,
            Phase::Again => {
                for n in 0..3 {
                    if n > 0 {
                        self.wait(self.plan.rest_on_key()).await?;
                    }
                    self.burst(key, self.plan.burst()).await?;
                }
            }
            Phase::Overload => {
                let contract = &self.plan.contract;
                self.paced(contract, &step.keys, 3 * limit, 9 * limit)
                    .await?;
            }
            Phase::FirstEdge => {
                let edge = Instant::now() + window;
                self.in_turn(key, 1).await?;
                self.around(edge, key, [limit - 1, limit]).await?;
            }
            Phase::Edge => {
                let edge = self.clock.next_edge(window);
                self.around(edge, key, [limit, limit]).await?;
            }
            Phase::Steady => {
                let a_window = (limit * 4).div_ceil(5);
                let contract = &self.plan.contract;
                self.paced(contract, &step.keys, a_window, a_window * 3 / 2)
                    .await?;
            }
            Phase::Second => {
                let second = self.plan.second.as_ref();
                if let Some(second) = second {
                    let (a_window, checks) = (second.a_window, second.checks);
                    self.paced(&second.kept, &step.keys, a_window, checks)
                        .await?;
                }
            }
            Phase::Crossing => {
                for _ in 0..CROSSING {
                    let mut check = self.check(key);
                    if let Some(call) = &mut check.call {
                        call.used = self.plan.contract.max().saturating_mul(3).div_ceil(10);
                    }
                    self.each_in_turn(self.target, &self.every_node(), vec![check])
                        .await?;
                    self.wait(self.plan.back(step.phase)).await?;
                }
            }
            Phase::Calls | Phase::Failures | Phase::HangUp | Phase::Killed => {
                self.calls(step.phase, key).await?;
            }
            Phase::Forged => {
                for n in 0..step.requests {
                    if let Some(forged) = self.target.forged(n as u32) {
                        let node = [(n % self.target.nodes().len() as u64) as usize];
                        let checks = vec![self.check(key)];
                        self.each_in_turn(&*forged, &node, checks).await?;
                    }
                }
            }
            Phase::Fault => self.fault(key, step.keys.last().unwrap_or(key)).await?,
        }
        Ok(())
    }

    /// Asks each node until it allows or denies a check, so that no burst meets a process that has
    /// just started.
    async fn probe(&mut self, key: &Key) -> Result<(), StepError> {
        for node in self.every_node() {
            self.record.details.clear();
            let mut tries = PROBES;
            while !self.is_decided_by(node, key).await? {
                tries -= 1;
                if tries == 0 {
                    return Err(StepError::Probe {
                        node: self.target.nodes()[node].clone(),
                        answer: self.record.details.join(", "),
                    });
                }
            }
        }
        Ok(())
    }

    /// Whether a node allows or denies a check.
    async fn is_decided_by(&mut self, node: usize, key: &Key) -> Result<bool, StepError> {
        let check = vec![self.check(key)];
        self.each_in_turn(self.target, &[node], check).await?;
        let outcome = self.record.operations.last().map(|op| op.outcome);
        Ok(matches!(outcome, Some(Outcome::Allowed | Outcome::Denied)))
    }

    /// Checks of different costs, then one on another key that costs more than the limit.
    async fn costs(&mut self, keys: &[Key], limit: u64) -> Result<(), StepError> {
        let (dearest, cost) = (limit.min(3) as u32, self.plan.cost);
        let costing = |cost, key| Check {
            cost,
            ..self.check(key)
        };
        let costs = (0..limit as u32 + 1).map(|n| costing(cost * (1 + n % dearest), &keys[0]));
        let (costs, over) = (costs.collect(), self.plan.contract.max().saturating_add(1));
        let nodes = self.every_node();
        self.each_in_turn(self.target, &nodes, costs).await?;
        if let Some(other) = keys.get(1) {
            let check = Check {
                cost: over,
                ..self.check(other)
            };
            self.each_in_turn(self.target, &nodes, vec![check]).await?;
            // A refusal in any form is right, and nothing to judge.
            let last = self.record.operations.last_mut();
            if let Some(op) = last.filter(|op| op.outcome == Outcome::Failed) {
                op.outcome = Outcome::Denied;
            }
            let last = self.record.operations.last();
            if last.is_none_or(|op| op.outcome != Outcome::Allowed) {
                self.record.keys.truncate(1);
            }
        }
        Ok(())
    }

    /// Calls at one instant, beyond the limit, that last and end in one way; then the limit again,
    /// once their places or costs are back.
    async fn calls(&mut self, phase: Phase, key: &Key) -> Result<(), StepError> {
        let check = self.check(key);
        let served = check.call.expect("a phase of calls fits limits of calls");
        let lasting = |end, used| Check {
            call: Some(Call {
                lasts: LASTS,
                end,
                used,
            }),
            ..check.clone()
        };
        let first = match phase {
            Phase::Failures => lasting(CallEnd::Failed, 0),
            Phase::HangUp => lasting(CallEnd::Left, served.used),
            _ => lasting(CallEnd::Done, served.used),
        };
        let victim = self.target.process_id(0).filter(|_| phase == Phase::Killed);
        let victim = victim.and_then(|id| Pid::from_raw(id.cast_signed()));
        let kill = async {
            sleep(LASTS / 2).await;
            // One that has ended by itself is as good.
            victim.map(|id| kill_process(id, Signal::KILL))
        };
        let (sent, _) = tokio::join!(self.burst_of(self.target, first, self.plan.burst()), kill);
        sent?;
        self.wait(self.plan.back(phase)).await?;
        match self.plan.contract.kind() {
            ContractKind::InFlight => {
                let again = lasting(CallEnd::Done, served.used);
                self.burst_of(self.target, again, self.plan.limit()).await
            }
            _ => {
                self.in_turn(key, self.plan.limit()).await?;
                self.wait(self.plan.back(Phase::Calls)).await?;
                self.in_turn(key, 2).await
            }
        }
    }

    /// Uses a key up, and asks again after as long as the limiter stated, or after a window.
    async fn come_back(&mut self, key: &Key, limit: u64) -> Result<(), StepError> {
        self.in_turn(key, limit + 2).await?;
        let last = self.record.operations.last();
        let claimed = last.and_then(|op| op.claims.retry_after.or(op.claims.reset));
        let unstated = self.plan.contract.window() + self.plan.contract.window() / 10;
        let mut wait = claimed.map_or(unstated, StatedTime::wait);
        let longest = unstated + self.plan.spare;
        if wait > longest {
            self.record.detail(format!(
                "a retry after {:.1} s, as the limiter stated, was not tried: the run has {:.1} s; \
                 --for gives it more",
                wait.as_secs_f64(),
                longest.as_secs_f64()
            ));
            wait = unstated;
        }
        self.wait(wait + Duration::from_millis(2)).await?;
        self.in_turn(key, 1).await
    }

    /// Uses keys up, and asks each again after another part of a window without a check. A shared
    /// quota has one key, and one silence.
    async fn silent(&mut self, keys: &[Key], limit: u64) -> Result<(), StepError> {
        let window = self.plan.contract.window();
        let parts: &[f64] = if keys.len() == 1 {
            &[0.6]
        } else {
            &[0.3, 0.6, 0.9]
        };
        let mut due = Vec::new();
        for (key, part) in keys.iter().zip(parts) {
            let began = Instant::now();
            self.in_turn(key, limit + 1).await?;
            let after = began.elapsed() + window.mul_f64(*part);
            due.push((began + self.plan.beside_returns(after), key));
        }
        for (at, key) in due {
            self.wait_until(at).await?;
            self.burst(key, limit).await?;
        }
        Ok(())
    }

    /// Bursts on one key before and during the fault and after it, and on another key during and
    /// after it. A node that the fault made unreachable is no error of the run.
    async fn fault(&mut self, before: &Key, fresh: &Key) -> Result<(), StepError> {
        let mut effect = FaultEffect::default();
        self.burst_somewhere(before, self.plan.burst()).await?;
        effect.before = self.since(0);
        let command = self.plan.during.as_deref().unwrap_or_default();
        let mut running = FaultCommand::start(command).map_err(StepError::Command)?;
        let played = self.beside(&mut running, &mut effect, before, fresh).await;
        self.record.fault = Some(running.band(self.clock.origin, effect));
        played
    }

    async fn beside(
        &mut self,
        running: &mut FaultCommand,
        effect: &mut FaultEffect,
        before: &Key,
        fresh: &Key,
    ) -> Result<(), StepError> {
        let until = running.started() + FAULT;
        let from = self.record.operations.len();
        self.wait(SETTLE).await?;
        self.burst_somewhere(before, self.plan.burst()).await?;
        self.burst_somewhere(fresh, self.plan.beyond_nodes())
            .await?;
        while !running
            .ended_by(until.min(Instant::now() + Duration::from_secs(1)))
            .await
            && Instant::now() < until
        {
            self.burst_somewhere(fresh, self.plan.limit()).await?;
        }
        effect.during = self.since(from);
        let from = self.record.operations.len();
        self.wait(SETTLE).await?;
        self.burst_somewhere(before, self.plan.burst()).await?;
        self.burst_somewhere(fresh, self.plan.burst()).await?;
        effect.after = self.since(from);
        Ok(())
    }
}
