//! A correct limiter is never accused, whatever its network does.

use std::time::Duration;

use ratelimiter_invariants::ContractKind;
use ratelimiter_verify::{Plan, PlanSettings, RunStatus, StepError};
use tokio::time::Instant;

use crate::double::{Double, Network, Noise};
use crate::limiter::{Defect, Kind};
use crate::{NODES, reasons, settings, try_verify, verify};

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
async fn correct_limiters_of_every_form_are_never_accused() {
    for (kind, form) in [
        (Kind::Sliding, ContractKind::Sliding),
        (Kind::TokenBucket, ContractKind::TokenBucket),
        (Kind::Fixed, ContractKind::Fixed),
        (Kind::FirstCheck, ContractKind::Fixed),
        (Kind::Timers, ContractKind::Fixed),
        (Kind::Fixed, ContractKind::Aligned),
    ] {
        let mut undecided = 0;
        for seed in 0..200 {
            undecided += u32::from(is_undecided(kind, form, seed).await);
        }
        println!("{kind:?} as {form}: 200 runs, none accused, {undecided} undecided");
        assert!(undecided < 200, "a run without loss and delay passes");
    }
}

/// A plan announces the time that its run takes: within a tenth, and the half of a window that the
/// next edge may be nearer or further away.
#[tokio::test(start_paused = true)]
async fn announced_time_is_taken() {
    for (kind, form, limit, seconds) in [
        (Kind::Sliding, ContractKind::Sliding, 10, 2),
        (Kind::Sliding, ContractKind::Sliding, 100, 10),
        (Kind::Fixed, ContractKind::Fixed, 10, 1),
        (Kind::Fixed, ContractKind::Aligned, 5, 20),
    ] {
        let window = Duration::from_secs(seconds);
        let network = Network { delay: 1, lost: 0 };
        let target = Double::new(kind, None, (limit, window), NODES, network, seconds);
        let settings = settings(limit, window, form);
        let announced = Plan::new(&settings).unwrap().left(0);
        let began = Instant::now();
        verify(&target, &settings).await;
        let taken = began.elapsed();
        println!("{limit}/{window:?} as {form}: announced {announced:?}, taken {taken:?}");
        assert!(announced.abs_diff(taken) <= taken / 10 + window / 2);
    }
}

/// Judges a correct limiter behind a network of its own, and is never violated.
async fn is_undecided(kind: Kind, form: ContractKind, seed: u64) -> bool {
    let mut noise = Noise(0xA076_1D64_78BD_642F ^ (seed + 1).wrapping_mul(0x9E37_79B9_7F4A_7C15));
    let limit = 1 + noise.below(30) as u32;
    let window = Duration::from_secs(1 + noise.below(60));
    let nodes = 1 + noise.below(4) as usize;
    let network = Network {
        delay: noise.below(40),
        lost: [0, 20, 100][noise.below(3) as usize],
    };
    let target = Double::new(kind, None, (limit, window), nodes, network, seed);
    let settings = PlanSettings {
        nodes,
        ..settings(limit, window, form)
    };
    let verdict = match try_verify(&target, &settings).await {
        Ok(verdict) => verdict,
        // All of the first checks of a node were lost.
        Err(error) => {
            let lost = matches!(error.source, StepError::Probe { .. });
            assert!(lost && network.lost > 0, "{error}");
            return true;
        }
    };
    let judged = verdict.judged.len();
    assert!(judged > 5, "seed {seed} judges {judged} histories");
    let accusations = reasons(&verdict);
    assert_eq!(verdict.hypothesis, None, "seed {seed}, {kind:?} as {form}");
    assert!(
        accusations.is_empty() && verdict.status != RunStatus::Violated,
        "seed {seed}, {kind:?} as {form}, {limit} per {window:?}, {nodes} nodes, {network:?}: \
         {accusations:?}"
    );
    verdict.status == RunStatus::Undecided
}
