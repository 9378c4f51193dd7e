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

use super::{case::Case, view::View};

type Pattern = for<'a> fn(&View<'a>, usize) -> Option<Case<'a>>;

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
pub(super) fn cases<'a>(view: &View<'a>) -> Vec<Case<'a>> {
    view.entities()
        .flat_map(|entity| {
            PATTERNS
                .iter()
                .filter_map(move |pattern| pattern(view, entity))
        })
        .collect()
}
