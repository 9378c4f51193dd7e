//! An entity answers more slowly, and nothing asks more of it.

use crate::{
    evidence::{Direction, Role},
    graph::Carries,
    offline::{
        case::{Case, Outcome},
        say::{at, its, name},
        view::{View, rose_by, strongest},
    },
    result::Mechanism,
};

/// Slower by less than this is not slow.
const SLOWER: f64 = 1.5;
const TIMES: [Role; 2] = [Role::Latency, Role::ChangeLatency];

pub(super) fn case<'a>(view: &View<'a>, entity: usize) -> Option<Case<'a>> {
    let trigger =
        strongest(view.lasting(entity, &TIMES, Direction::Up).filter(|c| rose_by(c.change, SLOWER)))?;
    let onset = trigger.change.onset;
    let mut case = Case::new(entity, Mechanism::SlowedDown, Carries::Fault, trigger);

    // whoever waits for something slow is slow as well
    case.expect_no(2.5, view.unwell_below(entity, trigger.change));
    case.expect_no(2.0, view.load_rise(entity, onset));
    case.expect_no(2.0, view.unavailable(entity));
    // changes alone being slow, with reads as fast as ever, is another mechanism
    let reads = view.steady(entity, &[Role::Latency]).next();
    case.expect(
        1.0,
        match reads {
            Some((row, _)) => Outcome::Missed(Some(row)),
            None => Outcome::known(Some(view.reports(entity, &[Role::Latency]))),
        },
    );
    let above = view.graph.above(entity);
    let waits =
        above.iter().find_map(|&e| view.unwell(e).find(|c| c.change.onset >= trigger.change.earliest()));
    case.expect_some(1.0, waits);

    case.supports.extend(view.lasting(entity, &TIMES, Direction::Up).map(|c| c.row.id));
    case.statement =
        format!("{} slowed down {} without more load: {}", name(view, entity), at(trigger), its(trigger));
    Some(case)
}
