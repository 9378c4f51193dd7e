use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use demo_core::{Chapter, ChapterResult, MarkEdge, Stage, Tone};
use diagnosis::Mechanism;
use ratelimiter_api::Outcome;
use ratelimiter_chaos::{Burst, reset_counter};
use ratelimiter_evidence::CLIENTS;
use ratelimiter_invariants::{Invariant, Verdict, check_history};

use tokio::time::Instant;

use super::act;
use super::diagnosing::{self, EXPLAINED, Injected};
use crate::subject::{Act, Subject};

/// What is expected of this act.
const GHOST_ALLOWING: &str = "ghost allowing";
/// How the fault is called on the time axis.
const BURST: &str = "burst";
/// How long the detector may take after the burst. It should need one round of the observer.
const PATIENCE: Duration = Duration::from_secs(2);
/// How long after the burst its effects are looked at.
const AFTERMATH: Duration = Duration::from_secs(10);
/// How wide the picture of the witness is.
const PICTURE: usize = 72;

pub(super) fn chapters(subject: &Arc<Subject>) -> Vec<Chapter> {
    let limit = subject.limit.admissions();
    let requests = u64::from(limit) * u64::from(subject.multiplier);
    vec![
        act(
            Chapter::new(
                "Ghost Allowing Chaos",
                format!(
                    "{requests} checks of {} arrive at one instant, spread over the nodes. {limit} may pass. But each node \
                     decides before the others' counts arrive.",
                    subject.key
                ),
            )
            .key_hint("how it was noticed")
            .blocks_advance()
            .repeatable(),
            subject,
            burst,
        ),
        act(
            Chapter::new(
                "Ghost Allowing Detection",
                "Two witnesses: the nodes' own records of what they admitted, and the history of the caller, in which every \
                 request has the time it left and the time it was answered.",
            )
            .key_hint("the diagnosis"),
            subject,
            detect,
        ),
        act(
            Chapter::new("Ghost Allowing Diagnosis", EXPLAINED).key_hint("the end"),
            subject,
            diagnose,
        ),
    ]
}

async fn burst(stage: Stage, subject: Arc<Subject>) -> ChapterResult {
    let limit = subject.limit.admissions();
    let again = subject.acts().burst.take().is_some();
    {
        let mut acts = subject.acts();
        acts.act = Act::Burst;
        acts.act_began = Some(Instant::now());
    }
    if again {
        reset_counter(&subject.nodes, &subject.key).await?;
        stage.say(Tone::Plain, format!("the counter of {} was reset through the nodes' API", subject.key));
    }
    let burst =
        Burst::new(subject.endpoints.clone(), subject.key.clone(), limit, subject.multiplier, subject.scope)?;
    if !stage.countdown(&format!("{} checks at once", burst.requests()), 3).await {
        return Ok(());
    }
    stage.mark(BURST, MarkEdge::Begin);
    let report = burst.fire().await?;
    stage.mark(BURST, MarkEdge::End);

    let mut by_node = BTreeMap::new();
    for op in report.operations.iter().filter(|op| op.outcome == Outcome::Allowed) {
        *by_node.entry(op.node.as_str()).or_insert(0) += 1;
    }
    let by_node: Vec<_> = by_node.iter().map(|(node, count)| format!("{node} {count}")).collect();
    let tally = report.tally;
    let detail = format!("limit {limit}, of {} requests; {}", tally.sent(), by_node.join(", "));
    stage.measured("burst allowed", tally.allowed as f64, "requests", detail);
    let over = tally.allowed > limit.into();
    let tone = if over { Tone::Bad } else { Tone::Good };
    stage.say(
        tone,
        format!(
            "{} allowed, {} denied, {} without an answer; {limit} may pass",
            tally.allowed, tally.denied, tally.unknown
        ),
    );
    let skew = report.start_skew.as_secs_f64() * 1e3;
    stage.measured("burst start skew", skew, "ms", "from the first request sent to the last");
    subject.acts().burst = Some(report);
    Ok(())
}

async fn detect(stage: Stage, subject: Arc<Subject>) -> ChapterResult {
    let Some((released, operations)) =
        subject.acts().burst.as_ref().map(|b| (b.released, b.operations.clone()))
    else {
        return Err("there was no burst to detect".into());
    };
    stage.status("waiting for the detector", None);
    let detected = |log: &crate::detector::Log| log.first(Invariant::GhostAllowing, released).cloned();
    let patience = PATIENCE.saturating_sub(released.elapsed());
    let found = tokio::select! {
        () = stage.cancelled() => return Ok(()),
        found = subject.detector().wait(patience, detected) => found,
    };
    stage.expected(GHOST_ALLOWING, found.is_some());
    let report = check_history(&operations, subject.limit)?;
    match &found {
        Some(found) => {
            let after = (found.raised - released).as_secs_f64();
            stage.measured("ghost allowing detected after", after, "s", found.violation.subject.to_string());
            stage.say(Tone::Bad, format!("by the nodes' records: {}", found.violation.peak));
        }
        None => stage.say(
            Tone::Good,
            format!("the nodes' records show no more than the limit in any window: there was no ghost allowing of {}", subject.key),
        ),
    }
    match &report.verdict {
        Verdict::Violated(witness) => {
            stage.say(Tone::Bad, format!("by the caller's history: {report}"));
            stage.say(Tone::Plain, witness.timeline(PICTURE).to_string());
        }
        Verdict::Pass => stage.say(Tone::Good, format!("by the caller's history: {report}")),
        Verdict::Unknown { .. } => stage.say(Tone::Warning, format!("by the caller's history: {report}")),
    }
    Ok(())
}

async fn diagnose(stage: Stage, subject: Arc<Subject>) -> ChapterResult {
    let Some((began, took)) = subject.acts().burst.as_ref().map(|b| (b.released, b.took)) else {
        return Err("there was no burst to diagnose".into());
    };
    let injected = Injected {
        anomaly: GHOST_ALLOWING,
        entity: CLIENTS,
        mechanism: Mechanism::LoadOutranPropagation,
        began,
        over: began + took + AFTERMATH,
    };
    diagnosing::diagnose(&stage, &subject, &injected).await
}
