use std::collections::VecDeque;
use std::time::Duration;

use parking_lot::Mutex;
use ratelimiter_api::{DecidedBy, LimitEntry};
use ratelimiter_lease::{GrantHolder, LeaseTerms, NodeTime, SpendResult, WaitingChecks};
use tokio::sync::oneshot;

use super::ledger::GrantMessage;
use super::terms::terms;
use super::{NodeFacts, clock};
use crate::admissions::AdmissionLog;
use crate::limiter::{CheckContext, CheckCost, CheckOutcome, Decision};
use crate::shared::LimitChange;

/// One key's lease behind its own lock, which is never held across an `await`.
pub(super) type LeaseCell = Mutex<KeyLease>;

/// One key's grants on this node, and the checks that wait for the next.
#[derive(Debug)]
pub(super) struct KeyLease {
    pub(super) entry: LimitEntry,
    pub(super) terms: LeaseTerms,
    pub(super) holder: GrantHolder,
    /// Admissions that a grant covers.
    pub(super) log: AdmissionLog,
    pub(super) waiting: VecDeque<WaitingCheck>,
    /// A task exchanges messages with the store.
    pub(super) busy: bool,
    /// The tick looks at it.
    pub(super) open: bool,
    /// As of the last check.
    pub(super) facts: NodeFacts,
    /// After a failure, when to settle again.
    pub(super) quiet_until: NodeTime,
    /// Until when the store grants nothing after a loss.
    pub(super) learning_until: NodeTime,
    /// The store has failed since it last granted.
    pub(super) failing: bool,
}

/// A check that waits for a grant.
#[derive(Debug)]
pub(super) struct WaitingCheck {
    pub(super) cost: CheckCost,
    pub(super) reply: oneshot::Sender<CheckOutcome>,
}

impl KeyLease {
    pub(super) fn new(entry: LimitEntry) -> Self {
        let terms = terms(entry.limit);
        Self {
            entry,
            terms,
            holder: GrantHolder::new(terms),
            log: AdmissionLog::default(),
            waiting: VecDeque::new(),
            busy: false,
            open: false,
            facts: NodeFacts::default(),
            quiet_until: NodeTime::default(),
            learning_until: NodeTime::default(),
            failing: false,
        }
    }

    /// Takes over a changed limit, or begins anew for a new counter. Returns the grants to give
    /// back of the one before.
    pub(super) fn follow(&mut self, entry: &LimitEntry) -> Option<GrantMessage> {
        if self.entry.epoch != entry.epoch {
            let waiting = std::mem::take(&mut self.waiting);
            let left = self.give_back();
            *self = Self {
                busy: self.busy,
                open: self.open,
                waiting,
                ..Self::new(entry.clone())
            };
            return left;
        }
        if self.entry.limit != entry.limit {
            self.terms = terms(entry.limit);
            self.holder.change(self.terms);
            self.entry = entry.clone();
        }
        None
    }

    /// Closes all grants, and returns them to be settled.
    pub(super) fn give_back(&mut self) -> Option<GrantMessage> {
        self.holder.close_all(clock::now());
        let settlements: Vec<_> = self.holder.settlements().collect();
        (!settlements.is_empty()).then(|| GrantMessage {
            entry: self.entry.clone(),
            terms: self.terms,
            settlements,
            request: None,
        })
    }

    /// Decides from what the node holds; nothing when the store has to be asked.
    pub(super) fn decide(
        &mut self,
        now: NodeTime,
        now_us: u64,
        cost: CheckCost,
        context: &CheckContext,
    ) -> Option<Decision> {
        match self.holder.spend(now, cost.admissions) {
            SpendResult::Admitted { at } => {
                // The ledger counts it all the same; only reports of this node lack what it has no
                // room to remember.
                if context.has_room(cost.admissions) {
                    cost.at(at.micros()).for_each(|a| self.log.add_synced(a));
                }
                let oldest_us = self
                    .log
                    .oldest_after(self.start_us(now_us))
                    .unwrap_or(now_us);
                Some(self.decision(true, now_us, oldest_us + self.entry.limit.window_us()))
            }
            SpendResult::Denied { frees } => Some(self.denial(now_us, frees)),
            SpendResult::Ask => None,
        }
    }

    /// A denial for at least as long as the store expects.
    pub(super) fn denial(&self, now_us: u64, frees: Duration) -> Decision {
        let frees_us = now_us + u64::try_from(frees.as_micros()).unwrap_or(u64::MAX);
        self.decision(false, now_us, frees_us)
    }

    fn decision(&self, allowed: bool, now_us: u64, frees_us: u64) -> Decision {
        let left = self
            .holder
            .room()
            .unwrap_or(0)
            .saturating_add(self.holder.unspent());
        let count = u64::from(self.entry.limit.admissions().saturating_sub(left));
        let limit = self.entry.limit;
        Decision {
            allowed,
            count,
            frees_us,
            now_us,
            limit,
            by: DecidedBy::Lease,
        }
    }

    fn start_us(&self, now_us: u64) -> u64 {
        now_us.saturating_sub(self.entry.limit.window_us())
    }

    /// Answers the waiting checks in their order, until one needs the store.
    pub(super) fn serve(&mut self, now: NodeTime, now_us: u64, context: &CheckContext) {
        while let Some(WaitingCheck { cost, reply }) = self.waiting.pop_front() {
            // One that no longer waits would spend for nothing.
            if reply.is_closed() {
                continue;
            }
            match self.decide(now, now_us, cost, context) {
                Some(decision) => drop(reply.send(CheckOutcome::Decided(decision))),
                None => {
                    self.waiting.push_front(WaitingCheck { cost, reply });
                    break;
                }
            }
        }
    }

    /// The waiting checks, if there are any.
    pub(super) fn demand(&self) -> Option<WaitingChecks> {
        let need = self.waiting.front()?.cost.admissions;
        let alike = self
            .waiting
            .iter()
            .take_while(|check| check.cost.admissions == need)
            .count();
        let queued = self
            .waiting
            .iter()
            .map(|check| check.cost.admissions)
            .fold(0, u32::saturating_add);
        Some(WaitingChecks {
            need,
            alike: u32::try_from(alike).unwrap_or(u32::MAX),
            queued,
        })
    }

    /// The counter is gone: returns its grants to give back. Waiting checks ask again, after
    /// `change`.
    pub(super) fn end(&mut self, change: Option<Box<LimitChange>>) -> Option<GrantMessage> {
        let left = self.give_back();
        self.holder = GrantHolder::new(self.terms);
        self.log = AdmissionLog::default();
        self.answer_all(&CheckOutcome::AskAgain(change));
        left
    }

    /// Gives every waiting check the same answer.
    pub(super) fn answer_all(&mut self, outcome: &CheckOutcome) {
        for check in std::mem::take(&mut self.waiting) {
            drop(check.reply.send(outcome.clone()));
        }
    }

    /// Whether nothing is left to remember.
    pub(super) fn is_idle(&self) -> bool {
        self.log.len() == 0
            && self.waiting.is_empty()
            && !self.busy
            && self.holder.is_idle()
            && clock::now() >= self.learning_until
    }
}
