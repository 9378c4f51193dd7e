//! Bursts admit exactly the limit: one table of mode, store and multiplier.
//!
//! `RATELIMITER_BURSTS=1000` fires more of them than the gate.

use crate::common::bursts::{burst_is_exact, bursts};
use crate::common::{PATIENCE, SECOND};
use ratelimiter_api::CountingMode;
use ratelimiter_cluster::{ClusterPlan, StoreTopology};

const PRIMARIES: StoreTopology = StoreTopology::Cluster { replicas: false };

/// The store timeout is long: a busy machine must not make a node decide alone.
async fn bursts_are_exact(counting: CountingMode, topology: StoreTopology, multiplier: u32) {
    let plan = ClusterPlan {
        counting,
        topology,
        store_timeout: 5 * SECOND,
        deadline: 2 * PATIENCE,
        ..ClusterPlan::default()
    };
    let cluster = plan.start().await.unwrap();
    for i in 0..bursts() {
        burst_is_exact(&cluster, &format!("k{i}"), multiplier).await;
    }
}

macro_rules! bursts {
    ($($name:ident: $counting:ident, $topology:expr, $multiplier:literal;)*) => {
        $(
            #[tokio::test]
            async fn $name() {
                bursts_are_exact(CountingMode::$counting, $topology, $multiplier).await;
            }
        )*
    };
}

bursts! {
    atomic_twofold: Atomic, StoreTopology::Single, 2;
    atomic_six_fold: Atomic, StoreTopology::Single, 6;
    atomic_twenty_fold: Atomic, StoreTopology::Single, 20;
    atomic_on_three_primaries: Atomic, PRIMARIES, 6;
    leased_six_fold: Leased, StoreTopology::Single, 6;
    leased_on_three_primaries: Leased, PRIMARIES, 6;
}
