use std::sync::Arc;

use demo_core::{Chapter, ChapterResult, Stage, Tone};

use super::{act, workload};
use crate::subject::Subject;

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
    super::diagnosing::compare(&stage, &subject);
    Ok(())
}
