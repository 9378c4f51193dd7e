//! The eleven chapters. One file an act: each makes its chapters, and each chapter's callback
//! stands beside it. A chapter hands its result to later ones through a `Handover`; every round of
//! the detector is shown by `rounds`.

mod charts;
mod comparison;
mod counts;
mod diagnosing;
mod drift;
mod encore;
mod ending;
mod ghost;
mod handover;
mod notes;
mod opening;
mod proof;
mod rounds;

use std::sync::Arc;

use demo_core::Chapter;

pub(crate) use charts::charts;
pub(crate) use rounds::show_rounds;

use crate::cluster::DemoCluster;
use encore::StoryResults;

/// Name of the cluster, for the audience.
pub(crate) const SUBJECT: &str = "A distributed rate limiter: three nodes, one store";

/// Number of chapters.
pub(crate) const CHAPTERS: i64 = 11;

/// The story, in order; with `remedy` its encore is played without a key.
pub(crate) fn chapters(cluster: &Arc<DemoCluster>, remedy: bool) -> Vec<Chapter> {
    let results = StoryResults::new(cluster);
    let mut chapters = opening::chapters(cluster);
    let [drift, ghost] = &results.diagnoses;
    chapters.extend(drift::chapters(cluster, &results.paused, drift));
    chapters.extend(ghost::chapters(cluster, &results.sent, ghost));
    chapters.push(ending::chapter(results, remedy));
    chapters
}
