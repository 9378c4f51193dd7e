//! The eleven chapters. One file an act: each makes its chapters, and each chapter's callback
//! stands beside it. A chapter hands its result to later ones through a `Handover`; every round of
//! the detector is shown by `rounds`.

mod charts;
mod comparison;
mod counts;
mod diagnosing;
mod drift;
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
use handover::Handover;

/// Name of the cluster, for the audience.
pub(crate) const SUBJECT: &str = "A distributed rate limiter: three nodes, one store";

/// Number of chapters.
pub(crate) const CHAPTERS: i64 = 11;

/// The story, in order.
pub(crate) fn chapters(cluster: &Arc<DemoCluster>) -> Vec<Chapter> {
    let diagnoses = [Handover::new(), Handover::new()];
    let mut chapters = opening::chapters(cluster);
    chapters.extend(drift::chapters(cluster, &diagnoses[0]));
    chapters.extend(ghost::chapters(cluster, &diagnoses[1]));
    chapters.push(ending::chapter(cluster, diagnoses));
    chapters
}
