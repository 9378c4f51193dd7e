//! Bursts at one instant, and the judge of their answers.

use ratelimiter_api::{CheckRequest, CheckResponse, Key, Limit, NodeClient};
use ratelimiter_chaos::{Burst, Multiplier, Reach, VolleyReport};
use ratelimiter_cluster::LocalCluster;
use ratelimiter_invariants::check_history;
use tokio::task::JoinSet;

use super::{set, spec};

/// Limit of every key that bursts meet, a minute.
pub(crate) const LIMIT: u64 = 10;

/// The number of bursts: 30, or `RATELIMITER_BURSTS`.
pub(crate) fn bursts() -> u32 {
    std::env::var("RATELIMITER_BURSTS").map_or(30, |bursts| bursts.parse().unwrap())
}

/// `multiplier` times [`LIMIT`] checks of a key at one instant, over all nodes.
pub(crate) async fn burst(cluster: &LocalCluster, key: &Key, multiplier: u32) -> VolleyReport {
    let burst = Burst::new(
        cluster.endpoints(),
        key.clone(),
        Limit::new(LIMIT as i64, 60).unwrap(),
        Multiplier::new(multiplier).unwrap(),
        Reach::ThisMachine,
    );
    let report = burst.unwrap().fire().await.unwrap();
    assert_eq!(report.tally.unknown, 0, "every check is answered");
    assert_eq!(report.tally.sent(), LIMIT * u64::from(multiplier));
    report
}

/// A burst on a new key admits exactly the limit, in a history without a flaw.
pub(crate) async fn burst_is_exact(cluster: &LocalCluster, name: &str, multiplier: u32) {
    let entry = set(cluster, &spec(name, LIMIT as i64)).await;
    let report = burst(cluster, &entry.key, multiplier).await;
    assert_eq!(report.tally.allowed, LIMIT, "{name}: {:?}", report.tally);
    let judged = check_history(&report.operations, entry.limit).unwrap();
    assert!(judged.is_clean(), "{name}: {judged}");
}

/// One check by each of these clients, all in flight at once.
pub(crate) async fn at_once(
    clients: impl IntoIterator<Item = NodeClient>,
    request: &CheckRequest,
) -> Vec<CheckResponse> {
    let mut flights = JoinSet::new();
    for client in clients {
        let request = request.clone();
        flights.spawn(async move { client.check(&request).await.unwrap() });
    }
    flights.join_all().await
}

/// The number of allowed checks.
pub(crate) fn allowed(answers: &[CheckResponse]) -> u64 {
    answers.iter().filter(|answer| answer.allowed).count() as u64
}
