use demo_core::{ChapterResult, Event, Stage, Tone};
use demo_ratelimiter::evidence::Moment;
use diagnosis::Mechanism;
use tokio::time::Instant;

use super::handover::Handover;
use crate::cluster::DemoCluster;

/// Narration of both diagnosis chapters.
pub(super) const EXPLAINED: &str = "The diagnosis knows nothing of rate limiting and nothing of \
    the injected fault. Its input is the observed signals, \
     the dependencies and the violations. It looks for the earliest change that can have caused \
     the rest.";
/// Panel of the diagnosis.
const PANEL: &str = "diagnosis";

/// A fault that was injected, for the comparison at the end. The diagnosis never sees it.
pub(super) struct FaultRecord {
    pub(super) anomaly: &'static str,
    pub(super) entity: &'static str,
    pub(super) mechanism: Mechanism,
    /// Start of the act; earlier samples are no baseline for it.
    pub(super) act_began: Instant,
    pub(super) began: Instant,
    /// End of the act; later samples do not belong to it.
    pub(super) over: Instant,
}

/// The cause that a diagnosis named, beside the injected fault.
#[derive(Debug)]
pub(super) struct CauseComparison {
    anomaly: &'static str,
    injected: (&'static str, Mechanism),
    /// Whether any invariant was violated.
    occurred: bool,
    named: Option<(String, Mechanism)>,
}

/// Explains the violations since the fault began, from the observations alone.
pub(super) async fn diagnose(
    stage: &Stage,
    cluster: &DemoCluster,
    injected: &FaultRecord,
    diagnosed: &Handover<CauseComparison>,
) -> ChapterResult {
    let (log, clock) = (cluster.detector.log(), cluster.detector.clock());
    let violations: Vec<_> = log
        .since(injected.began)
        .map(|found| &found.violation)
        .collect();
    let noticed = violations.iter().map(|v| v.detected_at).min();
    let moment = Moment {
        since: clock.at(injected.act_began),
        at: noticed.unwrap_or_else(|| clock.at(injected.began)),
        until: clock.at(injected.over),
    };
    let evidence = {
        let record = cluster.live.record.borrow();
        record
            .recorder
            .evidence("what was just observed", moment, violations.iter().copied())?
    };
    let explained = tokio::select! {
        biased;
        // Leaving the chapter drops the question, and with it the connection to a model's server.
        () = stage.cancelled() => return Ok(()),
        explained = cluster.engine.diagnose(&evidence, |step| stage.status(format!("diagnosis: \
            {step}"), None)) => explained,
    };
    let answer = &explained.answer;
    diagnosed.give(CauseComparison {
        anomaly: injected.anomaly,
        injected: (injected.entity, injected.mechanism),
        occurred: !violations.is_empty(),
        named: answer
            .cause()
            .map(|cause| (cause.entity.clone(), cause.mechanism)),
    });
    for (lines, detail) in [(&explained.summary, false), (&explained.details, true)] {
        for line in lines {
            stage.emit(Event::Text {
                panel: PANEL.into(),
                piece: format!("{line}\n"),
                detail,
            });
        }
    }
    stage.emit(Event::Reported {
        name: injected.anomaly.into(),
        report: serde_json::to_value(&**answer)?,
    });
    Ok(())
}

impl CauseComparison {
    /// Compares the named cause with the injected fault, and shows right or wrong.
    pub(super) fn compare(&self, stage: &Stage) {
        let Self {
            anomaly,
            injected: (entity, mechanism),
            occurred,
            named,
        } = self;
        let right = named
            .as_ref()
            .is_some_and(|(e, m)| e == entity && m == mechanism);
        let cause = named
            .as_ref()
            .map_or("no cause".into(), |(entity, mechanism)| {
                format!("{entity}, {mechanism}")
            });
        match (occurred, named) {
            (true, _) if right => stage.say(
                Tone::Good,
                format!(
                    "diagnosis of {anomaly}: right \
                ({cause})"
                ),
            ),
            (false, None) => stage.say(
                Tone::Good,
                format!("diagnosis of {anomaly}: right (nothing broke, and no cause was named)"),
            ),
            _ => stage.say(
                Tone::Bad,
                format!(
                    "diagnosis of {anomaly}: wrong (named {cause}; injected at {entity}: \
                    {mechanism})"
                ),
            ),
        }
    }
}
