use std::fmt;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::{Key, choice};

/// The largest limit: admissions are kept one by one, so a limit is also a bound on memory.
pub const MAX_LIMIT: u32 = 1_000_000;
/// The longest window.
pub const MAX_WINDOW: Duration = Duration::from_secs(24 * 60 * 60);

/// At most `limit` admissions in any sliding window of `window`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "RawLimit", into = "RawLimit")]
pub struct Limit {
    admissions: u32,
    window: Duration,
}

#[derive(Serialize, Deserialize)]
struct RawLimit {
    limit: i64,
    window_sec: i64,
}

/// The reason why a limit is invalid.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LimitError {
    /// Zero, negative or above [`MAX_LIMIT`].
    #[error("limit is {0}: it must be between 1 and {MAX_LIMIT}")]
    Admissions(i64),
    /// Below a second or above [`MAX_WINDOW`].
    #[error("window_sec is {0}: it must be between 1 and {max}", max = MAX_WINDOW.as_secs())]
    Window(i64),
}

impl Limit {
    /// A limit of `admissions` per `window_sec` seconds.
    ///
    /// # Errors
    /// When either is outside its range.
    pub fn new(admissions: i64, window_sec: i64) -> Result<Self, LimitError> {
        let count = u32::try_from(admissions)
            .ok()
            .filter(|n| (1..=MAX_LIMIT).contains(n))
            .ok_or(LimitError::Admissions(admissions))?;
        let window = u64::try_from(window_sec)
            .ok()
            .map(Duration::from_secs)
            .filter(|w| (Duration::from_secs(1)..=MAX_WINDOW).contains(w))
            .ok_or(LimitError::Window(window_sec))?;
        Ok(Self {
            admissions: count,
            window,
        })
    }

    /// Admissions that a window may hold.
    pub fn admissions(&self) -> u32 {
        self.admissions
    }

    /// Length of the sliding window.
    pub fn window(&self) -> Duration {
        self.window
    }

    /// The window in microseconds, the unit of the store's clock.
    pub fn window_us(&self) -> u64 {
        self.window.as_secs() * 1_000_000
    }
}

impl fmt::Display for Limit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} per {} s", self.admissions, self.window.as_secs())
    }
}

impl TryFrom<RawLimit> for Limit {
    type Error = LimitError;

    fn try_from(raw: RawLimit) -> Result<Self, LimitError> {
        Self::new(raw.limit, raw.window_sec)
    }
}

impl From<Limit> for RawLimit {
    fn from(limit: Limit) -> Self {
        Self {
            limit: limit.admissions.into(),
            window_sec: limit.window.as_secs().cast_signed(),
        }
    }
}

choice! {
    /// The way in which nodes share a count, and the bound that follows. `L` is the limit, `N` the
    /// number of nodes.
    CountingMode, "counting mode" {
        /// One script in the store drops the old, counts and adds. Admits exactly `L`; while the
        /// store loses counts, at most `L` for each process of a node that lived within the window.
        Atomic = "atomic",
        /// The node decides from its own admissions and the others' as of the last sync. Admits at
        /// most `N x L`.
        Cached = "cached",
        /// The store grants nodes the right to admit, and they spend it without asking. Admits at
        /// most `L`.
        Leased = "leased",
        /// The node reads the count and then adds, in two commands. Admits at most `L` plus the
        /// checks in flight.
        ReadThenWrite = "read-then-write",
    }
}

choice! {
    /// A node's answer when its counting mode needs the store and the store does not answer in
    /// time.
    StoreFailurePolicy, "store failure policy" {
        /// Fail open: admit. The limit does not hold until the store is back.
        Allow = "allow",
        /// Fail closed: deny. Nothing passes until the store is back.
        Deny = "deny",
        /// Decide as `cached` would. Admits at most `N x L`.
        Local = "local",
    }
}

/// `POST /limit`: sets a limit for the whole cluster.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LimitSpec {
    /// The limited key.
    pub key: Key,
    /// Admissions per window; checked by [`LimitSpec::validate`] so that the answer can name the
    /// value.
    pub limit: i64,
    /// Seconds.
    pub window_sec: i64,
    /// The counting mode; the node's default when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub counting: Option<CountingMode>,
    /// The answer during a store failure; the node's default when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub on_store_failure: Option<StoreFailurePolicy>,
}

impl CountingMode {
    /// The failure policy of keys without one of their own: `deny` for `leased`, which stays exact
    /// in every state of the store; `local` for the others.
    pub const fn default_policy(self) -> StoreFailurePolicy {
        match self {
            Self::Leased => StoreFailurePolicy::Deny,
            Self::Atomic | Self::Cached | Self::ReadThenWrite => StoreFailurePolicy::Local,
        }
    }
}

impl LimitSpec {
    /// A specification that leaves counting and failure policy to the nodes.
    pub fn new(key: Key, limit: Limit) -> Self {
        let raw = RawLimit::from(limit);
        Self {
            key,
            limit: raw.limit,
            window_sec: raw.window_sec,
            counting: None,
            on_store_failure: None,
        }
    }

    /// The failure policy in force: of the key, else of the node, else of the counting mode.
    pub fn policy(
        &self,
        counting: CountingMode,
        policy: Option<StoreFailurePolicy>,
    ) -> StoreFailurePolicy {
        let of_mode = self.counting.unwrap_or(counting).default_policy();
        self.on_store_failure.or(policy).unwrap_or(of_mode)
    }

    /// The limit, if it is valid.
    ///
    /// # Errors
    /// When limit or window are outside their range.
    pub fn validate(&self) -> Result<Limit, LimitError> {
        Limit::new(self.limit, self.window_sec)
    }
}

/// `POST /limits`: sets many limits at once, at most a thousand.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LimitSpecs {
    /// The limits. A key has at most one.
    pub limits: Vec<LimitSpec>,
}

/// One limit as `GET /limits` lists it and as the store keeps it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LimitEntry {
    /// The limited key.
    pub key: Key,
    /// Admissions per window.
    #[serde(flatten)]
    pub limit: Limit,
    /// The counting mode.
    pub counting: CountingMode,
    /// The answer during a store failure.
    pub on_store_failure: StoreFailurePolicy,
    /// Number of the counter; a reset begins the next one.
    pub epoch: u64,
}

/// What became of the grants of a `leased` key that were given before a change of its limit. None
/// of them is spent after the answer to the change.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FormerGrants {
    /// Their nodes gave them back.
    Returned,
    /// They ended by themselves: a node did not give them back, or the store did not answer.
    Ended,
}

/// The answer to a change of one limit.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ChangedLimit {
    /// The limit as it is kept.
    #[serde(flatten)]
    pub entry: LimitEntry,
    /// The grants of a `leased` key that the change waited for; absent where it did not have to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub former_grants: Option<FormerGrants>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_limit_is_positive_and_bounded() {
        assert_eq!(Limit::new(0, 60), Err(LimitError::Admissions(0)));
        assert_eq!(Limit::new(-1, 60), Err(LimitError::Admissions(-1)));
        assert_eq!(
            Limit::new(i64::MAX, 60),
            Err(LimitError::Admissions(i64::MAX))
        );
        assert_eq!(Limit::new(10, 0), Err(LimitError::Window(0)));
        assert_eq!(Limit::new(10, 86_401), Err(LimitError::Window(86_401)));
        assert_eq!(Limit::new(10, 60).unwrap().to_string(), "10 per 60 s");
    }

    #[test]
    fn words_parse_as_they_print() {
        for mode in CountingMode::ALL {
            assert_eq!(mode.as_str().parse(), Ok(mode));
        }
        let refused = "fast".parse::<CountingMode>().unwrap_err().to_string();
        assert_eq!(
            refused,
            "\"fast\" is not a counting mode: use one of atomic, cached, leased, read-then-write"
        );
    }

    #[test]
    fn an_entry_survives_json() {
        let entry = LimitEntry {
            key: Key::new("k").unwrap(),
            limit: Limit::new(10, 60).unwrap(),
            counting: CountingMode::ReadThenWrite,
            on_store_failure: StoreFailurePolicy::Local,
            epoch: 3,
        };
        let json = serde_json::to_string(&entry).unwrap();
        assert_eq!(
            json,
            concat!(
                r#"{"key":"k","limit":10,"window_sec":60,"counting":"read-then-write","#,
                r#""on_store_failure":"local","epoch":3}"#
            )
        );
        assert_eq!(serde_json::from_str::<LimitEntry>(&json).unwrap(), entry);
    }

    #[test]
    fn unknown_fields_are_refused() {
        let json = r#"{"key":"k","limit":10,"window_sec":60,"burst":5}"#;
        assert!(
            serde_json::from_str::<LimitSpec>(json)
                .unwrap_err()
                .to_string()
                .contains("burst")
        );
    }
}
