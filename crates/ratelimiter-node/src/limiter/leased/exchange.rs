use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use ratelimiter_api::LimitEntry;
use ratelimiter_lease::{GrantAnswer, LeaseTerms};
use ratelimiter_store::StoreError;
use tokio::time::Instant;

use super::lease::{KeyLease, LeaseCell};
use super::ledger::{GrantMessage, GrantRequest, LedgerAnswer};
use super::{LeaseTable, clock, ledger};
use crate::limiter::{CheckOutcome, NoDecision};
use crate::shared::LimitChange;

/// How long after a failure nothing is settled that no check waits for.
const QUIET: Duration = Duration::from_millis(500);
/// How long a denial holds while the store learns: it may be that a check of another key finds it
/// willing again.
const LEARNING_HOLD: Duration = Duration::from_millis(500);

/// Settlements that one message carries: enough to be quick, few enough not to hold up the store.
const SETTLED_AT_ONCE: usize = 500;
/// Time between two recalls.
const RETRY: Duration = Duration::from_millis(20);

impl LeaseTable {
    /// Starts the exchange of messages about a key, unless it is going on: one message at a time,
    /// which serves all checks that wait when it leaves.
    pub(super) fn pump(self: &Arc<Self>, cell: &Arc<LeaseCell>, lease: &mut KeyLease) {
        if !lease.busy {
            lease.busy = true;
            tokio::spawn(Arc::clone(self).exchange(Arc::clone(cell)));
        }
    }

    async fn exchange(self: Arc<Self>, cell: Arc<LeaseCell>) {
        while let Some(message) = self.next(&cell) {
            let sent = Instant::now();
            let result = if message.request.is_some() {
                let result = self.ask_store(&cell, &message).await;
                self.metrics.record(&result, sent.elapsed());
                result
            } else {
                self.settle(&message).await.map_err(NoDecision::from)
            };
            let mut lease = cell.lock();
            let (goes_on, left) = take_answer(&mut lease, &message, result);
            self.settle_later(left);
            self.look_after(&cell, &mut lease);
            if !goes_on {
                break;
            }
        }
    }

    /// The next message about a key. Without one the exchange ends.
    fn next(&self, cell: &LeaseCell) -> Option<GrantMessage> {
        let mut lease = cell.lock();
        let now = clock::now();
        lease.serve(now, self.context.clock.now_us(), &self.context);
        let waiting = lease.demand();
        let ask = (waiting.is_some() || lease.holder.wants_refill(now)).then(|| {
            let number = self.number.fetch_add(1, Ordering::Relaxed);
            lease.holder.ask(now, number, waiting)
        });
        let settlements: Vec<_> = lease.holder.settlements().take(SETTLED_AT_ONCE).collect();
        if ask.is_none() && (settlements.is_empty() || now < lease.quiet_until) {
            lease.busy = false;
            return None;
        }
        let request = ask.map(|ask| GrantRequest {
            ask,
            newest: lease.holder.newest(now),
            nodes: self.nodes.load(Ordering::Relaxed),
            facts: lease.facts,
        });
        Some(GrantMessage {
            entry: lease.entry.clone(),
            terms: lease.terms,
            settlements,
            request,
        })
    }

    /// Asks for a grant, unless the circuit of the store is open. A ledger that lost grants is
    /// given them.
    async fn ask_store(
        &self,
        cell: &LeaseCell,
        message: &GrantMessage,
    ) -> Result<LedgerAnswer, NoDecision> {
        let GrantMessage { entry, terms, .. } = message;
        if !self.context.clock.is_read() {
            return Err(NoDecision::NoClock);
        }
        let circuit = self.context.store.circuits.of(entry.key.as_str());
        let pass = circuit.pass(Instant::now()).ok_or(NoDecision::Suspended)?;
        let result = self.settle(message).await;
        pass.report(result.is_ok(), Instant::now());
        if result.as_ref().is_err_and(StoreError::is_wrong_type) {
            self.context.store.quarantine_key(entry).await?;
        }
        if matches!(result, Ok(LedgerAnswer::Forgot)) {
            self.recall(cell, entry, terms).await?;
        }
        Ok(result?)
    }

    /// Sends one message, whatever the state of the circuit.
    pub(super) async fn settle(&self, message: &GrantMessage) -> Result<LedgerAnswer, StoreError> {
        ledger::exchange(&self.context, message).await
    }

    /// Gives a ledger that lost grants the ones that this node remembers.
    async fn recall(
        &self,
        cell: &LeaseCell,
        entry: &LimitEntry,
        terms: &LeaseTerms,
    ) -> Result<(), StoreError> {
        let (grants, version) = {
            let mut lease = cell.lock();
            (lease.holder.recall(clock::now()), lease.facts.version)
        };
        let change = LimitChange::set(version, entry.clone());
        self.context.store.copy_limits(&[change], None).await?;
        tracing::warn!(key = %entry.key, grants = grants.len(), "the store lost grants that it had \
            given; recalling them");
        ledger::recall(&self.context, entry, terms, &grants).await?;
        // Another node restores the limits; until then every answer is the same.
        tokio::time::sleep(RETRY).await;
        Ok(())
    }
}

/// Takes the answer to a message. False ends the exchange. Beside it, the grants to give back of a
/// counter that is gone.
fn take_answer(
    lease: &mut KeyLease,
    message: &GrantMessage,
    result: Result<LedgerAnswer, NoDecision>,
) -> (bool, Option<GrantMessage>) {
    // A counter that was reset meanwhile has nothing to do with the answer.
    if lease.entry.epoch != message.entry.epoch {
        return (true, None);
    }
    let (now, key) = (clock::now(), &message.entry.key);
    let number = message.request.as_ref().map(|request| request.ask.number);
    if result.is_ok() {
        message
            .settlements
            .iter()
            .for_each(|(number, _)| lease.holder.settled(*number));
    }
    match (result, number) {
        (Ok(LedgerAnswer::Answered(answer)), Some(number)) => {
            lease.holder.answered(now, number, answer);
            if matches!(answer, GrantAnswer::Granted { .. }) && std::mem::take(&mut lease.failing) {
                tracing::info!(%key, "the store grants again");
            }
        }
        (Ok(LedgerAnswer::Learning(frees)), Some(number)) => {
            let answer = GrantAnswer::Denied {
                hold: frees.min(LEARNING_HOLD),
                frees,
                room: 0,
            };
            lease.learning_until = now + frees;
            lease.holder.answered(now, number, answer);
            if !std::mem::replace(&mut lease.failing, true) {
                let seconds = frees.as_secs_f64();
                tracing::warn!(%key, "the store may have lost grants: it grants nothing for \
                    {seconds:.1} s, until \
                    all that it may have granted has left the window");
            }
        }
        (Ok(LedgerAnswer::Forgot), Some(number)) => lease.holder.give_up(number),
        (Ok(LedgerAnswer::Changed(change)), Some(_)) => {
            let left = lease.end(Some(change));
            lease.busy = false;
            return (false, left);
        }
        (Ok(_), _) => {}
        (Err(why), number) => {
            match number {
                // Nothing was sent, so that there is nothing to settle.
                Some(number) if matches!(why, NoDecision::Suspended | NoDecision::NoClock) => {
                    lease.holder.withdraw(number);
                }
                Some(number) => lease.holder.give_up(number),
                None => {}
            }
            lease.quiet_until = now + QUIET;
            if !std::mem::replace(&mut lease.failing, true) {
                let (unspent, policy) = (lease.holder.unspent(), message.entry.on_store_failure);
                tracing::warn!(%key, %why, unspent, "the store grants nothing: when the unspent \
                    admissions \
                    are gone, the failure policy {policy} decides");
            }
            lease.answer_all(&CheckOutcome::Undecided(NoDecision::NoAnswer));
            lease.busy = false;
            return (false, None);
        }
    }
    (true, None)
}
