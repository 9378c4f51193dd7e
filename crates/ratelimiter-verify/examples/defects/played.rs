//! Programs of ten lines as a target: a store, a few nodes and a network, in this process and in
//! virtual time.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use ratelimiter_api::{Claims, NodeId, Outcome, StatedTime};
use ratelimiter_invariants::{Contract, HistoryChecker, Promise};
use ratelimiter_target::{Check, CheckAnswer, Connection, Cork, Target, TargetError};
use ratelimiter_verify::{FindingKind, Plan, PlanDepth, PlanSettings, RunJudge, RunVerdict, run};
use tokio::time::{Instant, sleep};
use tokio_util::sync::CancellationToken;

/// One check, as a program gets it.
pub(crate) struct Ask {
    pub(crate) key: String,
    /// Number of the node that was asked.
    pub(crate) node: usize,
    pub(crate) cost: f64,
    /// The address in a header field.
    pub(crate) address: Option<u32>,
}

/// A store of numbers and logs with expiry, and the promise of the limiter. Times are in seconds.
/// A program runs in it as a script does: nothing comes between its lines.
#[derive(Default)]
pub(crate) struct Db {
    pub(crate) limit: f64,
    pub(crate) window: f64,
    pub(crate) now: f64,
    /// The statement of the answer: seconds until a retry.
    pub(crate) retry_after: Option<f64>,
    wall: f64,
    numbers: HashMap<String, Number>,
    logs: HashMap<String, Vec<(f64, f64)>>,
}

#[derive(Default)]
struct Number {
    /// Values with the time of their change.
    values: Vec<(f64, f64)>,
    expires: Option<f64>,
}

impl Db {
    /// GET; 0 for none.
    pub(crate) fn get(&self, key: &str) -> f64 {
        self.earlier(key, 0.0)
    }

    /// The answer to a GET that was sent a while ago.
    pub(crate) fn earlier(&self, key: &str, ago: f64) -> f64 {
        let Some(number) = self.numbers.get(key) else {
            return 0.0;
        };
        if number.expires.is_some_and(|at| at <= self.now) {
            return 0.0;
        }
        let then = self.now - ago;
        let value = number.values.iter().rev().find(|(at, _)| *at <= then);
        value.map_or(0.0, |(_, value)| *value)
    }

    /// SET, which removes an expiry.
    pub(crate) fn set(&mut self, key: &str, value: f64) {
        self.put(key, value).expires = None;
    }

    /// INCRBY; the new value.
    pub(crate) fn incr(&mut self, key: &str, by: f64) -> f64 {
        let (before, now) = (self.get(key), self.now);
        let number = self.put(key, before + by);
        if number.expires.is_some_and(|at| at <= now) {
            number.expires = None;
        }
        before + by
    }

    fn put(&mut self, key: &str, value: f64) -> &mut Number {
        let number = self.numbers.entry(key.to_owned()).or_default();
        number.values.push((self.now, value));
        number
    }

    /// EXPIRE.
    pub(crate) fn expire(&mut self, key: &str, after: f64) {
        if let Some(number) = self.numbers.get_mut(key) {
            number.expires = Some(self.now + after);
        }
    }

    /// Seconds until a key expires.
    pub(crate) fn ttl(&self, key: &str) -> f64 {
        let expires = self.numbers.get(key).and_then(|number| number.expires);
        expires.map_or(0.0, |at| (at - self.now).max(0.0))
    }

    /// A list of times and costs.
    pub(crate) fn log(&mut self, key: &str) -> &mut Vec<(f64, f64)> {
        self.logs.entry(key.to_owned()).or_default()
    }

    /// Forgets everything.
    pub(crate) fn flush(&mut self) {
        self.numbers.clear();
        self.logs.clear();
    }

    /// The time of the wall clock.
    pub(crate) fn wall(&self) -> f64 {
        self.wall + self.now
    }
}

/// A limiter: whether a check passes.
pub(crate) type Program = fn(&mut Db, &Ask) -> bool;

#[derive(Clone)]
struct Played {
    program: Program,
    nodes: Vec<NodeId>,
    db: Arc<Mutex<Db>>,
    noise: Arc<Mutex<u64>>,
    origin: Instant,
    address: Option<u32>,
}

impl Target for Played {
    fn nodes(&self) -> &[NodeId] {
        &self.nodes
    }

    fn connect(&self, node: usize) -> BoxFuture<'_, Result<Box<dyn Connection>, TargetError>> {
        let line = Line(self.clone(), node);
        async move { Ok(Box::new(line) as Box<dyn Connection>) }.boxed()
    }

    fn describe(&self) -> String {
        "a program".into()
    }

    fn forged(&self, n: u32) -> Option<Box<dyn Target>> {
        let address = Some(n);
        Some(Box::new(Self {
            address,
            ..self.clone()
        }))
    }
}

struct Line(Played, usize);

impl Line {
    /// Up to 3 ms each way: later checks overtake earlier ones.
    async fn travel(&self) {
        let ms = {
            let mut noise = self.0.noise.lock().unwrap();
            *noise ^= *noise << 13;
            *noise ^= *noise >> 7;
            *noise ^= *noise << 17;
            *noise % 4
        };
        sleep(Duration::from_millis(ms)).await;
    }
}

impl Connection for Line {
    fn check<'a>(&'a mut self, check: &'a Check) -> BoxFuture<'a, CheckAnswer> {
        async move {
            self.travel().await;
            let (outcome, retry_after) = {
                let Self(played, node) = self;
                let mut db = played.db.lock().unwrap();
                (db.now, db.retry_after) = (played.origin.elapsed().as_secs_f64(), None);
                let ask = Ask {
                    key: check.key.to_string(),
                    node: *node,
                    cost: check.cost.into(),
                    address: played.address,
                };
                match (played.program)(&mut db, &ask) {
                    true => (Outcome::Allowed, None),
                    false => (Outcome::Denied, db.retry_after),
                }
            };
            self.travel().await;
            let retry_after = retry_after.and_then(StatedTime::seconds);
            CheckAnswer {
                claims: Claims {
                    retry_after,
                    ..Claims::default()
                },
                ..CheckAnswer::plain(outcome)
            }
        }
        .boxed()
    }

    fn cork(&self) -> Option<Arc<Cork>> {
        None
    }
}

/// Plays all phases against a program that promises a limit. The clock has to be paused.
pub(crate) async fn verdict(program: Program, limit: &str, nodes: usize, seed: u64) -> RunVerdict {
    let mut limits = limit
        .split(" and ")
        .map(|limit| limit.parse::<Contract>().unwrap());
    let contract = limits.next().unwrap();
    let promise = Promise::new(contract.clone(), limits);
    let wall = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    let db = Db {
        limit: contract.max().into(),
        window: contract.window().as_secs_f64(),
        wall: wall.as_secs_f64(),
        ..Db::default()
    };
    let target = Played {
        program,
        nodes: (1..=nodes)
            .map(|n| NodeId::new(format!("node-{n}")))
            .collect(),
        db: Arc::new(Mutex::new(db)),
        noise: Arc::new(Mutex::new((seed + 1).wrapping_mul(0x9E37_79B9_7F4A_7C15))),
        origin: Instant::now(),
        address: None,
    };
    let settings = PlanSettings {
        promise,
        cost: 1,
        multiplier: 2,
        bursts: 3,
        depth: PlanDepth::Thorough,
        phases: Vec::new(),
        key_part: "test".into(),
        has_key: true,
        rest: None,
        nodes,
        forges: true,
        untrusted: true,
        has_calls: false,
        has_cost: true,
        during: None,
        max_requests: 100_000,
    };
    let plan = Plan::new(&settings).unwrap();
    let (deadline, stop) = (Duration::from_secs(5), CancellationToken::new());
    let (recorded, end) = run(&plan, &target, deadline, &stop, |_, _| {}).await;
    end.unwrap();
    let judge = RunJudge {
        checker: HistoryChecker::new(plan.promise.clone()).uncertainty(Duration::from_millis(1)),
        fail_on: vec![
            FindingKind::Excess,
            FindingKind::Denials,
            FindingKind::Claims,
        ],
        decides_within: None,
        fresh: true,
        judges_claims: true,
        deadline: None,
    };
    judge.run(&plan, &recorded).unwrap()
}
