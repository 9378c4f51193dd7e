use demo_core::{ChapterResult, Event, Stage, Tone};
use diagnosis::Mechanism;
use ratelimiter_evidence::Moment;
use tokio::time::Instant;

use crate::subject::{Named, Subject};

/// What the audience should know of it.
pub(super) const EXPLAINED: &str = "The diagnosis knows nothing of rate limiting and nothing of what was injected. It has what was observed, what depends on \
     what, and what broke: it looks for what changed first and could have caused the rest.";
/// Where the diagnosis is told.
const PANEL: &str = "diagnosis";

/// A fault that was injected, for the comparison at the end. The diagnosis never sees it.
pub(super) struct Injected {
    pub(super) anomaly: &'static str,
    pub(super) entity: &'static str,
    pub(super) mechanism: Mechanism,
    pub(super) began: Instant,
    /// When its act was over; samples after it are another story.
    pub(super) over: Instant,
}

/// Explains what was violated since the fault began, from what was observed alone.
pub(super) async fn diagnose(stage: &Stage, subject: &Subject, injected: &Injected) -> ChapterResult {
    let detector = subject.detector();
    let log = detector.log();
    let violations: Vec<_> = log.since(injected.began).map(|found| &found.violation).collect();
    let noticed = violations.iter().map(|v| v.detected_at).min();
    let evidence = {
        let acts = subject.acts();
        let moment = Moment {
            since: acts.act_began.map_or(std::time::Duration::ZERO, |began| detector.at(began)),
            at: noticed.unwrap_or_else(|| detector.at(injected.began)),
            until: detector.at(injected.over),
        };
        acts.recorder.evidence("what was just observed", moment, violations.iter().copied())?
    };
    let explained = tokio::select! {
        biased;
        // Leaving the chapter drops the question, and with it the connection to whoever was asked.
        () = stage.cancelled() => return Ok(()),
        explained = subject.engine.diagnose(&evidence, |step| stage.status(format!("diagnosis: {step}"), None)) => explained,
    };
    let answer = &explained.answer;
    {
        let mut acts = subject.acts();
        acts.diagnoses.retain(|named| named.anomaly != injected.anomaly);
        acts.diagnoses.push(Named {
            anomaly: injected.anomaly,
            injected: (injected.entity, injected.mechanism),
            occurred: !violations.is_empty(),
            named: answer.cause().map(|cause| (cause.entity.clone(), cause.mechanism)),
        });
    }
    for line in &explained.lines {
        stage.emit(Event::Text { panel: PANEL, piece: format!("{line}\n") });
    }
    stage.emit(Event::Reported { name: injected.anomaly.into(), report: serde_json::to_value(&**answer)? });
    Ok(())
}

/// Compares what the diagnoses named with what was injected, and says right or wrong.
pub(super) fn compare(stage: &Stage, subject: &Subject) {
    for Named { anomaly, injected: (entity, mechanism), occurred, named } in &subject.acts().diagnoses {
        let right = named.as_ref().is_some_and(|(e, m)| e == entity && m == mechanism);
        let told =
            named.as_ref().map_or("no cause".into(), |(entity, mechanism)| format!("{entity}, {mechanism}"));
        match (occurred, named) {
            (true, _) if right => stage.say(Tone::Good, format!("diagnosis of {anomaly}: right ({told})")),
            (false, None) => stage.say(
                Tone::Good,
                format!("diagnosis of {anomaly}: right (nothing broke, and no cause was named)"),
            ),
            _ => stage.say(
                Tone::Bad,
                format!("diagnosis of {anomaly}: wrong (named {told}; injected at {entity}: {mechanism})"),
            ),
        }
    }
}
