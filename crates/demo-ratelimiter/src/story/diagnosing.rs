use std::fmt;

use demo_core::{ChapterResult, Event, Stage, Tone};
use demo_ratelimiter::evidence::Moment;
use diagnosis::{ActionParams, Diagnosis, Evidence, Mechanism};
use ratelimiter_api::{CountingMode, StoreFailurePolicy};
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
    /// The setting against that cause.
    pub(super) remedy: Option<RemedySetting>,
}

/// A setting of the limiter, as the catalogue of actions has it.
#[derive(Clone, Copy, Debug)]
pub(super) struct RemedySetting {
    pub(super) counting: CountingMode,
    /// The failure policy; `None` for the one of the counting mode.
    pub(super) on_store_failure: Option<StoreFailurePolicy>,
}

impl RemedySetting {
    /// The recommended action, if it is a setting, or else the setting that the catalogue has
    /// against the named cause.
    fn of(evidence: &Evidence, answer: &Diagnosis) -> Option<Self> {
        let mechanism = answer.cause()?.mechanism;
        let recommended = answer.action.as_ref().map(|action| action.params.clone());
        let listed = evidence
            .actions
            .iter()
            .filter(|a| a.cures.contains(&mechanism));
        let defaults = listed.map(|action| {
            let params = action.params.iter();
            let named = params.filter_map(|p| Some((p.name.clone(), p.default.clone()?)));
            named.collect::<ActionParams>()
        });
        recommended.into_iter().chain(defaults).find_map(|params| {
            let word = |name: &str| params.get(name)?.as_str();
            Some(Self {
                counting: word("mode")?.parse().ok()?,
                on_store_failure: word("on_store_failure").and_then(|word| word.parse().ok()),
            })
        })
    }
}

impl fmt::Display for RemedySetting {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.counting)?;
        self.on_store_failure
            .map_or(Ok(()), |policy| write!(f, ", {policy}"))
    }
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
        remedy: RemedySetting::of(&evidence, answer),
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
            remedy: _,
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
