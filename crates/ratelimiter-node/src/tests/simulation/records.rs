//! The callers' records of a run.

use std::time::Duration;

use ratelimiter_api::{NodeId, Operation, Outcome};

use super::plan::{PlannedCheck, RunPlan};

/// A change of one limit, as it was asked for.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum LimitEvent {
    Set(u32),
    Deleted,
    Reset,
}

/// A change of a limit: it holds from some instant between request and acknowledgement on.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct RequestedChange {
    pub(crate) key: usize,
    pub(crate) event: LimitEvent,
    pub(crate) requested_us: u64,
    pub(crate) acknowledged_us: Option<u64>,
}

#[derive(Clone, Debug, PartialEq)]
struct RecordedCheck {
    node: usize,
    key: usize,
    cost: u32,
    invoked_us: u64,
    answer: Option<(u64, Outcome)>,
}

/// What the callers know at the end.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct RunRecords {
    checks: Vec<RecordedCheck>,
    pub(crate) changes: Vec<RequestedChange>,
    /// When each process of a node began.
    pub(crate) lives_us: Vec<u64>,
}

impl RunRecords {
    pub(crate) fn begin_life(&mut self, now_us: u64) {
        self.lives_us.push(now_us);
    }

    /// A node begins with a limit in its file, which the limit has again where it was deleted.
    pub(crate) fn in_file(&mut self, key: usize, limit: u32, now_us: u64) {
        let deleted =
            |change: &RequestedChange| change.key == key && change.event == LimitEvent::Deleted;
        if self.changes.iter().any(deleted) {
            self.request(key, LimitEvent::Set(limit), now_us);
        }
    }

    pub(crate) fn invoke(&mut self, check: PlannedCheck, now_us: u64) -> usize {
        let PlannedCheck {
            node, key, cost, ..
        } = check;
        self.checks.push(RecordedCheck {
            node,
            key,
            cost,
            invoked_us: now_us,
            answer: None,
        });
        self.checks.len() - 1
    }

    pub(crate) fn complete(&mut self, place: usize, now_us: u64, outcome: Outcome) {
        self.checks[place].answer = Some((now_us, outcome));
    }

    pub(crate) fn request(&mut self, key: usize, event: LimitEvent, now_us: u64) -> usize {
        self.changes.push(RequestedChange {
            key,
            event,
            requested_us: now_us,
            acknowledged_us: None,
        });
        self.changes.len() - 1
    }

    pub(crate) fn acknowledge(&mut self, place: usize, now_us: u64) {
        self.changes[place].acknowledged_us = Some(now_us);
    }

    /// Checks that were allowed.
    pub(crate) fn allowed(&self) -> u64 {
        let allowed = |check: &&RecordedCheck| {
            check
                .answer
                .is_some_and(|(_, outcome)| outcome == Outcome::Allowed)
        };
        self.checks.iter().filter(allowed).count() as u64
    }

    /// The checks of one key.
    pub(crate) fn operations(&self, plan: &RunPlan, key: usize) -> Vec<Operation> {
        let operation = |check: &RecordedCheck| {
            let (complete_us, outcome) = check.answer.unwrap_or((plan.end_us, Outcome::Unknown));
            let node = NodeId::from(format!("node-{}", check.node).as_str());
            let (invoke, complete) = (
                Duration::from_micros(check.invoked_us),
                Duration::from_micros(complete_us.max(check.invoked_us)),
            );
            let name = plan.limits[key].key.clone();
            Operation::new(name, node, invoke, complete, outcome).costing(check.cost)
        };
        let own = self.checks.iter().filter(|check| check.key == key);
        own.map(operation).collect()
    }
}
