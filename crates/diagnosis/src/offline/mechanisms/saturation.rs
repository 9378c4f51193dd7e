//! An entity is asked for more than it can do.

use crate::{
    evidence::{Direction, Role},
    graph::Carries,
    offline::{
        case::{Case, Outcome},
        say::{at, its, name, whose},
        view::{View, strongest},
    },
    result::Mechanism,
};

/// What too much work does to an entity.
const STRAIN: [Role; 5] =
    [Role::Utilisation, Role::Latency, Role::ChangeLatency, Role::Errors, Role::Backlog];

pub(super) fn case<'a>(view: &View<'a>, entity: usize) -> Option<Case<'a>> {
    let trigger = strongest(view.lasting(entity, &STRAIN, Direction::Up))?;
    let load = view.load_rise(entity, trigger.change.onset)?;
    let mut case = Case::new(entity, Mechanism::Saturation, Carries::Load, trigger);
    case.supports.push(load.row.id);

    let full = view.strongest(entity, &[Role::Utilisation], Direction::Up);
    let idle = view.steady(entity, &[Role::Utilisation]).next();
    case.expect(
        2.0,
        match (full, idle) {
            (Some(c), _) => Outcome::Met(Some(c.row)),
            (None, Some((row, _))) => Outcome::Missed(Some(row)),
            (None, None) => Outcome::Unknown,
        },
    );
    let lasts = load.change.is_sustained();
    case.expect(1.5, if lasts { Outcome::Met(None) } else { Outcome::Missed(Some(load.row)) });
    case.expect_no(2.5, view.unwell_below(entity, trigger.change));
    case.expect_no(1.5, view.unavailable(entity));
    let waits = view.lasting(entity, &[Role::Latency, Role::Backlog], Direction::Up).count();
    case.expect(1.0, Outcome::known(Some(waits > 0)));

    case.supports.extend(view.lasting(entity, &STRAIN, Direction::Up).map(|c| c.row.id));
    case.statement = format!(
        "{} was asked for more than it can do {}: {}, after {}",
        name(view, entity),
        at(trigger),
        its(trigger),
        whose(view, load)
    );
    Some(case)
}
