use demo_core::{Chapter, ChapterResult, Stage, Tone};

use super::comparison;
use super::encore::{StoryResults, YOURS, encore};
use super::handover::Handover;

/// Further steps, for the audience.
const NEXT: [&str; 2] = [
    "the same faults with their remedies: the key a, or --remedy",
    YOURS,
];

/// With `remedy` the encore follows without a key.
pub(super) fn chapter(results: StoryResults, remedy: bool) -> Chapter {
    Chapter::new(
        "Demo Complete",
        "Both faults were real, and their effects were measured. Now the same burst for every \
         counting mode: its bar has the allowed checks, with the excess.",
    )
    .key_hint("leave")
    .on_enter_with((results.clone(), remedy), complete)
    .encore_with(results, encore)
}

async fn complete(stage: Stage, (results, remedy): (StoryResults, bool)) -> ChapterResult {
    let cluster = &results.cluster;
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
    // A chapter that was skipped has no diagnosis.
    for diagnosed in results.diagnoses.iter().filter_map(Handover::latest) {
        diagnosed.compare(&stage);
    }
    let prices = comparison::compare(&stage, cluster).await?;
    results.prices.give(prices);
    NEXT.iter().for_each(|next| stage.say(Tone::Plain, *next));
    if remedy && !stage.is_cancelled() {
        encore(stage, results).await?;
    }
    Ok(())
}
