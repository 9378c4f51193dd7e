use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use demo_core::{Chapter, ChapterResult, Event, MarkEdge, Stage, Tone};
use demo_ratelimiter::evidence::CLIENTS;
use diagnosis::Mechanism;
use ratelimiter_api::Outcome;
use ratelimiter_chaos::{CheckTally, VolleyReport, reset_counter};
use ratelimiter_invariants::{Invariant, Verdict, check_history};
use tokio::time::{Instant, sleep};

use super::charts::GHOST_ACT;
use super::diagnosing::{self, CauseComparison, EXPLAINED, FaultRecord};
use super::handover::Handover;
use super::opening::SETUP;
use super::proof;
use crate::cluster::DemoCluster;
use ratelimiter_watch::ViolationLog;

/// Title of the chapter that later ones build on.
const CHAOS: &str = "Ghost Allowing Chaos";
/// The anomaly that this act expects.
const GHOST_ALLOWING: &str = "ghost allowing";
/// Label of the fault on the time axis.
const BURST: &str = "burst";
/// Deadline of the detection, from the burst. Usually one round of the observer.
const PATIENCE: Duration = Duration::from_secs(3);
/// Time in which the counts after the burst are observed, before the next chapter.
const EFFECT: Duration = Duration::from_secs(2);
/// Time after the burst that belongs to the act.
const AFTERMATH: Duration = Duration::from_secs(10);

/// The burst, for the chapters after it.
#[derive(Debug)]
pub(super) struct BurstEffect {
    pub(super) report: VolleyReport,
    act_began: Instant,
}

/// A chapter's share: the cluster, and the burst that the first chapter gives to the others.
type Share = (Arc<DemoCluster>, Handover<BurstEffect>);

pub(super) fn chapters(
    cluster: &Arc<DemoCluster>,
    sent: &Handover<BurstEffect>,
    diagnosed: &Handover<CauseComparison>,
) -> Vec<Chapter> {
    let limit = cluster.limit.admissions();
    let requests = u64::from(limit) * u64::from(cluster.multiplier.get());
    let share: Share = (Arc::clone(cluster), sent.clone());
    vec![
        Chapter::new(
            CHAOS,
            format!(
                "{requests} checks of {} arrive at one instant, spread over the nodes. {limit} may \
                 pass. But each node \
                 decides before it has the other nodes' counts.",
                cluster.key
            ),
        )
        .key_hint("the detection")
        .blocks_advance()
        .repeatable()
        .needs([SETUP])
        .on_enter_with(share.clone(), burst),
        Chapter::new(
            "Ghost Allowing Detection",
            "Two independent witnesses: the nodes' own records of their admissions, and the \
             caller's history, which holds \
             the times of every request and of its answer.",
        )
        .key_hint("the diagnosis")
        .needs([CHAOS])
        .on_enter_with(share.clone(), detect),
        Chapter::new("Ghost Allowing Diagnosis", EXPLAINED)
            .key_hint("the end")
            .needs([CHAOS])
            .on_enter_with((share, diagnosed.clone()), diagnose),
    ]
}

async fn burst(stage: Stage, (cluster, sent): Share) -> ChapterResult {
    let limit = cluster.limit.admissions();
    // Runs when this act is the first that is played.
    cluster.live.traffic.stop().await;
    stage.focus(GHOST_ACT);
    let act_began = Instant::now();
    if sent.latest().is_some() {
        reset_counter(&cluster.nodes, &cluster.key).await?;
        stage.say(
            Tone::Plain,
            format!(
                "the counter of {} was reset through the nodes' API",
                cluster.key
            ),
        );
    }
    let burst = cluster.burst(&cluster.key)?;
    if !stage
        .countdown(&format!("{} checks at once", burst.requests()), 3)
        .await
    {
        return Ok(());
    }
    stage.mark(BURST, MarkEdge::Begin);
    let report = burst.fire().await?;
    stage.mark(BURST, MarkEdge::End);
    exercised(&report)?;

    let mut by_node = BTreeMap::new();
    for op in report
        .operations
        .iter()
        .filter(|op| op.outcome == Outcome::Allowed)
    {
        *by_node.entry(op.node.as_str()).or_insert(0) += 1;
    }
    let by_node: Vec<_> = by_node
        .iter()
        .map(|(node, count)| format!("{node} {count}"))
        .collect();
    let tally = report.tally;
    let detail = format!(
        "limit {limit}, of {} requests; {}",
        tally.sent(),
        by_node.join(", ")
    );
    stage.measured("burst allowed", tally.allowed as f64, "requests", detail);
    let over = tally.allowed > limit.into();
    let tone = if over { Tone::Bad } else { Tone::Good };
    stage.say(
        tone,
        format!(
            "{} allowed, {} denied, {} without a decision; {limit} may pass",
            tally.allowed,
            tally.denied,
            tally.failed + tally.unknown
        ),
    );
    let skew = report.start_skew.as_secs_f64() * 1e3;
    stage.measured(
        "burst start skew",
        skew,
        "ms",
        "from the first request sent to the last",
    );
    cluster.live.traffic.add(tally);
    sent.give(BurstEffect { report, act_began });
    stage.status("observing the counts", Some(EFFECT));
    tokio::select! {
        () = stage.cancelled() => {}
        () = sleep(EFFECT) => {}
    }
    Ok(())
}

/// Refuses a burst without a single decision: nothing in it could show an anomaly, and nothing a
/// pass.
pub(super) fn exercised(report: &VolleyReport) -> Result<(), String> {
    let CheckTally {
        allowed, denied, ..
    } = report.tally;
    if allowed + denied > 0 {
        return Ok(());
    }
    let answers = [&report.details[..], &report.seen].concat();
    Err(format!(
        "none of the burst's {} checks was decided, so nothing is proved; answers: {}",
        report.tally.sent(),
        answers.join("; ")
    ))
}

async fn detect(stage: Stage, (cluster, sent): Share) -> ChapterResult {
    let sent = sent.take().await;
    let VolleyReport {
        released,
        operations,
        ..
    } = &sent.report;
    let released = *released;
    stage.status("waiting for the detector", None);
    let detected = |log: &ViolationLog| log.first(Invariant::GhostAllowing, released).cloned();
    let patience = PATIENCE.saturating_sub(released.elapsed());
    let found = tokio::select! {
        () = stage.cancelled() => return Ok(()),
        found = cluster.wait(patience, detected) => found,
    };
    stage.expected(GHOST_ALLOWING, found.is_some());
    let report = check_history(operations, cluster.limit)?;
    match &found {
        Some(found) => {
            let after = (found.raised - released).as_secs_f64();
            stage.measured(
                "ghost allowing detected \
                after",
                after,
                "s",
                found.violation.subject.to_string(),
            );
            stage.say(
                Tone::Bad,
                format!("by the nodes' records: {}", found.violation.peak),
            );
        }
        None => stage.say(
            Tone::Good,
            format!(
                "the nodes' records show no more than the limit in any window: there was no \
                ghost allowing of {}",
                cluster.key
            ),
        ),
    }
    match &report.verdict {
        Verdict::Violated(witness) => {
            stage.say(
                Tone::Bad,
                "by the caller's history: violated, and here is the proof",
            );
            stage.emit(Event::Intervals(proof::picture(witness, cluster.limit)));
        }
        Verdict::Pass => stage.say(Tone::Good, format!("by the caller's history: {report}")),
        Verdict::Unknown { .. } => {
            stage.say(Tone::Warning, format!("by the caller's history: {report}"));
        }
    }
    Ok(())
}

async fn diagnose(
    stage: Stage,
    ((cluster, sent), diagnosed): (Share, Handover<CauseComparison>),
) -> ChapterResult {
    let sent = sent.take().await;
    let VolleyReport {
        released: began,
        took,
        ..
    } = sent.report;
    let injected = FaultRecord {
        anomaly: GHOST_ALLOWING,
        entity: CLIENTS,
        mechanism: Mechanism::LoadOutranPropagation,
        act_began: sent.act_began,
        began,
        over: began + took + AFTERMATH,
    };
    diagnosing::diagnose(&stage, &cluster, &injected, &diagnosed).await
}
