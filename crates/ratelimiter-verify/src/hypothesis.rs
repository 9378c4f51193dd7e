//! Which known defect a violated run has, where its facts decide.

use std::collections::BTreeMap;

use ratelimiter_invariants::ContractKind;
use serde::Serialize;

use crate::{FindingKind, KeyJudgement, Phase, RunFinding, RunStatus, RunVerdict};

/// A known class of defects that fits the facts of a run, alone of all classes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct DefectHypothesis {
    /// Name of the class, and of its section in `docs/defects.md`.
    pub class: &'static str,
    /// The facts for it, as measured.
    pub facts: Vec<String>,
    /// The command that would decide.
    pub decide: &'static str,
}

/// A fact of a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Fact {
    /// More than a limit was proved to be admitted.
    TooMany,
    /// No check was denied of more than the limit, one after the other by turns over the nodes.
    PassedInTurn,
    /// One node alone admitted the limit and then denied.
    OneNodeKept,
    /// One node alone admitted its part of the limit and then denied.
    OneNodeHadAPart,
    /// Twice as much as promised passed of a steady load.
    LoadPassed,
    /// Less than two thirds of the promise passed of a steady load.
    LoadStarved,
    /// A steady load was admitted the limit, and nothing more in three windows.
    LoadStopped,
    /// A steady load was admitted one check in as many seconds as checks a second are promised.
    LoadTrickled,
    /// Most new keys were denied from their first check.
    NewKeysDenied,
    /// As many checks of several costs passed as of cost 1 are promised.
    CostsPassedAsOnes,
    /// With the denied checks charged, the denials under a steady load have a cause.
    DeniedSeemCharged,
    /// Checks below the limit were denied.
    DeniedBelow,
    /// The quota was not back after a window of silence.
    NotBack,
    /// The quota was back after each part of a window of silence.
    BackEarly,
    /// Nothing was denied during the fault, to a key that was used up before.
    FaultOpened,
    /// A used-up key was admitted once more, at most the limit, and then denied again.
    FaultForgot,
}

use Fact::{
    BackEarly, CostsPassedAsOnes, DeniedBelow, DeniedSeemCharged, FaultForgot, FaultOpened,
    LoadPassed, LoadStarved, LoadStopped, LoadTrickled, NewKeysDenied, NotBack, OneNodeHadAPart,
    OneNodeKept, PassedInTurn, TooMany,
};

/// A class: the facts that it shows, the facts that speak against it, and what would decide.
type ClassCondition = (&'static str, &'static [Fact], &'static [Fact], &'static str);

/// The conditions of all classes. A class is named when no other one fits.
const CONDITIONS: [ClassCondition; 10] = [
    (
        "nodes-count-alone",
        &[PassedInTurn, OneNodeKept, LoadPassed],
        &[],
        "with one --url alone the same run passes",
    ),
    (
        "keys-share-a-quota",
        &[NewKeysDenied],
        &[TooMany],
        "with a fixed name in place of {key} the same run passes",
    ),
    (
        "cost-is-ignored",
        &[CostsPassedAsOnes, OneNodeKept],
        &[PassedInTurn],
        "with --phase burst --cost 2 twice the limit passes",
    ),
    (
        "rate-inverted",
        &[LoadTrickled],
        &[TooMany, NewKeysDenied, DeniedSeemCharged],
        "with --phase overload --for 30m the admissions have that distance",
    ),
    (
        "denied-are-charged",
        &[DeniedSeemCharged, LoadStarved],
        &[TooMany, DeniedBelow, NewKeysDenied, OneNodeHadAPart],
        "with 'charge=all' in --limit the same run passes",
    ),
    (
        "expiry",
        &[NotBack, LoadStopped, DeniedBelow],
        &[TooMany, NewKeysDenied],
        "the TTL of the key in the store is -1, or longer than the window",
    ),
    (
        "expiry",
        &[BackEarly, LoadPassed],
        &[PassedInTurn],
        "the TTL of the key in the store is shorter than the window",
    ),
    (
        "limit-is-split",
        &[OneNodeHadAPart],
        &[TooMany, NewKeysDenied],
        "with --phase one-node each --url alone admits a part",
    ),
    (
        "state-lost",
        &[FaultForgot],
        &[PassedInTurn],
        "with --during 'a restart of the store' a used-up key is free again",
    ),
    (
        "fails-open",
        &[FaultOpened],
        &[PassedInTurn],
        "with --during 'a stop of the store' nothing is denied",
    ),
];

/// The class that fits the facts of a violated run, if it is the only one.
pub(crate) fn of(verdict: &RunVerdict, nodes: usize) -> Option<DefectHypothesis> {
    if verdict.status != RunStatus::Violated {
        return None;
    }
    let facts = facts(verdict, nodes);
    let has = |fact: &Fact| facts.contains_key(fact);
    let fits = |(_, holds, against, _): &&ClassCondition| {
        holds.iter().all(has) && !against.iter().any(has)
    };
    let mut fitting = CONDITIONS.iter().filter(fits);
    let (class, holds, _, decide) = fitting.next()?;
    let alone = fitting.next().is_none();
    alone.then(|| DefectHypothesis {
        class,
        facts: holds.iter().map(|fact| facts[fact].clone()).collect(),
        decide,
    })
}

/// The facts of a run, in words.
fn facts(verdict: &RunVerdict, nodes: usize) -> BTreeMap<Fact, String> {
    let mut facts = BTreeMap::new();
    // Of several limits, the one that denied is not known.
    let alone = verdict
        .judged
        .first()
        .filter(|one| one.report.others.is_empty());
    let limit = alone.map(|one| &one.report.contract);
    let Some(limit) = limit.filter(|limit| ContractKind::WINDOWS.contains(&limit.kind())) else {
        return facts;
    };
    let (most, window) = (u64::from(limit.max()), limit.window().as_secs_f64());
    let of = |phase| {
        let judged = verdict.judged.iter();
        judged.filter(move |one| one.phase == Some(phase))
    };
    let allowed = |one: &KeyJudgement| one.report.operations.allowed;
    let denied = |one: &KeyJudgement| one.report.operations.denied;
    let mut fact = |fact, text: String| {
        facts.insert(fact, text);
    };

    let excesses = verdict.found(FindingKind::Excess);
    if excesses > 0 {
        fact(
            TooMany,
            format!("too many were admitted in {excesses} histories"),
        );
    }
    let in_turn = Vec::from_iter([of(Phase::TwoKeys).next(), of(Phase::Fields).next()]);
    if in_turn
        .iter()
        .all(|one| one.is_some_and(|one| allowed(one) > most && denied(one) == 0))
    {
        let passed = in_turn.iter().flatten().map(|one| allowed(one)).max();
        let passed = passed.unwrap_or_default();
        fact(
            PassedInTurn,
            format!("{passed} of {passed} checks in turn passed over {nodes} nodes"),
        );
    }
    if let Some(one) = of(Phase::OneNode).next().filter(|one| denied(one) > 0) {
        let (allowed, part) = (allowed(one), most / nodes as u64);
        let text = format!("one node alone admitted {allowed} of {most}");
        if allowed >= most {
            fact(OneNodeKept, text);
        } else if nodes > 1 && (part..=part + 1).contains(&allowed) {
            fact(
                OneNodeHadAPart,
                format!("{text}, and there are {nodes} nodes"),
            );
        }
    }
    if let Some(one) = of(Phase::Overload).next() {
        let (allowed, took) = (allowed(one), one.took.as_secs_f64());
        let promised = most as f64 * took / window;
        let text = format!("a steady load was admitted {allowed} in {took:.0} s");
        let beyond = allowed.saturating_sub(most) as f64;
        let apart = most as f64 / window;
        if allowed as f64 > 2.0 * promised {
            fact(LoadPassed, text.clone());
        } else if (allowed as f64) < promised / 1.5 {
            fact(LoadStarved, text.clone());
        }
        if allowed <= most && limit.kind() != ContractKind::TokenBucket {
            fact(LoadStopped, text.clone());
        }
        if apart > 1.0 && beyond >= 1.0 && (beyond - took / apart).abs() <= 1.0 {
            fact(
                LoadTrickled,
                format!("{text}: {beyond} after the first {most}, one in {apart:.1} s"),
            );
        }
        if one.report.denied_seem_charged {
            let text = "with the denied checks charged, each denial has a cause";
            fact(DeniedSeemCharged, text.to_owned());
        }
    }
    let new =
        |one: &&KeyJudgement| one.phase != Some(Phase::Fault) && one.key != verdict.judged[0].key;
    let keys = verdict.judged.iter().filter(new).count();
    let late = verdict
        .judged
        .iter()
        .filter(new)
        .filter(|one| one.begins_denied)
        .count();
    if late * 2 > keys {
        fact(
            NewKeysDenied,
            format!("{late} of {keys} new keys were denied from their first check"),
        );
    }
    if of(Phase::Costs).any(|one| allowed(one) == most && most > 3) {
        fact(
            CostsPassedAsOnes,
            format!("{most} checks of cost 1, 2 and 3 passed"),
        );
    }
    if of(Phase::Steady).any(|one| denied(one) > 0) {
        fact(DeniedBelow, "a load below the limit was denied".to_owned());
    }
    let not_back = |one: &KeyJudgement| {
        let waited = |finding: &RunFinding| match finding {
            RunFinding::NoReturn { waited, .. } => *waited >= limit.window(),
            _ => false,
        };
        !one.report.unjustified_denials.is_empty() || one.findings.iter().any(waited)
    };
    if of(Phase::Return).any(not_back) {
        fact(
            NotBack,
            "the quota was not back after a window of silence".to_owned(),
        );
    }
    let back = |one: &KeyJudgement| allowed(one) >= 2 * most;
    if of(Phase::Silent).next().is_some() && of(Phase::Silent).all(back) {
        fact(
            BackEarly,
            "the quota was back after each part of a window".to_owned(),
        );
    }
    if let Some((one, band)) = of(Phase::Fault).find_map(|one| Some((one, one.fault?))) {
        let [before, during, after] = [band.effect.before, band.effect.during, band.effect.after];
        let text = format!("{} of {most} passed around the fault", one.peaks());
        let used_up = before.denied > 0 && allowed(one) > most;
        if used_up && during.denied == 0 && during.checks > during.errors {
            fact(
                FaultOpened,
                format!("{text}, and nothing was denied during it"),
            );
        } else if used_up && allowed(one) <= 2 * most && after.denied > 0 {
            fact(FaultForgot, format!("{text}, and then it denied again"));
        }
    }
    facts
}
