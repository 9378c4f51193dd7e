//! Every defect is accused for its own reason.

use std::collections::BTreeSet;
use std::time::Duration;

use ratelimiter_invariants::{ContractKind, Verdict};
use ratelimiter_verify::{FindingKind, Phase, PlanDepth, PlanSettings, RunStatus};

use crate::double::{Double, Network};
use crate::limiter::{Defect, Kind};
use crate::{NODES, Reason, reasons, settings, verify};

use Reason::{Dishonest, NoReturn, OverAdmission, UnderAdmission};

/// A limiter of 100 in a minute, so that the 1000th check comes.
fn limiter(kind: Kind, defect: Defect) -> Double {
    let network = Network { delay: 3, lost: 0 };
    let limit = (100, Duration::from_secs(60));
    Double::new(kind, Some(defect), limit, NODES, network, 7)
}

/// The defect is seen in this phase for this reason, and in no phase for another than these.
async fn accused(defect: Defect, seen: (Phase, Reason), only: &[Reason]) {
    let (kind, form) = match defect {
        Defect::LacksACap => (Kind::TokenBucket, ContractKind::TokenBucket),
        _ => (Kind::Sliding, ContractKind::Sliding),
    };
    let reasons = accused_as(kind, form, defect, only).await;
    assert!(
        reasons.contains(&seen),
        "{defect:?}: {seen:?} is not in {reasons:?}"
    );
}

/// The defect violates for these reasons alone; with their phases.
async fn accused_as(
    kind: Kind,
    form: ContractKind,
    defect: Defect,
    only: &[Reason],
) -> BTreeSet<(Phase, Reason)> {
    let settings = PlanSettings {
        untrusted: defect == Defect::TrustsAddresses,
        ..settings(100, Duration::from_secs(60), form)
    };
    let verdict = verify(&limiter(kind, defect), &settings).await;
    let reasons = reasons(&verdict);
    assert_eq!(
        verdict.status,
        RunStatus::Violated,
        "{kind:?} {defect:?}, {form}"
    );
    assert!(
        reasons.iter().all(|(_, reason)| only.contains(reason)),
        "{kind:?} {defect:?}, {form}: {reasons:?}"
    );
    reasons
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
        &[UnderAdmission, NoReturn, Dishonest],
    )
    .await;
    accused(
        Defect::ChargesDenied,
        (Phase::Overload, UnderAdmission),
        // The check that states when to retry is charged after that.
        &[UnderAdmission, NoReturn],
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
    for defect in [
        Defect::RetryTooLate,
        Defect::RetryInThePast,
        Defect::NegativeRemaining,
    ] {
        accused(defect, (Phase::Fields, Dishonest), &[Dishonest, NoReturn]).await;
    }
    accused(
        Defect::TrustsAddresses,
        (Phase::Forged, OverAdmission),
        &[OverAdmission],
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
async fn defects_of_fixed_windows_are_accused() {
    use ContractKind::{Aligned, Fixed};
    use Defect::{
        CountsOneNodeOnly, NeverExpires, OffByOne, RetryTooLate, SharesQuota, SplitsOverNodes,
        WindowTooLong, WindowTooShort,
    };
    for (kind, form) in [
        (Kind::Fixed, Fixed),
        (Kind::FirstCheck, Fixed),
        (Kind::Timers, Fixed),
        (Kind::Fixed, Aligned),
    ] {
        for (defect, only) in [
            (CountsOneNodeOnly, &[OverAdmission][..]),
            (OffByOne, &[OverAdmission]),
            (WindowTooShort, &[OverAdmission]),
            (WindowTooLong, &[UnderAdmission, NoReturn, Dishonest]),
            (NeverExpires, &[UnderAdmission, NoReturn]),
            (SharesQuota, &[UnderAdmission, NoReturn]),
            (SplitsOverNodes, &[UnderAdmission, NoReturn, Dishonest]),
            (RetryTooLate, &[Dishonest]),
        ] {
            accused_as(kind, form, defect, only).await;
        }
    }
}

/// Windows that begin with the first check of each key, where the same for all are promised: each
/// key keeps some grid, and all together keep none.
#[tokio::test(start_paused = true)]
async fn keys_with_own_windows_are_not_aligned() {
    let (limit, window) = (100, Duration::from_secs(60));
    let network = Network { delay: 3, lost: 0 };
    let target = Double::new(Kind::FirstCheck, None, (limit, window), NODES, network, 7);
    let settings = PlanSettings {
        depth: PlanDepth::Repeated(Duration::from_secs(3_600)),
        ..settings(limit, window, ContractKind::Aligned)
    };
    let verdict = verify(&target, &settings).await;
    let together = &verdict.together.as_ref().unwrap().verdict;
    assert!(matches!(together, Verdict::Violated(_)), "{together:?}");
    assert_eq!(verdict.status, RunStatus::Violated);
    assert_eq!(verdict.found(FindingKind::Excess), 0);
}

#[tokio::test(start_paused = true)]
async fn forged_addresses_are_a_remark_where_proxies_are_trusted() {
    let target = limiter(Kind::Sliding, Defect::TrustsAddresses);
    let settings = settings(100, Duration::from_secs(60), ContractKind::Sliding);
    let verdict = verify(&target, &settings).await;
    assert_eq!(verdict.status, RunStatus::Passed);
    let forged = verdict
        .judged
        .iter()
        .find(|one| one.phase == Some(Phase::Forged));
    let forged = forged.unwrap();
    assert_eq!(forged.status, RunStatus::NotExercised);
    let reason = forged.reason.as_ref().unwrap();
    assert!(reason.starts_with("200 of 100 were admitted"), "{reason}");
    let text = ratelimiter_verify::table(&verdict);
    assert!(text.contains("Remark: 200 of 100"), "{text}");
}
