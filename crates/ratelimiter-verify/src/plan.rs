//! Which checks are made, as a value: no clock, no I/O.

use std::fmt;
use std::time::Duration;

use ratelimiter_api::Key;
use ratelimiter_invariants::Contract;

/// The parts of a verification, in the order in which they are played.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, serde::Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Phase {
    /// Many times the limit at one instant: shows races between nodes, and between reading and
    /// writing.
    Burst,
    /// A burst of checks of cost 1, 2 and 3: shows a limiter that ignores cost.
    Costs,
    /// One key used up, another one untouched: shows a shared quota.
    TwoKeys,
    /// Check after check until denied: shows an off-by-one, and dishonest header fields.
    Fields,
    /// A retry after the time that the limiter states, or after a window.
    Return,
    /// Three times the limit for three windows: shows a lockout of callers that are denied, and
    /// windows that forget.
    Overload,
    /// One check, and the limit just before and just after the instant a window later: shows
    /// windows that begin with the first check of a key.
    FirstEdge,
    /// The limit just before and just after an edge of the wall clock's windows.
    Edge,
    /// Four fifths of the limit for a window and a half: shows false denials.
    Steady,
    /// Bursts before, during and after a fault: shows nodes that fall back to counting alone, and
    /// counts that are lost.
    Fault,
}

impl Phase {
    /// Every phase.
    pub const ALL: [Self; 10] = [
        Self::Burst,
        Self::Costs,
        Self::TwoKeys,
        Self::Fields,
        Self::Return,
        Self::Overload,
        Self::FirstEdge,
        Self::Edge,
        Self::Steady,
        Self::Fault,
    ];

    /// The word of the command line and of reports.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Burst => "burst",
            Self::Costs => "costs",
            Self::TwoKeys => "two-keys",
            Self::Fields => "fields",
            Self::Return => "return",
            Self::Overload => "overload",
            Self::FirstEdge => "first-edge",
            Self::Edge => "edge",
            Self::Steady => "steady",
            Self::Fault => "fault",
        }
    }
}

impl fmt::Display for Phase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl std::str::FromStr for Phase {
    type Err = PlanError;

    fn from_str(text: &str) -> Result<Self, PlanError> {
        let phase = Self::ALL.into_iter().find(|phase| phase.as_str() == text);
        phase.ok_or_else(|| PlanError::Phase(text.to_owned()))
    }
}

/// How much time a verification may take.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Depth {
    /// At most about a minute.
    #[default]
    Quick,
    /// At most about fifteen minutes.
    Thorough,
}

impl Depth {
    fn budget(self) -> Duration {
        match self {
            Self::Quick => Duration::from_secs(60),
            Self::Thorough => Duration::from_secs(900),
        }
    }
}

/// The wishes that a plan is made from.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The contract that the limiter promises.
    pub contract: Contract,
    /// Cost of a check, but for [`Phase::Costs`]: tokens a call, where the limit is in tokens.
    pub cost: u32,
    /// Size of a burst, in limits.
    pub multiplier: u32,
    /// How many bursts, each on a key of its own.
    pub bursts: u32,
    /// How much time it may take.
    pub depth: Depth,
    /// The phases wanted; empty for all.
    pub phases: Vec<Phase>,
    /// Part of the keys' names that tells runs apart.
    pub key_part: String,
    /// Whether requests of different keys differ. If not, all phases share one quota, and a window
    /// passes before each.
    pub has_key: bool,
    /// Whether a command injects a fault. If not, [`Phase::Fault`] is no part of the plan.
    pub has_fault: bool,
    /// Whether requests of different costs differ. If not, [`Phase::Costs`] is left out.
    pub has_cost: bool,
    /// The most checks.
    pub max_requests: u64,
}

/// A plan that cannot be made.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PlanError {
    /// There is no such phase.
    #[error(
        "phase {0:?} is none of burst, costs, two-keys, fields, return, overload, first-edge, \
         edge, steady, fault"
    )]
    Phase(String),
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
    #[error("--cost is {0}, and requests have no {{cost}} to carry it")]
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
pub struct Step {
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
pub struct Skipped {
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
    pub steps: Vec<Step>,
    /// The phases that are left out for lack of time.
    pub skipped: Vec<Skipped>,
    /// Time to wait before each step but the first.
    pub rest: Duration,
    /// Size of a burst, in limits.
    pub multiplier: u32,
    /// Cost of a check.
    pub cost: u32,
}

impl Plan {
    /// The plan for these settings.
    ///
    /// # Errors
    /// When a setting is out of range, there would be too many checks, or nothing fits into the
    /// time.
    pub fn new(settings: &Settings) -> Result<Self, PlanError> {
        let in_range = |name, value, least, most| match value {
            v if (least..=most).contains(&v) => Ok(()),
            value => Err(PlanError::Range {
                name,
                value,
                least,
                most,
            }),
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
        let budget = settings.depth.budget();
        let mut plan = Self {
            contract: settings.contract,
            steps: Vec::new(),
            skipped: Vec::new(),
            rest,
            multiplier: settings.multiplier,
            cost: settings.cost,
        };
        let mut used = Duration::ZERO;
        for phase in Phase::ALL {
            if !settings.phases.is_empty() && !settings.phases.contains(&phase) {
                continue;
            }
            if phase == Phase::Fault && !settings.has_fault {
                if !settings.phases.is_empty() {
                    plan.skipped.push(Skipped {
                        phase,
                        reason: "there is no --during command".into(),
                    });
                }
                continue;
            }
            if phase == Phase::Costs
                && (!settings.has_cost || settings.contract.max() == settings.cost)
            {
                let reason = if settings.has_cost {
                    "the limit is one check"
                } else {
                    "requests have no {cost}"
                };
                plan.skipped.push(Skipped {
                    phase,
                    reason: reason.into(),
                });
                continue;
            }
            let times = if phase == Phase::Burst {
                settings.bursts
            } else {
                1
            };
            let (requests, takes) = size(phase, settings);
            let mut fitted = 0;
            for n in 0..times {
                let pause = if plan.steps.is_empty() {
                    Duration::ZERO
                } else {
                    rest
                };
                if used + pause + takes > budget {
                    break;
                }
                used += pause + takes;
                fitted += 1;
                let keys = if matches!(phase, Phase::TwoKeys | Phase::Fault) {
                    2
                } else {
                    1
                };
                let key = |k: u32| {
                    Key::new(format!(
                        "verify-{}-{phase}-{}",
                        settings.key_part,
                        n * keys + k
                    ))
                };
                let keys = (0..keys).filter_map(|k| key(k).ok()).collect();
                plan.steps.push(Step {
                    phase,
                    keys,
                    requests,
                    takes,
                });
            }
            if fitted == 0 {
                let needs = humantime::format_duration(whole(rest + takes));
                let left = humantime::format_duration(whole(budget.saturating_sub(used)));
                let more = if settings.depth == Depth::Quick {
                    "; --thorough takes longer"
                } else {
                    ""
                };
                let reason = format!("it takes {needs} and {left} are left{more}");
                plan.skipped.push(Skipped { phase, reason });
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

fn whole(duration: Duration) -> Duration {
    Duration::from_secs(duration.as_secs_f64().ceil() as u64)
}

/// The longest time for which a run waits for the command of a fault. The plan reckons with ten
/// seconds.
pub(crate) const FAULT: Duration = Duration::from_secs(60);

/// Checks and time of one step of a phase.
fn size(phase: Phase, settings: &Settings) -> (u64, Duration) {
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

    fn settings(limit: u32, window: u64) -> Settings {
        Settings {
            contract: Contract::new(limit, Duration::from_secs(window)).unwrap(),
            cost: 1,
            multiplier: 2,
            bursts: 5,
            depth: Depth::Quick,
            phases: Vec::new(),
            key_part: "r".into(),
            has_key: true,
            has_cost: true,
            has_fault: false,
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
        assert_eq!(phases(&plan), Phase::ALL[..9]);
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
        assert_eq!(skipped, Phase::ALL[4..9]);
        assert!(
            plan.skipped[0].reason.contains("--thorough"),
            "{}",
            plan.skipped[0].reason
        );
        let thorough = Plan::new(&Settings {
            depth: Depth::Thorough,
            ..settings(10, 60)
        })
        .unwrap();
        assert_eq!(phases(&thorough), Phase::ALL[..9]);
    }

    #[test]
    fn readme_and_help_list_every_phase() {
        let (readme, help) = (include_str!("../README.md"), include_str!("args.rs"));
        let words = Phase::ALL.map(Phase::as_str);
        assert!(
            words
                .iter()
                .all(|word| readme.contains(&format!("| `{word}` |")))
        );
        assert!(
            help.contains(&words.join(", "))
                && PlanError::Phase("x".into())
                    .to_string()
                    .contains(&words.join(", "))
        );
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
        let with = |has_fault| Settings {
            has_fault,
            phases: vec![Phase::Fault],
            ..settings(10, 2)
        };
        assert_eq!(phases(&Plan::new(&with(true)).unwrap()), [Phase::Fault]);
        assert!(
            Plan::new(&with(false))
                .unwrap_err()
                .to_string()
                .contains("--during")
        );
    }

    #[test]
    fn requests_without_cost_leave_costs_out() {
        let plan = Plan::new(&Settings {
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
        let plan = Plan::new(&Settings {
            cost: 500,
            ..settings(10_000, 2)
        })
        .unwrap();
        assert_eq!((plan.limit(), plan.steps[0].requests), (20, 40));
    }

    #[test]
    fn one_shared_quota_rests_between_steps() {
        let plan = Plan::new(&Settings {
            has_key: false,
            ..settings(10, 1)
        })
        .unwrap();
        assert!(plan.rest > Duration::from_secs(1));
        assert!(plan.takes() <= Duration::from_secs(60));
    }

    #[test]
    fn plans_out_of_bounds_are_refused() {
        let with = |change: fn(&mut Settings)| {
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
