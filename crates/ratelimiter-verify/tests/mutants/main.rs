//! Every defect that shows without a fault is accused for its own reason; a correct limiter never
//! is.
//!
//! Time is the paused clock's: a run of fifteen minutes takes milliseconds, and is the same every
//! time.
#![expect(
    clippy::unwrap_used,
    reason = "a test that cannot set up its subject has failed"
)]

mod double;
mod limiter;

use std::collections::BTreeSet;
use std::time::Duration;

use clap::ValueEnum as _;
use double::{Double, Network, Noise};
use limiter::{Defect, Kind};
use ratelimiter_invariants::{Contract, ContractKind, HistoryChecker, Verdict};
use ratelimiter_verify::{
    FindingKind, Phase, Plan, PlanDepth, PlanSettings, RunFinding, RunJudge, RunStatus, RunVerdict,
    run,
};
use tokio_util::sync::CancellationToken;

const NODES: usize = 3;

fn settings(limit: u32, window: Duration, kind: ContractKind) -> PlanSettings {
    PlanSettings {
        contract: Contract::new(limit, window).unwrap().of_kind(kind),
        cost: 1,
        multiplier: 2,
        bursts: 5,
        depth: PlanDepth::Thorough,
        phases: Vec::new(),
        key_part: "test".into(),
        has_key: true,
        rest: None,
        nodes: NODES,
        forges: false,
        has_cost: true,
        during: None,
        max_requests: 100_000,
    }
}

async fn verify(target: &Double, settings: &PlanSettings) -> RunVerdict {
    let plan = Plan::new(settings).unwrap();
    let deadline = Duration::from_secs(5);
    let stop = CancellationToken::new();
    let (recorded, end) = run(&plan, target, deadline, &stop, |_, _| {}).await;
    end.unwrap();
    let judge = RunJudge {
        limit: plan.contract,
        checker: HistoryChecker::new(plan.contract).uncertainty(Duration::from_millis(1)),
        fail_on: FindingKind::value_variants().to_vec(),
        decides_within: None,
        judges_claims: true,
    };
    judge.run(&plan, &recorded).unwrap()
}

/// What a judgement can accuse a limiter of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Reason {
    OverAdmission,
    UnderAdmission,
    NoReturn,
    Dishonest,
}

use Reason::{Dishonest, NoReturn, OverAdmission, UnderAdmission};

fn reasons(verdict: &RunVerdict) -> BTreeSet<(Phase, Reason)> {
    let mut reasons = BTreeSet::new();
    for one in &verdict.judged {
        let phase = one.phase.unwrap();
        if let Verdict::Violated(witness) = &one.report.verdict {
            let cost: u64 = witness.operations.iter().map(|op| u64::from(op.cost)).sum();
            assert!(
                cost > u64::from(one.report.contract.max()),
                "a witness that proves nothing: {witness}"
            );
            reasons.insert((phase, OverAdmission));
        }
        for finding in &one.findings {
            reasons.insert((
                phase,
                match finding {
                    RunFinding::UnderAdmission { .. } => UnderAdmission,
                    RunFinding::NoReturn { .. } => NoReturn,
                    RunFinding::Dishonest { .. } => Dishonest,
                },
            ));
        }
    }
    reasons
}

/// The defect is seen in this phase for this reason, and in no phase for another than these.
async fn accused(defect: Defect, seen: (Phase, Reason), only: &[Reason]) {
    // A limit of 100, so that the 1000th check comes.
    let (limit, window) = (100, Duration::from_secs(60));
    let network = Network { delay: 3, lost: 0 };
    let (kind, form) = match defect {
        Defect::LacksACap => (Kind::TokenBucket, ContractKind::TokenBucket),
        _ => (Kind::Sliding, ContractKind::Sliding),
    };
    let target = Double::new(kind, Some(defect), (limit, window), NODES, network, 7);
    let verdict = verify(&target, &settings(limit, window, form)).await;
    let reasons = reasons(&verdict);
    assert_eq!(verdict.status, RunStatus::Violated, "{defect:?}");
    assert!(
        reasons.contains(&seen),
        "{defect:?}: {seen:?} is not in {reasons:?}"
    );
    assert!(
        reasons.iter().all(|(_, reason)| only.contains(reason)),
        "{defect:?}: {reasons:?}"
    );
}

/// A bucket that is judged as a sliding window, and a limit of 100 as one of 80.
#[tokio::test(start_paused = true)]
async fn a_wrong_form_or_number_gets_its_hint() {
    let (window, network) = (Duration::from_secs(60), Network { delay: 3, lost: 0 });
    for (kind, kept) in [
        (Kind::TokenBucket, "100/1m token-bucket"),
        (Kind::Sliding, "100/1m"),
    ] {
        let target = Double::new(kind, None, (100, window), NODES, network, 7);
        let told = match kind {
            Kind::TokenBucket => settings(100, window, ContractKind::Sliding),
            _ => settings(80, window, ContractKind::Sliding),
        };
        let verdict = verify(&target, &told).await;
        assert_eq!(verdict.status, RunStatus::Violated, "{kept}");
        let hints = Vec::from_iter(verdict.fits_otherwise.iter().map(ToString::to_string));
        assert!(hints.contains(&kept.to_owned()), "{kept}: {hints:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn every_defect_is_accused_for_its_own_reason() {
    accused(
        Defect::ForgetsAtTheEdge,
        (Phase::Edge, OverAdmission),
        &[OverAdmission],
    )
    .await;
    accused(
        Defect::CountsOneNodeOnly,
        (Phase::Burst, OverAdmission),
        &[OverAdmission],
    )
    .await;
    accused(
        Defect::IgnoresCost,
        (Phase::Costs, OverAdmission),
        &[OverAdmission],
    )
    .await;
    accused(
        Defect::AdmitsEvery1000thTwice,
        (Phase::Burst, OverAdmission),
        &[OverAdmission],
    )
    .await;
    accused(
        Defect::OffByOne,
        (Phase::Fields, OverAdmission),
        &[OverAdmission],
    )
    .await;
    accused(
        Defect::WindowTooShort,
        (Phase::Overload, OverAdmission),
        &[OverAdmission],
    )
    .await;
    accused(
        Defect::WindowTooLong,
        (Phase::Return, UnderAdmission),
        &[UnderAdmission, NoReturn],
    )
    .await;
    accused(
        Defect::ChargesDenied,
        (Phase::Overload, UnderAdmission),
        &[UnderAdmission],
    )
    .await;
    accused(
        Defect::SharesQuota,
        (Phase::TwoKeys, UnderAdmission),
        &[UnderAdmission],
    )
    .await;
    accused(
        Defect::DishonestRemaining,
        (Phase::Fields, Dishonest),
        &[Dishonest],
    )
    .await;
    accused(
        Defect::RetryTooEarly,
        (Phase::Return, NoReturn),
        &[NoReturn],
    )
    .await;
    accused(
        Defect::ReadsThenWrites,
        (Phase::Burst, OverAdmission),
        &[OverAdmission],
    )
    .await;
    accused(
        Defect::NeverExpires,
        (Phase::Return, NoReturn),
        &[UnderAdmission, NoReturn],
    )
    .await;
    accused(
        Defect::ExpiresWithTheFirst,
        (Phase::FirstEdge, OverAdmission),
        &[OverAdmission],
    )
    .await;
    accused(
        Defect::CountsByRoute,
        (Phase::TwoKeys, OverAdmission),
        &[OverAdmission],
    )
    .await;
    accused(
        Defect::LacksACap,
        (Phase::Again, OverAdmission),
        &[OverAdmission],
    )
    .await;
    accused(
        Defect::SplitsOverNodes,
        (Phase::OneNode, UnderAdmission),
        &[UnderAdmission, Dishonest],
    )
    .await;
    accused(
        Defect::ExpiresEarly,
        (Phase::Silent, OverAdmission),
        &[OverAdmission],
    )
    .await;
    accused(
        Defect::AdmitsAboveTheLimit,
        (Phase::Costs, OverAdmission),
        &[OverAdmission],
    )
    .await;
}

#[tokio::test(start_paused = true)]
async fn one_shared_quota_is_never_accused() {
    for seed in 0..60 {
        let mut noise = Noise(0x2545_F491_4F6C_DD1D ^ (seed + 1));
        let (limit, window) = (1 + noise.below(20) as u32, Duration::from_secs(2));
        let (kind, form) = [
            (Kind::Sliding, ContractKind::Sliding),
            (Kind::Fixed, ContractKind::Fixed),
            (Kind::TokenBucket, ContractKind::TokenBucket),
        ][noise.below(3) as usize];
        let network = Network {
            delay: noise.below(40),
            lost: [0, 20, 100][noise.below(3) as usize],
        };
        // All keys share one counter, and so they must.
        let shared = Some(Defect::SharesQuota);
        let target = Double::new(kind, shared, (limit, window), NODES, network, seed);
        let settings = PlanSettings {
            has_key: false,
            ..settings(limit, window, form)
        };
        // The second run comes right after the first.
        for run in 0..2 {
            let verdict = verify(&target, &settings).await;
            let accusations = reasons(&verdict);
            assert!(
                accusations.is_empty(),
                "seed {seed}, run {run}, {kind:?}: {accusations:?}"
            );
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_correct_limiter_is_never_accused() {
    let mut undecided = 0;
    for seed in 0..200 {
        let mut noise =
            Noise(0xA076_1D64_78BD_642F ^ (seed + 1_u64).wrapping_mul(0x9E37_79B9_7F4A_7C15));
        let limit = 1 + noise.below(30) as u32;
        let window = Duration::from_secs(1 + noise.below(60));
        let nodes = 1 + noise.below(4) as usize;
        let network = Network {
            delay: noise.below(40),
            lost: [0, 20, 100][noise.below(3) as usize],
        };
        let (kind, contract) = [
            (Kind::Sliding, ContractKind::Sliding),
            (Kind::Fixed, ContractKind::Fixed),
            (Kind::TokenBucket, ContractKind::TokenBucket),
        ][noise.below(3) as usize];
        let target = Double::new(kind, None, (limit, window), nodes, network, seed);
        let verdict = verify(&target, &settings(limit, window, contract)).await;
        assert!(
            verdict.judged.len() > 5,
            "seed {seed} judges {} histories",
            verdict.judged.len()
        );
        let accusations = reasons(&verdict);
        assert!(
            accusations.is_empty(),
            "seed {seed}, {kind:?} {limit} per {window:?}, {nodes} nodes, {network:?}: \
             {accusations:?}"
        );
        undecided += usize::from(verdict.status == RunStatus::Undecided);
    }
    println!("200 runs, none accused, {undecided} undecided");
    assert!(undecided < 200, "a run without loss and delay passes");
}
