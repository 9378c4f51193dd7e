//! Load rose faster than state propagates, so decisions were taken on stale local state.

use std::time::Duration;

use super::vocabulary::*;
use crate::{
    evidence::{PROPAGATION, rounded},
    figure::short,
};

pub(super) fn case<'a>(view: &EvidenceView<'a>, entity: usize) -> Option<CauseCandidate<'a>> {
    let trigger = strongest(
        view.changes(entity)
            .filter(|c| c.change.role == SignalRole::Demand && rose_by(c.change, SURGE)),
    )?;
    let topology = &view.evidence.topology;
    let interval = |e: usize| topology.entities[e].propagation;
    if view.entities().filter(|&e| interval(e).is_some()).count() < 2 {
        return None;
    }
    let below = view.graph.below(entity);
    let deciders: Vec<usize> = below
        .iter()
        .copied()
        .chain([entity])
        .filter(|&e| interval(e).is_some())
        .collect();
    let shortest = deciders.iter().filter_map(|&e| interval(e)).min()?;
    let outran = outran(trigger.change.rise, trigger.change.onset_err, shortest)?;
    let mut case = CauseCandidate::new(
        entity,
        Mechanism::LoadOutranPropagation,
        EffectKind::Load,
        trigger,
    );
    case.expect(
        2.0,
        if outran {
            CaseExpectation::Met(None)
        } else {
            CaseExpectation::Unknown
        },
    );

    // load passed on from elsewhere began elsewhere
    let passed_on = view.graph.above(entity).into_iter().find_map(|e| {
        view.changes(e).find(|c| {
            c.change.role == SignalRole::Demand
                && c.change.earliest() <= trigger.change.onset
                && rose_by(c.change, SURGE)
        })
    });
    case.expect_no(1.5, passed_on);

    // decisions from stale state fall while it is stale: until the next exchange
    let stale_until = trigger.change.onset + 2 * shortest;
    let reactions = |e: usize| {
        view.changes(e).filter(|c| {
            matches!(
                c.change.role,
                SignalRole::Throughput
                    | SignalRole::Volume
                    | SignalRole::Backlog
                    | SignalRole::Demand
            ) && c.change.onset >= trigger.change.earliest()
        })
    };
    let others = || deciders.iter().copied().filter(|&e| e != entity);
    let reacted: Vec<_> = others()
        .filter_map(|e| strongest(reactions(e).filter(|c| c.change.earliest() <= stale_until)))
        .collect();
    case.supports.extend(reacted.iter().map(|c| c.row.id));
    case.expect(
        1.5,
        match (
            reacted.is_empty(),
            others().find_map(|e| strongest(reactions(e))),
        ) {
            (false, _) => CaseExpectation::Met(None),
            (true, Some(late)) => CaseExpectation::Missed(Some(late.row)),
            (true, None) => CaseExpectation::Unknown,
        },
    );

    // nothing below may have been unwell before: then it was not the load
    let ill = view.unwell_below(entity, trigger.change);
    case.expect_no(3.0, ill);
    // and a stuck dependency keeps state from all, under any load
    let stuck = below
        .iter()
        .filter(|&&e| interval(e).is_none())
        .find_map(|&e| {
            view.unwell(e).find(|c| {
                matches!(
                    c.change.role,
                    SignalRole::ProgressAge | SignalRole::Availability
                )
            })
        });
    case.expect_no(2.0, stuck);
    let well: Vec<_> = below
        .iter()
        .filter(|&&e| interval(e).is_none())
        .filter_map(|&e| {
            view.steady(
                e,
                &[
                    SignalRole::ProgressAge,
                    SignalRole::Latency,
                    SignalRole::Availability,
                ],
            )
            .next()
        })
        .collect();

    let declared = deciders
        .iter()
        .filter(|&&e| interval(e) == Some(shortest))
        .find_map(|&e| {
            view.steady(e, &[SignalRole::Setting])
                .find(|(_, s)| s.signal == PROPAGATION)
        });
    case.cites.extend(
        well.iter()
            .take(2)
            .map(|s| s.0.id)
            .chain(declared.map(|d| d.0.id)),
    );
    let names: Vec<String> = deciders
        .iter()
        .filter(|&&e| e != entity)
        .take(4)
        .map(|&e| name(view, e))
        .collect();
    case.statement = format!(
        "{} sent load faster than state propagates {}: {} within {} s",
        name(view, entity),
        at(trigger),
        its(trigger),
        short(rounded(trigger.change.rise))
    );
    if let Some((row, _)) = declared {
        let who = if names.is_empty() {
            "state is".to_owned()
        } else {
            format!("the state of {} is", list(&names))
        };
        case.statement += &format!(
            ", and {who} exchanged every {} s [{}]",
            short(rounded(shortest)),
            row.id
        );
    }
    Some(case)
}

/// Whether the rise outran the exchange: `Some(true)` when it took no longer, `Some(false)` when
/// the samples are too far apart to tell, `None` when it was slower.
fn outran(rise: Duration, resolution: Duration, interval: Duration) -> Option<bool> {
    if rise <= interval.mul_f64(1.05) {
        Some(true)
    } else if rise <= interval + 2 * resolution {
        Some(false)
    } else {
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rise_is_compared_within_sample_resolution() {
        let ms = Duration::from_millis;
        assert_eq!(outran(ms(20), ms(20), ms(200)), Some(true));
        assert_eq!(outran(ms(400), ms(200), ms(200)), Some(false));
        assert_eq!(outran(ms(4_000), ms(200), ms(200)), None);
    }
}
