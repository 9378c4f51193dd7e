use std::sync::Arc;

use demo_core::{Finding, FindingState, Severity, Stage};
use demo_ratelimiter::evidence::Client;
use ratelimiter_api::Key;
use ratelimiter_invariants::{self as invariants, Subject, ViolationChange};
use tokio::sync::broadcast::error::RecvError;
use tokio::time::Instant;

use super::charts::ChartSampler;
use super::comparison;
use super::notes::RoundNotes;
use crate::cluster::LiveStory;
use ratelimiter_watch::{Detector, DetectorClock, Round};

/// Shows and records every round until the detector is dropped: notes, chart points and findings on
/// the stage, evidence in the record.
///
/// `key` is the key of the burst. Subscribes before it returns, and the future holds neither the
/// detector nor the cluster.
pub(crate) fn show_rounds(
    stage: Stage,
    detector: &Detector,
    live: LiveStory,
    key: Key,
) -> impl Future<Output = ()> + Send + 'static {
    let (mut rounds, clock) = (detector.rounds(), detector.clock());
    let (mut notes, mut sampler) = (RoundNotes::default(), ChartSampler::new(key));
    async move {
        loop {
            let round: Arc<Round> = match rounds.recv().await {
                Ok(round) => round,
                // A gap in the charts, as for any missing sample.
                Err(RecvError::Lagged(_)) => continue,
                Err(RecvError::Closed) => break,
            };
            let observation = &round.observation;
            // The tally is of this instant; the round began a while ago.
            let (now, tally) = (clock.at(Instant::now()), live.traffic.tally());
            notes.note(&stage, observation);
            sampler.sample(&stage, observation, now, tally);
            for change in round.changes.iter().filter(|change| is_shown(change)) {
                stage.found(finding(change, &stage, clock));
            }
            live.record.send_modify(|record| {
                let client = Client {
                    at: now,
                    sent: tally.sent(),
                    denied: tally.denied,
                };
                record.recorder.observe(observation, Some(client));
                record.until = Some(observation.at);
            });
        }
    }
}

/// The comparison at the end breaks some keys on purpose, and reports that itself.
fn is_shown(change: &ViolationChange) -> bool {
    let (ViolationChange::Raised(violation) | ViolationChange::Cleared(violation)) = change;
    !matches!(&violation.subject, Subject::Key(key) if comparison::compares(key))
}

/// A violation as a finding of the story, with its times on the story's clock.
fn finding(change: &ViolationChange, stage: &Stage, clock: DetectorClock) -> Finding {
    let (violation, state) = match change {
        ViolationChange::Raised(violation) => (violation, FindingState::Raised),
        ViolationChange::Cleared(violation) => (violation, FindingState::Cleared),
    };
    let subject = match &violation.subject {
        Subject::Store => "store".to_owned(),
        Subject::Node(node) => node.to_string(),
        Subject::Key(key) => key.to_string(),
    };
    Finding {
        id: format!("{}/{subject}", violation.invariant),
        name: violation.invariant.to_string(),
        subject,
        severity: match violation.severity {
            invariants::InvariantSeverity::Warning => Severity::Warning,
            invariants::InvariantSeverity::Critical => Severity::Critical,
        },
        state,
        first_seen: stage.at(clock.instant(violation.first_seen)),
        detected_at: stage.at(clock.instant(violation.detected_at)),
        evidence: violation.evidence.to_string(),
    }
}
