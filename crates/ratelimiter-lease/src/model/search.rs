use std::collections::{HashSet, VecDeque};

use super::bounds::ModelBounds;
use super::event::ModelEvent;
use super::mutant::ProtocolMutant;
use super::world::{ModelBreach, ModelWorld};

/// The result of a search.
pub(super) struct SearchReport {
    /// States reached.
    pub(super) states: usize,
    /// Steps taken from them.
    pub(super) steps: usize,
    /// The first state that breaks an invariant, and a shortest way to it.
    pub(super) violation: Option<(ModelBreach, Vec<ModelEvent>)>,
}

/// Visits every state within the bounds, nearest first, until one breaks an invariant.
pub(super) fn search(bounds: ModelBounds, mutant: Option<ProtocolMutant>) -> SearchReport {
    let mut seen = HashSet::new();
    let mut came_from: Vec<(usize, Option<ModelEvent>)> = Vec::new();
    let mut next = VecDeque::new();
    let mut steps = 0;
    for world in ModelWorld::beginnings(bounds, mutant) {
        if seen.insert(world.fingerprint()) {
            next.push_back((came_from.len(), world));
            came_from.push((usize::MAX, None));
        }
    }
    while let Some((place, world)) = next.pop_front() {
        for action in world.actions() {
            steps += 1;
            let mut after = world.clone();
            let result = after.step(&action).and_then(|()| after.holds());
            if let Err(broken) = result {
                let mut trace = vec![action];
                let mut at = place;
                while let (before, Some(action)) = &came_from[at] {
                    trace.push(action.clone());
                    at = *before;
                }
                trace.reverse();
                return SearchReport {
                    states: seen.len(),
                    steps,
                    violation: Some((broken, trace)),
                };
            }
            if seen.insert(after.fingerprint()) {
                next.push_back((came_from.len(), after));
                came_from.push((place, Some(action)));
            }
        }
    }
    SearchReport {
        states: seen.len(),
        steps,
        violation: None,
    }
}
