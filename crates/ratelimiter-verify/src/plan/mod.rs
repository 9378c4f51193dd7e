//! Which checks are made, as a value: no clock, no I/O.

mod second;
mod settings;
#[cfg(test)]
mod tests;

use std::time::Duration;

use ratelimiter_api::{Key, KeyError};
use ratelimiter_invariants::{Charging, Contract, ContractKind, ContractTime, Promise};

use crate::Phase;
use crate::phase::{PromiseShape, StepScale};
use second::SecondLimit;
pub use settings::{PlanDepth, PlanError, PlanSettings};

/// One phase on keys of its own.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PlanStep {
    /// The phase.
    pub phase: Phase,
    /// Its keys; the same one in every step where all phases share one quota.
    pub keys: Vec<Key>,
    /// Checks at most.
    pub requests: u64,
    /// The longest that it takes, apart from the limiter's own time.
    pub takes: Duration,
    /// The time that it is likely to take.
    pub about: Duration,
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
    /// Number of the target's nodes.
    pub nodes: usize,
    /// Whether a limit that forged addresses evade is a finding.
    pub untrusted: bool,
    /// Command line of the fault, for the shell.
    pub during: Option<String>,
    /// The limit that can be exceeded while another one is kept.
    pub(crate) second: Option<SecondLimit>,
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
        if let Some((missing, limit)) = settings.not_recorded() {
            return Err(PlanError::NotRecorded(missing, limit.to_string()));
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
            nodes: settings.nodes,
            untrusted: settings.untrusted,
            during: settings.during.clone(),
            second: SecondLimit::of(&settings.promise, settings.cost),
        };
        plan.add_all(Phase::Probe, settings)?;
        for &phase in Phase::all() {
            let named = settings.phases.contains(&phase);
            let chosen = settings.phases.is_empty() || named;
            if !chosen || phase == Phase::Probe {
                continue;
            }
            match (plan.unfit(phase), settings.obstacle(phase)) {
                // Such a phase is missing only where it was asked for.
                (Some(_), _) if !named => {}
                (Some(reason), _) => plan.skip(phase, reason),
                (None, Some(reason)) => plan.skip(phase, reason),
                (None, None) => plan.add_all(phase, settings)?,
            }
        }
        let is_probe = |step: &PlanStep| step.phase == Phase::Probe;
        let steps = plan.steps.iter().filter(|step| !is_probe(step));
        let played: Vec<Phase> = steps.map(|step| step.phase).collect();
        let probes = plan.steps.first().is_some_and(is_probe);
        if !probes || played.is_empty() && settings.phases != [Phase::Probe] {
            let reasons = plan
                .skipped
                .iter()
                .map(|s| format!("{}: {}", s.phase, s.reason));
            return Err(PlanError::Nothing(reasons.collect::<Vec<_>>().join("; ")));
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
                self.add(phase, settings)?;
            }
            let repeats = matches!(settings.depth, PlanDepth::Repeated(_));
            if !repeats || self.steps.len() == before {
                return Ok(());
            }
        }
    }

    /// The reason why a phase is none for this promise, or needs a command that is not given.
    fn unfit(&self, phase: Phase) -> Option<String> {
        if phase == Phase::Second {
            let why = "no limit can be exceeded while another one is kept";
            return self.second.is_none().then(|| why.to_owned());
        }
        if phase == Phase::Fault && self.during.is_none() {
            return Some("there is no --during command".to_owned());
        }
        let fits = phase.fits(PromiseShape::of(&self.promise));
        (!fits).then(|| format!("it fits {}", phase.fitting()))
    }

    fn skip(&mut self, phase: Phase, reason: impl Into<String>) {
        let reason = reason.into();
        self.skipped.push(SkippedPhase { phase, reason });
    }

    /// Adds a step of a phase, if there is enough time for it, and enough checks are left.
    fn add(&mut self, phase: Phase, settings: &PlanSettings) -> Result<bool, KeyError> {
        let earlier = self.steps.iter().filter(|step| step.phase == phase).count();
        let mut keys = settings.keys(phase, earlier as u32)?;
        if let Some(second) = self.second.as_ref().filter(|_| phase == Phase::Second) {
            keys.truncate(second.keys as usize);
        }
        let (requests, takes) = self.size(phase, keys.len());
        self.steps.push(PlanStep {
            phase,
            requests,
            keys,
            takes,
            about: about(phase, requests, takes),
        });
        let fits =
            self.takes() <= settings.depth.budget() && self.requests() <= settings.max_requests;
        if !fits {
            self.steps.pop();
        }
        Ok(fits)
    }

    /// Adds the steps of a phase that fit, or the reason why none does.
    fn add_all(&mut self, phase: Phase, settings: &PlanSettings) -> Result<(), KeyError> {
        let times = match phase {
            Phase::Burst => settings.bursts,
            _ => 1,
        };
        let mut added = 0;
        while added < times && self.add(phase, settings)? {
            added += 1;
        }
        if added > 0 {
            return Ok(());
        }
        let (requests, takes) = self.size(phase, settings.keys(phase, 0)?.len());
        let left = settings.max_requests - self.requests();
        if requests > left {
            let most = settings.max_requests;
            self.skip(
                phase,
                format!("it takes {requests} checks, and --max-requests {most} leaves {left}"),
            );
            return Ok(());
        }
        let left = settings.depth.budget().saturating_sub(self.takes());
        let [needs, left] = [self.rest + takes, left].map(whole_seconds);
        let more = match settings.depth {
            PlanDepth::Quick => "--thorough takes longer",
            PlanDepth::Thorough | PlanDepth::Repeated(_) => "--for gives it more",
        };
        self.skip(
            phase,
            format!("it takes {needs} and {left} are left; {more}"),
        );
        Ok(())
    }

    /// Checks that fit into a window.
    pub fn limit(&self) -> u64 {
        let wait = self.contract.time(ContractTime::Wait);
        let queued = wait.map_or(0.0, |wait| wait.div_duration_f64(self.contract.window()));
        let most = f64::from(self.contract.max()) * (1.0 + queued);
        most as u64 / u64::from(self.cost)
    }

    /// The labels by which its limits count.
    pub(crate) fn labels(&self) -> impl Iterator<Item = &String> {
        let labels = self.promise.limits().iter().flat_map(Contract::by);
        labels.filter(|label| *label != "all")
    }

    /// Whether the limiter has to learn of the end of a call.
    pub(crate) fn has_calls(&self) -> bool {
        self.promise.limits().iter().any(|limit| {
            let after = matches!(limit.charging(), Charging::After | Charging::Reserved);
            after || limit.kind() == ContractKind::InFlight
        })
    }

    /// Checks at most.
    pub fn requests(&self) -> u64 {
        self.steps.iter().map(|step| step.requests).sum()
    }

    /// The longest that it takes, apart from the limiter's own time.
    pub fn takes(&self) -> Duration {
        self.time(0, |step| step.takes)
    }

    /// The time that is likely to be left before the nth step.
    pub fn left(&self, n: usize) -> Duration {
        self.time(n, |step| step.about)
    }

    fn time(&self, from: usize, of: impl Fn(&PlanStep) -> Duration) -> Duration {
        // The probe needs no rest.
        let rests = self.steps.len().saturating_sub(from.max(1));
        let rests = u32::try_from(rests).unwrap_or(u32::MAX);
        self.steps[from..].iter().map(of).sum::<Duration>() + self.rest * rests
    }

    /// Checks of a burst.
    pub(crate) fn burst(&self) -> u64 {
        self.limit() * u64::from(self.multiplier)
    }

    /// Checks of a burst during a fault: one more than all nodes admit that count alone without
    /// their store, since a limiter that fails open admits it.
    pub(crate) fn beyond_nodes(&self) -> u64 {
        self.burst().max(self.limit() * self.nodes as u64 + 1)
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

    /// About this time, but at least a quarter of a token beside the instants at which tokens
    /// return to a bucket that was full at its start.
    pub(crate) fn beside_returns(&self, time: Duration) -> Duration {
        if self.contract.kind() != ContractKind::TokenBucket {
            return time;
        }
        let token = self.contract.window().as_secs_f64() / self.limit() as f64;
        let tokens = time.as_secs_f64() / token;
        Duration::from_secs_f64(token * (tokens.floor() + tokens.fract().clamp(0.25, 0.75)))
    }

    /// Time from the end of a call until its place or its cost is back; where its caller left or
    /// its node died, after the lease.
    pub(crate) fn back(&self, phase: Phase) -> Duration {
        let limit = &self.contract;
        let gone = matches!(phase, Phase::HangUp | Phase::Killed);
        let stated = match limit.kind() {
            _ if gone => ContractTime::Lease,
            ContractKind::InFlight => ContractTime::Returns,
            _ => ContractTime::Settles,
        };
        let settled = if gone {
            limit.window() * 11 / 10
        } else {
            Duration::ZERO
        };
        limit.time(stated).unwrap_or_default() + settled + BACK
    }

    /// Checks and time of one step of a phase on so many keys.
    fn size(&self, phase: Phase, keys: usize) -> (u64, Duration) {
        let second = self.second.as_ref();
        phase.size(StepScale {
            limit: self.limit(),
            burst: self.burst(),
            window: self.contract.window(),
            nodes: self.nodes as u64,
            keys: keys as u64,
            rest_on_key: self.rest_on_key(),
            back: self.back(phase),
            second: second.map_or((0, Duration::ZERO), |second| {
                (second.checks, second.takes())
            }),
        })
    }
}

/// The likely time of a step, of the longest one: the half second for its checks is much for a
/// limiter on the same machine, an edge of the wall clock's windows is half a window away, and the
/// last silence is a little shorter than one. Paced checks are sent within their waits.
fn about(phase: Phase, requests: u64, takes: Duration) -> Duration {
    let sending = CHECK * u32::try_from(requests).unwrap_or(u32::MAX);
    let second = Duration::from_secs(1);
    match phase {
        Phase::Edge => takes.saturating_sub(second) / 2 + sending,
        Phase::TwoKeys | Phase::FirstEdge => takes.saturating_sub(second) + sending,
        Phase::Silent => takes.saturating_sub(second / 2).mul_f64(0.9) + sending,
        Phase::Overload => takes.saturating_sub(second / 2),
        Phase::Steady | Phase::Fault | Phase::Second => takes,
        _ => takes.saturating_sub(second / 2) + sending,
    }
}

fn whole_seconds(duration: Duration) -> humantime::FormattedDuration {
    humantime::format_duration(Duration::from_secs(duration.as_secs_f64().ceil() as u64))
}

/// The usual time of a check of a limiter on the same machine.
const CHECK: Duration = Duration::from_micros(500);

/// Time beyond the stated one until places and costs are taken to be back.
const BACK: Duration = Duration::from_millis(100);
