//! The fault matrix in small: every fault under load, each admission judged. `examples/matrix.rs`
//! plays it in full.
#![expect(
    clippy::unwrap_used,
    reason = "a test that cannot set up its subject has failed"
)]

mod clock;
mod crowd;
mod load;
mod rows;
mod world;

use std::time::Duration;

use crowd::Crowd;
use rows::{Fault, Scale, play};
use world::STORE_TIMEOUT;

/// Room for a busy machine.
const MARGIN: Duration = Duration::from_secs(10);
const SMALL: Scale = Scale {
    before: Duration::from_millis(300),
    hold: Duration::from_millis(800),
    after: Duration::from_millis(1500),
    many: 20_000,
};

async fn row(fault: Fault) {
    let row = play(fault, SMALL).await;
    println!("{}\n{row}", rows::HEAD);
    assert_eq!(row.broken(), [], "{fault:?}: too many admitted: {row:?}");
    assert!(
        row.during.iter().sum::<usize>() > 0,
        "{fault:?}: nothing was asked during the fault"
    );
    assert!(
        row.recovered,
        "{fault:?}: the store does not decide again: {row:?}"
    );
    let frozen = if fault.stops_nodes() {
        SMALL.hold
    } else {
        Duration::ZERO
    };
    assert!(
        row.longest < STORE_TIMEOUT + frozen + MARGIN,
        "{fault:?}: a check waited {:?}",
        row.longest
    );
}

macro_rules! rows {
    ($($name:ident: $fault:ident,)*) => {
        $(
            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $name() {
                row(Fault::$fault).await;
            }
        )*

        #[test]
        fn every_fault_has_a_test() {
            assert_eq!([$(Fault::$fault),*], Fault::ALL);
        }
    };
}

rows! {
    no_fault: Nothing,
    store_killed_and_restarted_empty: StoreKilled,
    store_stopped: StoreStopped,
    writes_paused: WritesPaused,
    one_link_cut: LinkCut,
    one_link_silent: LinkSilent,
    one_link_slow: LinkSlow,
    connections_reset_before_a_command: ResetBefore,
    connections_reset_after_a_command: ResetAfter,
    replies_lost: RepliesLost,
    all_connections_closed: ConnectionsClosed,
    each_node_killed: NodesKilled,
    all_nodes_frozen: NodesFrozen,
    store_clock_ahead: ClockAhead,
    store_clock_behind: ClockBehind,
    many_unknown_keys: UnknownKeys,
    store_restarted_under_a_large_window: LargeWindow,
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_crowd_does_not_silence_health() {
    let crowd = Crowd {
        idle: 1500,
        slow: 50,
        greedy: 100,
        time: Duration::from_secs(2),
    };
    let seen = crowd.press().await;
    println!("{seen}");
    assert!(seen.health < MARGIN, "{seen}");
    assert_eq!((seen.health_failed, seen.checks_failed), (0, 0), "{seen}");
    assert!(
        seen.checks > 0 && seen.health_asked > 0 && seen.shed > 0,
        "{seen}"
    );
    assert!(seen.files < seen.files_allowed, "{seen}");
}
