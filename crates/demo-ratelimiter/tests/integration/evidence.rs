//! The record of a cluster, and the evidence made of it.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use demo_ratelimiter::evidence::{CLIENTS, Client, Moment, Recorder, STORE};
use diagnosis::{
    Change, Conclusion, Direction, Evidence, EvidenceFact, EvidenceRow, Mechanism, SignalRole,
    offline, text,
};
use ratelimiter_api::{
    Key, KeySample, Limit, NodeId, NodeObservation, NodeSample, Observation, SharedCount,
    StoreSample,
};
use ratelimiter_invariants::{Monitor, Violation, ViolationChange};

const SECOND: Duration = Duration::from_secs(1);
const ROUND: Duration = Duration::from_millis(200);
const BEGINNING_US: u64 = 1_000_000_000_000;

/// The cluster in a quiet hour, `round` rounds after it began to be observed.
fn quiet(round: u32) -> Observation {
    quiet_with(round, &["api-users"])
}

fn quiet_with(round: u32, keys: &[&str]) -> Observation {
    let at = ROUND * round;
    let span_end_us = BEGINNING_US + u64::try_from(at.as_micros()).unwrap();
    let limit = Limit::new(100, 4).unwrap();
    let keys: Vec<Key> = keys.iter().map(|key| Key::new(key).unwrap()).collect();
    let own = KeySample {
        limit,
        epoch: 1,
        admissions: 20,
        unsynced: 1,
        leased: 0,
        lost: 0,
    };
    let shared = SharedCount {
        limit,
        epoch: 1,
        shared: 60,
        grants: None,
    };
    let node = |n: u32| NodeObservation {
        node: NodeId::new(format!("node-{n}")),
        address: format!("127.0.0.1:{}", 8000 + n),
        heartbeat: None,
        sample: Some(NodeSample {
            boot: "b".into(),
            started_at_us: BEGINNING_US - 60_000_000,
            latency: Duration::from_millis(1),
            store_connected: true,
            last_write_age: Some(Duration::from_millis(10)),
            check_p99: Some(Duration::from_micros(40)),
            sync_interval: ROUND,
            keys: keys.iter().map(|key| (key.clone(), own)).collect(),
        }),
        error: None,
    };
    Observation {
        at,
        span_end_us,
        nodes: (1..=3).map(node).collect(),
        store: Some(StoreSample {
            latency: Duration::from_micros(300),
            keys: keys
                .iter()
                .map(|key| (key.clone(), shared))
                .collect::<BTreeMap<_, _>>(),
        }),
        store_error: None,
    }
}

/// Twelve checks a round, all admitted.
fn client(round: u32) -> Option<Client> {
    Some(Client {
        at: ROUND * round,
        sent: u64::from(round) * 12,
        denied: 0,
    })
}

/// Observes `rounds` rounds, each as `change` makes it, with the violations that they raise.
fn monitored(rounds: u32, change: impl Fn(u32, &mut Observation)) -> (Recorder, Vec<Violation>) {
    let (mut recorder, mut monitor) = (Recorder::new(), Monitor::default());
    let mut violations = Vec::new();
    for round in 0..rounds {
        let mut observation = quiet(round);
        change(round, &mut observation);
        recorder.observe(&observation, client(round));
        violations.extend(raised(monitor.observe(&observation)));
    }
    (recorder, violations)
}

fn recorded(rounds: u32, change: impl Fn(u32, &mut Observation)) -> Recorder {
    monitored(rounds, change).0
}

fn raised(changes: Vec<ViolationChange>) -> impl Iterator<Item = Violation> {
    changes.into_iter().filter_map(|change| match change {
        ViolationChange::Raised(violation) => Some(violation),
        ViolationChange::Cleared(_) => None,
    })
}

fn sample(observation: &mut Observation, node: usize) -> &mut NodeSample {
    observation.nodes[node].sample.as_mut().unwrap()
}

fn moment(at: u32, until: u32) -> Moment {
    Moment {
        since: Duration::ZERO,
        at: ROUND * at,
        until: ROUND * until,
    }
}

fn row<'a>(evidence: &'a Evidence, entity: &str, signal: &str) -> &'a EvidenceRow {
    let mut rows = evidence
        .rows
        .iter()
        .filter(|r| r.entity() == entity && r.signal() == Some(signal));
    let row = rows
        .next()
        .unwrap_or_else(|| panic!("no row {signal:?} of {entity}"));
    assert!(rows.next().is_none(), "{signal:?} of {entity} has two rows");
    row
}

fn change<'a>(evidence: &'a Evidence, entity: &str, signal: &str) -> &'a Change {
    let row = row(evidence, entity, signal);
    row.change().unwrap_or_else(|| panic!("{row:?}"))
}

fn is_steady(evidence: &Evidence, entity: &str, signal: &str) -> bool {
    matches!(row(evidence, entity, signal).fact, EvidenceFact::Steady(_))
}

#[test]
fn every_signal_is_one_row() {
    let evidence = recorded(100, |_, _| ())
        .evidence("a quiet hour", moment(99, 99), [])
        .unwrap();
    let key = "key api-users";
    for (entity, signal, role) in [
        (CLIENTS, "checks sent", SignalRole::Demand),
        (CLIENTS, "checks denied", SignalRole::Other),
        (STORE, "reachable", SignalRole::Availability),
        (STORE, "read time", SignalRole::Latency),
        (
            STORE,
            "admissions held in their windows",
            SignalRole::Volume,
        ),
        (
            STORE,
            "age of the last accepted write",
            SignalRole::ProgressAge,
        ),
        (
            STORE,
            "confirmed admissions that are missing",
            SignalRole::Lost,
        ),
        (
            STORE,
            "admissions held that it has not confirmed",
            SignalRole::Unconfirmed,
        ),
        (key, "limit", SignalRole::Setting),
        (key, "window", SignalRole::Setting),
        ("node-2", "reachable", SignalRole::Availability),
        (
            "node-2",
            "own admissions in their windows",
            SignalRole::Volume,
        ),
        (
            "node-2",
            "admissions not confirmed by the store",
            SignalRole::Backlog,
        ),
        ("node-2", "p99 of checks", SignalRole::Latency),
        ("node-2", "uptime", SignalRole::Uptime),
        (
            "node-2",
            "age of the last confirmed write",
            SignalRole::ProgressAge,
        ),
        (
            "node-2",
            "reads of the store without an answer",
            SignalRole::Errors,
        ),
    ] {
        let row = row(&evidence, entity, signal);
        assert_eq!(row.role(), Some(role), "{signal} of {entity}");
        assert!(is_steady(&evidence, entity, signal), "{row:?}");
    }
    // the same of the other two nodes, and what each of the three declares about how often it syncs
    assert_eq!(evidence.rows.len(), 10 + 3 * 7 + 3);
    let EvidenceFact::Steady(sent) = &row(&evidence, CLIENTS, "checks sent").fact else {
        unreachable!()
    };
    assert_eq!(sent.median, 60.0);
    assert_eq!(offline::diagnose(&evidence).verdict, Conclusion::NoIncident);
}

#[test]
fn unseen_samples_are_gaps_not_zeros() {
    let evidence = recorded(100, |round, observation| {
        if round >= 60 {
            observation.nodes[0].sample = None;
            observation.store = None;
        }
    })
    .evidence("an hour", moment(60, 99), [])
    .unwrap();
    for (entity, signal) in [
        ("node-1", "own admissions in their windows"),
        ("node-1", "admissions not confirmed by the store"),
        ("node-1", "p99 of checks"),
        ("node-1", "uptime"),
        ("node-1", "age of the last confirmed write"),
        ("node-1", "reads of the store without an answer"),
        (STORE, "read time"),
        (STORE, "admissions held in their windows"),
        ("key api-users", "limit"),
    ] {
        let row = row(&evidence, entity, signal);
        let EvidenceFact::Gap(gap) = &row.fact else {
            panic!("{row:?}")
        };
        assert_eq!(gap.to, ROUND * 99, "{signal} of {entity}");
    }
    // that there is no answer is the one thing that was seen
    for entity in ["node-1", STORE] {
        let change = change(&evidence, entity, "reachable");
        assert_eq!(
            (change.direction, change.before.median, change.after.median),
            (Direction::Down, 1.0, 0.0)
        );
    }
    assert!(is_steady(&evidence, "node-2", "uptime"));
}

#[test]
fn a_round_that_took_long_is_no_surge() {
    let mut recorder = Recorder::new();
    for round in 0..60 {
        // from here on, whoever counts the checks does so at the end of a round that takes half a
        // second
        let late = Duration::from_millis(if round < 40 { 0 } else { 500 });
        let at = ROUND * round + late;
        let sent = u64::try_from(at.as_millis()).unwrap() * 60 / 1_000;
        let denied = 0;
        recorder.observe(&quiet(round), Some(Client { at, sent, denied }));
    }
    let evidence = recorder.evidence("an hour", moment(42, 59), []).unwrap();
    assert!(is_steady(&evidence, CLIENTS, "checks sent"));
}

#[test]
fn late_notice_shortens_the_baseline() {
    // slow for five seconds before the violation, after little more than that of normal latency
    let (recorder, violations) = monitored(70, |round, observation| {
        let slow = Duration::from_millis(if round < 30 { 1 } else { 250 });
        sample(observation, 0).check_p99 = Some(slow);
    });
    let at = violations[0].detected_at;
    assert!(at >= ROUND * 55, "{at:?}");
    let moment = Moment {
        at,
        ..moment(0, 69)
    };
    let evidence = recorder.evidence("x", moment, &violations).unwrap();
    assert!(
        evidence.spans.baseline.to <= ROUND * 30,
        "{:?}",
        evidence.spans
    );
    let change = change(&evidence, "node-1", "p99 of checks");
    assert_eq!(
        (change.onset, change.before.median, change.before.iqr),
        (ROUND * 30, 1.0, 0.0)
    );
}

#[test]
fn act_keeps_to_its_moment() {
    let recorder = recorded(200, |round, observation| {
        let slow = !(50..150).contains(&round);
        observation.store.as_mut().unwrap().latency =
            Duration::from_millis(if slow { 400 } else { 1 });
    });
    let steady = |since: u32, until: u32| {
        let moment = Moment {
            since: ROUND * since,
            at: ROUND * 120,
            until: ROUND * until,
        };
        let evidence = recorder.evidence("an act", moment, []).unwrap();
        assert!(
            evidence.spans.baseline.from >= moment.since
                && evidence.spans.incident.to <= moment.until
        );
        is_steady(&evidence, STORE, "read time")
    };
    assert!(steady(50, 149), "changes outside of the act are rows");
    assert!(!steady(50, 199));
}

#[test]
fn node_goes_by_address_until_named() {
    let evidence = recorded(60, |round, observation| {
        if round < 5 {
            let node = &mut observation.nodes[2];
            node.node = NodeId::new(node.address.clone());
            node.sample = None;
        }
    })
    .evidence("a start", moment(50, 59), [])
    .unwrap();
    let ids: BTreeSet<&str> = evidence
        .topology
        .entities
        .iter()
        .map(|e| e.id.as_str())
        .collect();
    assert_eq!(
        ids,
        BTreeSet::from([
            CLIENTS,
            "key api-users",
            "node-1",
            "node-2",
            "node-3",
            STORE
        ])
    );
}

#[test]
fn samples_and_owners_expire_after_ten_minutes() {
    let recorder = recorded(6_000, |round, observation| {
        if round > 100 {
            observation.nodes.pop();
        }
    });
    let evidence = recorder
        .evidence("a long day", moment(5_990, 5_999), [])
        .unwrap();
    assert!(
        evidence.spans.baseline.from >= ROUND * 5_999 - 600 * SECOND,
        "{:?}",
        evidence.spans
    );
    assert!(
        evidence.topology.entity("node-2").is_some()
            && evidence.topology.entity("node-3").is_none()
    );
}

#[test]
fn evidence_picks_the_keys_that_matter() {
    let names: Vec<String> = (0..500).map(|n| format!("k{n:03}")).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let mut recorder = Recorder::new();
    let (set, broken) = (Key::new("k150").unwrap(), Key::new("k499").unwrap());
    let mut monitor = Monitor::default();
    let mut violations = Vec::new();
    for round in 0..60 {
        let mut observation = quiet_with(round, &names);
        let store = observation.store.as_mut().unwrap();
        if round >= 30 {
            store.keys.get_mut(&set).unwrap().limit = Limit::new(90, 4).unwrap();
            store.keys.get_mut(&broken).unwrap().shared = 200;
        }
        violations.extend(raised(monitor.observe(&observation)));
        recorder.observe(&observation, client(round));
    }
    assert!(!violations.is_empty());
    let evidence = recorder
        .evidence("many keys", moment(31, 59), &violations)
        .unwrap();
    let keys: Vec<&str> = evidence
        .topology
        .entities
        .iter()
        .map(|e| e.id.as_str())
        .filter(|id| id.starts_with("key "))
        .collect();
    assert_eq!(keys.len(), 16);
    assert!(
        keys.contains(&"key k150") && keys.contains(&"key k499"),
        "{keys:?}"
    );
}

/// The violations that `change` leads to, as evidence: entity, invariant, observed, bound.
fn told(change: impl Fn(u32, &mut Observation)) -> Vec<(String, String, f64, f64)> {
    let (recorder, violations) = monitored(100, change);
    let evidence = recorder
        .evidence("an hour", moment(60, 99), &violations)
        .unwrap();
    let told = evidence.violations();
    told.map(|(_, v)| (v.entity.clone(), v.invariant.clone(), v.observed, v.bound))
        .collect()
}

#[test]
fn violation_has_entity_observed_and_bound() {
    type Break = fn(u32, &mut Observation);
    type Violated = (&'static str, &'static str, f64, f64);
    let cases: [(Break, Violated); 6] = [
        (
            |_, o| o.nodes[1].sample = None,
            ("node-2", "node_down", 0.0, 1.0),
        ),
        (
            |_, o| o.store = None,
            (STORE, "redis_disconnected", 0.0, 1.0),
        ),
        (
            |_, o| sample(o, 0).check_p99 = Some(Duration::from_millis(250)),
            ("node-1", "high_latency", 250.0, 100.0),
        ),
        (
            |round, o| {
                for count in o.store.as_mut().unwrap().keys.values_mut() {
                    count.shared += 2 * u64::from(round - 55);
                }
            },
            ("key api-users", "counter_drift", 18.0, 10.0),
        ),
        (
            |_, o| {
                for node in 0..3 {
                    for key in sample(o, node).keys.values_mut() {
                        key.admissions = 40;
                    }
                }
            },
            ("key api-users", "ghost_allowing", 120.0, 100.0),
        ),
        (
            |_, o| {
                for node in 0..3 {
                    sample(o, node).last_write_age = Some(SECOND);
                }
            },
            (STORE, "store_not_writable", 1.0, 0.6),
        ),
    ];
    for (broken, (entity, invariant, observed, bound)) in cases {
        let told = told(|round, o| {
            if round >= 60 {
                broken(round, o);
            }
        });
        let violated = (entity.to_owned(), invariant.to_owned(), observed, bound);
        // a counter that is off breaks other invariants as well
        let alone = !entity.starts_with("key");
        assert!(
            told.contains(&violated) && (told.len() == 1 || !alone),
            "{told:?}"
        );
    }
}

#[test]
fn a_store_that_forgot_is_the_cause() {
    for lost in [1, 10, 100] {
        let (recorder, violations) = monitored(100, |round, o| {
            if round >= 60 {
                let key = sample(o, 0).keys.values_mut().next().unwrap();
                (key.admissions, key.lost) = (key.admissions.max(lost), lost);
            }
        });
        let evidence = recorder
            .evidence("an hour", moment(60, 99), &violations)
            .unwrap();
        let answer = offline::diagnose(&evidence);
        let cause = answer.cause().map(|h| (h.entity.as_str(), h.mechanism));
        let lines = text::render(&evidence, &answer);
        assert_eq!(cause, Some((STORE, Mechanism::LostState)), "{lines:#?}");
        let number = format!("missing rose from 0 to {lost}");
        assert!(lines[0].contains(&number), "{lines:#?}");
    }
}

#[test]
fn repeated_violation_appears_once() {
    let flapping = told(|round, o| {
        if round >= 60 && round.is_multiple_of(4) {
            o.nodes[1].sample = None;
        }
    });
    assert_eq!(flapping.len(), 1, "{flapping:?}");
}

#[test]
fn violation_of_an_unobserved_node_is_refused() {
    let mut monitor = Monitor::default();
    let mut stranger = quiet(0);
    stranger.nodes[0].node = NodeId::new("node-9");
    stranger.nodes[0].sample = None;
    let violations: Vec<Violation> = raised(monitor.observe(&stranger)).collect();
    let error = recorded(60, |_, _| ())
        .evidence("x", moment(50, 59), &violations)
        .unwrap_err()
        .to_string();
    assert!(error.contains("node-9"), "{error}");
}

/// Words for faults of a cluster. The description of its parts needs none of them.
const FAULTS: &str = "attack break broke burst chaos crash cut dead delay down fail fault flood \
    inject kill lost outage overload partition pause slow surge";

#[test]
fn the_description_names_no_fault() {
    let evidence = recorded(60, |_, _| ())
        .evidence("", moment(50, 59), [])
        .unwrap();
    let mut texts = Vec::new();
    for entity in &evidence.topology.entities {
        texts.extend([&entity.id, &entity.kind, &entity.describes]);
        assert!(
            !entity.describes.is_empty(),
            "{} is not described",
            entity.id
        );
    }
    texts.extend(evidence.topology.edges.iter().map(|edge| &edge.rel));
    let signals = evidence.rows.iter().filter_map(EvidenceRow::signal);
    for text in texts.into_iter().map(String::as_str).chain(signals) {
        for word in text.split(|c: char| !c.is_alphabetic()) {
            let word = word.to_lowercase();
            assert!(
                !FAULTS.split(' ').any(|fault| word.starts_with(fault)),
                "{word:?} in {text:?}"
            );
        }
    }
}

#[test]
fn the_description_is_the_same_whatever_happened() {
    let well = recorded(60, |_, _| ())
        .evidence("x", moment(50, 59), [])
        .unwrap();
    let unwell = recorded(60, |round, observation| {
        if round >= 40 {
            observation.store = None;
            observation.nodes[0].sample = None;
        }
    })
    .evidence("x", moment(40, 59), [])
    .unwrap();
    assert_eq!(
        (well.topology, well.actions),
        (unwell.topology, unwell.actions)
    );
}
