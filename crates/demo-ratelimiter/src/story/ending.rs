use std::sync::Arc;

use demo_core::{Chapter, ChapterResult, Stage, Tone};

use super::comparison;
use super::diagnosing::CauseComparison;
use super::handover::Handover;
use crate::cluster::DemoCluster;

pub(super) fn chapter(
    cluster: &Arc<DemoCluster>,
    diagnoses: [Handover<CauseComparison>; 2],
) -> Chapter {
    Chapter::new(
        "Demo Complete",
        "Both faults were real, and their effects were measured. The table compares the counting \
         modes: how many checks of \
         the same burst each of them allows, and at what price. --counting MODE plays the whole \
         story in one of them.",
    )
    .key_hint("leave")
    .on_enter_with((Arc::clone(cluster), diagnoses), complete)
}

async fn complete(
    stage: Stage,
    (cluster, diagnoses): (Arc<DemoCluster>, [Handover<CauseComparison>; 2]),
) -> ChapterResult {
    let traffic = &cluster.live.traffic;
    traffic.stop().await;
    let tally = traffic.tally();
    let text = format!(
        "{} checks: {} allowed, {} denied, {} without a decision",
        tally.sent(),
        tally.allowed,
        tally.denied,
        tally.failed + tally.unknown
    );
    stage.say(Tone::Plain, text);
    if tally.skipped > 0 {
        stage.say(
            Tone::Warning,
            format!("{} checks could not be sent at their time", tally.skipped),
        );
    }
    comparison::compare(&stage, &cluster).await?;
    // A chapter that was skipped has no diagnosis.
    for diagnosed in diagnoses.iter().filter_map(Handover::latest) {
        diagnosed.compare(&stage);
    }
    Ok(())
}
