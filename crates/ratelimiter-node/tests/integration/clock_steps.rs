//! A store's clock that steps and stays: no mode admits more, and the store decides again soon.

#[path = "../matrix/clock.rs"]
mod clock;

use std::time::Duration;

use crate::common::{SECOND, clients, failing, set, start};
use clock::StoreClock;
use ratelimiter_api::{
    CheckRequest, CountingMode, DecidedBy, Limit, LimitSpec, Operation, Outcome, StoreFailurePolicy,
};
use ratelimiter_cluster::ClusterPlan;
use ratelimiter_invariants::check_history;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep};

const LIMIT: u64 = 20;
const WINDOW: i64 = 2;

/// Loads an atomic and a leased key while the store's clock makes these steps, one a second, each
/// in milliseconds ahead of the true time. At most so many share a window of the atomic key.
async fn steps(ahead_ms: &'static [i64], atomic: u64) {
    let clock = StoreClock::new();
    let cluster = start(ClusterPlan {
        store_binary: Some(clock.store()),
        store_timeout: SECOND,
        ..ClusterPlan::default()
    })
    .await;
    let origin = Instant::now();
    let until = origin + SECOND * (ahead_ms.len() as u32 + 4);
    let mut callers = JoinSet::new();
    let modes = [CountingMode::Atomic, CountingMode::Leased];
    for mode in modes {
        let spec = LimitSpec {
            window_sec: WINDOW,
            ..failing(mode.as_str(), LIMIT as i64, mode, StoreFailurePolicy::Deny)
        };
        let entry = set(&cluster, &spec).await;
        for node in clients(&cluster) {
            for _ in 0..2 {
                let (node, key) = (node.clone(), entry.key.clone());
                callers.spawn(async move {
                    let mut records = Vec::new();
                    while Instant::now() < until {
                        let invoke = origin.elapsed();
                        let answer = node.check(&CheckRequest::new(key.clone())).await.unwrap();
                        let outcome = if answer.allowed {
                            Outcome::Allowed
                        } else {
                            Outcome::Denied
                        };
                        let complete = origin.elapsed();
                        let operation =
                            Operation::new(key.clone(), answer.node, invoke, complete, outcome);
                        records.push((mode, operation, answer.decided_by));
                        sleep(Duration::from_millis(5)).await;
                    }
                    records
                });
            }
        }
    }
    for ahead in ahead_ms {
        sleep(SECOND).await;
        clock.set_ms(*ahead);
    }
    let stepped = origin.elapsed();
    let records: Vec<_> = callers.join_all().await.into_iter().flatten().collect();
    let limit = Limit::new(LIMIT as i64, WINDOW).unwrap();
    for mode in modes {
        let own = records.iter().filter(|(of, ..)| *of == mode);
        let history: Vec<_> = own
            .clone()
            .map(|(_, operation, _)| operation.clone())
            .collect();
        let report = check_history(&history, limit).unwrap();
        let policy = |(_, operation, by): &&(_, Operation, DecidedBy)| {
            *by == DecidedBy::Policy && operation.invoke > stepped
        };
        let alone = own
            .clone()
            .filter(policy)
            .map(|(_, o, _)| o.complete - stepped);
        println!(
            "{ahead_ms:?} ms, {mode}: peak {} of {LIMIT}, decided without the store until {:?} \
             after the last step",
            report.definite_peak,
            alone.max().unwrap_or_default()
        );
        let most = if mode == CountingMode::Atomic {
            atomic
        } else {
            LIMIT
        };
        assert!(
            report.definite_peak <= most,
            "{ahead_ms:?} {mode}: {report}"
        );
        let last = own
            .clone()
            .filter(|(_, o, _)| o.outcome == Outcome::Allowed);
        let last = last.map(|(_, o, _)| o.complete).max().unwrap();
        assert!(
            last > stepped,
            "{ahead_ms:?} {mode}: nothing is admitted any more"
        );
    }
}

#[tokio::test]
async fn small_step_back_admits_no_more() {
    steps(&[-800], LIMIT).await;
}

#[tokio::test]
async fn step_forward_admits_no_more() {
    steps(&[25_000], LIMIT).await;
}

#[tokio::test]
async fn steps_of_both_signs_admit_no_more() {
    steps(&[-25_000, 800, -30_000, 100, 25_000], LIMIT).await;
}

#[tokio::test]
async fn step_of_hours_admits_no_more() {
    // The store drops its admissions, which is a loss.
    steps(&[7_200_000], 3 * LIMIT).await;
}
