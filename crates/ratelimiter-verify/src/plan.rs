//! Which checks are made, as a value: no clock, no I/O.

use std::time::Duration;

use ratelimiter_api::{Key, KeyError};
use ratelimiter_invariants::Contract;

use crate::Phase;

/// Time that a verification may take.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum PlanDepth {
    /// At most about a minute.
    #[default]
    Quick,
    /// At most about fifteen minutes.
    Thorough,
}

impl PlanDepth {
    fn budget(self) -> Duration {
        match self {
            Self::Quick => Duration::from_secs(60),
            Self::Thorough => Duration::from_secs(900),
        }
    }
}

/// The input of a plan.
#[derive(Clone, Debug)]
pub struct PlanSettings {
    /// The contract that the limiter promises.
    pub contract: Contract,
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
    /// Whether requests of different keys differ. If not, all phases share one quota, and a window
    /// passes before each.
    pub has_key: bool,
    /// Command line of the shell that injects a fault and undoes it. Without it, [`Phase::Fault`]
    /// is no part of the plan.
    pub during: Option<String>,
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
    /// The plan has more checks than permitted.
    #[error("the plan has {planned} checks, more than --max-requests {permitted}")]
    TooMany {
        /// Planned checks.
        planned: u64,
        /// Permitted checks.
        permitted: u64,
    },
    /// No phase fits.
    #[error("no phase is left to play: {0}")]
    Nothing(String),
}

/// One phase on keys of its own.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PlanStep {
    /// The phase.
    pub phase: Phase,
    /// Its keys: two for [`Phase::TwoKeys`] and [`Phase::Fault`], else one.
    pub keys: Vec<Key>,
    /// Checks at most.
    pub requests: u64,
    /// Time it takes, apart from the limiter's own.
    pub takes: Duration,
}

/// A phase that is left out.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct SkippedPhase {
    /// The phase.
    pub phase: Phase,
    /// The reason.
    pub reason: String,
}

/// The steps of a verification.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Plan {
    /// The contract that the limiter promises.
    pub contract: Contract,
    /// The steps, in order.
    pub steps: Vec<PlanStep>,
    /// The phases that are left out for lack of time.
    pub skipped: Vec<SkippedPhase>,
    /// Time to wait before each step but the first.
    pub rest: Duration,
    /// Size of a burst, in limits.
    pub multiplier: u32,
    /// Cost of a check.
    pub cost: u32,
    /// Command line of the fault, for the shell.
    pub during: Option<String>,
}

impl Plan {
    /// The plan for these settings.
    ///
    /// # Errors
    /// When a setting is out of range, there would be too many checks, or nothing fits into the
    /// time.
    pub fn new(settings: &PlanSettings) -> Result<Self, PlanError> {
        let in_range = |name, value, least, most| {
            let range = PlanError::Range {
                name,
                value,
                least,
                most,
            };
            (least..=most).contains(&value).then_some(()).ok_or(range)
        };
        in_range("--multiplier", settings.multiplier, 2, 100)?;
        in_range("--bursts", settings.bursts, 1, 1000)?;
        in_range("--cost", settings.cost, 1, settings.contract.max())?;
        if settings.cost > 1 && !settings.has_cost {
            return Err(PlanError::CostNotSent(settings.cost));
        }
        let window = settings.contract.window();
        let rest = if settings.has_key {
            Duration::ZERO
        } else {
            window + window / 10
        };
        let mut plan = Self {
            contract: settings.contract,
            steps: Vec::new(),
            skipped: Vec::new(),
            rest,
            multiplier: settings.multiplier,
            cost: settings.cost,
            during: settings.during.clone(),
        };
        for &phase in Phase::all() {
            let named = settings.phases.contains(&phase);
            if !settings.phases.is_empty() && !named {
                continue;
            }
            match settings.obstacle(phase) {
                // Without a command, the fault is missing only where it was asked for.
                Some(_) if phase == Phase::Fault && !named => {}
                Some(reason) => plan.skip(phase, reason),
                None => plan.add(phase, settings)?,
            }
        }
        if plan.steps.is_empty() {
            let reasons = plan
                .skipped
                .iter()
                .map(|s| format!("{}: {}", s.phase, s.reason));
            return Err(PlanError::Nothing(reasons.collect::<Vec<_>>().join("; ")));
        }
        let planned = plan.requests();
        if planned > settings.max_requests {
            return Err(PlanError::TooMany {
                planned,
                permitted: settings.max_requests,
            });
        }
        Ok(plan)
    }

    fn skip(&mut self, phase: Phase, reason: impl Into<String>) {
        let reason = reason.into();
        self.skipped.push(SkippedPhase { phase, reason });
    }

    /// Adds the steps of a phase that fit into the time.
    fn add(&mut self, phase: Phase, settings: &PlanSettings) -> Result<(), PlanError> {
        let (requests, takes) = size(phase, settings);
        let times = match phase {
            Phase::Burst => settings.bursts,
            _ => 1,
        };
        let before = self.steps.len();
        for n in 0..times {
            let step = PlanStep {
                phase,
                keys: keys(phase, n, &settings.key_part)?,
                requests,
                takes,
            };
            self.steps.push(step);
            if self.takes() > settings.depth.budget() {
                self.steps.pop();
                break;
            }
        }
        if self.steps.len() == before {
            let left = settings.depth.budget().saturating_sub(self.takes());
            let [needs, left] = [self.rest + takes, left].map(whole_seconds);
            let more = match settings.depth {
                PlanDepth::Quick => "; --thorough takes longer",
                PlanDepth::Thorough => "",
            };
            self.skip(phase, format!("it takes {needs} and {left} are left{more}"));
        }
        Ok(())
    }

    /// Checks that fit into a window.
    pub fn limit(&self) -> u64 {
        u64::from(self.contract.max() / self.cost)
    }

    /// Checks at most.
    pub fn requests(&self) -> u64 {
        self.steps.iter().map(|step| step.requests).sum()
    }

    /// Time it takes, apart from the limiter's own.
    pub fn takes(&self) -> Duration {
        let rests = u32::try_from(self.steps.len().saturating_sub(1)).unwrap_or(u32::MAX);
        self.steps.iter().map(|step| step.takes).sum::<Duration>() + self.rest * rests
    }
}

impl PlanSettings {
    /// The reason why a phase cannot be played, apart from its time.
    fn obstacle(&self, phase: Phase) -> Option<&'static str> {
        match phase {
            Phase::Fault if self.during.is_none() => Some("there is no --during command"),
            Phase::Costs if !self.has_cost => {
                Some("requests have no {cost}; exec needs --has-cost")
            }
            Phase::Costs if self.contract.max() == self.cost => Some("the limit is one check"),
            _ => None,
        }
    }
}

/// The keys of the nth step of a phase.
fn keys(phase: Phase, n: u32, part: &str) -> Result<Vec<Key>, KeyError> {
    let first = n * phase.keys();
    (first..first + phase.keys())
        .map(|k| Key::new(format!("verify-{part}-{phase}-{k}")))
        .collect()
}

fn whole_seconds(duration: Duration) -> humantime::FormattedDuration {
    humantime::format_duration(Duration::from_secs(duration.as_secs_f64().ceil() as u64))
}

/// The longest time for which a run waits for the command of a fault. The plan reckons with ten
/// seconds.
pub(crate) const FAULT: Duration = Duration::from_secs(60);

/// Checks and time of one step of a phase.
fn size(phase: Phase, settings: &PlanSettings) -> (u64, Duration) {
    let limit = u64::from(settings.contract.max() / settings.cost);
    let window = settings.contract.window();
    let short = Duration::from_millis(500);
    match phase {
        Phase::Burst | Phase::Costs => (limit * u64::from(settings.multiplier), short),
        Phase::TwoKeys => (2 * limit + 5, 2 * short),
        Phase::Fields => (limit + 3, short),
        Phase::Return => (limit + 3, window + window / 10 + short),
        Phase::Overload => (9 * limit, 3 * window + short),
        Phase::FirstEdge | Phase::Edge => (2 * limit, window + 2 * short),
        // One burst before, two at the start, one a second of the limit, two at the end.
        Phase::Fault => (
            limit * u64::from(settings.multiplier) * 5 + limit * FAULT.as_secs(),
            FAULT.min(Duration::from_secs(10)),
        ),
        Phase::Steady => ((limit * 6).div_ceil(5), window + window / 2),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings(limit: u32, window: u64) -> PlanSettings {
        PlanSettings {
            contract: Contract::new(limit, Duration::from_secs(window)).unwrap(),
            cost: 1,
            multiplier: 2,
            bursts: 5,
            depth: PlanDepth::Quick,
            phases: Vec::new(),
            key_part: "r".into(),
            has_key: true,
            has_cost: true,
            during: None,
            max_requests: 100_000,
        }
    }

    fn phases(plan: &Plan) -> Vec<Phase> {
        let mut phases: Vec<_> = plan.steps.iter().map(|step| step.phase).collect();
        phases.dedup();
        phases
    }

    #[test]
    fn a_short_window_gets_every_phase() {
        let plan = Plan::new(&settings(10, 2)).unwrap();
        assert_eq!(phases(&plan), Phase::all()[..9]);
        assert!(plan.skipped.is_empty());
        assert!(plan.takes() <= Duration::from_secs(60));
    }

    #[test]
    fn phases_that_do_not_fit_are_named() {
        let plan = Plan::new(&settings(10, 60)).unwrap();
        assert_eq!(
            phases(&plan),
            [Phase::Burst, Phase::Costs, Phase::TwoKeys, Phase::Fields]
        );
        let skipped: Vec<_> = plan.skipped.iter().map(|s| s.phase).collect();
        assert_eq!(skipped, Phase::all()[4..9]);
        assert!(
            plan.skipped[0].reason.contains("--thorough"),
            "{}",
            plan.skipped[0].reason
        );
        let thorough = Plan::new(&PlanSettings {
            depth: PlanDepth::Thorough,
            ..settings(10, 60)
        })
        .unwrap();
        assert_eq!(phases(&thorough), Phase::all()[..9]);
    }

    #[test]
    fn every_key_is_used_once() {
        let plan = Plan::new(&settings(10, 2)).unwrap();
        let mut keys: Vec<_> = plan
            .steps
            .iter()
            .flat_map(|step| step.keys.clone())
            .collect();
        let all = keys.len();
        keys.sort();
        keys.dedup();
        assert_eq!(keys.len(), all);
    }

    #[test]
    fn a_fault_needs_its_command() {
        let with = |during: Option<&str>| PlanSettings {
            during: during.map(ToOwned::to_owned),
            phases: vec![Phase::Fault],
            ..settings(10, 2)
        };
        assert_eq!(
            phases(&Plan::new(&with(Some("true"))).unwrap()),
            [Phase::Fault]
        );
        assert!(
            Plan::new(&with(None))
                .unwrap_err()
                .to_string()
                .contains("--during")
        );
    }

    #[test]
    fn requests_without_cost_leave_costs_out() {
        let plan = Plan::new(&PlanSettings {
            has_cost: false,
            ..settings(10, 2)
        })
        .unwrap();
        assert!(!phases(&plan).contains(&Phase::Costs));
        assert!(
            plan.skipped[0].reason.contains("{cost}"),
            "{}",
            plan.skipped[0].reason
        );
    }

    #[test]
    fn costly_checks_are_fewer() {
        let plan = Plan::new(&PlanSettings {
            cost: 500,
            ..settings(10_000, 2)
        })
        .unwrap();
        assert_eq!((plan.limit(), plan.steps[0].requests), (20, 40));
    }

    #[test]
    fn one_shared_quota_rests_between_steps() {
        let plan = Plan::new(&PlanSettings {
            has_key: false,
            ..settings(10, 1)
        })
        .unwrap();
        assert!(plan.rest > Duration::from_secs(1));
        assert!(plan.takes() <= Duration::from_secs(60));
    }

    #[test]
    fn plans_out_of_bounds_are_refused() {
        let with = |change: fn(&mut PlanSettings)| {
            let mut settings = settings(10, 60);
            change(&mut settings);
            Plan::new(&settings).unwrap_err().to_string()
        };
        assert!(with(|s| s.multiplier = 1).contains("--multiplier is 1"));
        assert!(with(|s| s.cost = 11).contains("--cost is 11: it must be 1 to 10"));
        assert!(with(|s| (s.cost, s.has_cost) = (2, false)).contains("no {cost} to carry it"));
        assert!(with(|s| s.max_requests = 10).contains("--max-requests 10"));
        assert!(with(|s| s.phases = vec![Phase::Overload]).contains("no phase is left"));
    }
}
