use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use ratelimiter_api::{DecidedBy, LimitEntry};
use tokio::sync::oneshot;
use tokio::time::timeout;

use super::{Decision, Undecided};
use crate::clock::micros;
use crate::shared::{CheckGroup, Counted, GroupAnswer, GroupedCheck, Members, SharedStore, Span, Verdict};

/// Checks that one script call decides: enough to be quick, few enough not to hold up the store.
const GROUP_MOST: usize = 128;
/// Calls of one key on their way at once: while the store runs one, the node prepares the next.
const CALLS_MOST: usize = 2;

/// The atomic mode: exact, at the price of a round trip, and of the store's availability.
///
/// While calls of a key are on their way, further checks of the key wait, and the next call decides them all, in their order
/// of arrival. Each has its own answer and its own deadline: the script counts none that reaches it late, so that what the
/// store postponed is not counted after its caller has another answer. The last quarter of the timeout is left for the
/// answer to come back in.
#[derive(Debug)]
pub(crate) struct Groups {
    store: Arc<SharedStore>,
    members: Members,
    timeout: Duration,
    /// Each counter with a call on its way, by the name of its set.
    queues: Mutex<HashMap<String, Queue>>,
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
    entry: LimitEntry,
    span: Span,
    check: GroupedCheck,
    reply: oneshot::Sender<Result<Decision, Undecided>>,
}

impl Groups {
    pub(crate) fn new(store: Arc<SharedStore>, members: Members, timeout: Duration) -> Self {
        Self { store, members, timeout, queues: Mutex::default() }
    }

    fn queues(&self) -> MutexGuard<'_, HashMap<String, Queue>> {
        self.queues.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Decides one check, within `left`.
    pub(crate) async fn decide(
        self: &Arc<Self>,
        entry: LimitEntry,
        span: Span,
        cost: u32,
        first_sequence: u64,
        left: Duration,
    ) -> Result<Decision, Undecided> {
        let late_us = span.now_us + micros(left) / 4 * 3;
        let (reply, answer) = oneshot::channel();
        let set = span.set.clone();
        let waiter = Waiter { entry, span, check: GroupedCheck { cost, first_sequence, late_us }, reply };
        {
            let mut queues = self.queues();
            let queue = queues.entry(set.clone()).or_default();
            queue.waiting.push_back(waiter);
            if queue.calls < CALLS_MOST {
                queue.calls += 1;
                tokio::spawn(Arc::clone(self).call(set));
            }
        }
        match timeout(left, answer).await {
            Ok(Ok(decided)) => decided,
            Ok(Err(_)) | Err(_) => Err(Undecided::Unanswered),
        }
    }

    /// Calls the script for the checks that wait, until none does.
    async fn call(self: Arc<Self>, set: String) {
        while let Some(group) = self.next(&set) {
            // The newest has the newest state of the node.
            let Some(Waiter { entry, span, .. }) = group.last() else { continue };
            let checks: Vec<_> = group.iter().map(|waiter| waiter.check).collect();
            let question = CheckGroup { entry, span, members: &self.members, checks: &checks };
            match self.store.check(&question, self.timeout).await {
                Ok(GroupAnswer { now_us, limit, change, counted }) => {
                    for (waiter, Counted { verdict, count, frees_us }) in group.into_iter().zip(counted) {
                        let decision = |allowed| {
                            Ok(Decision { allowed, count, frees_us, now_us, limit, by: DecidedBy::Store })
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
                Err(error) => {
                    for waiter in group {
                        drop(waiter.reply.send(Err(error.clone().into())));
                    }
                }
            }
        }
    }

    /// The next group. Checks whose callers have gone are left out: they have another answer.
    fn next(&self, set: &str) -> Option<Vec<Waiter>> {
        let mut queues = self.queues();
        let queue = queues.get_mut(set)?;
        queue.waiting.retain(|waiter| !waiter.reply.is_closed());
        if queue.waiting.is_empty() {
            queue.calls -= 1;
            if queue.calls == 0 {
                queues.remove(set);
            }
            return None;
        }
        let most = queue.waiting.len().min(GROUP_MOST);
        Some(queue.waiting.drain(..most).collect())
    }
}
