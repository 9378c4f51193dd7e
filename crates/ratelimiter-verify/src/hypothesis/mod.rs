//! Which known defect a violated run has, where its facts decide.

mod facts;

use serde::Serialize;

use crate::Phase::*;
use crate::{RunStatus, RunVerdict};
use facts::Fact::{self, *};

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

impl DefectHypothesis {
    /// All classes that can be named, in the order of their conditions; one may have several.
    pub fn classes() -> impl Iterator<Item = &'static str> {
        CONDITIONS.iter().map(|(class, ..)| *class)
    }
}

/// A class: the facts that it shows, the facts that speak against it, and what would decide.
type ClassCondition = (&'static str, &'static [Fact], &'static [Fact], &'static str);

/// The conditions of all classes. A class is named when no other one fits.
const CONDITIONS: &[ClassCondition] = &[
    (
        "nodes-count-alone",
        &[Over(TwoKeys), Over(Fields), Kept(OneNode), LoadParted],
        &[],
        "with one --url alone the same run passes",
    ),
    (
        "nodes-count-alone",
        &[FaultParted],
        &[Over(TwoKeys), Over(Burst)],
        "with one --url alone the same fault lets no more than the limit pass",
    ),
    (
        "late-sync",
        &[
            Over(Burst),
            Over(TwoKeys),
            Over(Fields),
            Kept(OneNode),
            SilenceStopped,
        ],
        &[LoadPassed],
        "with --phase burst the excess grows with the interval of the sync",
    ),
    (
        "reads-then-writes",
        &[Over(Burst), Kept(TwoKeys)],
        &[Doubled(Edge)],
        "with --phase two-keys the limit is kept, with --phase burst --multiplier 10 it is not",
    ),
    (
        "one-too-many",
        &[OneTooMany, Over(Burst), Over(Fields)],
        &[TooFew],
        "with a limit of one more the same run passes",
    ),
    (
        "window-edge",
        &[Doubled(Edge), Kept(TwoKeys), Kept(Fields)],
        &[Over(Burst), Over(Fault), LoadPassed],
        "with 'fixed' in --limit the same run passes, with 'fixed aligned' too",
    ),
    (
        "expires-as-a-whole",
        &[Doubled(FirstEdge), FitsFixed],
        &[Over(Edge), Over(Silent), Over(Burst), Over(Fault)],
        "with 'fixed' in --limit the same run passes",
    ),
    (
        "bucket-at-rest",
        &[RestGrew, Kept(Burst), Kept(Fields)],
        &[Over(Silent), Over(Edge), TooFew],
        "with --phase again a longer rest lets more pass",
    ),
    (
        "evaded-key",
        &[Over(Forged), Kept(Burst)],
        &[Over(TwoKeys)],
        "with --phase forged each address has a limit of its own",
    ),
    (
        "keys-share-a-quota",
        &[NewKeysDenied],
        &[TooMany],
        "with a fixed name in place of {key} the same run passes",
    ),
    (
        "cost-is-ignored",
        &[CostsPassedAsOnes, Kept(Fields)],
        &[Over(TwoKeys)],
        "with --phase burst --cost 2 twice the limit passes",
    ),
    (
        "dear-checks",
        &[Over(Costs), Kept(Burst), Kept(Fields)],
        &[CostsPassedAsOnes],
        "with --phase costs the same run is broken, with every other phase it passes",
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
        "window-pushed-on",
        &[DeniedBelow, Kept(Burst), Kept(Again)],
        &[TooMany, NotBack, NewKeysDenied, OneNodeHadAPart],
        "the TTL of the key in the store grows with every check",
    ),
    (
        "expiry",
        &[NotBack, LoadStopped, DeniedBelow],
        &[TooMany, NewKeysDenied],
        "the TTL of the key in the store is -1, or longer than the window",
    ),
    (
        "expiry",
        &[BackEarly, LoadPassed, Kept(Burst)],
        &[Over(TwoKeys)],
        "the TTL of the key in the store is shorter than the window",
    ),
    (
        "expiry",
        &[BackEarly, Over(Silent), Kept(Overload), Kept(Burst)],
        &[Over(TwoKeys), Over(Edge), Over(Again)],
        "the TTL of the key in the store is shorter than the window, and renewed",
    ),
    (
        "limit-is-split",
        &[OneNodeHadAPart],
        &[TooMany, NewKeysDenied],
        "with --phase one-node each --url alone admits a part",
    ),
    (
        "clocks",
        &[TooMany, NodeSpared, Kept(OneNode)],
        &[OneNodeHadAPart, SilenceStopped],
        "the clocks of the nodes differ, and with one --url alone the same run passes",
    ),
    (
        "state-lost",
        &[FaultForgot],
        &[Over(TwoKeys), FaultParted],
        "with --during 'a restart of the store' a used-up key is free again",
    ),
    (
        "fails-open",
        &[FaultOpened],
        &[Over(TwoKeys)],
        "with --during 'a stop of the store' nothing is denied",
    ),
    (
        "counted-twice",
        &[FaultCharged, Kept(Overload)],
        &[TooMany, DeniedBelow, NewKeysDenied, OneNodeHadAPart],
        "the store counts more than was admitted while its answers were lost",
    ),
    (
        "several-limits",
        &[LongestHadRoom],
        &[TooMany, NotBack, DeniedBelow, NewKeysDenied],
        "with one --limit alone each run passes",
    ),
    (
        "two-limits-one-key",
        &[TooMany, LongestIdle],
        &[TooFew, NewKeysDenied],
        "with the longest --limit left out the same run passes",
    ),
    (
        "wrong-fields",
        &[FieldsContradict],
        &[TooMany, TooFew],
        "with --fail-on excess --fail-on denials the same run passes",
    ),
];

/// The class that fits the facts of a violated run, if it is the only one.
pub(crate) fn of(verdict: &RunVerdict, nodes: usize) -> Option<DefectHypothesis> {
    if verdict.status != RunStatus::Violated {
        return None;
    }
    let facts = facts::of(verdict, nodes);
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
