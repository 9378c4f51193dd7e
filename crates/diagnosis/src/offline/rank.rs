//! Orders the candidates: how well the evidence fits the mechanism, and how much of the incident it
//! explains.
//!
//! Walking the dependency graph from the symptom to the furthest anomalous entity finds more causes
//! than any score of single signals. Here it falls out of the share that is explained: an entity
//! further up reaches more of the changes, and a change before the candidate's own counts against
//! it. The rest is robust scores: how far beyond chance the entity's changes are, and how large.
//! Where dependencies or onsets cannot be trusted ([`RankingGrounds`]), the explained share says
//! less or nothing, and the scores decide.
//!
//! The scores count by their root: an entity that changed half as much as another is more than half
//! as good a cause. Where dependencies or onsets cannot be trusted, they count in full.
//!
//! [`RankingGrounds`]: super::view::RankingGrounds

use std::time::Duration;

use crate::{
    evidence::{EvidenceId, SignalRole},
    graph::EffectKind,
    offline::{
        case::{CauseCandidate, MOST_CITED},
        view::{ChangeRow, EvidenceView, SURGE, first_of_the_loud, rose_by},
    },
    result::{Hypothesis, HypothesisStatus, Mechanism},
};

/// No evidence makes certain.
pub(super) const MOST: f64 = 0.95;
/// The share left to a candidate that began clearly after the violation.
const LATE: f64 = 0.3;
/// The weight of a violation beside the loudest change, which weighs 1.
const VIOLATION: f64 = 1.5;
/// The share left to a candidate whose mechanism does not fit at all.
const LEAST_FIT: f64 = 0.5;
/// The share left to a candidate that is taken for load without being declared so.
const GUESSED: f64 = 0.85;
/// Changes beyond chance by this much, multiplied, make certain; a single one counts as [`CLEAR`]
/// at most.
const CERTAIN: f64 = 12.0;
const CLEAR: f64 = 6.0;
const EXPECTED: f64 = 2.5;

/// Something a cause has to explain.
#[derive(Debug, Clone, Copy)]
pub(super) struct SymptomItem {
    pub(super) entity: usize,
    pub(super) row: EvidenceId,
    /// The first moment at which it is seen, and how much earlier it may have begun.
    pub(super) seen: Duration,
    slack: Duration,
    weight: f64,
    /// The role of a change from outside: a load, a setting, a restart.
    pub(super) exogenous: Option<SignalRole>,
    pub(super) is_violation: bool,
}

impl SymptomItem {
    fn of(view: &EvidenceView<'_>, entity: usize, c: ChangeRow<'_>) -> Self {
        Self {
            entity,
            row: c.row.id,
            seen: c.onset,
            slack: c.onset_err,
            weight: view.loud(c.change),
            exogenous: c.is_exogenous().then_some(c.role),
            is_violation: false,
        }
    }
}

/// A candidate with its standing.
#[derive(Debug, Clone)]
pub(super) struct RankedCandidate<'a> {
    pub(super) case: CauseCandidate<'a>,
    /// The earliest possible beginning.
    pub(super) began: Duration,
    /// For each entity, whether an effect can reach it.
    pub(super) reach: Vec<bool>,
    /// The items it explains, by index.
    pub(super) explains: Vec<bool>,
    /// Quality of the cause, 0 to 1; orders the candidates.
    pub(super) score: f64,
    /// Distance of the explained changes from chance, 0 to 1.
    pub(super) certainty: f64,
}

/// All that has to be explained: every violated entity, every entity that changed, and every change
/// from outside.
pub(super) fn items(view: &EvidenceView<'_>) -> Vec<SymptomItem> {
    let mut items = Vec::new();
    for entity in view.entities() {
        if let Some((row, v)) = view.violations(entity).min_by_key(|(_, v)| v.t) {
            items.push(SymptomItem {
                entity,
                row: row.id,
                seen: v.t,
                slack: Duration::ZERO,
                weight: VIOLATION,
                exogenous: None,
                is_violation: true,
            });
        }
        let lasting = || view.changes(entity).filter(|c| c.is_sustained());
        let inner = lasting().filter(|c| !c.is_exogenous());
        if let Some(c) = first_of_the_loud(inner) {
            items.push(SymptomItem::of(view, entity, c));
        }
        // of what passed, a restart and a load that doubled at least
        let told = |c: &ChangeRow<'_>| {
            c.is_sustained() || c.role == SignalRole::Uptime || rose_by(c.change, SURGE)
        };
        let outer = view
            .changes(entity)
            .filter(|c| c.is_exogenous())
            .filter(told);
        items.extend(outer.map(|c| SymptomItem::of(view, entity, c)));
    }
    items
}

/// The loudest entity, the largest change, and the largest change of a load.
struct ScoreMaxima {
    loudness: f64,
    size: f64,
    load: f64,
}

impl RankedCandidate<'_> {
    /// The candidate as part of an answer, without its place in it.
    pub(super) fn hypothesis(
        &self,
        view: &EvidenceView<'_>,
        status: HypothesisStatus,
    ) -> Hypothesis {
        Hypothesis {
            id: String::new(),
            rank: 0,
            entity: view.graph.id(self.case.entity).to_owned(),
            mechanism: self.case.mechanism,
            statement: self.case.statement.clone(),
            status,
            confidence: self.score.min(MOST),
            supports: self.case.support().into_iter().take(MOST_CITED).collect(),
            against: self.case.against.iter().copied().take(MOST_CITED).collect(),
            chain: Vec::new(),
        }
    }
}

/// The candidates, best first.
pub(super) fn rank<'a>(
    view: &EvidenceView<'a>,
    items: &[SymptomItem],
    cases: Vec<CauseCandidate<'a>>,
) -> Vec<RankedCandidate<'a>> {
    let most = |of: &dyn Fn(usize) -> f64| view.entities().map(of).fold(0.0, f64::max);
    let most = ScoreMaxima {
        loudness: most(&|e| view.loudness[e]),
        size: most(&|e| view.size(e)),
        load: most(&|e| view.load_size(e)),
    };
    let mut ranked: Vec<RankedCandidate<'a>> = cases
        .into_iter()
        .map(|case| weigh(view, items, &most, case))
        .collect();
    ranked.sort_by(|a, b| {
        b.score
            .total_cmp(&a.score)
            .then(a.began.cmp(&b.began))
            .then(
                b.case
                    .trigger
                    .change
                    .excess
                    .total_cmp(&a.case.trigger.excess),
            )
    });
    ranked
}

fn weigh<'a>(
    view: &EvidenceView<'a>,
    items: &[SymptomItem],
    most: &ScoreMaxima,
    case: CauseCandidate<'a>,
) -> RankedCandidate<'a> {
    let mut reach = view.reach(case.entity, case.carries);
    for &entity in &case.also_explains {
        reach[entity] = true;
    }
    let support = case.support();
    let began = case.trigger.earliest();
    let explains: Vec<bool> = items
        .iter()
        .map(|item| support.contains(&item.row) || explains(view, &case, began, &reach, item))
        .collect();

    let total: f64 = items.iter().map(|i| i.weight).sum();
    let covered: f64 = items
        .iter()
        .zip(&explains)
        .filter(|(_, e)| **e)
        .map(|(i, _)| i.weight)
        .sum();
    let coverage = if total > 0.0 { covered / total } else { 0.0 };
    let share = |own: f64, most: f64| if most > 0.0 { own / most } else { 0.0 };
    let change = match case.mechanism {
        // the entity that has to do the work suffers most; the one that sends it is known by the
        // load alone
        Mechanism::MoreLoad => share(view.load_size(case.entity), most.load),
        _ => {
            share(view.loudness[case.entity], most.loudness)
                * share(view.size(case.entity), most.size)
        }
    };
    let mut score = (LEAST_FIT + (1.0 - LEAST_FIT) * case.fit()) * coverage;
    // two recordings that are joined at the violation date their changes a few samples late
    let tolerance = 3 * case.trigger.onset_err;
    if view
        .first_violation()
        .is_some_and(|t| began > t + tolerance)
    {
        score *= LATE;
    }
    if case.carries == EffectKind::Load && case.trigger.role == SignalRole::Other {
        score *= GUESSED;
    }
    let explained = view.trust.topology && view.trust.onsets;
    score *= if explained { change.sqrt() } else { change };

    // barely beyond chance, it takes several changes that agree
    let certainty = certainty(view, &case, &reach, &support);
    RankedCandidate {
        began,
        reach,
        explains,
        score,
        certainty,
        case,
    }
}

/// How far beyond chance the changes are that agree with the case, 0 to 1.
fn certainty(
    view: &EvidenceView<'_>,
    case: &CauseCandidate<'_>,
    reach: &[bool],
    support: &[EvidenceId],
) -> f64 {
    let trigger = case.trigger.change;
    // a load that came and went at the very moment of the violation is no chance
    let at_once = |t: Duration| {
        !trigger.is_sustained() && trigger.earliest() <= t && t <= trigger.onset + trigger.onset_err
    };
    let mut beyond = if view.first_violation().is_some_and(at_once) {
        EXPECTED.ln()
    } else {
        0.0
    };
    let agrees = |e: usize, c: &ChangeRow<'_>| {
        (e == case.entity || view.may_precede(trigger, c.change))
            && (c.is_sustained() || support.contains(&c.row.id))
    };
    for e in view
        .entities()
        .filter(|&e| reach[e] && view.graph.joined(e, case.entity))
    {
        if beyond >= CERTAIN.ln() {
            break;
        }
        for c in view.changes(e).filter(|c| agrees(e, c)) {
            // a change that the mechanism led to expect weighs more than one that merely happened
            // as well
            let expected = case.supports.contains(&c.row.id) && c.row.id != case.trigger.row.id;
            let excess = c
                .change
                .excess
                .clamp(if expected { EXPECTED } else { 1.0 }, CLEAR);
            beyond += excess.ln() * view.share(c.change);
        }
    }
    (beyond / CERTAIN.ln()).min(1.0).powf(0.7)
}

fn explains(
    view: &EvidenceView<'_>,
    case: &CauseCandidate<'_>,
    began: Duration,
    reach: &[bool],
    item: &SymptomItem,
) -> bool {
    // onsets are dated to a sample; where only they can decide, every sample counts
    let resolution = if view.trust.topology {
        case.trigger.onset_err
    } else {
        Duration::ZERO
    };
    if !reach[item.entity] || (view.trust.onsets && item.seen + resolution < began) {
        return false;
    }
    match item.exogenous {
        // a restart or a new setting is no effect of another entity
        Some(SignalRole::Setting) => false,
        Some(SignalRole::Uptime) => item.entity == case.entity,
        // load may be an effect, of retries for one, but then it comes clearly later
        Some(SignalRole::Demand) => {
            case.carries == EffectKind::Load
                || item.seen.saturating_sub(item.slack) > case.trigger.onset
        }
        _ => true,
    }
}
