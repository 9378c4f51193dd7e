//! A run under one adversity of the store, judged by the history checker.

use std::fmt;
use std::time::Duration;

use fastrand::Rng;
use ratelimiter_api::{CountingMode, DecidedBy, Operation, Outcome};
use ratelimiter_invariants::check_history;
use redis::Value;
use tokio::time::{Instant, sleep};

use crate::load::Load;
use crate::world::{DEADLINE, LIMIT, MODES, NODES, WINDOW, World, limit};

/// Bytes of one entry of the other tenant.
const TENANT_ENTRY: usize = 4096;
/// Memory that the store may use beyond what it uses at the start, bytes.
const TENANT_MEMORY: u64 = 1 << 20;

/// What happens to the store.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Adversity {
    /// Another tenant fills the store, which evicts under this policy.
    Evicts(&'static str),
    /// The store's clock steps forward and back, and stays.
    ClockSteps,
    /// The store and a node are restarted together.
    RestartsTogether,
}

impl Adversity {
    pub(crate) const ALL: [Self; 6] = [
        Self::Evicts("allkeys-lru"),
        Self::Evicts("allkeys-random"),
        Self::Evicts("volatile-ttl"),
        Self::Evicts("volatile-random"),
        Self::ClockSteps,
        Self::RestartsTogether,
    ];

    /// Lets it act until the instant. Returns when nodes were restarted.
    async fn act(self, world: &mut World, random: &mut Rng, until: Instant) -> Vec<Instant> {
        let mut restarts = Vec::new();
        match self {
            Self::Evicts(policy) => evict(world, policy, random, until).await,
            Self::ClockSteps => {
                while Instant::now() < until {
                    sleep(Duration::from_millis(random.u64(500..1500))).await;
                    let magnitude = [300, 800, 3000, 25_000, 600_000];
                    let ahead = magnitude[random.usize(..magnitude.len())] * random.i64(-1..=1);
                    world.clock.set_ms(ahead);
                }
            }
            Self::RestartsTogether => {
                while Instant::now() < until {
                    sleep(Duration::from_millis(random.u64(500..2500))).await;
                    let node = random.usize(..NODES);
                    world.cluster.kill_store();
                    world.cluster.kill_node(node).unwrap();
                    world.cluster.restart_store().await.unwrap();
                    restarts.push(Instant::now());
                    world.cluster.restart_node(node).await.unwrap();
                }
            }
        }
        restarts
    }

    /// The most admissions of a mode in one window. `processes` lived within it at most.
    fn most(self, mode: CountingMode, processes: u64) -> u64 {
        match (mode, self) {
            (CountingMode::Leased, _) | (_, Self::ClockSteps) => LIMIT,
            // A count that is lost is bounded by what each process remembers.
            _ => processes * LIMIT,
        }
    }
}

async fn evict(world: &World, policy: &str, random: &mut Rng, until: Instant) {
    let Some(Value::BulkString(info)) = world.command(&["INFO", "memory"]).await else {
        panic!("the store answers");
    };
    let info = String::from_utf8_lossy(&info).into_owned();
    let used = info
        .lines()
        .find_map(|line| line.strip_prefix("used_memory:"));
    let most = used.unwrap().trim().parse::<u64>().unwrap() + TENANT_MEMORY;
    let most = most.to_string();
    for words in [
        ["CONFIG", "SET", "maxmemory-policy", policy],
        ["CONFIG", "SET", "maxmemory", &most],
    ] {
        assert!(world.command(&words).await.is_some());
    }
    let entry = "x".repeat(TENANT_ENTRY);
    while Instant::now() < until {
        // A burst fills all of the memory, and evicts what is there.
        for _ in 0..random.u32(1..400) {
            let name = format!("tenant:{}", random.u64(..));
            world.command(&["SET", &name, &entry, "EX", "3600"]).await;
        }
        sleep(Duration::from_millis(random.u64(0..200))).await;
    }
    assert!(
        world
            .command(&["CONFIG", "SET", "maxmemory", "0"])
            .await
            .is_some()
    );
}

/// The outcome of a run.
#[derive(Clone, Debug)]
pub(crate) struct RunReport {
    pub(crate) adversity: Adversity,
    pub(crate) seed: u64,
    /// Time from the first check to the last.
    pub(crate) took: Duration,
    /// Answered checks, and those of them that the store did not decide.
    pub(crate) checks: usize,
    pub(crate) by_policy: usize,
    /// Entries that the store evicted.
    pub(crate) evicted: u64,
    /// For each of [`MODES`], the most admissions that certainly share a window, and the promise.
    pub(crate) peaks: [(u64, u64); MODES.len()],
    /// For each of [`MODES`], admissions in all.
    pub(crate) admitted: [usize; MODES.len()],
    /// Whether the store decided again at the end.
    pub(crate) recovered: bool,
}

impl RunReport {
    /// Whether each promise held, and the run showed that the limiter worked at all.
    pub(crate) fn holds(&self) -> bool {
        self.peaks.iter().all(|(peak, most)| peak <= most)
            && self.admitted.iter().all(|admitted| *admitted > 0)
            && self.recovered
    }
}

/// Plays one run on a cluster of its own.
pub(crate) async fn play(adversity: Adversity, seed: u64, length: Duration) -> RunReport {
    let (mut world, mut random) = (World::start().await, Rng::with_seed(seed));
    let load = Load::start(&world);
    let restarts = adversity
        .act(&mut world, &mut random, Instant::now() + length)
        .await;
    let recovered = load.is_steady(DEADLINE).await;
    let evicted = evicted(&world).await;
    let took = load.now();
    let records = load.stop().await;
    world.cluster.shutdown().await;
    let processes = NODES + most_within(&restarts, WINDOW + DEADLINE / 20);
    let (mut peaks, mut admitted) = ([(0, 0); MODES.len()], [0; MODES.len()]);
    for (place, mode) in MODES.into_iter().enumerate() {
        let own = records.iter().filter(|record| record.mode == mode);
        let history: Vec<Operation> = own.map(|record| record.operation.clone()).collect();
        let report = check_history(&history, limit()).unwrap();
        peaks[place] = (report.definite_peak, adversity.most(mode, processes as u64));
        let allowed = history.iter().filter(|o| o.outcome == Outcome::Allowed);
        admitted[place] = allowed.count();
    }
    RunReport {
        adversity,
        seed,
        took,
        checks: records.len(),
        by_policy: records
            .iter()
            .filter(|record| record.by == Some(DecidedBy::Policy))
            .count(),
        evicted,
        peaks,
        admitted,
        recovered,
    }
}

async fn evicted(world: &World) -> u64 {
    let Some(Value::BulkString(info)) = world.command(&["INFO", "stats"]).await else {
        return 0;
    };
    let info = String::from_utf8_lossy(&info).into_owned();
    let line = info
        .lines()
        .find_map(|line| line.strip_prefix("evicted_keys:"));
    line.map_or(0, |count| count.trim().parse().unwrap())
}

/// The most instants that share a span.
fn most_within(instants: &[Instant], span: Duration) -> usize {
    let within = |first: &Instant| {
        let until = *first + span;
        instants
            .iter()
            .filter(|at| (*first..=until).contains(at))
            .count()
    };
    instants.iter().map(within).max().unwrap_or(0)
}

impl fmt::Display for RunReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [(atomic, atomic_most), (leased, leased_most)] = self.peaks;
        write!(
            f,
            "{:<26} seed {:<5} {:>5.1} s {:>6} checks, {:>5} without the store, {:>5} evicted; \
             atomic {atomic} of {atomic_most}, leased {leased} of {leased_most}{}",
            format!("{:?}", self.adversity),
            self.seed,
            self.took.as_secs_f64(),
            self.checks,
            self.by_policy,
            self.evicted,
            if self.holds() { "" } else { "  BROKEN" },
        )
    }
}
