//! The programs of the catalogue, and how often the hypothesis names the class of a defect.

use std::collections::BTreeMap;
use std::time::Duration;

use ratelimiter_invariants::ContractKind;
use ratelimiter_verify::{
    DefectHypothesis, FindingKind, PlanSettings, RunStatus, RunVerdict, table,
};

use crate::double::{Double, Network};
use crate::limiter::{Defect, Kind};
use crate::played;
use crate::programs::DEFECTS;
use crate::rebuilt::REBUILT;
use crate::{NODES, settings, verify};

const SEED: u64 = 7;

fn named(class: &'static str) -> Option<&'static str> {
    DefectHypothesis::classes().find(|one| *one == class)
}

fn class_of(verdict: &RunVerdict) -> Option<&'static str> {
    verdict.hypothesis.as_ref().map(|one| one.class)
}

#[test]
fn each_class_has_its_section() {
    let document = include_str!("../../../../docs/defects.md");
    for class in DEFECTS
        .iter()
        .map(|one| one.class)
        .chain(DefectHypothesis::classes())
    {
        let section = document.split(&format!("\n## {class}\n")).nth(1);
        let section = section.unwrap_or_else(|| panic!("no section {class}"));
        let is_named = section.trim_start().starts_with("**Named.**");
        assert_eq!(is_named, named(class).is_some(), "{class}");
    }
}

#[tokio::test(start_paused = true)]
async fn every_program_is_accused_and_its_twin_passes() {
    for defect in DEFECTS {
        let broken = played::verdict(defect.broken, defect.limit, NODES, SEED).await;
        let accused = broken.status == RunStatus::Violated;
        assert!(accused, "{}: {}", defect.class, table(&broken));
        let mended = played::verdict(defect.mended, defect.limit, NODES, SEED).await;
        // The price of a limiter that does not fail open are its denials.
        let passes = match defect.class {
            "fails-open" => mended.found(FindingKind::Excess) == 0,
            _ => mended.status == RunStatus::Passed,
        };
        assert!(passes, "{}: {}", defect.class, table(&mended));
        assert_eq!(class_of(&mended), None);
    }
}

/// Named classes against true ones: right, wrong, silent.
#[derive(Default)]
struct Confusion {
    rows: Vec<String>,
    right: usize,
    wrong: usize,
    silent: usize,
    /// Defects of no class that stayed without one.
    none: usize,
}

impl Confusion {
    fn add(&mut self, name: &str, truth: Option<&str>, verdict: &RunVerdict) {
        let class = class_of(verdict);
        match (truth, class) {
            (Some(truth), Some(class)) if truth == class => self.right += 1,
            (_, Some(_)) => self.wrong += 1,
            (Some(_), None) => self.silent += 1,
            (None, None) => self.none += 1,
        }
        let (truth, class) = (truth.unwrap_or("-"), class.unwrap_or("-"));
        self.rows.push(format!("{name:<34} {truth:<20} {class}"));
    }
}

/// The true class of a mutant, if there is one.
fn truth(defect: Defect) -> Option<&'static str> {
    Some(match defect {
        Defect::CountsOneNodeOnly | Defect::CountsByRoute => "nodes-count-alone",
        Defect::IgnoresCost => "cost-is-ignored",
        Defect::WindowTooShort
        | Defect::WindowTooLong
        | Defect::NeverExpires
        | Defect::ExpiresEarly => "expiry",
        Defect::ChargesDenied => "denied-are-charged",
        Defect::SharesQuota => "keys-share-a-quota",
        Defect::SplitsOverNodes => "limit-is-split",
        Defect::ForgetsAtTheEdge => "window-edge",
        Defect::OffByOne => "one-too-many",
        Defect::DishonestRemaining
        | Defect::RetryTooEarly
        | Defect::RetryTooLate
        | Defect::RetryInThePast
        | Defect::NegativeRemaining => "wrong-fields",
        Defect::TrustsAddresses => "evaded-key",
        Defect::ReadsThenWrites => "reads-then-writes",
        Defect::ExpiresWithTheFirst => "expires-as-a-whole",
        Defect::LacksACap => "bucket-at-rest",
        Defect::AdmitsAboveTheLimit => "dear-checks",
        Defect::AdmitsEvery1000thTwice => return None,
    })
}

#[tokio::test(start_paused = true)]
async fn the_hypothesis_is_right_or_silent() {
    let mut all = BTreeMap::new();
    let mut catalogue = Confusion::default();
    for defect in DEFECTS {
        let verdict = played::verdict(defect.broken, defect.limit, NODES, SEED).await;
        catalogue.add(defect.class, named(defect.class), &verdict);
    }
    all.insert("catalogue", catalogue);
    let mut mutants = Confusion::default();
    for defect in Defect::ALL {
        let (kind, form) = match defect {
            Defect::LacksACap => (Kind::TokenBucket, ContractKind::TokenBucket),
            _ => (Kind::Sliding, ContractKind::Sliding),
        };
        let network = Network { delay: 3, lost: 0 };
        let limit = (100, Duration::from_secs(60));
        let target = Double::new(kind, Some(defect), limit, NODES, network, SEED);
        let settings = PlanSettings {
            untrusted: defect == Defect::TrustsAddresses,
            ..settings(100, limit.1, form)
        };
        let verdict = verify(&target, &settings).await;
        mutants.add(&format!("{defect:?}"), truth(defect), &verdict);
    }
    all.insert("mutants", mutants);
    let mut rebuilt = Confusion::default();
    for one in &REBUILT {
        let verdict = played::verdict(one.program, one.limit, one.nodes, SEED).await;
        assert_eq!(verdict.status, RunStatus::Violated, "{}", one.report);
        rebuilt.add(one.report, Some(one.class), &verdict);
    }
    all.insert("rebuilt", rebuilt);
    for (name, confusion) in &all {
        let Confusion {
            right,
            wrong,
            silent,
            none,
            rows,
        } = confusion;
        println!(
            "{}\n{name}: {right} right, {wrong} wrong, {silent} silent, {none} of no class\n",
            rows.join("\n")
        );
    }
    for (name, confusion) in &all {
        let (right, spoken) = (confusion.right, confusion.right + confusion.wrong);
        assert!(
            spoken * 2 >= confusion.rows.len(),
            "{name}: speaks in {spoken}"
        );
        assert!(
            right * 10 >= spoken * 9,
            "{name}: {right} of {spoken} are right"
        );
    }
}
