//! A correct rate limiter in simulated time, and an observer that looks at it.
//!
//! Every node decides from the admissions of all, so no window ever holds more than the limit that
//! the deciding node knows. Everything else is as loose as the invariants permit: admissions reach
//! the store late (though within the grace), nodes learn of limits and resets late, nodes crash
//! with unwritten admissions, samples are missing.

use std::collections::BTreeMap;
use std::time::Duration;

use ratelimiter_api::{
    Key, KeySample, Limit, NodeId, NodeObservation, NodeSample, NodeState, Observation,
    SharedCount, StoreSample,
};

/// The store's clock when the world begins: a window and more after zero.
const BEGINNING_US: u64 = 1_000_000_000;
const MS: u64 = 1_000;
const LONGEST_WINDOW_US: u64 = 10_000_000;

pub(crate) fn key() -> Key {
    Key::new("k").unwrap()
}

/// The constants of a world.
#[derive(Clone, Debug)]
pub(crate) struct Setup {
    pub(crate) nodes: usize,
    pub(crate) limit: (i64, i64),
    pub(crate) sync_ms: u64,
    /// How long each flush takes, in hundredths of the sync interval, one after the other. Up to
    /// 140: from admission to store it is then at most 2.8 sync intervals, and the grace is 3.
    pub(crate) flush_percent: Vec<u64>,
}

/// What happens in a world.
#[derive(Clone, Debug)]
pub(crate) enum Event {
    Wait {
        ms: u64,
    },
    Check {
        node: usize,
        times: u32,
    },
    Observe {
        missing: Missing,
        store_read_after_ms: u64,
    },
    Crash {
        node: usize,
    },
    Start {
        node: usize,
    },
    SetLimit {
        limit: (i64, i64),
    },
    Reset,
}

/// Which samples cannot be taken: bits by node, and the store.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Missing {
    pub(crate) nodes: u8,
    pub(crate) store: bool,
}

impl Missing {
    pub(crate) const NONE: Self = Self {
        nodes: 0,
        store: false,
    };
}

#[derive(Clone, Copy, Debug, PartialEq)]
struct Config {
    limit: Limit,
    epoch: u64,
}

#[derive(Clone, Copy, Debug, PartialEq)]
struct Admission {
    at_us: u64,
    epoch: u64,
}

pub(crate) struct World {
    setup: Setup,
    now_us: u64,
    config: Config,
    nodes: Vec<Node>,
    /// Every admission there ever was.
    truth: Vec<Admission>,
    store: Vec<Admission>,
    flushes: usize,
    /// Whether a complete round has shown the latest limit and epoch, on every node.
    settled: bool,
}

struct Node {
    up: bool,
    boot: u32,
    started_at_us: u64,
    config: Config,
    log: Vec<Admission>,
    /// The end of the log that has not been sent.
    unsent: Vec<Admission>,
    flush: Option<Flush>,
    next_sync_us: u64,
    last_write_us: Option<u64>,
}

/// A write on its way to the store.
struct Flush {
    sent_us: u64,
    lands_us: u64,
    admissions: Vec<Admission>,
}

fn limit((admissions, window_sec): (i64, i64)) -> Limit {
    Limit::new(admissions, window_sec).unwrap()
}

fn count(admissions: &[Admission], config: Config, end_us: u64) -> u64 {
    let start_us = end_us - config.limit.window_us();
    let inside =
        |a: &&Admission| a.epoch == config.epoch && start_us < a.at_us && a.at_us <= end_us;
    admissions.iter().filter(inside).count() as u64
}

impl World {
    pub(crate) fn new(setup: Setup) -> Self {
        let config = Config {
            limit: limit(setup.limit),
            epoch: 1,
        };
        let phase = |n: usize| setup.sync_ms * MS * n as u64 / setup.nodes as u64;
        let nodes = (0..setup.nodes)
            .map(|n| Node::starting(BEGINNING_US + phase(n), 1, config))
            .collect();
        let (now_us, truth, store) = (BEGINNING_US, Vec::new(), Vec::new());
        Self {
            setup,
            now_us,
            config,
            nodes,
            truth,
            store,
            flushes: 0,
            settled: false,
        }
    }

    /// Lets one thing happen. An event that the world does not permit at this time does not happen.
    pub(crate) fn run(&mut self, event: &Event) -> Option<Observation> {
        match *event {
            Event::Wait { ms } => self.wait(ms),
            Event::Check { node, times } => {
                for _ in 0..times {
                    self.check(node % self.setup.nodes);
                }
            }
            Event::Observe {
                missing,
                store_read_after_ms,
            } => {
                return Some(self.observe(missing, store_read_after_ms));
            }
            Event::Crash { node } => self.crash(node % self.setup.nodes),
            Event::Start { node } => self.start(node % self.setup.nodes),
            // the observer is promised to see every limit once: the next change waits for that
            Event::SetLimit { limit: new } if self.settled => {
                self.change(Config {
                    limit: limit(new),
                    ..self.config
                });
            }
            Event::Reset if self.settled => {
                self.change(Config {
                    epoch: self.config.epoch + 1,
                    ..self.config
                });
            }
            Event::SetLimit { .. } | Event::Reset => {}
        }
        None
    }

    fn change(&mut self, config: Config) {
        self.settled &= config == self.config;
        self.config = config;
    }

    /// Sent admissions arrive at the store, unsent ones are lost.
    fn crash(&mut self, node: usize) {
        self.nodes[node].up = false;
        self.store.extend(
            self.nodes[node]
                .flush
                .take()
                .into_iter()
                .flat_map(|flush| flush.admissions),
        );
    }

    fn start(&mut self, node: usize) {
        if !self.nodes[node].up {
            let boot = self.nodes[node].boot + 1;
            self.nodes[node] = Node::starting(self.now_us, boot, self.config);
        }
    }

    fn wait(&mut self, ms: u64) {
        let until_us = self.now_us + ms * MS;
        while let Some((at_us, node)) = self
            .nodes
            .iter()
            .enumerate()
            .filter(|(_, node)| node.up)
            .map(|(n, node)| (node.due_us(), n))
            .min()
        {
            if at_us > until_us {
                break;
            }
            self.now_us = self.now_us.max(at_us);
            self.sync(node);
        }
        self.now_us = until_us;
    }

    /// The node's flush lands, or its next one is sent.
    fn sync(&mut self, node: usize) {
        let sync_us = self.setup.sync_ms * MS;
        let node = &mut self.nodes[node];
        if let Some(flush) = node.flush.take() {
            self.store.extend(flush.admissions);
            node.config = self.config;
            node.last_write_us = Some(self.now_us);
            node.next_sync_us = self.now_us.max(flush.sent_us + sync_us);
        } else {
            let percent = self.setup.flush_percent[self.flushes % self.setup.flush_percent.len()];
            self.flushes += 1;
            let lands_us = self.now_us + sync_us * percent / 100;
            let admissions = std::mem::take(&mut node.unsent);
            node.flush = Some(Flush {
                sent_us: self.now_us,
                lands_us,
                admissions,
            });
        }
    }

    /// One check, decided as well as a limiter can.
    pub(crate) fn check(&mut self, node: usize) -> bool {
        let config = self.nodes[node].config;
        let admit = count(&self.truth, config, self.now_us) < u64::from(config.limit.admissions());
        admit && self.admit(node)
    }

    /// Admits without regard to the limit.
    pub(crate) fn admit(&mut self, node: usize) -> bool {
        let admission = Admission {
            at_us: self.now_us,
            epoch: self.nodes[node].config.epoch,
        };
        let node = &mut self.nodes[node];
        if node.up {
            node.log.push(admission);
            node.unsent.push(admission);
            self.truth.push(admission);
        }
        node.up
    }

    /// Drops what no window reaches back to.
    fn forget(&mut self) {
        let is_recent = |admission: &Admission| admission.at_us + LONGEST_WINDOW_US > self.now_us;
        self.truth.retain(is_recent);
        self.store.retain(is_recent);
        self.nodes
            .iter_mut()
            .for_each(|node| node.log.retain(is_recent));
    }

    fn observe(&mut self, missing: Missing, store_read_after_ms: u64) -> Observation {
        let end_us = self.now_us;
        self.forget();
        let nodes = self.nodes.iter().enumerate().map(|(n, node)| {
            let hidden = missing.nodes & (1 << n) != 0 || !node.up;
            NodeObservation {
                node: NodeId::new(format!("node-{n}")),
                address: format!("127.0.0.1:800{n}"),
                heartbeat: Some(NodeState::Up),
                sample: (!hidden).then(|| node.sample(end_us, self.setup.sync_ms)),
                error: None,
            }
        });
        let nodes: Vec<_> = nodes.collect();
        self.wait(store_read_after_ms);
        let Config { limit, epoch } = self.config;
        let shared = SharedCount {
            limit,
            epoch,
            shared: count(&self.store, self.config, end_us),
            grants: None,
        };
        let store = StoreSample {
            latency: Duration::ZERO,
            keys: BTreeMap::from([(key(), shared)]),
        };
        let shown = |node: &NodeObservation| {
            node.sample
                .as_ref()
                .is_some_and(|s| s.keys[&key()].limit == limit && s.keys[&key()].epoch == epoch)
        };
        self.settled |= !missing.store && nodes.iter().all(shown);
        Observation {
            at: Duration::from_micros(end_us - BEGINNING_US),
            span_end_us: end_us,
            nodes,
            store: (!missing.store).then_some(store),
            store_error: None,
        }
    }
}

impl Node {
    fn starting(at_us: u64, boot: u32, config: Config) -> Self {
        Self {
            up: true,
            boot,
            started_at_us: at_us,
            config,
            log: Vec::new(),
            unsent: Vec::new(),
            flush: None,
            next_sync_us: at_us,
            last_write_us: None,
        }
    }

    fn due_us(&self) -> u64 {
        self.flush
            .as_ref()
            .map_or(self.next_sync_us, |flush| flush.lands_us)
    }

    fn sample(&self, end_us: u64, sync_ms: u64) -> NodeSample {
        let Config { limit, epoch } = self.config;
        let in_flight = self
            .flush
            .as_ref()
            .map_or(&[][..], |flush| &flush.admissions);
        let unsynced =
            count(&self.unsent, self.config, end_us) + count(in_flight, self.config, end_us);
        let admissions = count(&self.log, self.config, end_us);
        NodeSample {
            boot: self.boot.to_string(),
            started_at_us: self.started_at_us,
            latency: Duration::ZERO,
            store_connected: true,
            last_write_age: self
                .last_write_us
                .map(|at_us| Duration::from_micros(end_us - at_us)),
            check_p99: None,
            sync_interval: Duration::from_millis(sync_ms),
            keys: BTreeMap::from([(
                key(),
                KeySample {
                    limit,
                    epoch,
                    admissions,
                    unsynced,
                    leased: 0,
                    lost: 0,
                },
            )]),
        }
    }
}
