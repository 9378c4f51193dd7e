//! Nodes and their store, step by step.
#![expect(
    clippy::unwrap_used,
    reason = "a test that cannot set up its subject has failed"
)]

use std::time::Duration;

use ratelimiter_lease::{
    GrantAnswer, GrantHolder, GrantLedger, HolderMessage, LeaseTerms, LedgerRequest, NodeTime,
    SpendResult, StoreTime, WaitingChecks,
};

const NODES: u32 = 3;
const MS: u64 = 1000;

/// A store and nodes whose clocks agree, for simplicity only.
struct Cluster {
    terms: LeaseTerms,
    ledger: GrantLedger<(usize, u64)>,
    nodes: Vec<GrantHolder>,
    now_us: u64,
    number: u64,
}

impl Cluster {
    fn new(limit: u32) -> Self {
        let terms =
            LeaseTerms::new(limit, Duration::from_secs(60), Duration::from_secs(1), 10).unwrap();
        let nodes = (0..NODES).map(|_| GrantHolder::new(terms)).collect();
        Self {
            terms,
            ledger: GrantLedger::new(Duration::ZERO),
            nodes,
            now_us: 100_000 * MS,
            number: 0,
        }
    }

    fn clock(&self) -> NodeTime {
        NodeTime::from_micros(self.now_us)
    }

    /// A check, which asks the store if the node cannot decide.
    fn check(&mut self, node: usize, cost: u32) -> SpendResult {
        let clock = self.clock();
        self.nodes[node].note(clock, cost);
        match self.nodes[node].spend(clock, cost) {
            SpendResult::Ask => {
                self.ask(node, Some(WaitingChecks::alike(cost, 1)));
                self.nodes[node].spend(clock, cost)
            }
            decided => decided,
        }
    }

    fn ask(&mut self, node: usize, waiting: Option<WaitingChecks>) -> GrantAnswer {
        self.number += 1;
        let clock = self.clock();
        let ask = self.nodes[node].ask(clock, self.number, waiting);
        self.settle(node);
        let now = self
            .ledger
            .advance(StoreTime::from_micros(self.now_us), &self.terms);
        let HolderMessage {
            number,
            waiting,
            ahead,
        } = ask;
        let request = LedgerRequest {
            id: (node, number),
            waiting,
            ahead,
            nodes: NODES,
            outside: 0,
        };
        let answer = self.ledger.grant(now, &self.terms, request);
        self.nodes[node].answered(clock, ask.number, answer);
        answer
    }

    fn settle(&mut self, node: usize) {
        let now = self
            .ledger
            .advance(StoreTime::from_micros(self.now_us), &self.terms);
        for (number, spent) in self.nodes[node].settlements().collect::<Vec<_>>() {
            self.ledger.settle(now, &(node, number), spent);
            self.nodes[node].settled(number);
        }
    }

    fn charged(&mut self) -> u64 {
        let now = self
            .ledger
            .advance(StoreTime::from_micros(self.now_us), &self.terms);
        self.ledger.charged(now, &self.terms)
    }
}

fn admitted(spend: SpendResult) -> bool {
    matches!(spend, SpendResult::Admitted { .. })
}

#[test]
fn a_small_limit_has_no_false_denial() {
    let mut cluster = Cluster::new(10);
    let allowed: Vec<bool> = (0..30).map(|i| admitted(cluster.check(i % 3, 1))).collect();
    assert_eq!(allowed.iter().position(|allowed| !allowed), Some(10));
    assert_eq!(allowed.iter().filter(|allowed| **allowed).count(), 10);
}

#[test]
fn a_grant_near_the_limit_is_spent_whole() {
    let mut cluster = Cluster::new(10);
    cluster.ask(0, Some(WaitingChecks::alike(1, 8)));
    // The room of two does for the first of these and not for the second.
    let answer = cluster.ask(
        1,
        Some(WaitingChecks {
            need: 1,
            alike: 1,
            queued: 4,
        }),
    );
    assert!(
        matches!(answer, GrantAnswer::Granted { charge: 1, .. }),
        "{answer:?}"
    );
    assert!(admitted(cluster.check(2, 1)));
    assert!(!admitted(cluster.check(2, 1)));
}

#[test]
fn a_small_limit_is_never_granted_ahead() {
    let mut cluster = Cluster::new(24);
    for _ in 0..8 {
        assert!(admitted(cluster.check(0, 1)));
        assert_eq!(cluster.nodes[0].unspent(), 0);
        cluster.now_us += 20 * MS;
    }
}

#[test]
fn a_denial_holds_until_charge_leaves() {
    let mut cluster = Cluster::new(1);
    assert!(admitted(cluster.check(0, 1)));
    cluster.settle(0);
    let asked = cluster.number;
    for _ in 0..50 {
        assert!(!admitted(cluster.check(1, 1)));
    }
    assert_eq!(cluster.number, asked + 1, "one question for fifty denials");
    cluster.now_us += 60_000 * MS;
    assert!(admitted(cluster.check(1, 1)));
}

#[test]
fn a_denial_ends_when_charge_is_returned() {
    let mut cluster = Cluster::new(10);
    cluster.ask(0, Some(WaitingChecks::alike(1, 10)));
    assert!(!admitted(cluster.check(1, 1)));
    cluster.now_us += 60 * MS;
    let clock = cluster.clock();
    assert!(cluster.nodes[0].tick(clock), "held unspent for too long");
    cluster.settle(0);
    assert_eq!(cluster.charged(), 0);
    assert!(admitted(cluster.check(1, 1)));
}

#[test]
fn a_dead_node_strands_its_grant_boundedly() {
    let mut cluster = Cluster::new(10);
    cluster.ask(0, Some(WaitingChecks::alike(1, 10)));
    cluster.now_us += 61_000 * MS - 1;
    assert_eq!(cluster.charged(), 10);
    cluster.now_us += 1;
    assert_eq!(cluster.charged(), 0);
}

#[test]
fn a_lost_reply_costs_nothing() {
    let mut cluster = Cluster::new(10);
    let clock = cluster.clock();
    let ask = cluster.nodes[0].ask(clock, 77, Some(WaitingChecks::alike(1, 10)));
    let now = cluster
        .ledger
        .advance(StoreTime::from_micros(cluster.now_us), &cluster.terms);
    let request = LedgerRequest {
        id: (0, ask.number),
        waiting: ask.waiting,
        ahead: 0,
        nodes: NODES,
        outside: 0,
    };
    let given = cluster.ledger.grant(now, &cluster.terms, request);
    assert_eq!(cluster.ledger.grant(now, &cluster.terms, request), given);
    assert_eq!(cluster.charged(), 10, "the repetition charged nothing");
    cluster.nodes[0].give_up(77);
    assert_eq!(cluster.nodes[0].stranded(), 10);
    cluster.settle(0);
    assert_eq!((cluster.nodes[0].stranded(), cluster.charged()), (0, 0));
    assert_eq!(
        cluster.ledger.grant(now, &cluster.terms, request),
        GrantAnswer::Closed
    );
}

#[test]
fn costs_are_admitted_whole_and_fill_the_limit() {
    let mut cluster = Cluster::new(100);
    let allowed = (0..30)
        .filter(|i| admitted(cluster.check(i % 3, 7)))
        .count();
    assert_eq!(allowed, 14);
    assert!(admitted(cluster.check(0, 2)));
    assert!(!admitted(cluster.check(0, 1)));
}

#[test]
fn a_steady_rate_is_granted_ahead_and_refilled() {
    let mut cluster = Cluster::new(1_000_000);
    let mut asked_while_waiting = 0;
    for _ in 0..10_000 {
        let before = cluster.number;
        assert!(admitted(cluster.check(0, 1)));
        asked_while_waiting += cluster.number - before;
        let clock = cluster.clock();
        if cluster.nodes[0].wants_refill(clock) {
            cluster.ask(0, None);
        }
        cluster.nodes[0].tick(clock);
        cluster.settle(0);
        cluster.now_us += MS / 10;
    }
    // One second: the first checks ask one by one, until there is a rate to go by.
    assert!(asked_while_waiting < 550, "{asked_while_waiting}");
    assert!(
        cluster.number - asked_while_waiting < 100,
        "{}",
        cluster.number
    );
}

#[test]
fn a_store_that_forgot_recalls_every_charge() {
    let mut cluster = Cluster::new(10);
    cluster.ask(0, Some(WaitingChecks::alike(1, 4)));
    for _ in 0..4 {
        assert!(admitted(cluster.check(0, 1)));
    }
    cluster.ask(1, Some(WaitingChecks::alike(1, 3)));
    cluster.now_us += 10 * MS;
    let clock = cluster.clock();
    cluster.ledger = GrantLedger::new(Duration::ZERO);
    let now = cluster
        .ledger
        .advance(StoreTime::from_micros(cluster.now_us), &cluster.terms);
    for node in 0..2 {
        for recall in cluster.nodes[node].recall(clock) {
            let id = (node, recall.number);
            cluster
                .ledger
                .recall(now, &cluster.terms, &id, recall.charge, recall.closed);
        }
    }
    assert_eq!(cluster.charged(), 7);
    cluster.now_us += 60_000 * MS;
    assert_eq!(
        cluster.charged(),
        3,
        "what was spent has left the window, the open grant has not"
    );
}

#[test]
fn a_clock_stepping_back_frees_nothing_early() {
    let mut cluster = Cluster::new(10);
    cluster.ask(0, Some(WaitingChecks::alike(1, 10)));
    cluster.now_us -= 30_000 * MS;
    assert_eq!(cluster.charged(), 10);
    cluster.now_us += 91_000 * MS - 1;
    assert_eq!(cluster.charged(), 10);
    cluster.now_us += 1;
    assert_eq!(cluster.charged(), 0, "the clock is where it stood");
}
