use std::time::Duration;

use ratelimiter_api::{Key, KeyError};
use ratelimiter_invariants::{Charging, Contract, ContractKind, ContractTime, Promise};

use crate::Phase;

/// Time that a verification may take.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum PlanDepth {
    /// At most about a minute.
    #[default]
    Quick,
    /// At most about fifteen minutes.
    Thorough,
    /// At most so long; the phases are repeated on new keys as often as they fit.
    Repeated(Duration),
}

impl PlanDepth {
    pub(super) fn budget(self) -> Duration {
        match self {
            Self::Quick => Duration::from_secs(60),
            Self::Thorough => Duration::from_secs(900),
            Self::Repeated(time) => time,
        }
    }
}

/// The input of a plan.
#[derive(Clone, Debug)]
pub struct PlanSettings {
    /// The promise of the limiter.
    pub promise: Promise,
    /// Cost of a check, but for [`Phase::Costs`]: tokens a call, where the limit is in tokens.
    pub cost: u32,
    /// Size of a burst, in limits.
    pub multiplier: u32,
    /// Number of bursts, each on a key of its own.
    pub bursts: u32,
    /// Time that it may take.
    pub depth: PlanDepth,
    /// The phases to play; empty for all.
    pub phases: Vec<Phase>,
    /// Part of the keys' names that tells runs apart.
    pub key_part: String,
    /// Whether requests of different keys differ. If not, all phases share one quota, and their
    /// checks are on one key.
    pub has_key: bool,
    /// Time to wait before each step. By default a window and a tenth where all phases share one
    /// quota, else none.
    pub rest: Option<Duration>,
    /// Number of the target's nodes.
    pub nodes: usize,
    /// Whether requests can state a forged address; see [`Phase::Forged`].
    pub forges: bool,
    /// Whether no proxy is trusted: a limit that forged addresses evade is a finding, else a
    /// remark.
    pub untrusted: bool,
    /// Command line of the shell that injects a fault and undoes it. Without it, [`Phase::Fault`]
    /// is no part of the plan.
    pub during: Option<String>,
    /// Whether checks carry labels, and the limiter learns of the end of a call.
    pub has_calls: bool,
    /// Whether requests of different costs differ. If not, [`Phase::Costs`] is left out.
    pub has_cost: bool,
    /// The most checks.
    pub max_requests: u64,
}

/// A plan that cannot be made.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PlanError {
    /// The part of the keys' names makes no key.
    #[error("--key-part: {0}")]
    KeyPart(#[from] KeyError),
    /// The multiplier or the number of bursts is out of range.
    #[error("{name} is {value}: it must be {least} to {most}")]
    Range {
        /// The setting.
        name: &'static str,
        /// Its value.
        value: u32,
        /// Smallest value.
        least: u32,
        /// Largest value.
        most: u32,
    },
    /// Every check would have a cost that no request carries.
    #[error("--cost is {0}, and requests have no {{cost}} to carry it; exec needs --has-cost")]
    CostNotSent(u32),
    /// A run knows too little of its calls.
    #[error(
        "this run does not record {0}, by which '{1}' is judged: check judges a history that has \
         it, as docs/history.md says"
    )]
    NotRecorded(&'static str, String),
    /// A shared quota is not back after the rest.
    #[error("--rest is shorter than a window, after which a shared quota is back")]
    Rest,
    /// No phase fits.
    #[error("no phase is left to play: {0}")]
    Nothing(String),
}

impl PlanSettings {
    /// The part of a call that a limit needs and this run does not record.
    pub(super) fn not_recorded(&self) -> Option<(&'static str, &Contract)> {
        let missing = |limit: &Contract| {
            let by_label = limit.by().iter().any(|label| label != "all");
            match (limit.kind(), limit.charging()) {
                _ if by_label => Some("labels"),
                (ContractKind::InFlight, _) => Some("the time for which a call holds its place"),
                (_, Charging::After | Charging::Reserved) => Some("the cost used"),
                _ => None,
            }
        };
        let mut limits = self.promise.limits().iter().filter(|_| !self.has_calls);
        limits.find_map(|limit| Some((missing(limit)?, limit)))
    }

    /// The reason why a phase cannot be played, apart from its time and the promise.
    pub(super) fn obstacle(&self, phase: Phase) -> Option<&'static str> {
        let first = self.promise.first();
        match phase {
            Phase::Costs if !self.has_cost => {
                Some("requests have no {cost}; exec needs --has-cost")
            }
            Phase::Costs if first.max() == self.cost => Some("the limit is one check"),
            Phase::TwoKeys if !self.has_key => Some("requests have no {key}"),
            Phase::OneNode | Phase::Killed if self.nodes < 2 => Some("there is one node"),
            Phase::Forged if !self.forges => Some("requests have no header fields"),
            Phase::HangUp | Phase::Killed if first.time(ContractTime::Lease).is_none() => {
                Some("the limit states no lease=")
            }
            _ => None,
        }
    }

    /// The keys of the nth step of a phase.
    pub(super) fn keys(&self, phase: Phase, n: u32) -> Result<Vec<Key>, KeyError> {
        let part = &self.key_part;
        if !self.has_key {
            return Ok(vec![Key::new(format!("verify-{part}"))?]);
        }
        let first = n * phase.keys();
        (first..first + phase.keys())
            .map(|k| Key::new(format!("verify-{part}-{phase}-{k}")))
            .collect()
    }
}
