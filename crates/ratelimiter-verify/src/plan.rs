//! Which checks are made, as a value: no clock, no I/O.

use std::time::Duration;

use ratelimiter_api::{Key, KeyError};
use ratelimiter_invariants::{Charging, Contract, ContractKind, ContractTime, Promise};

use crate::{Phase, PlanDepth};

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
    /// Whether to forge addresses; see [`Phase::Forged`].
    pub forges: bool,
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

/// One phase on keys of its own.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PlanStep {
    /// The phase.
    pub phase: Phase,
    /// Its keys; the same one in every step where all phases share one quota.
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
    /// The promise of the limiter.
    pub promise: Promise,
    /// The limit of it that phases try to reach.
    pub contract: Contract,
    /// The steps, in order.
    pub steps: Vec<PlanStep>,
    /// The phases that are left out for lack of time.
    pub skipped: Vec<SkippedPhase>,
    /// Time to wait before each step but the probe.
    pub rest: Duration,
    /// Time that the steps do not need.
    pub spare: Duration,
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
        for limit in settings.promise.limits() {
            if let Some(missing) = not_recorded(limit) {
                return Err(PlanError::NotRecorded(missing, limit.to_string()));
            }
        }
        let contract = settings.promise.first().clone();
        in_range("--cost", settings.cost, 1, contract.max())?;
        if settings.cost > 1 && !settings.has_cost {
            return Err(PlanError::CostNotSent(settings.cost));
        }
        let window = settings.promise.memory();
        let (least_rest, least_multiplier) = (
            if settings.has_key && settings.promise.is_by_key() {
                Duration::ZERO
            } else {
                window
            },
            // Twice the limit fits into adjacent windows.
            match contract.kind() {
                ContractKind::Fixed | ContractKind::Aligned | ContractKind::TwoPeriod => 3,
                _ => 2,
            },
        );
        let rest = settings.rest.unwrap_or(least_rest + least_rest / 10);
        if rest < least_rest {
            return Err(PlanError::Rest);
        }
        let mut plan = Self {
            promise: settings.promise.clone(),
            contract,
            steps: Vec::new(),
            skipped: Vec::new(),
            rest,
            spare: Duration::ZERO,
            multiplier: settings.multiplier.max(least_multiplier),
            cost: settings.cost,
            during: settings.during.clone(),
        };
        plan.add(Phase::Probe, settings)?;
        for &phase in Phase::all() {
            let named = settings.phases.contains(&phase);
            let chosen = settings.phases.is_empty() || named;
            if !chosen || phase == Phase::Probe {
                continue;
            }
            match settings.obstacle(phase) {
                // Without a command, the fault is missing only where it was asked for.
                Some(_) if phase == Phase::Fault && !named => {}
                Some(reason) => plan.skip(phase, reason),
                None => plan.add_all(phase, settings)?,
            }
        }
        let played: Vec<Phase> = plan.steps[1..].iter().map(|step| step.phase).collect();
        if played.is_empty() && settings.phases != [Phase::Probe] {
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
        plan.repeat(&played, settings)?;
        plan.spare = settings.depth.budget().saturating_sub(plan.takes());
        Ok(plan)
    }

    /// Repeats all phases for as long as was asked, or else one burst: the first ones met a limiter
    /// that had perhaps just started.
    fn repeat(&mut self, played: &[Phase], settings: &PlanSettings) -> Result<(), KeyError> {
        let again = match settings.depth {
            PlanDepth::Repeated(_) => played,
            _ if played.iter().all(|phase| *phase == Phase::Burst) => return Ok(()),
            _ => &played[..usize::from(played[0] == Phase::Burst)],
        };
        loop {
            let before = self.steps.len();
            for &phase in again {
                if self.requests() + self.size(phase).0 <= settings.max_requests {
                    self.add(phase, settings)?;
                }
            }
            let repeats = matches!(settings.depth, PlanDepth::Repeated(_));
            if !repeats || self.steps.len() == before {
                return Ok(());
            }
        }
    }

    fn skip(&mut self, phase: Phase, reason: impl Into<String>) {
        let reason = reason.into();
        self.skipped.push(SkippedPhase { phase, reason });
    }

    /// Adds a step of a phase, if it fits into the time.
    fn add(&mut self, phase: Phase, settings: &PlanSettings) -> Result<bool, KeyError> {
        let earlier = self.steps.iter().filter(|step| step.phase == phase).count();
        let (requests, takes) = self.size(phase);
        let keys = settings.keys(phase, earlier as u32)?;
        self.steps.push(PlanStep {
            phase,
            requests: requests
                * if phase == Phase::Silent {
                    keys.len() as u64
                } else {
                    1
                },
            keys,
            takes,
        });
        let fits = self.takes() <= settings.depth.budget();
        if !fits {
            self.steps.pop();
        }
        Ok(fits)
    }

    /// Adds the steps of a phase that fit into the time, or the reason why none does.
    fn add_all(&mut self, phase: Phase, settings: &PlanSettings) -> Result<(), KeyError> {
        let times = match phase {
            Phase::Burst => settings.bursts,
            _ => 1,
        };
        let mut added = 0;
        while added < times && self.add(phase, settings)? {
            added += 1;
        }
        if added == 0 {
            let left = settings.depth.budget().saturating_sub(self.takes());
            let [needs, left] = [self.rest + self.size(phase).1, left].map(whole_seconds);
            let more = match settings.depth {
                PlanDepth::Quick => "--thorough takes longer",
                PlanDepth::Thorough | PlanDepth::Repeated(_) => "--for gives it more",
            };
            self.skip(
                phase,
                format!("it takes {needs} and {left} are left; {more}"),
            );
        }
        Ok(())
    }

    /// Checks that fit into a window, or into a queue and its first release.
    pub fn limit(&self) -> u64 {
        let wait = self.contract.time(ContractTime::Wait).unwrap_or_default();
        let queued = wait.as_secs_f64() / self.contract.window().as_secs_f64();
        let most = f64::from(self.contract.max()) * (1.0 + queued);
        most as u64 / u64::from(self.cost)
    }

    /// Checks at most.
    pub fn requests(&self) -> u64 {
        self.steps.iter().map(|step| step.requests).sum()
    }

    /// Time it takes, apart from the limiter's own.
    pub fn takes(&self) -> Duration {
        // The probe needs none.
        let rests = u32::try_from(self.steps.len().saturating_sub(1)).unwrap_or(u32::MAX);
        self.steps.iter().map(|step| step.takes).sum::<Duration>() + self.rest * rests
    }

    /// Checks of a burst.
    pub(crate) fn burst(&self) -> u64 {
        self.limit() * u64::from(self.multiplier)
    }

    /// The rest of [`Phase::Again`]: three quarters of a token more than a window, so that a bucket
    /// without cap has one too many after two rests. Two bursts that far apart are not in one fixed
    /// window and its neighbour.
    pub(crate) fn rest_on_key(&self) -> Duration {
        let window = self.contract.window();
        match self.contract.kind() {
            ContractKind::Fixed | ContractKind::Aligned => window.mul_f64(1.3),
            _ => window + window.mul_f64(0.75 / self.limit() as f64),
        }
    }

    /// Checks and time of one step of a phase; of [`Phase::Silent`], the checks of one key.
    fn size(&self, phase: Phase) -> (u64, Duration) {
        let (limit, burst) = (self.limit(), self.burst());
        let window = self.contract.window();
        let short = Duration::from_millis(500);
        match phase {
            Phase::Probe => (PROBES, short),
            Phase::Burst | Phase::Forged => (burst, short),
            // In turn, and one that costs more than the limit.
            Phase::Costs => (limit + 2, short),
            Phase::TwoKeys => (2 * limit + 5, 2 * short),
            Phase::OneNode => (limit + 2, short),
            Phase::Fields => (limit + 3, short),
            Phase::Return => (limit + 3, window + window / 10 + short),
            Phase::Silent => (2 * limit + 1, window + short),
            Phase::Again => (3 * burst, 2 * self.rest_on_key() + short),
            Phase::Overload => (9 * limit, 3 * window + short),
            Phase::FirstEdge | Phase::Edge => (2 * limit, window + 2 * short),
            // One burst before, two at the start, one a second of the limit, two at the end.
            Phase::Fault => (
                burst * 5 + limit * FAULT.as_secs(),
                FAULT.min(Duration::from_secs(10)),
            ),
            Phase::Steady => ((limit * 6).div_ceil(5), window + window / 2),
        }
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
            Phase::Costs if self.promise.first().max() == self.cost => {
                Some("the limit is one check")
            }
            Phase::TwoKeys if !self.has_key => Some("requests have no {key}"),
            Phase::OneNode if self.nodes < 2 => Some("there is one node"),
            Phase::Forged if !self.forges => Some("http plays it with --untrusted"),
            _ => None,
        }
    }

    /// The keys of the nth step of a phase.
    fn keys(&self, phase: Phase, n: u32) -> Result<Vec<Key>, KeyError> {
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

/// The part of a call that a limit needs and the run does not record.
fn not_recorded(limit: &Contract) -> Option<&'static str> {
    let by_label = limit.by().iter().any(|label| label != "all");
    match (limit.kind(), limit.charging()) {
        _ if by_label => Some("labels"),
        (ContractKind::InFlight, _) => Some("the time for which a call holds its place"),
        (_, Charging::After | Charging::Reserved) => Some("the cost used"),
        _ => None,
    }
}

fn whole_seconds(duration: Duration) -> humantime::FormattedDuration {
    humantime::format_duration(Duration::from_secs(duration.as_secs_f64().ceil() as u64))
}

/// The longest time for which a run waits for the command of a fault. The plan reckons with ten
/// seconds.
pub(crate) const FAULT: Duration = Duration::from_secs(60);

/// The most checks of a probe.
pub(crate) const PROBES: u64 = 3;

#[cfg(test)]
mod tests {
    use super::*;

    fn settings(limit: u32, window: u64) -> PlanSettings {
        PlanSettings {
            promise: Contract::new(limit, Duration::from_secs(window))
                .unwrap()
                .into(),
            cost: 1,
            multiplier: 2,
            bursts: 5,
            depth: PlanDepth::Quick,
            phases: Vec::new(),
            key_part: "r".into(),
            has_key: true,
            rest: None,
            nodes: 3,
            forges: true,
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
        let without_fault = &Phase::all()[..Phase::all().len() - 1];
        assert_eq!(phases(&plan), [without_fault, &[Phase::Burst]].concat());
        assert!(plan.skipped.is_empty());
        assert!(plan.takes() <= Duration::from_secs(60));
    }

    #[test]
    fn phases_that_do_not_fit_are_named() {
        let plan = Plan::new(&settings(10, 60)).unwrap();
        let at_once = [&Phase::all()[..6], &[Phase::Forged, Phase::Burst]];
        assert_eq!(phases(&plan), at_once.concat());
        let skipped: Vec<_> = plan.skipped.iter().map(|s| s.phase).collect();
        assert_eq!(skipped, Phase::all()[6..13]);
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
        assert!(thorough.skipped.is_empty());
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
            [Phase::Probe, Phase::Fault]
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
        assert_eq!((plan.limit(), plan.steps[1].requests), (20, 40));
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
        let keys: std::collections::BTreeSet<_> =
            plan.steps.iter().flat_map(|step| &step.keys).collect();
        assert_eq!(keys.len(), 1, "one quota, one history");
        let short = PlanSettings {
            has_key: false,
            rest: Some(Duration::from_millis(900)),
            ..settings(10, 1)
        };
        assert_eq!(Plan::new(&short), Err(PlanError::Rest));
    }

    #[test]
    fn phases_repeat_for_as_long_as_asked() {
        let plan = Plan::new(&PlanSettings {
            depth: PlanDepth::Repeated(Duration::from_secs(600)),
            ..settings(10, 2)
        })
        .unwrap();
        let bursts = plan.steps.iter().filter(|step| step.phase == Phase::Burst);
        assert!(bursts.count() > 50);
        assert!(
            plan.takes() > Duration::from_secs(590),
            "{:?}",
            plan.takes()
        );
        assert!(
            plan.takes() <= Duration::from_secs(600),
            "{:?}",
            plan.takes()
        );
    }

    #[test]
    fn bursts_under_fixed_windows_are_three_limits() {
        let mut fixed = settings(10, 2);
        let limit = fixed.promise.first().clone().of_kind(ContractKind::Fixed);
        fixed.promise = limit.into();
        let plan = Plan::new(&fixed).unwrap();
        assert_eq!((plan.multiplier, plan.steps[1].requests), (3, 30));
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
