use std::time::Duration;

use ratelimiter_api::{Limit, choice};

/// One limit of a promise: the cost that may be admitted of one key.
///
/// Its text is `AMOUNT/WINDOW FORM WORD=VALUE...`, on command lines, in messages and in JSON. The
/// form may be left out where it is sliding; calls in flight have no window:
///
/// ```
/// use ratelimiter_invariants::Contract;
///
/// for text in [
///     "10/2s",
///     "100/1m fixed",
///     "10/500ms token-bucket within=10%",
///     "10/1d fixed aligned by=user+route",
///     "10/2s two-period charge=all",
///     "1/200ms paced wait=1800ms",
///     "1000/1m fixed charge=after settles=200ms",
///     "5 in-flight returns=100ms lease=10s",
/// ] {
///     assert_eq!(text.parse::<Contract>()?.to_string(), text);
/// }
/// let error = "10/2s gcra".parse::<Contract>().unwrap_err().to_string();
/// assert_eq!(error, "character 7: \"gcra\" is a token bucket: write token-bucket");
/// # Ok::<(), ratelimiter_invariants::ContractError>(())
/// ```
///
/// Every [`Limit`] is a sliding one; a contract may also be about a window shorter than a second.
/// `docs/promises.md` has what each form proves.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Contract {
    pub(super) kind: ContractKind,
    pub(super) max: u32,
    pub(super) window: Duration,
    pub(super) charging: Charging,
    pub(super) times: [Option<Duration>; ContractTime::ALL.len()],
    pub(super) within: u32,
    pub(super) by: Vec<String>,
}

choice! {
    /// The form of a contract.
    #[derive(Default)]
    ContractKind, "form" {
        /// At most `max` in any half-open window: two admissions exactly a window apart are not in
        /// one.
        #[default]
        Sliding = "sliding",
        /// Windows of at least `W` follow each other, each with at most `max`; where they begin is
        /// not known.
        Fixed = "fixed",
        /// At most `max + t max / W` in any closed interval of length t: a bucket of `max` tokens,
        /// refilled once a window.
        TokenBucket = "token-bucket",
        /// Some alignment exists for which every window `[a + k W, a + (k + 1) W)` holds at most
        /// `max`; it is the same for all keys.
        Aligned = "fixed aligned",
        /// At most `max` at each admission: what the running period holds, and of the one before
        /// it the share that a window up to now still covers, rounded down.
        TwoPeriod = "two-period",
        /// Calls wait instead of being denied: they are released as a token bucket admits.
        Paced = "paced",
        /// At most `max` calls hold a place at once.
        InFlight = "in-flight",
    }
}

choice! {
    /// The time at which a cost is charged, and the cost.
    #[derive(Default)]
    Charging, "charging" {
        /// The cost asked for, with the decision; what is denied costs nothing.
        #[default]
        Before = "before",
        /// Likewise, and denied checks are charged too.
        All = "all",
        /// The cost used, after the call: a check is admitted while less than `max` is settled, so
        /// that the call that crosses the limit passes.
        After = "after",
        /// The cost asked for, with the decision; after the call the rest of it is given back.
        Reserved = "reserved",
    }
}

choice! {
    /// A time that a contract states beside its window.
    ContractTime, "word" {
        /// From an answer to the latest instant at which the cost used is settled.
        Settles = "settles",
        /// From the end of a call to the latest instant at which its place is back.
        Returns = "returns",
        /// Likewise for a call without an answer, whose holder may have died, and for its cost.
        Lease = "lease",
        /// The longest wait from a request to its answer.
        Wait = "wait",
    }
}

/// A contract that makes no sense.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ContractError {
    /// It would allow nothing.
    #[error("contract allows 0 admissions: it must allow at least 1")]
    Max,
    /// It would limit nothing.
    #[error("contract has a window of zero: it must be positive")]
    Window,
    /// A text that is no contract.
    #[error("character {at}: {defect}")]
    Text {
        /// Place of the defect, counted from 1.
        at: usize,
        /// The defect, with the text that may have been meant.
        defect: String,
    },
}

impl Contract {
    /// A sliding contract of `max` admissions in any `window`.
    ///
    /// # Errors
    /// When either is zero.
    pub fn new(max: u32, window: Duration) -> Result<Self, ContractError> {
        if max == 0 {
            return Err(ContractError::Max);
        }
        if window.is_zero() {
            return Err(ContractError::Window);
        }
        Ok(Self::sliding(max, window))
    }

    pub(super) fn sliding(max: u32, window: Duration) -> Self {
        Self {
            kind: ContractKind::Sliding,
            max,
            window,
            charging: Charging::Before,
            times: [None; ContractTime::ALL.len()],
            within: 0,
            by: Vec::new(),
        }
    }

    /// The same numbers in another form.
    #[must_use]
    pub fn of_kind(self, kind: ContractKind) -> Self {
        Self { kind, ..self }
    }

    /// The same with another window.
    #[must_use]
    pub fn in_window(self, window: Duration) -> Self {
        Self { window, ..self }
    }

    /// The form.
    pub fn kind(&self) -> ContractKind {
        self.kind
    }

    /// Cost that a window, or a full bucket, may hold; calls that may be in flight.
    pub fn max(&self) -> u32 {
        self.max
    }

    /// Length of a window, or the time in which an empty bucket fills; zero for calls in flight.
    pub fn window(&self) -> Duration {
        self.window
    }

    /// What is charged, and when.
    pub fn charging(&self) -> Charging {
        self.charging
    }

    /// A time that it states.
    pub fn time(&self, which: ContractTime) -> Option<Duration> {
        self.times[which as usize]
    }

    /// Whether a cost is settled after the call.
    pub(super) fn settles(&self) -> bool {
        matches!(self.charging, Charging::After | Charging::Reserved)
    }

    /// The labels whose values have a counter each; none where that is the key.
    pub fn by(&self) -> &[String] {
        &self.by
    }

    /// The cost up to which nothing is an excess, by the slack that it states.
    pub fn upper(&self) -> u64 {
        u64::from(self.max) * u64::from(100 + self.within) / 100
    }

    /// The cost up to which no check may be denied, by the slack that it states.
    pub fn lower(&self) -> u64 {
        u64::from(self.max) * u64::from(100 - self.within) / 100
    }
}

impl ContractKind {
    /// The forms of a window or a bucket whose checks are answered at once.
    pub const WINDOWS: [Self; 5] = [
        Self::Sliding,
        Self::Fixed,
        Self::TokenBucket,
        Self::Aligned,
        Self::TwoPeriod,
    ];
}

impl ContractTime {
    /// Whether a contract of this form and charging can state it.
    pub(super) fn fits(self, contract: &Contract) -> bool {
        match self {
            Self::Settles => contract.settles(),
            Self::Returns => contract.kind == ContractKind::InFlight,
            Self::Lease => contract.kind == ContractKind::InFlight || contract.settles(),
            Self::Wait => contract.kind == ContractKind::Paced,
        }
    }
}

impl From<Limit> for Contract {
    fn from(limit: Limit) -> Self {
        Self::sliding(limit.admissions(), limit.window())
    }
}
