use std::sync::Arc;
use std::time::Duration;

use demo_core::{Chapter, ChapterResult, MarkEdge, Stage, Tone};
use diagnosis::Mechanism;
use ratelimiter_chaos::RedisPause;
use ratelimiter_evidence::STORE;
use ratelimiter_invariants::Invariant;
use tokio::time::{Instant, sleep_until};

use super::diagnosing::{self, EXPLAINED, Injected};
use super::{act, workload};
use crate::detector::counts;
use crate::subject::{Act, Subject};

/// What is expected of this act.
const COUNTER_DRIFT: &str = "counter drift";
/// How the fault is called on the time axis.
const PAUSE: &str = "store takes no writes";
/// How long the detector may take after the fault began. It should need about a second.
const PATIENCE: Duration = Duration::from_secs(3);
/// How long the counts may take to agree again. It should take one sync interval.
const RECOVERY: Duration = Duration::from_secs(10);

pub(super) fn chapters(subject: &Arc<Subject>) -> Vec<Chapter> {
    let seconds = subject.pause.as_secs_f64();
    vec![
        act(
            Chapter::new(
                "Counter Drift Chaos",
                format!(
                    "The store stops taking writes for {seconds} s (CLIENT PAUSE WRITE); reads still pass. The nodes go on \
                     deciding from what they know, and what they admit cannot reach the store.\n\n\
                     A PING would call this store healthy all the while."
                ),
            )
            .key_hint("how it was noticed")
            .blocks_advance()
            .repeatable(),
            subject,
            inject,
        ),
        act(
            Chapter::new(
                "Counter Drift Detection",
                "The detector asks every node, and the store, about the same span of time, five times a second. What the \
                 nodes admitted and what the store counts must agree within 10 % of the limit; three sync intervals of \
                 grace keep it quiet about what is merely on its way.",
            )
            .key_hint("the diagnosis"),
            subject,
            detect,
        ),
        act(
            Chapter::new("Counter Drift Diagnosis", EXPLAINED).key_hint("recovery"),
            subject,
            diagnose,
        ),
        act(
            Chapter::new(
                "Recovery",
                "A write was seen to pass again. The nodes tell the store what it missed; every admission has a name of \
                 its own, so telling twice counts nothing twice. The workload stops, and the counts must agree exactly.",
            )
            .key_hint("skip")
            .auto_advance(),
            subject,
            recover,
        ),
    ]
}

async fn inject(stage: Stage, subject: Arc<Subject>) -> ChapterResult {
    {
        let mut acts = subject.acts();
        acts.act = Act::Drift;
        acts.max_drift = None;
        acts.pause = None;
    }
    if subject.acts().workload.is_none() {
        let handle = workload::start(&subject)?;
        subject.acts().workload = Some(handle);
    }
    if !stage.countdown("the store will stop taking writes", 3).await {
        return Ok(());
    }
    let guard = RedisPause::new(subject.store.clone(), subject.scope)?.inject().await?;
    stage.mark(PAUSE, MarkEdge::Begin);
    stage.say(Tone::Bad, "the store takes no writes: a write was tried, and waits");
    let until = guard.started() + subject.pause;
    while Instant::now() < until && guard.is_held() && !stage.is_cancelled() {
        stage.status(PAUSE, Some(until - Instant::now()));
        tokio::select! {
            () = stage.cancelled() => {}
            () = sleep_until(until.min(Instant::now() + Duration::from_secs(1))) => {}
        }
    }
    let report = guard.heal().await?;
    stage.mark(PAUSE, MarkEdge::End);
    stage.measured("write pause", report.held().as_secs_f64(), "s", format!("{} renewals", report.renewals));
    if !report.is_without_gap() {
        let gap = report.longest_renewal.as_millis();
        stage.say(
            Tone::Warning,
            format!("this machine was too busy to renew the pause for {gap} ms: some writes may have passed"),
        );
    }
    subject.acts().pause = Some(report);
    Ok(())
}

async fn detect(stage: Stage, subject: Arc<Subject>) -> ChapterResult {
    let Some(pause) = subject.acts().pause else { return Err("there was no pause to detect".into()) };
    stage.status("waiting for the detector", None);
    let patience = PATIENCE.saturating_sub(pause.started.elapsed());
    let detected = |log: &crate::detector::Log| log.first(Invariant::CounterDrift, pause.started).cloned();
    let found = tokio::select! {
        () = stage.cancelled() => return Ok(()),
        found = subject.detector().wait(patience, detected) => found,
    };
    stage.expected(COUNTER_DRIFT, found.is_some());
    let Some(found) = found else {
        stage.say(Tone::Warning, "nodes and store never disagreed beyond the tolerance for longer than the grace: there was no counter drift");
        return Ok(());
    };
    let after = found.raised - pause.started;
    stage.measured(
        "counter drift detected after",
        after.as_secs_f64(),
        "s",
        found.violation.subject.to_string(),
    );
    let largest = subject.acts().max_drift.clone();
    if let Some(drift) = largest {
        let detail =
            format!("{}: nodes admitted {}, store counted {}", drift.key, drift.admitted, drift.shared);
        stage.measured("maximum drift", drift.size() as f64, "admissions", detail);
    }
    for other in subject.detector().log().since(pause.started) {
        let violation = &other.violation;
        let after = (other.raised - pause.started).as_secs_f64();
        stage.say(
            Tone::Bad,
            format!("{} [{}] after {after:.2} s: {}", violation.invariant, violation.subject, violation.peak),
        );
    }
    Ok(())
}

async fn diagnose(stage: Stage, subject: Arc<Subject>) -> ChapterResult {
    let Some(pause) = subject.acts().pause else { return Err("there was no pause to diagnose".into()) };
    let injected = Injected {
        anomaly: COUNTER_DRIFT,
        entity: STORE,
        mechanism: Mechanism::StoppedAcceptingChanges,
        began: pause.started,
        over: pause.ended,
    };
    diagnosing::diagnose(&stage, &subject, &injected).await
}

async fn recover(stage: Stage, subject: Arc<Subject>) -> ChapterResult {
    let Some(pause) = subject.acts().pause else { return Err("there was no pause to recover from".into()) };
    stage.status("waiting until the counts agree", None);
    workload::stop(&subject).await;
    let stopped = Instant::now();
    let stopped_at = subject.detector().at(stopped);
    let agree = |log: &crate::detector::Log| {
        // A round from before would be about counts that still moved.
        let latest = log.latest.as_ref().filter(|latest| latest.at >= stopped_at)?;
        let counts: Option<Vec<_>> = workload::keys().iter().map(|key| counts(latest, key)).collect();
        counts.filter(|all| all.iter().all(|(admitted, shared)| admitted == shared))
    };
    let agreed = tokio::select! {
        () = stage.cancelled() => return Ok(()),
        agreed = subject.detector().wait(RECOVERY, agree) => agreed,
    };
    let Some(counts) = agreed else {
        return Err(format!("the counts do not agree {} s after the pause", RECOVERY.as_secs()).into());
    };
    let (admitted, shared) = counts.iter().fold((0, 0), |sum, c| (sum.0 + c.0, sum.1 + c.1));
    let detail = format!(
        "nodes admitted {admitted}, store counts {shared}, {:.2} s after the workload stopped",
        stopped.elapsed().as_secs_f64()
    );
    stage.measured("drift after recovery", admitted.abs_diff(shared) as f64, "admissions", detail);
    let log = subject.detector().log();
    let cleared = log.since(pause.started).filter(|f| f.violation.invariant == Invariant::CounterDrift);
    if let Some(last) = cleared.filter_map(|f| f.cleared).max() {
        let after = last.saturating_duration_since(pause.ended);
        stage.measured(
            "back within tolerance after",
            after.as_secs_f64(),
            "s",
            "from the first write that passed",
        );
    }
    stage.say(Tone::Good, "the store takes writes, and every admission is counted once");
    Ok(())
}
