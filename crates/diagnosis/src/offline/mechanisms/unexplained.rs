//! What changed first and furthest up, when no mechanism says more.

use crate::{
    evidence::Role,
    graph::Carries,
    offline::{
        case::{Case, Outcome},
        say::{name, went},
        view::{View, earliest, strongest},
    },
    result::Mechanism,
};

pub(super) fn case<'a>(view: &View<'a>, entity: usize) -> Option<Case<'a>> {
    let own = || view.changes(entity).filter(|c| c.change.is_sustained());
    let first = earliest(own()).or_else(|| strongest(view.changes(entity)))?;
    // among what began together, the furthest out speaks loudest
    let trigger = strongest(own().filter(|c| c.change.earliest() <= first.change.onset)).unwrap_or(first);
    let carries = if trigger.change.role == Role::Demand { Carries::Load } else { Carries::Fault };
    let mut case = Case::new(entity, Mechanism::Unexplained, carries, trigger);

    // there is always some mechanism: not to know which counts against it
    case.expect(3.0, Outcome::Missed(None));
    case.expect(1.0, Outcome::known(Some(trigger.change.is_sustained())));
    let above = earliest(
        view.graph
            .below(entity)
            .into_iter()
            .flat_map(|e| view.changes(e))
            .filter(|c| c.change.is_sustained() && c.change.earliest() <= trigger.change.onset),
    );
    case.expect(1.5, above.map_or(Outcome::Met(None), |c| Outcome::Missed(Some(c.row))));
    case.statement = format!("{} changed first: {}", name(view.graph.id(entity)), went(trigger));
    Some(case)
}
