//! Decides checks. Start reading at [`Limiter::check`].

mod active;
mod atomic;
mod cached;
mod changes;
mod counter;
mod leased;
mod limits;
mod policy;
mod read_then_write;
mod report;
mod syncing;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use parking_lot::{RwLock, RwLockReadGuard, RwLockWriteGuard};
use ratelimiter_api::{CheckResponse, CountingMode, DecidedBy, Key, Limit, LimitEntry, NodeId};
use ratelimiter_store::StoreError;
use tokio::sync::oneshot;
use tokio::time::{Instant, timeout};

use crate::admissions::Admission;
use crate::clock::StoreClock;
use crate::shared::{LimitChange, SharedStore};
use active::ActiveKeys;
use atomic::AtomicQueues;
pub(crate) use changes::MAX_LIMITS_AT_ONCE;
use counter::{CounterCell, KeyActivity};
pub(crate) use leased::GrantMetrics;
use leased::LeaseTable;
use limits::LimitTable;
pub(crate) use report::KeySelection;

/// Admissions that a node remembers, over all keys: 64 MB, and while their number grows at most
/// twice that.
const MAX_REMEMBERED: usize = 4_000_000;

/// Decides checks from every limit, this node's own admissions and, as of the last sync, the shared
/// counts of the keys in use.
#[derive(Debug)]
pub(crate) struct Limiter {
    node: NodeId,
    started_us: u64,
    sequence: AtomicU64,
    /// Admissions that the store had confirmed and lost.
    lost: AtomicU64,
    context: Arc<CheckContext>,
    limits: RwLock<LimitTable>,
    active: ActiveKeys,
    queues: Arc<AtomicQueues>,
    leases: Arc<LeaseTable>,
}

/// The parts of a node that its counting modes share.
#[derive(Debug)]
struct CheckContext {
    store: Arc<SharedStore>,
    clock: Arc<StoreClock>,
    /// Longest wait of a check for the store.
    timeout: Duration,
    /// Admissions remembered, over all keys and counting modes: counted exactly at every sync, and
    /// added up between two.
    remembered: AtomicUsize,
}

/// One check on its way through its counting mode.
struct PendingCheck<'a> {
    counter: &'a Arc<CounterCell>,
    /// The limit when the check arrived.
    entry: LimitEntry,
    cost: CheckCost,
    /// Time left to wait for the store.
    left: Duration,
}

/// The admissions that one check asks for, by names that no others have.
#[derive(Clone, Copy, Debug)]
struct CheckCost {
    admissions: u32,
    first_sequence: u64,
}

impl CheckCost {
    /// The admissions of a check that is admitted at `at_us`.
    fn at(self, at_us: u64) -> impl Iterator<Item = Admission> {
        (0..u64::from(self.admissions)).map(move |i| Admission {
            at_us,
            sequence: self.first_sequence + i,
        })
    }
}

/// The outcome of asking a counting mode about one check.
#[derive(Clone, Debug)]
enum CheckOutcome {
    /// The check is allowed or denied, and the counter has its admissions.
    Decided(Decision),
    /// Nothing was counted; the failure policy decides.
    Undecided(NoDecision),
    /// Nothing was counted, because the key has another counter or no limit any more. The check
    /// asks again, after this change where the node does not have it yet.
    AskAgain(Option<Box<LimitChange>>),
}

/// The reason why the store did not decide.
#[derive(Clone, Debug, thiserror::Error)]
enum NoDecision {
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The store failed so often that this check did not wait for it.
    #[error("the store failed the checks before this one")]
    Suspended,
    /// The common clock, by which admissions are dated, was never read.
    #[error("the common clock is not known yet")]
    NoClock,
    /// The check reached the store after its deadline.
    #[error("the check reached the store after its deadline")]
    Late,
    /// The store does not have an admission that it had confirmed: its count is too low.
    #[error("the store has lost admissions that it had confirmed")]
    Forgot,
    /// Neither a decision nor a grant arrived in time.
    #[error("the store did not decide in time")]
    NoAnswer,
}

impl PendingCheck<'_> {
    /// The outcome that another task sends, in time.
    async fn outcome(&self, answer: oneshot::Receiver<CheckOutcome>) -> CheckOutcome {
        match timeout(self.left, answer).await {
            Ok(Ok(outcome)) => outcome,
            Ok(Err(_)) | Err(_) => CheckOutcome::Undecided(NoDecision::NoAnswer),
        }
    }
}

impl CheckOutcome {
    /// Whether the store answered, and in time.
    fn is_answer(&self) -> bool {
        match self {
            Self::Decided(_) | Self::AskAgain(_) | Self::Undecided(NoDecision::Forgot) => true,
            Self::Undecided(NoDecision::Store(error)) => !error.is_transient(),
            Self::Undecided(_) => false,
        }
    }
}

impl From<StoreError> for CheckOutcome {
    fn from(error: StoreError) -> Self {
        Self::Undecided(error.into())
    }
}

/// The decision about one check, with the facts for its caller.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Decision {
    allowed: bool,
    /// Admissions in the window after the check, according to the decider.
    count: u64,
    /// Time at which a denied check would fit, or the oldest admission leaves the window;
    /// microseconds on the store's clock.
    frees_us: u64,
    /// Time of the decision, likewise.
    now_us: u64,
    /// The limit that the decision is about.
    limit: Limit,
    by: DecidedBy,
}

/// The reason why a check is refused without a decision.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum CheckError {
    /// A key without a limit.
    #[error("key {0:?} has no limit: set one with POST /limit")]
    NoLimit(String),
    /// A key whose limit, if there is one, this node has not read yet.
    #[error(
        "the limit of key {0:?} is not known yet: this node has not reached the store since it \
         started"
    )]
    NotKnownYet(String),
    /// A check that no window has room for.
    #[error("cost is {cost}, above the limit of {limit} for key {key:?}: it can never be allowed")]
    NeverFits {
        /// The key.
        key: String,
        /// Cost of the check, admissions.
        cost: u32,
        /// The limit in force, admissions.
        limit: u32,
    },
}

impl Limiter {
    pub(crate) fn new(
        node: NodeId,
        timeout: Duration,
        clock: Arc<StoreClock>,
        store: Arc<SharedStore>,
    ) -> Self {
        let started_us = clock.now_us();
        let context = Arc::new(CheckContext {
            store,
            clock,
            timeout,
            remembered: AtomicUsize::new(0),
        });
        Self {
            node,
            started_us,
            sequence: AtomicU64::new(0),
            lost: AtomicU64::new(0),
            limits: RwLock::default(),
            active: ActiveKeys::default(),
            queues: Arc::new(AtomicQueues::new(Arc::clone(&context))),
            leases: Arc::new(LeaseTable::new(Arc::clone(&context))),
            context,
        }
    }

    /// The grants of leased keys.
    pub(crate) fn leases(&self) -> &Arc<LeaseTable> {
        &self.leases
    }

    /// The limits and their counters. Held for as long as it takes to look, never across an
    /// `await`.
    pub(crate) fn limits(&self) -> RwLockReadGuard<'_, LimitTable> {
        self.limits.read()
    }

    /// The limits, to be changed. Held for as long as the change takes, never across an `await`.
    fn limits_mut(&self) -> RwLockWriteGuard<'_, LimitTable> {
        self.limits.write()
    }

    /// Decides one check. Answers, with the limit in force, within the store timeout whatever the
    /// store does.
    ///
    /// # Errors
    /// When the key has no limit, or the node cannot know yet, or the cost is above the limit.
    pub(crate) async fn check(
        &self,
        key: &Key,
        cost: u32,
    ) -> Result<(CheckResponse, Limit), CheckError> {
        let check_cost = CheckCost {
            admissions: cost,
            first_sequence: self.sequence.fetch_add(cost.into(), Ordering::Relaxed),
        };
        let decision = self.decide(key, check_cost).await?;
        let limit = decision.limit;
        if !decision.allowed && cost > limit.admissions() {
            return Err(CheckError::NeverFits {
                key: key.to_string(),
                cost,
                limit: limit.admissions(),
            });
        }
        Ok((self.respond(&decision), limit))
    }

    /// Asks the key's counting mode, and the failure policy where that has no decision.
    async fn decide(&self, key: &Key, cost: CheckCost) -> Result<Decision, CheckError> {
        let (started, mut left) = (Instant::now(), self.context.timeout);
        // Twice at most: after another node reset the counter, the new one is known. The caller
        // waits once for both answers.
        for _ in 0..2 {
            match self.ask(key, cost, left).await? {
                CheckOutcome::Decided(decision) => return Ok(decision),
                CheckOutcome::Undecided(why) => {
                    tracing::debug!(%key, %why, "the store did not decide");
                    break;
                }
                CheckOutcome::AskAgain(change) => {
                    if let Some(change) = change {
                        self.limits_mut().change(*change);
                    }
                    left = self.context.timeout.saturating_sub(started.elapsed());
                }
            }
        }
        Ok(self.decide_by_policy(&*self.counter(key)?, cost))
    }

    /// Asks the key's counting mode, which waits at most `left` for the store.
    async fn ask(
        &self,
        key: &Key,
        cost: CheckCost,
        left: Duration,
    ) -> Result<CheckOutcome, CheckError> {
        let context = &*self.context;
        let counter = self.counter(key)?;
        let now_us = context.clock.now_us();
        let (entry, used) = {
            let mut counter = counter.lock();
            let used = counter.touch(now_us);
            if counter.entry.counting == CountingMode::Cached && used == KeyActivity::Warm {
                let decision = cached::decide(context, &mut counter, now_us, cost);
                return Ok(CheckOutcome::Decided(decision));
            }
            (counter.entry.clone(), used)
        };
        if used == KeyActivity::Idle {
            self.active.wake(key, &counter);
        }
        let check = PendingCheck {
            counter: &counter,
            entry,
            cost,
            left,
        };
        // On the heap where few checks need it: otherwise the future of every check has room for
        // it.
        Ok(match check.entry.counting {
            CountingMode::Atomic => context.guarded(key, self.queues.ask(&check)).await,
            CountingMode::Cached => Box::pin(cached::ask(context, &check)).await,
            CountingMode::Leased => self.leases.ask(&check, self.version(key)).await,
            CountingMode::ReadThenWrite => {
                Box::pin(context.guarded(key, read_then_write::ask(context, &check))).await
            }
        })
    }

    fn counter(&self, key: &Key) -> Result<Arc<CounterCell>, CheckError> {
        let limits = self.limits();
        if let Some(counter) = limits.get(key) {
            return Ok(Arc::clone(counter));
        }
        let key = key.to_string();
        Err(if limits.are_known() {
            CheckError::NoLimit(key)
        } else {
            CheckError::NotKnownYet(key)
        })
    }

    /// The version that the store must have reached to decide about a key: of the limits, or in a
    /// store cluster of the limit, which has one of its own.
    fn version(&self, key: &Key) -> u64 {
        if self.context.store.copies_limits() {
            self.limits().version_of(key)
        } else {
            self.limits().version()
        }
    }

    fn respond(&self, decision: &Decision) -> CheckResponse {
        let count = u32::try_from(decision.count).unwrap_or(u32::MAX);
        let limit = decision.limit.admissions();
        CheckResponse {
            allowed: decision.allowed,
            limit,
            remaining: limit.saturating_sub(count),
            reset_ms: decision
                .frees_us
                .saturating_sub(decision.now_us)
                .div_ceil(1000),
            node: self.node.clone(),
            decided_by: decision.by,
        }
    }
}

impl CheckContext {
    /// Asks the store unless its circuit is open, and reports to the circuit whether it answered.
    async fn guarded(&self, key: &Key, ask: impl Future<Output = CheckOutcome>) -> CheckOutcome {
        if !self.clock.is_read() {
            return CheckOutcome::Undecided(NoDecision::NoClock);
        }
        let Some(pass) = self.store.circuits.of(key.as_str()).pass(Instant::now()) else {
            return CheckOutcome::Undecided(NoDecision::Suspended);
        };
        let outcome = ask.await;
        pass.report(outcome.is_answer(), Instant::now());
        outcome
    }

    /// Whether so many more admissions can be remembered; if so they count as remembered.
    fn has_room(&self, admissions: u32) -> bool {
        let admissions = admissions as usize;
        let room = self.remembered.load(Ordering::Relaxed) + admissions <= MAX_REMEMBERED;
        if room {
            self.remembered.fetch_add(admissions, Ordering::Relaxed);
        }
        room
    }
}
