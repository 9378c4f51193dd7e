use std::sync::Arc;

use demo_core::{Chapter, ChapterResult, Event, Stage, Tone};
use tokio::time::Instant;

use super::{act, workload};
use crate::subject::Subject;

/// Where the diagnosis is told.
const PANEL: &str = "diagnosis";

pub(super) fn chapters(subject: &Arc<Subject>) -> Vec<Chapter> {
    vec![act(
        Chapter::new(
            "Demo Complete",
            "Both faults were real, and what they did was measured. With --counting atomic every check is decided by one \
             script in the store: the same burst then passes exactly the limit, and the demo says that nothing broke.",
        )
        .key_hint("leave"),
        subject,
        complete,
    )]
}

/// The violations since `since`, each with its numbers.
pub(super) fn show_evidence(stage: &Stage, subject: &Subject, since: Instant) {
    let log = subject.detector().log();
    let mut lines = 0;
    for found in log.since(since) {
        let violation = &found.violation;
        let piece = format!("{} [{}]: {}\n", violation.invariant, violation.subject, violation.peak);
        stage.emit(Event::Text { panel: PANEL, piece });
        lines += 1;
    }
    if lines == 0 {
        stage.emit(Event::Text {
            panel: PANEL,
            piece: "no invariant was violated: there is nothing to explain\n".into(),
        });
    }
}

async fn complete(stage: Stage, subject: Arc<Subject>) -> ChapterResult {
    workload::stop(&subject).await;
    let tally = subject.acts().tally();
    let text = format!(
        "{} checks: {} allowed, {} denied, {} without an answer",
        tally.sent(),
        tally.allowed,
        tally.denied,
        tally.unknown
    );
    stage.say(Tone::Plain, text);
    if tally.skipped > 0 {
        stage.say(Tone::Warning, format!("{} checks could not be sent at their time", tally.skipped));
    }
    Ok(())
}
