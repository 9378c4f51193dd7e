//! A dependency accepts no more changes while it still answers reads; or it accepts them, and does
//! not confirm them.

use super::{lost_path, vocabulary::*};

/// The roles that grow at a dependant whose changes are not accepted.
const STUCK: [SignalRole; 3] = [
    SignalRole::ProgressAge,
    SignalRole::Backlog,
    SignalRole::ChangeLatency,
];
/// Changes taking this much longer are as good as not accepted, where no age is reported.
const ENDLESS: f64 = 10.0;
/// Reads this much slower still pass.
const STILL_PASSING: f64 = 3.0;

pub(super) fn case<'a>(view: &EvidenceView<'a>, entity: usize) -> Option<CauseCandidate<'a>> {
    // with peers that get through, it is the way from here that is lost, not the entity that
    // stopped
    if view.graph.dependants(entity).is_empty() || lost_path::peers_get_through(view, entity) {
        return None;
    }
    let trigger = match view.strongest(entity, &[SignalRole::ProgressAge], Direction::Up) {
        Some(_) if view.ages_hold(entity) => return None,
        Some(grown) => grown,
        None => view
            .strongest(entity, &[SignalRole::ChangeLatency], Direction::Up)
            .filter(|c| {
                rose_by(c.change, ENDLESS) && !view.reports(entity, &[SignalRole::ProgressAge])
            })?,
    };
    let taken = view.strongest(entity, &[SignalRole::Unconfirmed], Direction::Up);
    let mechanism = if taken.is_some() {
        Mechanism::ConfirmationsLost
    } else {
        Mechanism::StoppedAcceptingChanges
    };
    let mut case = CauseCandidate::new(entity, mechanism, EffectKind::Fault, trigger);

    let reads = view.steady(entity, &[SignalRole::Latency]).next();
    let alive = view.steady(entity, &[SignalRole::Availability]).next();
    let slower = view
        .lasting(entity, &[SignalRole::Latency], Direction::Up)
        .find(|c| {
            rose_by(c.change, STILL_PASSING) && c.change.after.median > 2.0 * c.change.before.median
        });
    let down = view.unavailable(entity);
    case.expect(
        3.0,
        match (down.or(slower), reads.or(alive)) {
            (Some(bad), _) => CaseExpectation::Missed(Some(bad.row)),
            (None, Some(_)) => CaseExpectation::Met(None),
            (None, None) => CaseExpectation::known(view.answers(entity)),
        },
    );

    let mut stuck = Vec::new();
    let mut spared = None;
    let mut reporting = 0_usize;
    for &dependant in view.graph.dependants(entity) {
        if !view.reports(dependant, &STUCK) {
            continue;
        }
        reporting += 1;
        match view.strongest(dependant, &STUCK, Direction::Up) {
            Some(c) => stuck.push(c),
            None => spared = spared.or(view.steady(dependant, &STUCK).next()),
        }
    }
    let share = if reporting == 0 {
        None
    } else {
        Some(stuck.len() * 2 > reporting)
    };
    case.supports.extend(stuck.iter().map(|c| c.row.id));
    case.expect(
        4.0,
        if share == Some(false) {
            CaseExpectation::Missed(spared.map(|s| s.0))
        } else {
            CaseExpectation::known(share)
        },
    );

    // an entity that waits for something else has not stopped of itself
    let blocked = view.unwell_below(entity, trigger.change);
    case.expect(
        1.5,
        match blocked {
            Some(below) => CaseExpectation::Missed(Some(below.row)),
            None => CaseExpectation::known(Some(view.graph.dependencies(entity).is_empty())),
        },
    );

    let (id, at) = (name(view, entity), at(trigger));
    let reads = reads
        .or(alive)
        .filter(|_| down.is_none() && slower.is_none());
    case.cites.extend(reads.map(|r| r.0.id));
    if let Some(taken) = taken {
        case.supports.push(taken.row.id);
        case.statement = format!(
            "{id} takes changes whose confirmations do not arrive {at}: {}, while {}",
            its(trigger),
            its(taken)
        );
        return Some(case);
    }
    case.statement = match reads {
        Some(row) => {
            format!(
                "{id} stopped accepting changes {at} while its {}: {}",
                held(row),
                its(trigger)
            )
        }
        None => format!("{id} stopped accepting changes {at}: {}", its(trigger)),
    };
    Some(case)
}
