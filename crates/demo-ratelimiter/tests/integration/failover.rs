//! A real failover that forgets, observed as the demo observes, and its diagnosis.

use std::time::Duration;

use demo_ratelimiter::evidence::{Client, Moment, Recorder, STORE};
use diagnosis::{Mechanism, offline, text};
use ratelimiter_api::{CheckRequest, CountingMode, Key, Limit, LimitSpec};
use ratelimiter_chaos::{Failover, HeldReplicas, Reach, SteadyLoad, setup_rate_limit};
use ratelimiter_cluster::{ClusterPlan, LocalCluster, StoreTopology};
use ratelimiter_invariants::{Violation, ViolationNumbers};
use ratelimiter_store::{Link, slot_of};
use ratelimiter_watch::Detector;
use redis::cmd;
use tokio::time::{Instant, timeout};

/// Far beyond any wait here.
const PATIENCE: Duration = Duration::from_secs(40);
/// Observed before the failover, as a baseline.
const BEFORE: Duration = Duration::from_secs(8);
/// Acknowledged admissions that are lost.
const LOST: u64 = 10;
/// The key with the losses, and one under steady load.
const KEY: &str = "carts";
const BUSY: &str = "api-users";
/// Failovers at most. A machine that stalls beside one is an incident of its own, with a diagnosis
/// of its own.
const FAILOVERS: usize = 3;

/// The cause of an incident in which `fail_over` has a replica promoted that lacks the last
/// admissions of a key: its entity, its mechanism, and the text.
async fn cause_of(
    topology: StoreTopology,
    fail_over: impl AsyncFnOnce(&LocalCluster, HeldReplicas),
) -> (String, Mechanism, Vec<String>) {
    let cluster = ClusterPlan {
        topology,
        counting: CountingMode::Atomic,
        deadline: PATIENCE,
        ..ClusterPlan::default()
    }
    .start()
    .await
    .unwrap();
    let nodes: Vec<_> = (0..3)
        .map(|node| cluster.client(node, PATIENCE).unwrap())
        .collect();
    let (busy, key) = (Key::new(BUSY).unwrap(), Key::new(KEY).unwrap());
    for (key, limit) in [(&busy, Limit::new(1000, 4)), (&key, Limit::new(100, 60))] {
        setup_rate_limit(&nodes, &LimitSpec::new(key.clone(), limit.unwrap()))
            .await
            .unwrap();
    }
    let detector = Detector::start(&cluster.endpoints(), cluster.store_url(), None, None);
    let mut rounds = detector.rounds();
    let workload = SteadyLoad::new(&cluster.endpoints(), vec![busy], 20.0, Reach::ThisMachine)
        .unwrap()
        .start();
    let mut recorder = Recorder::new();
    let mut latest = Duration::ZERO;
    let mut observe = async |until: &dyn Fn(&Detector, Duration) -> bool| {
        let watch = async {
            while !until(&detector, latest) {
                let round = rounds.recv().await.unwrap();
                latest = round.observation.at;
                let tally = workload.tally();
                let client = Client {
                    at: latest,
                    sent: tally.sent(),
                    denied: tally.denied,
                };
                recorder.observe(&round.observation, Some(client));
            }
            latest
        };
        timeout(PATIENCE, watch).await.unwrap()
    };
    let began = Instant::now();
    observe(&|_, _| began.elapsed() > BEFORE).await;
    let held = Failover::new(cluster.store_url(), KEY, Reach::ThisMachine)
        .unwrap()
        .hold()
        .await
        .unwrap();
    for n in 0..LOST {
        let node = &nodes[usize::try_from(n).unwrap() % nodes.len()];
        assert!(
            node.check(&CheckRequest::new(key.clone()))
                .await
                .unwrap()
                .allowed
        );
    }
    assert_eq!(
        held.acknowledged().await.unwrap(),
        0,
        "the loss is predicted"
    );
    fail_over(&cluster, held).await;

    let number = |violation: &Violation| match &violation.evidence {
        ViolationNumbers::StoreForgot(forgot) if violation.subject.to_string().contains(KEY) => {
            Some(forgot.lost)
        }
        _ => None,
    };
    let found = observe(&|detector, _| {
        detector
            .log()
            .violations
            .iter()
            .any(|found| number(&found.violation) >= Some(LOST))
    })
    .await;
    let until = observe(&|_, latest| latest > found + Duration::from_secs(2)).await;
    let violations: Vec<_> = detector
        .log()
        .violations
        .into_iter()
        .map(|found| found.violation)
        .collect();
    let lost: Vec<_> = violations.iter().filter_map(number).collect();
    assert_eq!(lost, [LOST], "exactly the lost ones: {violations:?}");

    let first = violations
        .iter()
        .map(|violation| violation.detected_at)
        .min()
        .unwrap();
    let moment = Moment {
        since: Duration::ZERO,
        at: first,
        until,
    };
    let evidence = recorder
        .evidence("a failover", moment, &violations)
        .unwrap();
    let answer = offline::diagnose(&evidence);
    let lines = text::render(&evidence, &answer);
    println!("{}", lines.join("\n"));
    let cause = answer.cause().unwrap_or_else(|| panic!("{lines:#?}"));
    (cause.entity.clone(), cause.mechanism, lines)
}

/// A replica is promoted past its primary, which goes on as a replica: nothing stops answering for
/// long.
#[tokio::test]
async fn forgotten_admissions_are_the_cause() {
    let topology = StoreTopology::Cluster { replicas: true };
    let take_over = async |cluster: &LocalCluster, held: HeldReplicas| {
        let primary = usize::from(slot_of(KEY)) * 3 / 16_384;
        let replica = Link::new(cluster.member_url(primary + 3).unwrap());
        let mut takeover = cmd("CLUSTER");
        takeover.arg("FAILOVER").arg("TAKEOVER");
        replica.query::<()>(&takeover, PATIENCE).await.unwrap();
        drop(held);
    };
    for _ in 0..FAILOVERS {
        let (entity, mechanism, _) = cause_of(topology, take_over).await;
        if (entity.as_str(), mechanism) == (STORE, Mechanism::LostState) {
            return;
        }
    }
    panic!("no failover of {FAILOVERS} was diagnosed");
}

/// The primary is gone for some seconds before: that is the cause, and the loss is among its
/// effects.
#[tokio::test]
async fn a_dead_primary_comes_before_its_loss() {
    let fail_over = async |_: &LocalCluster, held: HeldReplicas| {
        held.fail_over().await.unwrap();
    };
    for _ in 0..FAILOVERS {
        let (entity, mechanism, lines) = cause_of(StoreTopology::SENTINEL, fail_over).await;
        let says = |text| lines.iter().any(|line| line.contains(text));
        let is_cause = (entity.as_str(), mechanism) == (STORE, Mechanism::StoppedAnswering);
        let is_effect =
            says("store_forgot") && says("the store lost changes that it had confirmed");
        if is_cause && is_effect {
            return;
        }
    }
    panic!("no failover of {FAILOVERS} was diagnosed");
}
