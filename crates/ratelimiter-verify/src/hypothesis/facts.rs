//! The facts of a run that decide between classes, in words.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use ratelimiter_invariants::{Contract, ContractKind, Report, Verdict};

use crate::{FindingKind, KeyJudgement, Phase, RunFinding, RunVerdict};

/// A fact of a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Fact {
    /// More than a limit was proved to be admitted.
    TooMany,
    /// A check was denied without cause.
    TooFew,
    /// A statement contradicts the answers.
    FieldsContradict,
    /// A phase admitted more than the limit; of bursts at least two.
    Over(Phase),
    /// A phase admitted half as many again as the limit, or more.
    Doubled(Phase),
    /// A phase reached the limit, kept it, and denied nothing without cause.
    Kept(Phase),
    /// Each phase that asks a fresh key admitted one more than the limit.
    OneTooMany,
    /// One node alone admitted its part of the limit and then denied.
    OneNodeHadAPart,
    /// Denials without cause spared one of the nodes.
    NodeSpared,
    /// Nearly as much of a steady load passed as each node alone promises.
    LoadParted,
    /// Nearly twice as much as promised passed of a steady load.
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
    /// The quota was back after a part of a window of silence.
    BackEarly,
    /// After a part of a window, a key that had admitted too many admitted nothing.
    SilenceStopped,
    /// Bursts a rest apart admitted a few too many.
    RestGrew,
    /// All records fit fixed windows of the same limit.
    FitsFixed,
    /// Nothing was denied during the fault, to a key that was used up before.
    FaultOpened,
    /// A used-up key was admitted once more, at most the limit, and then denied again.
    FaultForgot,
    /// A fresh key was admitted a limit for each node during the fault, and then denied.
    FaultParted,
    /// Checks were admitted during the fault, and denied without cause after it.
    FaultCharged,
    /// Of several limits the longest alone is exceeded, as if it were not there.
    LongestIdle,
    /// Checks were denied although the longest limit had room in all of the history.
    LongestHadRoom,
}

use Fact::*;

/// Shares of the promise above which a load passes, by the number of nodes above which each has
/// passed a limit, and below which it starves.
const PASSES: f64 = 1.8;
const PARTED: f64 = 0.85;
const STARVES: f64 = 1.0 / 1.5;

/// Denials without cause that do not spare a node by chance.
const MANY: usize = 8;

/// The facts of a verdict on windows or a bucket.
pub(super) fn of(verdict: &RunVerdict, nodes: usize) -> BTreeMap<Fact, String> {
    let Some(first) = verdict.judged.first() else {
        return BTreeMap::new();
    };
    let limits = Vec::from_iter(first.report.by_limit().map(|limit| &limit.contract));
    let is_window = |limit: &&Contract| ContractKind::WINDOWS.contains(&limit.kind());
    if !limits.iter().all(is_window) {
        return BTreeMap::new();
    }
    let longest = limits.iter().max_by_key(|limit| limit.window());
    let limit = longest.copied().unwrap_or(&first.report.contract);
    let mut read = FactReading {
        verdict,
        nodes: nodes as u64,
        limit,
        most: u64::from(limit.max()),
        facts: BTreeMap::new(),
    };
    read.everywhere();
    if let [_] = limits[..] {
        Phase::all().iter().for_each(|phase| read.phase(*phase));
        read.fresh_keys();
        read.load();
        read.silence();
        read.fault();
    } else {
        read.several(&limits);
    }
    read.facts
}

/// The reading of a verdict by one limit, of several the longest.
struct FactReading<'a> {
    verdict: &'a RunVerdict,
    nodes: u64,
    limit: &'a Contract,
    /// Checks in a window.
    most: u64,
    facts: BTreeMap<Fact, String>,
}

fn allowed(one: &KeyJudgement) -> u64 {
    one.report.operations.allowed
}

fn denied(one: &KeyJudgement) -> u64 {
    one.report.operations.denied
}

fn is_broken(report: &Report) -> bool {
    matches!(report.verdict, Verdict::Violated(_))
}

impl<'a> FactReading<'a> {
    fn add(&mut self, fact: Fact, text: impl Into<String>) {
        self.facts.insert(fact, text.into());
    }

    fn judged(&self, phase: Phase) -> Vec<&'a KeyJudgement> {
        let judged = self.verdict.judged.iter();
        judged.filter(|one| one.phase == Some(phase)).collect()
    }

    /// Facts of any promise.
    fn everywhere(&mut self) {
        for (fact, kind, what) in [
            (TooMany, FindingKind::Excess, "too many were admitted"),
            (
                TooFew,
                FindingKind::Denials,
                "checks were denied without cause",
            ),
            (
                FieldsContradict,
                FindingKind::Claims,
                "statements contradict the answers",
            ),
        ] {
            let found = self.verdict.found(kind);
            if found > 0 {
                self.add(fact, format!("{what} in {found} histories"));
            }
        }
        let (window, judged) = (self.limit.window(), &self.verdict.judged);
        let new = |one: &&KeyJudgement| one.phase != Some(Phase::Fault) && one.key != judged[0].key;
        let keys = judged.iter().filter(new).count();
        let late = judged.iter().filter(new).filter(|one| one.begins_denied);
        let late = late.count();
        if late * 2 > keys {
            let text = format!("{late} of {keys} new keys were denied from their first check");
            self.add(NewKeysDenied, text);
        }
        if self.judged(Phase::Steady).iter().any(|one| denied(one) > 0) {
            self.add(DeniedBelow, "a load below the limit was denied");
        }
        let not_back = |one: &&KeyJudgement| {
            let waited = |finding: &RunFinding| match finding {
                RunFinding::NoReturn { waited, .. } => *waited >= window,
                _ => false,
            };
            !one.report.unjustified_denials.is_empty() || one.findings.iter().any(waited)
        };
        if self.judged(Phase::Return).iter().any(not_back) {
            self.add(NotBack, "the quota was not back after a window of silence");
        }
        let denials = judged
            .iter()
            .flat_map(|one| &one.report.unjustified_denials);
        let by_node = BTreeSet::from_iter(denials.clone().map(|denial| &denial.operation.node));
        let (denials, some) = (denials.count(), by_node.len() as u64);
        if denials >= MANY && some < self.nodes {
            let nodes = self.nodes;
            let text = format!("{some} of {nodes} nodes made all {denials} denials without cause");
            self.add(NodeSpared, text);
        }
    }

    /// Admissions of a history that keeps the limit, where it is over in a part of a window.
    fn room(&self, took: Duration) -> Option<u64> {
        let windows = took.as_secs_f64() / self.limit.window().as_secs_f64();
        let back = match self.limit.kind() {
            ContractKind::TokenBucket => (windows * self.most as f64) as u64 + 1,
            _ => 0,
        };
        (windows < 0.5).then_some(self.most + back)
    }

    /// Whether a history has too many. Where windows are fixed, up to two limits cannot be proved.
    fn is_over(&self, one: &KeyJudgement) -> bool {
        let at_once = [Phase::Burst, Phase::TwoKeys, Phase::OneNode, Phase::Fields];
        let is_short = one.phase.is_some_and(|phase| at_once.contains(&phase));
        let room = self.room(one.took).filter(|_| is_short);
        is_broken(&one.report) || room.is_some_and(|room| allowed(one) > room)
    }

    fn phase(&mut self, phase: Phase) {
        let mut ones = self.judged(phase);
        ones.retain(|one| !one.is_remark);
        let over = ones.iter().filter(|one| self.is_over(one)).count();
        let Some(worst) = ones
            .iter()
            .max_by_key(|one| (self.is_over(one), allowed(one)))
        else {
            return;
        };
        let (passed, of, most) = (allowed(worst), ones.len(), self.most);
        let peak = worst.report.definite_peak;
        let text = match phase {
            Phase::Burst => {
                format!("{over} of {of} bursts admitted more than {most}, up to {passed}")
            }
            Phase::Edge | Phase::FirstEdge => format!("{peak} of {most} passed around the {phase}"),
            Phase::Costs => format!("costs of {peak} passed, where {most} is the limit"),
            _ => format!("{phase} admitted {passed}, where {most} is the limit"),
        };
        if over >= if phase == Phase::Burst { 2 } else { 1 } {
            self.add(Over(phase), text.clone());
        }
        if over > 0 && peak * 2 >= most * 3 {
            self.add(Doubled(phase), text);
        }
        let unjustified = |one: &&KeyJudgement| !one.report.unjustified_denials.is_empty();
        let reached = ones.iter().any(|one| denied(one) > 0);
        if over == 0 && reached && !ones.iter().any(unjustified) {
            self.add(
                Kept(phase),
                format!("{phase} kept the limit: {passed} of {most}"),
            );
        }
    }

    /// Facts of keys that are used up at once, one after the other, or by one node.
    fn fresh_keys(&mut self) {
        let most = self.most;
        let phases = [Phase::Burst, Phase::OneNode, Phase::Fields].map(|phase| self.judged(phase));
        let one_more = |one: &&KeyJudgement| allowed(one) == most + 1;
        if phases.iter().flatten().all(one_more) {
            let text = format!(
                "each fresh key was admitted {}, one more than {most}",
                most + 1
            );
            self.add(OneTooMany, text);
        }
        let part = most / self.nodes.max(1);
        let had_part = |one: &&&KeyJudgement| (part..=part + 1).contains(&allowed(one));
        let alone = phases[1].iter().filter(|one| denied(one) > 0);
        if let Some(one) = alone.filter(had_part).find(|one| allowed(one) < most)
            && self.nodes > 1
        {
            let (passed, nodes) = (allowed(one), self.nodes);
            let text =
                format!("one node alone admitted {passed} of {most}, and there are {nodes} nodes");
            self.add(OneNodeHadAPart, text);
        }
        let costs = self.judged(Phase::Costs);
        if most > 3 && costs.first().is_some_and(|one| allowed(one) == most) {
            self.add(
                CostsPassedAsOnes,
                format!("{most} checks of cost 1, 2 and 3 passed"),
            );
        }
        let same = |other: &&Contract| {
            let numbers = (other.max(), other.window());
            other.kind() == ContractKind::Fixed
                && numbers == (self.limit.max(), self.limit.window())
        };
        if let Some(fixed) = self.verdict.fits_otherwise.iter().find(same) {
            self.add(FitsFixed, format!("all records fit '{fixed}'"));
        }
    }

    /// Facts of a load three times as large as the limit.
    fn load(&mut self) {
        let Some(one) = self.judged(Phase::Overload).first().copied() else {
            return;
        };
        let (most, window) = (self.most, self.limit.window().as_secs_f64());
        let (passed, took) = (allowed(one), one.took.as_secs_f64());
        let promised = most as f64 * took / window;
        let text = format!("a steady load was admitted {passed} in {took:.0} s");
        let beyond = passed.saturating_sub(most) as f64;
        let apart = most as f64 / window;
        if passed as f64 > PASSES * promised {
            self.add(LoadPassed, text.clone());
        } else if (passed as f64) < STARVES * promised {
            self.add(LoadStarved, text.clone());
        }
        if passed <= most && self.limit.kind() != ContractKind::TokenBucket {
            self.add(LoadStopped, text.clone());
        }
        // The load is three times the promise.
        if passed as f64 > PARTED * self.nodes.min(3) as f64 * promised {
            self.add(LoadParted, text.clone());
        }
        if apart > 1.0 && beyond >= 1.0 && (beyond - took / apart).abs() <= 1.0 {
            let text = format!("{text}: {beyond} after the first {most}, one in {apart:.1} s");
            self.add(LoadTrickled, text);
        }
        if one.report.denied_seem_charged {
            let text = "with the denied checks charged, each denial has a cause";
            self.add(DeniedSeemCharged, text);
        }
    }

    /// Facts of keys that nobody asks for a while.
    fn silence(&mut self) {
        let most = self.most;
        let silent = self.judged(Phase::Silent);
        let back = Vec::from_iter(silent.iter().map(|one| allowed(one) >= 2 * most));
        if back.is_sorted() && back.last() == Some(&true) {
            let (some, of) = (back.iter().filter(|back| **back).count(), back.len());
            let text = format!("the quota was back after {some} of {of} parts of a window");
            self.add(BackEarly, text);
        }
        let windows = self.limit.kind() != ContractKind::TokenBucket;
        let stopped = |one: &&&KeyJudgement| allowed(one) > most && denied(one) >= most;
        if let Some(one) = silent.iter().find(stopped).filter(|_| windows) {
            let passed = allowed(one);
            let text = format!("after {passed} of {most} and a part of a window, nothing passed");
            self.add(SilenceStopped, text);
        }
        let grown = 3 * most + 1..=3 * most + most.div_ceil(2);
        let again = self.judged(Phase::Again);
        let grew = |one: &&&KeyJudgement| is_broken(&one.report) && grown.contains(&allowed(one));
        if let Some(one) = again.iter().find(grew) {
            let text = format!(
                "three bursts a rest apart admitted {} of {}",
                allowed(one),
                3 * most
            );
            self.add(RestGrew, text);
        }
    }

    /// Facts of the keys around a fault: one that was used up before it, and a fresh one.
    fn fault(&mut self) {
        let most = self.most;
        let judged = self.judged(Phase::Fault);
        let Some((used, band)) = judged.iter().find_map(|one| Some((one, one.fault?))) else {
            return;
        };
        let [before, during, after] = [band.effect.before, band.effect.during, band.effect.after];
        let text = format!("{} of {most} passed around the fault", used.peaks());
        if before.denied > 0 && is_broken(&used.report) {
            if during.denied == 0 && during.checks > 2 * during.errors {
                let text = format!("{text}, and nothing was denied during it");
                self.add(FaultOpened, text);
            } else if allowed(used) <= 2 * most && after.denied > 0 {
                self.add(FaultForgot, format!("{text}, and then it denied again"));
            }
        }
        let each = most * self.nodes;
        let parted = |one: &&&KeyJudgement| one.report.definite_peak >= each;
        if let Some(fresh) = judged.get(1..).and_then(|fresh| fresh.iter().find(parted))
            && self.nodes > 1
            && during.denied > 0
        {
            let (passed, nodes) = (fresh.peaks(), self.nodes);
            let text = format!("{passed} of {most} passed during the fault over {nodes} nodes");
            self.add(FaultParted, text);
        }
        let later = |one: &&KeyJudgement| {
            let mut denials = one.report.unjustified_denials.iter();
            denials.any(|denial| band.end.is_some_and(|end| denial.operation.invoke >= end))
        };
        if during.checks > during.errors + during.denied && judged.iter().any(later) {
            let text = "checks passed during the fault, and were denied without cause after it";
            self.add(FaultCharged, text);
        }
    }

    /// Facts of several limits. A denial does not show which of them is full.
    fn several(&mut self, limits: &[&Contract]) {
        let (longest, most) = (self.limit, self.most);
        let alone = |one: &&KeyJudgement| {
            let broken = one.report.by_limit().filter(|limit| is_broken(limit));
            broken.map(|limit| &limit.contract).eq([longest])
        };
        let broken = |one: &&KeyJudgement| one.report.by_limit().any(is_broken);
        let mut over = self.verdict.judged.iter().filter(broken);
        let load = self.judged(Phase::Overload);
        if let Some(load) = load.first().filter(|_| over.all(|one| alone(&one))) {
            let others = limits.iter().filter(|limit| **limit != longest);
            let rates = others.map(|limit| f64::from(limit.max()) / limit.window().as_secs_f64());
            let passes = rates.fold(f64::INFINITY, f64::min) * load.took.as_secs_f64();
            let passed = allowed(load);
            if passed as f64 > 0.75 * passes {
                let text = format!("a steady load was admitted {passed}, as without '{longest}'");
                self.add(LongestIdle, text);
            }
        }
        // A fresh key is not denied before its first limit.
        let fresh = [Phase::Burst, Phase::TwoKeys, Phase::OneNode, Phase::Fields];
        let fresh = fresh.map(|phase| self.judged(phase)).concat();
        let kept = fresh
            .iter()
            .all(|one| one.report.unjustified_denials.is_empty());
        let had_room = |one: &&KeyJudgement| {
            kept && one.report.denied_seem_charged && (1..most).contains(&allowed(one))
        };
        if let Some(one) = self.verdict.judged.iter().find(had_room) {
            let (passed, phase) = (allowed(one), one.phase_name());
            let text = format!(
                "{phase} was denied without cause after {passed} of '{longest}', but not with the \
                 denied checks charged"
            );
            self.add(LongestHadRoom, text);
        }
    }
}
