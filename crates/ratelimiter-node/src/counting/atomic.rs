use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use ratelimiter_api::DecidedBy;
use tokio::sync::oneshot;
use tokio::task::yield_now;
use tokio::time::timeout;

use super::Undecided;
use crate::clock::{StoreClock, micros};
use crate::counter::CounterCell;
use crate::decision::{Check, Decision};
use crate::memory::Memory;
use crate::shared::{
    CheckGroup, Counted, GroupAnswer, GroupedCheck, Members, SharedStore, Verdict,
};

/// Checks that one script call decides: enough to be quick, few enough not to hold up the store.
const GROUP_MOST: usize = 128;
/// Calls of one key on their way at once: while the store runs one, the node prepares the next.
const CALLS_MOST: usize = 2;

/// The atomic mode: exact, at the price of a round trip, and of the store's availability.
///
/// While calls of a key are on their way, further checks of the key wait, and the next call decides
/// them all, in their order of arrival, by the counter as it is when the call leaves. Each has its
/// own answer and its own deadline: the script counts none that reaches it late, so that what the
/// store postponed is not counted after its caller has another answer. The last quarter of the
/// timeout is left for the answer to come back in.
#[derive(Debug)]
pub(crate) struct Groups {
    store: Arc<SharedStore>,
    clock: Arc<StoreClock>,
    members: Members,
    memory: Arc<Memory>,
    timeout: Duration,
    /// Each counter with a call on its way, by the address of its cell, which the call holds.
    queues: Mutex<HashMap<usize, Queue>>,
}

/// The waiting checks of one counter.
#[derive(Debug, Default)]
struct Queue {
    waiting: VecDeque<Waiter>,
    calls: usize,
}

/// A check that waits for its call.
#[derive(Debug)]
struct Waiter {
    check: GroupedCheck,
    reply: oneshot::Sender<Result<Decision, Undecided>>,
}

impl Groups {
    pub(crate) fn new(
        store: Arc<SharedStore>,
        clock: Arc<StoreClock>,
        members: Members,
        memory: Arc<Memory>,
        timeout: Duration,
    ) -> Self {
        Self {
            store,
            clock,
            members,
            memory,
            timeout,
            queues: Mutex::default(),
        }
    }

    fn queues(&self) -> MutexGuard<'_, HashMap<usize, Queue>> {
        self.queues.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Decides one check, within `left`. The counter remembers what it admits.
    pub(crate) async fn decide(
        self: &Arc<Self>,
        cell: &Arc<CounterCell>,
        check: Check,
        left: Duration,
    ) -> Result<Decision, Undecided> {
        let late_us = self.clock.now_us() + micros(left) / 4 * 3;
        let (reply, answer) = oneshot::channel();
        let waiter = Waiter {
            check: GroupedCheck { check, late_us },
            reply,
        };
        {
            let mut queues = self.queues();
            let queue = queues.entry(address(cell)).or_default();
            queue.waiting.push_back(waiter);
            if queue.calls < CALLS_MOST {
                queue.calls += 1;
                tokio::spawn(Arc::clone(self).call(Arc::clone(cell)));
            }
        }
        match timeout(left, answer).await {
            Ok(Ok(decided)) => decided,
            Ok(Err(_)) | Err(_) => Err(Undecided::Unanswered),
        }
    }

    /// Calls the script for the checks that wait, until none does.
    async fn call(self: Arc<Self>, cell: Arc<CounterCell>) {
        loop {
            // The checks that have arrived by now leave as well: fewer calls, and nothing waits for
            // longer than its turn.
            yield_now().await;
            let Some(group) = self.next(&cell) else {
                return;
            };
            let (entry, span) = {
                let counter = cell.lock();
                (counter.entry.clone(), counter.span(self.clock.now_us()))
            };
            let checks: Vec<_> = group.iter().map(|waiter| waiter.check).collect();
            let question = CheckGroup {
                entry: &entry,
                span: &span,
                members: &self.members,
                checks: &checks,
            };
            match self.store.check(&question, self.timeout).await {
                Ok(answer) => {
                    self.remember(&cell, entry.epoch, &group, &answer);
                    reply(group, &answer);
                }
                Err(error) => {
                    for waiter in group {
                        drop(waiter.reply.send(Err(error.clone().into())));
                    }
                }
            }
        }
    }

    /// The next group. Checks whose callers have gone are left out: they have another answer.
    fn next(&self, cell: &Arc<CounterCell>) -> Option<Vec<Waiter>> {
        let mut queues = self.queues();
        let queue = queues.get_mut(&address(cell))?;
        queue.waiting.retain(|waiter| !waiter.reply.is_closed());
        if queue.waiting.is_empty() {
            queue.calls -= 1;
            if queue.calls == 0 {
                queues.remove(&address(cell));
            }
            return None;
        }
        let most = queue.waiting.len().min(GROUP_MOST);
        Some(queue.waiting.drain(..most).collect())
    }

    /// Adds the admissions to the counter, unless it was reset since, before their callers know of
    /// them.
    fn remember(&self, cell: &CounterCell, epoch: u64, group: &[Waiter], answer: &GroupAnswer) {
        let mut counter = cell.lock();
        if counter.entry.epoch != epoch {
            return;
        }
        for (Waiter { check, reply }, counted) in group.iter().zip(&answer.counted) {
            let check = check.check;
            if counted.verdict == Verdict::Allowed
                && !reply.is_closed()
                && self.memory.has_room(check.cost)
            {
                counter.add_synced(check.admissions(answer.now_us));
            }
        }
    }
}

/// Gives each check of a group its answer.
fn reply(group: Vec<Waiter>, answer: &GroupAnswer) {
    let GroupAnswer {
        now_us,
        limit,
        ref change,
        ref counted,
    } = *answer;
    for (
        waiter,
        &Counted {
            verdict,
            count,
            frees_us,
        },
    ) in group.into_iter().zip(counted)
    {
        let decision = |allowed| {
            Ok(Decision {
                allowed,
                count,
                frees_us,
                now_us,
                limit,
                by: DecidedBy::Store,
            })
        };
        drop(waiter.reply.send(match verdict {
            Verdict::Allowed => decision(true),
            Verdict::Denied => decision(false),
            Verdict::Late => Err(Undecided::Late),
            Verdict::Forgot => Err(Undecided::Forgot),
            Verdict::Changed => Err(Undecided::Changed(Box::new(change.clone()))),
        }));
    }
}

fn address(cell: &Arc<CounterCell>) -> usize {
    Arc::as_ptr(cell).addr()
}
