use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use demo_core::{Chapter, ChapterResult, MarkEdge, Stage, Tone};
use demo_ratelimiter::evidence::STORE;
use diagnosis::Mechanism;
use ratelimiter_chaos::{CheckTally, PauseReport};
use ratelimiter_invariants::{Invariant, KeyReading, RoundReading};
use tokio::sync::broadcast;
use tokio::time::{Instant, interval, sleep_until};

use super::comparison::Failure;
use super::counts;
use super::diagnosing::{self, CauseComparison, EXPLAINED, FaultRecord};
use super::handover::Handover;
use super::opening::SETUP;
use crate::cluster::DemoCluster;
use crate::fault::WriteFault;
use crate::traffic;
use ratelimiter_watch::{Round, ViolationLog};

/// Title of the chapter that later ones build on.
const CHAOS: &str = "Counter Drift Chaos";
/// The anomaly that this act expects.
const COUNTER_DRIFT: &str = "counter drift";
/// Label of the fault on the time axis.
const PAUSE: &str = "store takes no writes";
/// Deadline of the detection, from the start of the fault. Usually about a second.
const PATIENCE: Duration = Duration::from_secs(3);
/// Deadline of equal counts after the pause. Usually one sync interval.
const RECOVERY: Duration = Duration::from_secs(10);

/// The pause, for the chapters after it.
#[derive(Debug)]
pub(super) struct PauseEffect {
    pub(super) report: PauseReport,
    /// Start of the workload.
    act_began: Instant,
    /// The counts of the charted key in the round with the largest drift.
    largest: Option<KeyReading>,
    /// Checks that were allowed during the pause, and checks that were not.
    pub(super) checks: [u64; 2],
}

impl PauseEffect {
    /// The largest drift.
    pub(super) fn drift(&self) -> u64 {
        self.largest.as_ref().map_or(0, drift)
    }
}

/// A chapter's share: the cluster, and the pause that the first chapter gives to the others.
type Share = (Arc<DemoCluster>, Handover<PauseEffect>);

pub(super) fn chapters(
    cluster: &Arc<DemoCluster>,
    paused: &Handover<PauseEffect>,
    diagnosed: &Handover<CauseComparison>,
) -> Vec<Chapter> {
    let described = cluster.fault.described(cluster.pause.get().as_secs_f64());
    let share: Share = (Arc::clone(cluster), paused.clone());
    vec![
        Chapter::new(
            CHAOS,
            format!(
                "{described} The nodes go on \
                 deciding from their own counts, and their admissions cannot reach the store.\n\n\
                 The store still answers PING, so a simple health check calls it healthy."
            ),
        )
        .key_hint("the detection")
        .blocks_advance()
        .repeatable()
        .needs([SETUP])
        .on_enter_with(share.clone(), inject),
        Chapter::new(
            "Counter Drift Detection",
            "The detector asks every node, and the store, about the same span of time, five times \
             a second. The nodes' \
             admissions and the store's count must agree within 10 % of the limit. A difference is \
             reported only after \
             three sync intervals, since admissions need that time to reach the store.",
        )
        .key_hint("the diagnosis")
        .needs([CHAOS])
        .on_enter_with(share.clone(), detect),
        Chapter::new("Counter Drift Diagnosis", EXPLAINED)
            .key_hint("recovery")
            .needs([CHAOS])
            .on_enter_with((share.clone(), diagnosed.clone()), diagnose),
        Chapter::new(
            "Recovery",
            "The first write has passed again. The nodes send the missing admissions to the store; \
             each has a name of its \
             own, so none is counted twice. The workload stops, and the counts must agree exactly.",
        )
        .key_hint("skip")
        .needs([CHAOS])
        .auto_advance()
        .on_enter_with(share, recover),
    ]
}

async fn inject(stage: Stage, (cluster, paused): Share) -> ChapterResult {
    let Some(effect) = pause(&stage, &cluster).await? else {
        return Ok(());
    };
    let report = &effect.report;
    let source = WriteFault::measured(report);
    stage.measured("write pause", report.held().as_secs_f64(), "s", source);
    paused.give(effect);
    Ok(())
}

/// Pauses the store's writes under the workload and observes the counts; `None` when cancelled
/// before.
pub(super) async fn pause(
    stage: &Stage,
    cluster: &DemoCluster,
) -> Result<Option<PauseEffect>, Failure> {
    let traffic = &cluster.live.traffic;
    let act_began = traffic.start(&cluster.endpoints, cluster.scope)?;
    if !stage
        .countdown("the store will stop taking writes", 3)
        .await
    {
        return Ok(None);
    }
    let mut rounds = cluster.detector.rounds();
    let mut largest = None;
    let guard = cluster.fault.inject().await?;
    let before = traffic.tally();
    stage.mark(PAUSE, MarkEdge::Begin);
    stage.say(
        Tone::Bad,
        "the store takes no writes: a test write was sent, and waits",
    );
    let until = guard.started() + cluster.pause.get();
    let mut seconds = interval(Duration::from_secs(1));
    loop {
        tokio::select! {
            biased;
            () = stage.cancelled() => break,
            () = sleep_until(until) => break,
            _ = seconds.tick() => {
                if !guard.is_held() {
                    break;
                }
                stage.status(PAUSE, Some(until.saturating_duration_since(Instant::now())));
            }
            Ok(round) = rounds.recv() => largest = larger(largest, &round),
        }
    }
    let report = guard.heal().await?;
    let after = traffic.tally();
    largest = rest(&mut rounds, largest);
    stage.mark(PAUSE, MarkEdge::End);
    if !report.is_without_gap() {
        let (passed, gap) = (report.passed, report.longest_renewal.as_millis());
        stage.say(
            Tone::Warning,
            format!(
                "the pause had gaps: {passed} test writes passed, longest time without renewal \
                {gap} ms"
            ),
        );
    }
    let refused = |tally: CheckTally| tally.denied + tally.failed + tally.unknown;
    Ok(Some(PauseEffect {
        report,
        act_began,
        largest,
        checks: [
            after.allowed - before.allowed,
            refused(after) - refused(before),
        ],
    }))
}

/// The larger drift: the largest so far, or one of this round.
fn larger(largest: Option<KeyReading>, round: &Round) -> Option<KeyReading> {
    let reading = RoundReading::new(&round.observation);
    let charted = counts::complete(&reading, &traffic::charted());
    largest.into_iter().chain(charted).max_by_key(drift)
}

/// The difference of the counts. The charge of open grants may be unspent, and is none.
fn drift(counts: &KeyReading) -> u64 {
    let open = counts.grants.map_or(0, |grants| grants.open);
    match counts.drift() {
        Some(behind) if behind < 0 => behind.unsigned_abs().saturating_sub(open),
        ahead => ahead.map_or(0, i64::unsigned_abs),
    }
}

/// The largest drift, with the rounds that are still queued.
fn rest(
    rounds: &mut broadcast::Receiver<Arc<Round>>,
    mut largest: Option<KeyReading>,
) -> Option<KeyReading> {
    while let Ok(round) = rounds.try_recv() {
        largest = larger(largest, &round);
    }
    largest
}

async fn detect(stage: Stage, (cluster, paused): Share) -> ChapterResult {
    let paused = paused.take().await;
    let pause = paused.report;
    stage.status("waiting for the detector", None);
    let patience = PATIENCE.saturating_sub(pause.started.elapsed());
    let detected = |log: &ViolationLog| log.first(Invariant::CounterDrift, pause.started).cloned();
    let found = tokio::select! {
        () = stage.cancelled() => return Ok(()),
        found = cluster.wait(patience, detected) => found,
    };
    stage.expected(COUNTER_DRIFT, found.is_some());
    let Some(found) = found else {
        stage.say(
            Tone::Warning,
            "nodes and store never disagreed beyond the tolerance for longer \
            than the grace: there was no counter drift",
        );
        return Ok(());
    };
    let after = found.raised - pause.started;
    stage.measured(
        "counter drift detected after",
        after.as_secs_f64(),
        "s",
        found.violation.subject.to_string(),
    );
    if let Some(largest) = &paused.largest {
        let (key, admitted) = (&largest.key, largest.admitted());
        let shared = largest.shared.unwrap_or(0);
        let detail = format!("{key}: nodes admitted {admitted}, store counted {shared}");
        stage.measured("maximum drift", drift(largest) as f64, "admissions", detail);
    }
    let log = cluster.detector.log();
    let mut times: BTreeMap<&str, Vec<f64>> = BTreeMap::new();
    for violated in log.since(pause.started) {
        let after = (violated.raised - pause.started).as_secs_f64();
        times
            .entry(violated.violation.invariant.as_str())
            .or_default()
            .push(after);
    }
    for (invariant, times) in times {
        let after = times.iter().copied().fold(f64::INFINITY, f64::min);
        let of = if times.len() > 1 {
            format!(", {} times", times.len())
        } else {
            String::new()
        };
        stage.say(
            Tone::Bad,
            format!("violated: {invariant} after {after:.2} s{of}"),
        );
    }
    Ok(())
}

async fn diagnose(
    stage: Stage,
    ((cluster, paused), diagnosed): (Share, Handover<CauseComparison>),
) -> ChapterResult {
    let paused = paused.take().await;
    let injected = FaultRecord {
        anomaly: COUNTER_DRIFT,
        entity: STORE,
        mechanism: Mechanism::StoppedAcceptingChanges,
        act_began: paused.act_began,
        began: paused.report.started,
        over: paused.report.ended,
    };
    diagnosing::diagnose(&stage, &cluster, &injected, &diagnosed).await
}

async fn recover(stage: Stage, (cluster, paused): Share) -> ChapterResult {
    let pause = paused.take().await.report;
    stage.status("waiting until the counts agree", None);
    cluster.live.traffic.stop().await;
    let stopped = Instant::now();
    let stopped_at = cluster.detector.clock().at(stopped);
    let agree = |log: &ViolationLog| {
        // In an earlier round the counts still changed.
        let latest = log
            .latest
            .as_ref()
            .filter(|latest| latest.observation.at >= stopped_at)?;
        let counts: Vec<_> = counts::of_workload(&latest.observation).collect();
        let complete = counts.len() == traffic::KEYS.len();
        (complete && counts.iter().all(|c| drift(c) == 0)).then_some(counts)
    };
    let agreed = tokio::select! {
        () = stage.cancelled() => return Ok(()),
        agreed = cluster.wait(RECOVERY, agree) => agreed,
    };
    let Some(counts) = agreed else {
        return Err(format!(
            "the counts do not agree {} s after the pause",
            RECOVERY.as_secs()
        )
        .into());
    };
    let (admitted, shared) = counts.iter().fold((0, 0), |sum, c| {
        (sum.0 + c.admitted(), sum.1 + c.shared.unwrap_or(0))
    });
    let detail = format!(
        "nodes admitted {admitted}, store counts {shared}, {:.2} s after the workload stopped",
        stopped.elapsed().as_secs_f64()
    );
    stage.measured(
        "drift after recovery",
        admitted.abs_diff(shared) as f64,
        "admissions",
        detail,
    );
    let log = cluster.detector.log();
    let cleared = log
        .since(pause.started)
        .filter(|f| f.violation.invariant == Invariant::CounterDrift);
    if let Some(last) = cleared.filter_map(|f| f.cleared).max() {
        let after = last.saturating_duration_since(pause.ended);
        stage.measured(
            "back within tolerance after",
            after.as_secs_f64(),
            "s",
            "from the first write that passed",
        );
    }
    stage.say(
        Tone::Good,
        "the store takes writes, and every admission is counted once",
    );
    Ok(())
}
