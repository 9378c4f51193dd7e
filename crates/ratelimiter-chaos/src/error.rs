use std::time::Duration;

use ratelimiter_api::{ClientError, NodeId};
use ratelimiter_store::{StoreError, StoreUrl};
use ratelimiter_target::{OutOfReach, TargetError};

use crate::{ForeignPause, MAX_REQUESTS};

/// The reason why a fault was not injected, or had no effect.
#[derive(Debug, thiserror::Error)]
pub enum ChaosError {
    /// The target is out of reach.
    #[error(transparent)]
    OutOfReach(#[from] OutOfReach),
    /// There is nothing to send to.
    #[error("no endpoint to send to")]
    NoTargets,
    /// There is nothing to check.
    #[error("no key to check")]
    NoKeys,
    /// A target cannot be, or cannot be reached.
    #[error(transparent)]
    Target(#[from] TargetError),
    /// A connection did not open in time.
    #[error("no connection to {node} within {} ms", .after.as_millis())]
    NotOpened {
        /// The node.
        node: NodeId,
        /// The time given.
        after: Duration,
    },
    /// The burst would be larger than is allowed.
    #[error("a burst of {0} requests is too large: at most {MAX_REQUESTS} are sent at once")]
    TooManyRequests(u64),
    /// No connection can be opened.
    #[error("the limit of open files is {limit}, and {open} are open: raise it with ulimit -n")]
    OpenFiles {
        /// The limit.
        limit: u64,
        /// Open files.
        open: u64,
    },
    /// A workload needs a pace.
    #[error("rate is {0} per second: it must be above 0 and at most 10000")]
    Rate(f64),
    /// Another client holds writes back already, which would hide the effect of this pause.
    #[error(
        "writes to {url} are held back already ({pause}): wait until that pause is over, or end it \
         with CLIENT UNPAUSE"
    )]
    ForeignPause {
        /// The store.
        url: StoreUrl,
        /// The other pause.
        pause: ForeignPause,
    },
    /// The store's user may not pause it.
    #[error(
        "the store at {url} does not let this user pause it ({why}): allow it with `ACL SETUSER \
         USER resetkeys -@all \
         +client|pause +client|id +client|setname +info +ping +evalsha`, or hold writes back in a \
         proxy instead, with \
         `demo-ratelimiter run --fault proxy` or `ratelimiter-verify inject resp`"
    )]
    NotPermitted {
        /// The store.
        url: StoreUrl,
        /// The store's words.
        why: String,
    },
    /// The store has no such command, as with most hosted services.
    #[error(
        "the store at {url} refuses CLIENT PAUSE ({why}), as most hosted services do: hold writes \
         back in a proxy instead, \
         with `demo-ratelimiter run --fault proxy` or `ratelimiter-verify inject resp`"
    )]
    PauseRefused {
        /// The store.
        url: StoreUrl,
        /// The store's words.
        why: String,
    },
    /// Sentinels would fail over.
    #[error(
        "the sentinels of {url} fail over when their primary is silent for {} ms, and to them a \
         paused primary is: pause for less, \
         or raise down-after-milliseconds (`SENTINEL SET {} down-after-milliseconds \
         MS`)", .patience.as_millis(), .url.service().unwrap_or("SERVICE")
    )]
    PauseFailsOver {
        /// The store.
        url: StoreUrl,
        /// Their down-after-milliseconds.
        patience: Duration,
    },
    /// A single store has no failover.
    #[error(
        "nothing promotes a replica of {url}: a failover needs \
         redis+sentinel://HOST:PORT,.../SERVICE or redis+cluster://HOST:PORT,..."
    )]
    NothingPromotes {
        /// The store.
        url: StoreUrl,
    },
    /// A primary without replicas.
    #[error("{url} has no replica that could be promoted")]
    NoReplica {
        /// The primary.
        url: StoreUrl,
    },
    /// The primary runs although it was told to end.
    #[error("{url} was sent SHUTDOWN NOSAVE and still runs")]
    NotEnded {
        /// The primary.
        url: StoreUrl,
    },
    /// The primary has ended, and no replica took its place.
    #[error("no replica of {url} was promoted within {} s after its end: start it \
        again", .after.as_secs())]
    NotPromoted {
        /// The old primary.
        url: StoreUrl,
        /// The time of waiting.
        after: Duration,
    },
    /// The store accepted the pause and goes on taking writes.
    #[error("the store at {url} accepted CLIENT PAUSE but still takes writes")]
    PauseWithoutEffect {
        /// The store.
        url: StoreUrl,
    },
    /// The proxies hold writes back, and writes through them pass nevertheless.
    #[error("writes to {url} pass, although a rule of its proxy holds them back")]
    HoldWithoutEffect {
        /// The address of the proxy.
        url: StoreUrl,
    },
    /// The store was lost during the pause, which ended too early.
    #[error("the pause ended after {} ms: {source}", .after.as_millis())]
    PauseLost {
        /// Time for which it had been held.
        after: Duration,
        /// The event.
        source: StoreError,
    },
    /// The lease ran out, and writes still do not pass.
    #[error("writes to {url} do not pass {} ms after the pause: another client holds them back, \
        and was left alone", .after.as_millis())]
    NotReleased {
        /// The store.
        url: StoreUrl,
        /// Time since the lease ran out.
        after: Duration,
    },
    /// The store cannot be reached, or is of no use.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// A node gave no usable answer before anything was sent that matters.
    #[error(transparent)]
    Node(#[from] ClientError),
    /// A limit is not known to a node in time.
    #[error("{endpoint} does not know the limit of {key} after {} ms", .after.as_millis())]
    LimitNotKnown {
        /// The node.
        endpoint: String,
        /// The key of the limit.
        key: String,
        /// Time of waiting.
        after: Duration,
    },
}
