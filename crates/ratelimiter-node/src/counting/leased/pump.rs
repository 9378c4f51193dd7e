use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use ratelimiter_api::{LimitEntry, layout};
use ratelimiter_lease::{Answer, Terms};
use ratelimiter_store::StoreError;

use super::lease::{Lease, LeaseCell};
use super::{Leases, clock};
use crate::counting::Undecided;
use crate::shared::{Change, Exchange, Exchanged, Wanted};

/// How long after a failure nothing is settled that no check waits for.
const QUIET: Duration = Duration::from_millis(500);
/// How long a denial holds while the store learns: it may be that a check of another key finds it
/// willing again.
const LEARNING_HOLD: Duration = Duration::from_millis(500);

/// Settlements that one message carries: enough to be quick, few enough not to hold up the store.
const SETTLED_AT_ONCE: usize = 500;
/// Time between two recalls.
const RETRY: Duration = Duration::from_millis(20);

/// The next message to the store.
struct Message {
    entry: LimitEntry,
    terms: Terms,
    settlements: Vec<(u64, u32)>,
    wanted: Option<Wanted>,
}

impl Leases {
    /// Starts the exchange of messages about a key, unless it is going on: one message at a time,
    /// which serves all checks that wait when it leaves.
    pub(super) fn pump(self: &Arc<Self>, cell: &Arc<LeaseCell>, lease: &mut Lease) {
        if !lease.busy {
            lease.busy = true;
            tokio::spawn(Arc::clone(self).exchange(Arc::clone(cell)));
        }
    }

    async fn exchange(self: Arc<Self>, cell: Arc<LeaseCell>) {
        while let Some(message) = self.next(&cell) {
            let Message {
                entry,
                terms,
                settlements,
                wanted,
            } = &message;
            let sent = Instant::now();
            let result = match wanted {
                None => self
                    .settle(entry, terms, settlements)
                    .await
                    .map(|()| Exchanged::Settled)
                    .map_err(Undecided::from),
                Some(wanted) => self.ask(entry, terms, settlements, wanted).await,
            };
            let wanted = wanted.as_ref();
            let result = match result {
                Ok(Exchanged::Forgot) => self
                    .recall(&cell, entry, terms)
                    .await
                    .map(|()| Exchanged::Forgot),
                other => other,
            };
            self.count(wanted.is_some(), &result, sent.elapsed());
            let mut lease = cell.lock();
            let goes_on = arrived(&mut lease, &message, result);
            self.look_after(&cell, &mut lease);
            if !goes_on {
                break;
            }
        }
    }

    /// The next message about a key. Without one the exchange ends.
    fn next(&self, cell: &LeaseCell) -> Option<Message> {
        let mut lease = cell.lock();
        let now = clock::now();
        lease.serve(now, self.store_clock.now_us(), &self.memory);
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
        let wanted = ask.map(|ask| Wanted {
            ask,
            newest: lease.holder.newest(now),
            nodes: self.nodes.load(Ordering::Relaxed),
            known: lease.known,
        });
        Some(Message {
            entry: lease.entry.clone(),
            terms: lease.terms,
            settlements,
            wanted,
        })
    }

    async fn ask(
        &self,
        entry: &LimitEntry,
        terms: &Terms,
        settlements: &[(u64, u32)],
        wanted: &Wanted,
    ) -> Result<Exchanged, Undecided> {
        let circuit = self
            .store
            .circuits
            .of(&layout::admissions(&entry.key, entry.epoch));
        let turn = circuit.turn(Instant::now()).ok_or(Undecided::Suspended)?;
        let exchange = Exchange {
            entry,
            terms,
            members: &self.members,
            settlements,
            request: Some(wanted),
        };
        let result = self
            .store
            .lease_exchange(&exchange, self.store_timeout)
            .await;
        turn.report(result.is_ok(), Instant::now());
        Ok(result?)
    }

    /// Gives grants back that no check waits for.
    pub(super) async fn settle(
        &self,
        entry: &LimitEntry,
        terms: &Terms,
        settlements: &[(u64, u32)],
    ) -> Result<(), StoreError> {
        let exchange = Exchange {
            entry,
            terms,
            members: &self.members,
            settlements,
            request: None,
        };
        self.store
            .lease_exchange(&exchange, self.store_timeout)
            .await
            .map(drop)
    }

    /// Gives a ledger that lost grants the ones that this node remembers.
    async fn recall(
        &self,
        cell: &LeaseCell,
        entry: &LimitEntry,
        terms: &Terms,
    ) -> Result<(), Undecided> {
        let (grants, version, answered) = {
            let mut lease = cell.lock();
            (
                lease.holder.recall(clock::now()),
                lease.known.version,
                lease.answered,
            )
        };
        let change = Change {
            key: entry.key.clone(),
            version,
            entry: Some(entry.clone()),
        };
        self.store.copy_limits(&[change], answered).await?;
        tracing::warn!(key = %entry.key, grants = grants.len(), "the store lost grants that it had \
            given; recalling them");
        self.store
            .lease_recall(entry, terms, &self.members, &grants, self.store_timeout)
            .await?;
        // Another node restores the limits; until then every answer is the same.
        tokio::time::sleep(RETRY).await;
        Ok(())
    }

    fn count(&self, asked: bool, result: &Result<Exchanged, Undecided>, took: Duration) {
        if !asked {
            return;
        }
        match result {
            Ok(Exchanged::Answered(Answer::Granted { .. })) => self.metrics.granted(took),
            Ok(_) => self.metrics.denied(),
            Err(_) => self.metrics.failed(),
        }
    }
}

/// Takes the outcome of a message. False ends the exchange.
fn arrived(lease: &mut Lease, message: &Message, result: Result<Exchanged, Undecided>) -> bool {
    // A counter that was reset meanwhile has nothing to do with the answer.
    if lease.entry.epoch != message.entry.epoch {
        return true;
    }
    let (now, key) = (clock::now(), &message.entry.key);
    let number = message.wanted.as_ref().map(|wanted| wanted.ask.number);
    if result.is_ok() {
        message
            .settlements
            .iter()
            .for_each(|(number, _)| lease.holder.settled(*number));
    }
    match (result, number) {
        (Ok(Exchanged::Answered(answer)), Some(number)) => {
            lease.answered = true;
            lease.holder.answered(now, number, answer);
            if matches!(answer, Answer::Granted { .. }) && std::mem::take(&mut lease.failing) {
                tracing::info!(%key, "the store grants again");
            }
        }
        (Ok(Exchanged::Learning(frees)), Some(number)) => {
            let answer = Answer::Denied {
                hold: frees.min(LEARNING_HOLD),
                frees,
                room: 0,
            };
            lease.holder.answered(now, number, answer);
            if !std::mem::replace(&mut lease.failing, true) {
                let seconds = frees.as_secs_f64();
                tracing::warn!(%key, "the store lost its grants: it grants nothing for \
                    {seconds:.1} s, until \
                    all that it had granted has left the window");
            }
        }
        (Ok(Exchanged::Forgot), Some(number)) => lease.holder.give_up(number),
        (Ok(Exchanged::Changed(change)), Some(_)) => {
            lease.end(|| Undecided::Changed(change.clone()));
            lease.busy = false;
            return false;
        }
        (Ok(_), _) => {}
        (Err(why), number) => {
            match number {
                // Nothing was sent, so that there is nothing to settle.
                Some(number) if matches!(why, Undecided::Suspended) => {
                    lease.holder.withdraw(number)
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
            let waiting = std::mem::take(&mut lease.waiting);
            for waiter in waiting {
                drop(waiter.reply.send(Err(Undecided::NoGrant)));
            }
            lease.busy = false;
            return false;
        }
    }
    true
}
