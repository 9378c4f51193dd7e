//! Counting mode `atomic`: one script in the store decides. Exact, at the price of a round trip,
//! and of the store's availability.
//!
//! While calls of a key are on their way, further checks of the key wait, and the next call decides
//! them all, in their order of arrival, by the counter as it is when the call leaves. Each has its
//! own answer and its own deadline: the script counts none that reaches it late, so a check that
//! the store postponed is not counted after its caller has another answer. The last quarter of the
//! timeout is left for the way back.

use std::collections::{HashMap, VecDeque};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, LazyLock};

use parking_lot::Mutex;
use ratelimiter_api::{DecidedBy, Limit, LimitEntry, layout};
use ratelimiter_store::StoreError;
use redis::{RedisResult, Script, ScriptInvocation, Value};
use tokio::sync::oneshot;
use tokio::task::yield_now;

use super::counter::{CounterCell, in_epoch};
use super::{CheckContext, CheckCost, CheckOutcome, Decision, NoDecision, PendingCheck};
use crate::admissions::{OwnAdmissions, RETENTION};
use crate::clock::{BRIDGED, micros};
use crate::shared::{LimitChange, next_answer};

/// Checks that one script call decides: enough to be quick, few enough not to hold up the store.
const GROUP_MOST: usize = 128;
/// Calls of one key on their way at once: while the store runs one, the node prepares the next.
const CALLS_MOST: usize = 2;

static SCRIPT: LazyLock<Script> = LazyLock::new(|| {
    Script::new(concat!(
        include_str!("../clock.lua"),
        include_str!("current.lua"),
        include_str!("atomic.lua")
    ))
});

/// The checks that wait for a call of the script.
#[derive(Debug)]
pub(super) struct AtomicQueues {
    context: Arc<CheckContext>,
    /// Each counter with a call on its way, by the address of its cell, which the call holds.
    queues: Mutex<HashMap<usize, CheckQueue>>,
}

/// The waiting checks of one counter.
#[derive(Debug, Default)]
struct CheckQueue {
    waiting: VecDeque<QueuedCheck>,
    calls: usize,
}

/// The state of a counter when a call leaves.
#[derive(Clone, Copy)]
struct CallFacts<'a> {
    entry: &'a LimitEntry,
    own: &'a OwnAdmissions,
    now_us: u64,
    /// The life of the set in the store is to be renewed.
    renews: bool,
}

/// A check that waits for its call.
#[derive(Debug)]
struct QueuedCheck {
    cost: CheckCost,
    /// Time after which it is not counted any more, microseconds on the common clock.
    late_us: u64,
    reply: oneshot::Sender<CheckOutcome>,
}

impl AtomicQueues {
    pub(super) fn new(context: Arc<CheckContext>) -> Self {
        Self {
            context,
            queues: Mutex::default(),
        }
    }

    /// Decides one check by the next call of the script.
    pub(super) async fn ask(self: &Arc<Self>, check: &PendingCheck<'_>) -> CheckOutcome {
        let (reply, answer) = oneshot::channel();
        let queued = QueuedCheck {
            cost: check.cost,
            late_us: self.context.clock.now_us() + micros(check.left) / 4 * 3,
            reply,
        };
        {
            let mut queues = self.queues.lock();
            let queue = queues.entry(address(check.counter)).or_default();
            queue.waiting.push_back(queued);
            if queue.calls < CALLS_MOST {
                queue.calls += 1;
                tokio::spawn(Arc::clone(self).call(Arc::clone(check.counter)));
            }
        }
        check.outcome(answer).await
    }

    /// Calls the script for the checks that wait, until none does.
    async fn call(self: Arc<Self>, counter: Arc<CounterCell>) {
        loop {
            // The checks that have arrived by now leave as well: fewer calls, and nothing waits for
            // longer than its turn.
            yield_now().await;
            let Some(group) = self.next(&counter) else {
                return;
            };
            let now_us = self.context.clock.now_us();
            let (entry, own, renews) = {
                let mut counter = counter.lock();
                let renews = counter.renews(now_us);
                (counter.entry.clone(), counter.own(now_us), renews)
            };
            let facts = CallFacts {
                entry: &entry,
                own: &own,
                now_us,
                renews,
            };
            match self.question(facts, &group).await {
                Ok(mut outcomes) => {
                    self.remember(&counter, entry.epoch, &group, &mut outcomes);
                    for (check, outcome) in group.into_iter().zip(outcomes) {
                        drop(check.reply.send(outcome));
                    }
                }
                Err(error) => {
                    for check in group {
                        drop(check.reply.send(error.clone().into()));
                    }
                }
            }
        }
    }

    /// The next group. Checks whose callers have gone are left out: they have another answer.
    fn next(&self, counter: &Arc<CounterCell>) -> Option<Vec<QueuedCheck>> {
        let mut queues = self.queues.lock();
        let queue = queues.get_mut(&address(counter))?;
        queue.waiting.retain(|check| !check.reply.is_closed());
        if queue.waiting.is_empty() {
            queue.calls -= 1;
            if queue.calls == 0 {
                queues.remove(&address(counter));
            }
            return None;
        }
        let most = queue.waiting.len().min(GROUP_MOST);
        Some(queue.waiting.drain(..most).collect())
    }

    /// Checks a group in one step of the store, which counts none that arrives there late.
    async fn question(
        &self,
        facts: CallFacts<'_>,
        group: &[QueuedCheck],
    ) -> Result<Vec<CheckOutcome>, StoreError> {
        let entry = facts.entry;
        let store = &self.context.store;
        let set = layout::admissions(&entry.key, entry.epoch);
        // A script that ran and whose answer was lost with the connection has to find its own
        // admissions.
        let repeated = AtomicBool::new(false);
        let answer = store
            .checks
            .at(&set)
            .run_idempotent(self.context.timeout, async |mut connection| {
                let repeat = if repeated.swap(true, Ordering::Relaxed) {
                    "repeat"
                } else {
                    ""
                };
                let answers: Vec<Value> = self
                    .invocation(&set, facts, repeat, group)
                    .invoke_async(&mut connection)
                    .await?;
                outcomes(answers, entry, group.len())
            })
            .await;
        store.written(answer)
    }

    /// The call of the script; its head lists the arguments.
    fn invocation(
        &self,
        set: &str,
        facts: CallFacts<'_>,
        repeat: &str,
        group: &[QueuedCheck],
    ) -> ScriptInvocation<'static> {
        let CallFacts {
            entry,
            own,
            now_us,
            renews,
        } = facts;
        let or_nothing =
            |sequence: Option<u64>| sequence.map(|s| s.to_string()).unwrap_or_default();
        let mut call = SCRIPT.key(set);
        let limit = self.context.store.limit_of(&entry.key);
        call.key(limit.limits)
            .key(limit.changed)
            .key(limit.deleted)
            .key(limit.clock);
        call.arg(entry.limit.admissions())
            .arg(entry.limit.window_us())
            .arg(self.context.store.names.prefix())
            .arg(micros(RETENTION))
            .arg(or_nothing(own.newest_confirmed))
            .arg(or_nothing(own.last_sent))
            .arg(own.sent)
            .arg(or_nothing(own.newest))
            .arg(own.unconfirmed)
            .arg(repeat)
            .arg(entry.key.as_str())
            .arg(entry.epoch)
            .arg(now_us)
            .arg(own.doubted)
            .arg(micros(2 * RETENTION + BRIDGED))
            .arg(self.context.clock.lag_us())
            .arg(if renews { "renew" } else { "" });
        for QueuedCheck { cost, late_us, .. } in group {
            call.arg(cost.admissions)
                .arg(cost.first_sequence)
                .arg(late_us);
        }
        call
    }

    /// Adds the admissions to the counter, unless it was reset since, before their callers have
    /// their answers; or asks for all of them by name, after a loss.
    ///
    /// A store that lost admissions while calls were on their way allows too much. What this node
    /// remembers bounds it: no process ever admits more than the limit by its own record.
    fn remember(
        &self,
        counter: &CounterCell,
        epoch: u64,
        group: &[QueuedCheck],
        outcomes: &mut [CheckOutcome],
    ) {
        in_epoch(counter, epoch, |counter| {
            let (mut forgot, mut own) = (false, None);
            for (QueuedCheck { cost, reply, .. }, outcome) in group.iter().zip(outcomes) {
                match outcome {
                    CheckOutcome::Decided(decision) if decision.allowed => {
                        let own = own.get_or_insert_with(|| counter.own_count(decision));
                        *own += u64::from(cost.admissions);
                        decision.allowed = *own <= decision.limit.admissions().into();
                    }
                    _ => {}
                }
                match outcome {
                    CheckOutcome::Decided(decision)
                        if decision.allowed
                            && !reply.is_closed()
                            && self.context.has_room(cost.admissions) =>
                    {
                        counter.add_synced(cost.at(decision.now_us));
                    }
                    CheckOutcome::Undecided(NoDecision::Forgot) => forgot = true,
                    _ => {}
                }
            }
            if forgot {
                counter.doubt();
            }
        });
    }
}

/// The script's answers to a group of checks; its head lists them.
fn outcomes(
    answers: Vec<Value>,
    entry: &LimitEntry,
    checks: usize,
) -> RedisResult<Vec<CheckOutcome>> {
    let answers = &mut answers.into_iter();
    let (now_us, admissions): (u64, i64) = (next_answer(answers)?, next_answer(answers)?);
    let (window_us, text): (u64, String) = (next_answer(answers)?, next_answer(answers)?);
    let limit =
        Limit::new(admissions, (window_us / 1_000_000).cast_signed()).unwrap_or(entry.limit);
    let version = next_answer(answers)?;
    let mut outcome = || {
        let (verdict, count, leaves_us): (i8, u64, u64) = (
            next_answer(answers)?,
            next_answer(answers)?,
            next_answer(answers)?,
        );
        // An admission that is still to be added leaves last.
        let leaves_us = if leaves_us > 0 { leaves_us } else { now_us };
        Ok(match verdict {
            0 | 1 => CheckOutcome::Decided(Decision {
                allowed: verdict == 1,
                count,
                frees_us: leaves_us + limit.window_us(),
                now_us,
                limit,
                by: DecidedBy::Store,
            }),
            -1 => CheckOutcome::Undecided(NoDecision::Late),
            -2 => CheckOutcome::Undecided(NoDecision::Forgot),
            _ => CheckOutcome::AskAgain(Some(Box::new(LimitChange {
                key: entry.key.clone(),
                version,
                entry: serde_json::from_str(&text).ok(),
            }))),
        })
    };
    (0..checks).map(|_| outcome()).collect()
}

fn address(counter: &Arc<CounterCell>) -> usize {
    Arc::as_ptr(counter).addr()
}
