//! A limiter of this process as a target, with delays, late answers and answers that never come.

use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use ratelimiter_api::{Claims, NodeId, Outcome};
use ratelimiter_target::{Check, CheckAnswer, Connection, Cork, Target, TargetError};
use tokio::time::{Instant, sleep, timeout};

use crate::limiter::{Decision, Defect, Kind, Limiter};

/// Numbers that look random and are the same in every run (xorshift64).
#[derive(Clone, Debug)]
pub(crate) struct Noise(pub(crate) u64);

impl Noise {
    pub(crate) fn below(&mut self, bound: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % bound.max(1)
    }
}

/// The network's faults.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Network {
    /// Longest delay each way, milliseconds: later checks overtake earlier ones.
    pub(crate) delay: u64,
    /// One check in so many is lost on its way, and one in so many has its answer lost; 0 for none.
    pub(crate) lost: u64,
}

#[derive(Clone)]
pub(crate) struct Double {
    nodes: Vec<NodeId>,
    shared: Arc<Shared>,
    /// The address that checks state.
    address: Option<u32>,
}

struct Shared {
    limiter: Mutex<Limiter>,
    noise: Mutex<Noise>,
    network: Network,
    origin: Instant,
}

impl Double {
    pub(crate) fn new(
        kind: Kind,
        defect: Option<Defect>,
        (limit, window): (u32, Duration),
        nodes: usize,
        network: Network,
        seed: u64,
    ) -> Self {
        let wall = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
        let wall = Duration::from_nanos((wall.as_nanos() % window.as_nanos()) as u64);
        let shared = Shared {
            limiter: Mutex::new(Limiter::new(kind, defect, limit, window, wall)),
            noise: Mutex::new(Noise(
                0x9E37_79B9_7F4A_7C15 ^ (seed + 1).wrapping_mul(0xD1B5_4A32_D192_ED03),
            )),
            network,
            origin: Instant::now(),
        };
        Self {
            nodes: (1..=nodes)
                .map(|n| NodeId::new(format!("node-{n}")))
                .collect(),
            shared: Arc::new(shared),
            address: None,
        }
    }
}

impl Target for Double {
    fn nodes(&self) -> &[NodeId] {
        &self.nodes
    }

    fn connect(&self, node: usize) -> BoxFuture<'_, Result<Box<dyn Connection>, TargetError>> {
        let connection = Line {
            node,
            address: self.address,
            shared: Arc::clone(&self.shared),
        };
        async move { Ok(Box::new(connection) as Box<dyn Connection>) }.boxed()
    }

    fn describe(&self) -> String {
        "a limiter of this process".into()
    }

    fn forged(&self, n: u32) -> Option<Box<dyn Target>> {
        let address = Some(n);
        Some(Box::new(Self {
            address,
            ..self.clone()
        }))
    }
}

struct Line {
    node: usize,
    address: Option<u32>,
    shared: Arc<Shared>,
}

impl Connection for Line {
    fn check<'a>(&'a mut self, check: &'a Check) -> BoxFuture<'a, CheckAnswer> {
        let answer = |outcome, claims, detail: &str| CheckAnswer {
            claims,
            detail: detail.to_owned(),
            ..CheckAnswer::plain(outcome)
        };
        async move {
            match timeout(check.deadline, self.decide(check)).await {
                Ok(made) => {
                    let claims = Claims {
                        remaining: Some(made.remaining),
                        retry_after: (!made.allowed).then_some(made.retry_after),
                        ..Claims::default()
                    };
                    let outcome = if made.allowed {
                        Outcome::Allowed
                    } else {
                        Outcome::Denied
                    };
                    answer(outcome, claims, "")
                }
                Err(_) => answer(Outcome::Unknown, Claims::default(), "no answer in time"),
            }
        }
        .boxed()
    }

    fn cork(&self) -> Option<Arc<Cork>> {
        None
    }
}

impl Shared {
    fn draw(&self, bound: u64) -> u64 {
        self.noise.lock().unwrap().below(bound)
    }

    /// Longer than any deadline.
    async fn lose(&self) {
        if self.network.lost > 0 && self.draw(self.network.lost) == 0 {
            sleep(Duration::from_secs(3600)).await;
        }
    }

    async fn travel(&self) {
        if self.network.delay > 0 {
            sleep(Duration::from_millis(self.draw(self.network.delay + 1))).await;
        }
    }
}

impl Line {
    async fn decide(&self, check: &Check) -> Decision {
        let (shared, cost) = (&self.shared, u64::from(check.cost));
        let limiter = || shared.limiter.lock().unwrap();
        let scope = limiter().scope(self.node, check.key.as_str(), self.address);
        shared.lose().await;
        shared.travel().await;
        let made = limiter().read(&scope, cost, shared.origin.elapsed());
        if limiter().defect == Some(Defect::ReadsThenWrites) {
            sleep(Duration::from_millis(2)).await;
        }
        limiter().write(&scope, cost, shared.origin.elapsed(), made);
        shared.lose().await;
        shared.travel().await;
        made
    }
}
