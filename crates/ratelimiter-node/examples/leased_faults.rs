//! Leased counting under faults, judged by the history checker: a burst, a write pause, a store
//! killed, a node killed, cut links, lost replies and a frozen store, one after the other over
//! seeded runs on real clusters of three nodes.
//!
//! ```sh
//! cargo run --release -p ratelimiter-node --example leased_faults -- [RUNS] [FIRST SEED]
//! ```
//!
//! For each fault it prints the runs with a definite over-admission, which must be none, the checks
//! by outcome, how far a false denial was from the limit, and how long after the load unspent
//! charge was still held back.

use std::collections::BTreeMap;
use std::error::Error;
use std::time::Duration;

use ratelimiter_api::{
    CheckRequest, ClientError, CountingMode, DecidedBy, Key, Limit, LimitSpec, NodeClient, NodeId,
    Operation, Outcome, layout,
};
use ratelimiter_chaos::setup_rate_limit;
use ratelimiter_cluster::{ClusterPlan, LocalCluster, Proxies};
use ratelimiter_invariants::{Verdict, check_history};
use ratelimiter_store::Link;
use redis::cmd;
use resp_proxy::{CommandFault, CommandFilter, Rule};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, timeout};

const DEADLINE: Duration = Duration::from_secs(5);
const WINDOW_S: i64 = 2;
/// Clusters that run at the same time.
const AT_ONCE: usize = 3;
const CALLERS: usize = 9;
const LOAD: Duration = Duration::from_millis(6500);
const FAULT_AT: Duration = Duration::from_millis(800);
const FAULT: Duration = Duration::from_millis(700);

type Fallible<T> = Result<T, Box<dyn Error + Send + Sync>>;

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Fault {
    None,
    WritePause,
    StoreKilled,
    NodeKilled,
    LinksCut,
    RepliesLost,
    StoreFrozen,
}

const FAULTS: [Fault; 7] = [
    Fault::None,
    Fault::WritePause,
    Fault::StoreKilled,
    Fault::NodeKilled,
    Fault::LinksCut,
    Fault::RepliesLost,
    Fault::StoreFrozen,
];

/// The outcome of the runs of one fault.
#[derive(Debug, Default)]
struct Sum {
    runs: u32,
    over_admitting: u32,
    undecided: u32,
    allowed: u64,
    denied: u64,
    by_policy: u64,
    unknown: u64,
    false_denials: u64,
    /// Largest distance of a false denial from the limit.
    farthest: u64,
    /// Longest time after the load for which a living node held unspent charge.
    held: Duration,
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error + Send + Sync>> {
    let mut arguments = std::env::args().skip(1);
    let runs: u64 = arguments.next().map_or(Ok(14), |n| n.parse())?;
    let first: u64 = arguments.next().map_or(Ok(0), |n| n.parse())?;
    let mut sums = BTreeMap::<Fault, Sum>::new();
    let mut flights = JoinSet::new();
    let mut seeds = first..first + runs;
    loop {
        while flights.len() < AT_ONCE
            && let Some(seed) = seeds.next()
        {
            flights.spawn(async move { run(seed).await.map_err(|e| format!("seed {seed}: {e}")) });
        }
        let Some(done) = flights.join_next().await else {
            break;
        };
        let (fault, one) = done??;
        let sum = sums.entry(fault).or_default();
        sum.runs += 1;
        sum.over_admitting += one.over_admitting;
        sum.undecided += one.undecided;
        sum.allowed += one.allowed;
        sum.denied += one.denied;
        sum.by_policy += one.by_policy;
        sum.unknown += one.unknown;
        sum.false_denials += one.false_denials;
        sum.farthest = sum.farthest.max(one.farthest);
        sum.held = sum.held.max(one.held);
    }
    println!(
        "{:<12} {:>4} {:>5} {:>9} {:>8} {:>8} {:>9} {:>8} {:>7} {:>9} {:>8}",
        "fault",
        "runs",
        "over",
        "undecided",
        "allowed",
        "denied",
        "by policy",
        "unknown",
        "false",
        "farthest",
        "held ms"
    );
    for (fault, sum) in &sums {
        let fault = format!("{fault:?}");
        let Sum {
            runs,
            over_admitting,
            undecided,
            allowed,
            denied,
            by_policy,
            unknown,
            ..
        } = sum;
        let Sum {
            false_denials,
            farthest,
            held,
            ..
        } = sum;
        println!(
            "{fault:<12} {runs:>4} {over_admitting:>5} {undecided:>9} {allowed:>8} {denied:>8} \
             {by_policy:>9} \
             {unknown:>8} {false_denials:>7} {farthest:>9} {:>8}",
            held.as_millis()
        );
    }
    let over: u32 = sums.values().map(|sum| sum.over_admitting).sum();
    if over > 0 {
        Err(format!("{over} runs admitted too many").into())
    } else {
        Ok(())
    }
}

/// Pseudo-random numbers: splitmix64, Steele, Lea and Flood (2014).
struct Random(u64);

impl Random {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (z ^ (z >> 31)) % bound
    }
}

async fn run(seed: u64) -> Fallible<(Fault, Sum)> {
    let mut random = Random(seed);
    let fault = FAULTS[(seed % FAULTS.len() as u64) as usize];
    let admissions = [5, 20, 200][random.below(3) as usize];
    let plan = ClusterPlan {
        counting: CountingMode::Leased,
        proxies: (fault == Fault::RepliesLost).then_some(Proxies::PerNode),
        ..ClusterPlan::default()
    };
    let mut cluster = plan.start().await?;
    let key = Key::new("k")?;
    let limit = Limit::new(admissions, WINDOW_S)?;
    let clients: Vec<_> = (0..3)
        .map(|node| cluster.client(node, DEADLINE))
        .collect::<Result<_, _>>()?;
    let entry = setup_rate_limit(&clients, &LimitSpec::new(key.clone(), limit)).await?;

    let started = Instant::now();
    let mut callers = JoinSet::new();
    for caller in 0..CALLERS {
        let endpoint = cluster.endpoints()[caller % 3].clone();
        let (key, node) = (key.clone(), NodeId::new(format!("node-{}", caller % 3 + 1)));
        callers.spawn(call(
            started,
            endpoint,
            node,
            key,
            Random(seed * 100 + caller as u64),
        ));
    }
    sleep(FAULT_AT).await;
    inject(fault, &mut cluster, seed).await?;
    let mut operations = Vec::new();
    let mut sum = Sum::default();
    while let Some(caller) = callers.join_next().await {
        let (some, by_policy) = caller?;
        operations.extend(some);
        sum.by_policy += by_policy;
    }
    let ended = Instant::now();
    sum.held = if fault == Fault::NodeKilled {
        Duration::ZERO
    } else {
        unspent(&cluster, &entry, ended).await?
    };
    let report = check_history(&operations, limit)?;
    match report.verdict {
        Verdict::Violated(_) => sum.over_admitting = 1,
        Verdict::Unknown { .. } => sum.undecided = 1,
        Verdict::Pass => {}
    }
    if sum.over_admitting > 0 {
        eprintln!("seed {seed}, {fault:?}: {report}");
    }
    sum.allowed = report.operations.allowed;
    sum.denied = report.operations.denied;
    sum.unknown = report.operations.unknown;
    // A denial by policy is announced as such: no store granted anything.
    if matches!(fault, Fault::None | Fault::LinksCut | Fault::RepliesLost) {
        sum.false_denials = report.unjustified_denials.len() as u64;
        let far = report
            .unjustified_denials
            .iter()
            .map(|d| u64::from(d.max).saturating_sub(d.possible));
        sum.farthest = far.max().unwrap_or(0);
    }
    Ok((fault, sum))
}

/// One caller's checks, and how many of them the failure policy denied: these are left out, since
/// no store denied them.
async fn call(
    started: Instant,
    endpoint: ratelimiter_api::Endpoint,
    node: NodeId,
    key: Key,
    mut random: Random,
) -> (Vec<Operation>, u64) {
    let request = CheckRequest::new(key.clone());
    let mut operations = Vec::new();
    let mut by_policy = 0;
    let client = NodeClient::new(endpoint, DEADLINE);
    while started.elapsed() < LOAD {
        let invoke = started.elapsed();
        let answer = client.check(&request).await;
        let outcome = match &answer {
            Ok(answer) if answer.allowed => Outcome::Allowed,
            Ok(answer) if answer.decided_by == DecidedBy::Policy => {
                by_policy += 1;
                continue;
            }
            Ok(_) => Outcome::Denied,
            // Nothing was asked.
            Err(ClientError::Connect { .. }) => {
                sleep(Duration::from_millis(50)).await;
                continue;
            }
            Err(_) => Outcome::Unknown,
        };
        operations.push(Operation::new(
            key.clone(),
            node.clone(),
            invoke,
            started.elapsed(),
            outcome,
        ));
        sleep(Duration::from_micros(random.below(24_000))).await;
    }
    (operations, by_policy)
}

async fn inject(fault: Fault, cluster: &mut LocalCluster, seed: u64) -> Fallible<()> {
    let control = Link::new(cluster.store_url());
    match fault {
        Fault::None => {}
        Fault::WritePause => {
            let pause = FAULT.as_millis() as u64;
            let mut command = cmd("CLIENT");
            control
                .query::<String>(command.arg("PAUSE").arg(pause).arg("WRITE"), DEADLINE)
                .await?;
        }
        Fault::StoreKilled => {
            cluster.kill_store();
            cluster.restart_store().await?;
        }
        Fault::NodeKilled => {
            cluster.kill_node((seed % 3) as usize)?;
            sleep(FAULT).await;
            cluster.restart_node((seed % 3) as usize).await?;
        }
        Fault::LinksCut => {
            for _ in 0..10 {
                let mut command = cmd("CLIENT");
                control
                    .query::<u64>(
                        command
                            .arg("KILL")
                            .arg("TYPE")
                            .arg("normal")
                            .arg("SKIPME")
                            .arg("yes"),
                        DEADLINE,
                    )
                    .await?;
                sleep(FAULT / 10).await;
            }
        }
        Fault::RepliesLost => {
            let scripts = CommandFilter::all().named("EVALSHA").percent(30.0, seed);
            let rule = Rule::commands(scripts, CommandFault::SwallowReply);
            let guard = cluster.rules().add(rule);
            sleep(FAULT * 2).await;
            guard.heal();
        }
        Fault::StoreFrozen => {
            cluster.freeze_store()?;
            sleep(FAULT).await;
            cluster.thaw_store()?;
        }
    }
    Ok(())
}

/// How long after the load living nodes held unspent charge.
async fn unspent(
    cluster: &LocalCluster,
    entry: &ratelimiter_api::LimitEntry,
    ended: Instant,
) -> Fallible<Duration> {
    let store = Link::new(cluster.store_url());
    let [grants, ..] = layout::leases(&entry.key, entry.epoch);
    let settled = async {
        loop {
            let open: Option<String> = store
                .query(cmd("HGET").arg(&grants).arg("#open"), DEADLINE)
                .await?;
            if open.is_none_or(|open| open == "0") {
                return Fallible::Ok(ended.elapsed());
            }
            sleep(Duration::from_millis(2)).await;
        }
    };
    timeout(DEADLINE, settled).await?
}
