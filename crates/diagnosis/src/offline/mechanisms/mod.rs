//! One mechanism a file: the change that suggests it at an entity, and the expectations that
//! follow.

mod configuration_changed;
mod load_outran_propagation;
mod lost_path;
mod lost_state;
mod more_load;
mod restarted;
mod slowed_down;
mod stopped_accepting;
mod stopped_answering;
mod unexplained;
mod vocabulary;

use super::{case::CauseCandidate, view::EvidenceView};

type Pattern = for<'a> fn(&EvidenceView<'a>, usize) -> Option<CauseCandidate<'a>>;

const PATTERNS: [Pattern; 11] = [
    stopped_accepting::case,
    stopped_answering::case,
    restarted::case,
    lost_state::case,
    lost_path::case,
    slowed_down::case,
    more_load::case,
    load_outran_propagation::case,
    configuration_changed::case,
    unexplained::case,
    unexplained::load,
];

/// Every mechanism the evidence suggests anywhere.
pub(super) fn cases<'a>(view: &EvidenceView<'a>) -> Vec<CauseCandidate<'a>> {
    view.entities()
        .flat_map(|entity| {
            PATTERNS
                .iter()
                .filter_map(move |pattern| pattern(view, entity))
        })
        .collect()
}
