//! One incident on its own cluster, observed as in the demo.

use std::sync::Arc;
use std::time::Duration;

use demo_ratelimiter::evidence::{Client, Moment, Recorder};
use diagnosis::{BuildError, Conclusion, Evidence, Validated, offline};
use parking_lot::Mutex;
use ratelimiter_api::{LimitSpec, NodeClient};
use ratelimiter_chaos::{
    Burst, CheckTally, Reach, RedisPause, SteadyHandle, SteadyLoad, setup_rate_limit,
};
use ratelimiter_cluster::{ClusterPlan, Proxies};
use ratelimiter_invariants::{Monitor, Violation, ViolationChange};
use ratelimiter_watch::Observer;
use tokio::time::{Instant, sleep};

use crate::incident::{Fault, NODES, Plan};

/// Time from the first violation to the early question.
pub(crate) const SOON: Duration = Duration::from_secs(2);
/// The longest time of one request to a node.
const REQUEST: Duration = Duration::from_secs(2);

/// The result of a run.
#[derive(Debug)]
pub(crate) struct Outcome {
    /// At the end of the run.
    pub(crate) evidence: Evidence,
    pub(crate) answer: Validated,
    /// The answer [`SOON`] after the first violation.
    pub(crate) soon: Validated,
    /// Time from the fault to the first violation.
    pub(crate) noticed: Option<Duration>,
}

/// Comparison of an answer with the injected fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Judgement {
    /// Right entity and mechanism, or rightly no incident.
    Right,
    /// A wrong cause.
    FalseCause,
    /// No cause, although there was a fault.
    NoCause,
}

impl Judgement {
    pub(crate) fn of(answer: &Validated, plan: &Plan) -> Self {
        let named = answer
            .cause()
            .map(|cause| (cause.entity.clone(), cause.mechanism));
        match (&plan.truth, named) {
            (Some(truth), Some(named)) if *truth == named => Self::Right,
            (None, None) if answer.verdict == Conclusion::NoIncident => Self::Right,
            (_, Some(_)) => Self::FalseCause,
            (_, None) => Self::NoCause,
        }
    }
}

/// The observations of the cluster, without the fault.
#[derive(Debug, Default)]
struct RunRecord {
    recorder: Recorder,
    violations: Vec<Violation>,
    until: Duration,
}

/// The checks of the callers.
#[derive(Debug, Default)]
struct Traffic {
    steady: Vec<SteadyHandle>,
    burst: CheckTally,
}

impl Traffic {
    fn client(&self, at: Duration) -> Client {
        let tallies = self
            .steady
            .iter()
            .map(SteadyHandle::tally)
            .chain([self.burst]);
        tallies.fold(
            Client {
                at,
                ..Client::default()
            },
            |sum, tally| Client {
                at,
                sent: sum.sent + tally.sent(),
                denied: sum.denied + tally.denied,
            },
        )
    }
}

/// Plays a plan and asks for its cause.
pub(crate) async fn play(plan: &Plan) -> anyhow::Result<Outcome> {
    let start = ClusterPlan {
        counting: plan.counting,
        proxies: match plan.fault {
            Fault::Rule { proxies, .. } => Some(proxies),
            _ => None,
        },
        ..ClusterPlan::nodes(NODES)
    };
    let mut cluster = start.start().await?;
    let nodes: Vec<NodeClient> = (0..NODES)
        .map(|node| cluster.client(node, REQUEST))
        .collect::<Result<_, _>>()?;
    for (key, limit) in &plan.limits {
        setup_rate_limit(&nodes, &LimitSpec::new(key.clone(), *limit)).await?;
    }

    // a proxy between the store and all nodes is between it and the observer as well
    let store = match plan.fault {
        Fault::Rule {
            proxies: Proxies::Shared,
            ..
        } => cluster.node_store_url(0)?,
        _ => cluster.store_url(),
    };
    let traffic = Arc::new(Mutex::new(Traffic::default()));
    let seen = Arc::new(Mutex::new(RunRecord::default()));
    let mut observer = Observer::new(&cluster.endpoints(), store);
    let started = observer.started();
    let watching = tokio::spawn({
        let (traffic, seen) = (Arc::clone(&traffic), Arc::clone(&seen));
        async move {
            let mut monitor = Monitor::default();
            loop {
                let observation = observer.next().await;
                let changes = monitor.observe(&observation);
                let client = traffic.lock().client(started.elapsed());
                let mut seen = seen.lock();
                seen.recorder.observe(&observation, Some(client));
                seen.until = observation.at;
                seen.note(&changes, monitor.active());
            }
        }
    });

    let began = started.elapsed();
    let workload = SteadyLoad::new(
        &cluster.endpoints(),
        plan.busy.clone(),
        plan.rate,
        Reach::ThisMachine,
    )?;
    traffic.lock().steady.push(workload.start());
    sleep(plan.before).await;
    let (mut pause, mut rule_in_force) = (None, None);
    let mut broken = Instant::now();
    match &plan.fault {
        Fault::None => {}
        Fault::Pause => {
            let guard = RedisPause::new(cluster.store_url(), Reach::ThisMachine)?
                .inject()
                .await?;
            broken = guard.started();
            pause = Some(guard);
        }
        Fault::Burst {
            key,
            limit,
            multiplier,
        } => {
            let burst = Burst::new(
                cluster.endpoints(),
                key.clone(),
                *limit,
                *multiplier,
                Reach::ThisMachine,
            )?;
            let report = burst.fire().await?;
            broken = report.released;
            traffic.lock().burst = report.tally;
        }
        Fault::KillNode(node) => cluster.kill_node(*node)?,
        Fault::KillStore => cluster.kill_store(),
        Fault::Rule { rule, .. } => rule_in_force = Some(cluster.rules().add(rule.parse()?)),
        Fault::SetLimit { key, limit } => {
            nodes[0]
                .set_limit(&LimitSpec::new(key.clone(), *limit))
                .await?;
        }
        Fault::MoreLoad { rate } => {
            let more = SteadyLoad::new(
                &cluster.endpoints(),
                plan.busy.clone(),
                *rate,
                Reach::ThisMachine,
            )?;
            traffic.lock().steady.push(more.start());
        }
    }
    sleep(plan.after).await;
    watching.abort();
    drop((pause, rule_in_force, cluster));

    let seen = seen.lock();
    let first = seen.violations.iter().map(|v| v.detected_at).min();
    let evidence = seen.evidence(began, first, seen.until)?;
    let answer = offline::diagnose(&evidence);
    let soon = first.map_or(seen.until, |at| seen.until.min(at + SOON));
    let soon = offline::diagnose(&seen.evidence(began, first, soon)?);
    Ok(Outcome {
        evidence,
        answer,
        soon,
        noticed: first.map(|at| at.saturating_sub(broken - started)),
    })
}

impl RunRecord {
    fn evidence(
        &self,
        since: Duration,
        noticed: Option<Duration>,
        until: Duration,
    ) -> Result<Evidence, BuildError> {
        let moment = Moment {
            since,
            at: noticed.unwrap_or(until),
            until,
        };
        let known = self.violations.iter().filter(|v| v.detected_at <= until);
        self.recorder
            .evidence("what was just observed", moment, known)
    }

    /// Keeps every violation with its latest state.
    fn note<'a>(
        &mut self,
        changes: &[ViolationChange],
        active: impl Iterator<Item = &'a Violation>,
    ) {
        for change in changes {
            match change {
                ViolationChange::Raised(violation) => self.violations.push(violation.clone()),
                ViolationChange::Cleared(violation) => self.update(violation),
            }
        }
        active.for_each(|violation| self.update(violation));
    }

    fn update(&mut self, latest: &Violation) {
        let same = |v: &&mut Violation| {
            v.invariant == latest.invariant
                && v.subject == latest.subject
                && v.detected_at == latest.detected_at
        };
        if let Some(violation) = self.violations.iter_mut().find(same) {
            violation.clone_from(latest);
        }
    }
}
