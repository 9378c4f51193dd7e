//! Kills primaries at random moments under steady load, and checks that no admission is counted
//! twice:
//!
//! ```sh
//! cargo run --release -p ratelimiter-node --example primary_kills -- \
//!     [cluster|sentinel] [kills] [seed]
//! ```
//!
//! Prints, for each kill, how long each node decided without the store, behind sentinels also since
//! their first `+switch-master`, and at the end the longest wait of any check and both counts.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use futures_util::StreamExt as _;
use ratelimiter_api::{
    CheckRequest, CountingMode, DecidedBy, Key, Limit, LimitSpec, NodeClient, layout,
};
use ratelimiter_chaos::setup_rate_limit;
use ratelimiter_cluster::{ClusterPlan, LocalCluster, StoreTopology};
use ratelimiter_store::{Link, StoreUrl, slot_of};
use redis::cmd;
use tokio::sync::watch;
use tokio::time::sleep;

type Failure = Box<dyn std::error::Error + Send + Sync>;

const PATIENCE: Duration = Duration::from_secs(30);
/// How long a check of the nodes waits for the store.
const TIMEOUT: Duration = Duration::from_millis(200);
/// Longest wait of any check: the timeout, and the way through the node and this program.
const BOUND: Duration = Duration::from_millis(250);
/// Longest time from the first `+switch-master` to the store's next decision.
const FOLLOW: Duration = Duration::from_secs(1);

/// One node, as its caller finds it.
#[derive(Default)]
struct Course {
    longest: Duration,
    answered: u64,
    failed: u64,
    /// The last answer that the store did not decide, and the first after it that the store did.
    without: Option<Instant>,
    back: Option<Instant>,
}

type Courses = Vec<Arc<Mutex<Course>>>;

fn of<T>(course: &Mutex<Course>, read: impl FnOnce(&mut Course) -> T) -> T {
    read(&mut course.lock().unwrap_or_else(PoisonError::into_inner))
}

/// The load of one node.
async fn load(
    client: NodeClient,
    key: Key,
    course: Arc<Mutex<Course>>,
    stop: watch::Receiver<bool>,
) {
    while !*stop.borrow() {
        let asked = Instant::now();
        let answer = client.check(&CheckRequest::new(key.clone())).await;
        let now = Instant::now();
        of(&course, |course| {
            course.longest = course.longest.max(now - asked);
            match answer {
                Ok(answer) if answer.decided_by == DecidedBy::Store => {
                    course.answered += 1;
                    course.back.get_or_insert(now);
                }
                Ok(_) => {
                    course.answered += 1;
                    (course.without, course.back) = (Some(now), None);
                }
                Err(_) => course.failed += 1,
            }
        });
        sleep(Duration::from_millis(5)).await;
    }
}

/// The times of `+switch-master` at any sentinel.
fn switches(url: &StoreUrl) -> Result<Arc<Mutex<Vec<Instant>>>, Failure> {
    let switches = Arc::<Mutex<Vec<Instant>>>::default();
    for sentinel in url.sentinels() {
        let (client, switches) = (
            redis::Client::open(sentinel.to_string())?,
            Arc::clone(&switches),
        );
        tokio::spawn(async move {
            let mut subscription = client.get_async_pubsub().await?;
            subscription.subscribe("+switch-master").await?;
            let mut messages = subscription.on_message();
            while messages.next().await.is_some() {
                switches
                    .lock()
                    .unwrap_or_else(PoisonError::into_inner)
                    .push(Instant::now());
            }
            Ok::<_, redis::RedisError>(())
        });
    }
    Ok(switches)
}

/// The first `+switch-master` after a kill.
async fn announced_after(
    announced: &Mutex<Vec<Instant>>,
    killed: Instant,
) -> Result<Instant, Failure> {
    loop {
        let times = announced
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone();
        match times.into_iter().find(|at| *at > killed) {
            Some(at) => return Ok(at),
            None if killed.elapsed() > PATIENCE => {
                return Err("no sentinel announced another primary".into());
            }
            None => sleep(Duration::from_millis(5)).await,
        }
    }
}

/// Waits until the store decides again on every node; returns when it did, by node.
async fn followed(courses: &Courses, killed: Instant) -> Result<Vec<Instant>, Failure> {
    loop {
        let back = courses.iter().map(|course| {
            of(course, |course| {
                course
                    .back
                    .filter(|_| course.without.is_some_and(|without| without > killed))
            })
        });
        if let Some(back) = back.collect() {
            return Ok(back);
        }
        if killed.elapsed() > PATIENCE {
            return Err(format!(
                "no primary within {} s, or the kill had no effect",
                PATIENCE.as_secs()
            )
            .into());
        }
        sleep(Duration::from_millis(5)).await;
    }
}

fn summary(times: &mut [Duration]) -> String {
    times.sort_unstable();
    match times.last() {
        None => "none".into(),
        Some(longest) => format!(
            "{:.2?} (median), {longest:.2?} (longest)",
            times[times.len() / 2]
        ),
    }
}

#[tokio::main]
async fn main() -> Result<(), Failure> {
    let mut arguments = std::env::args().skip(1);
    let topology = match arguments.next().as_deref() {
        None | Some("cluster") => StoreTopology::Cluster { replicas: true },
        Some("sentinel") => StoreTopology::SENTINEL,
        Some(other) => return Err(format!("{other} is neither cluster nor sentinel").into()),
    };
    let kills: u32 = arguments.next().map_or(Ok(50), |text| text.parse())?;
    let seed: u64 = arguments.next().map_or(Ok(1), |text| text.parse())?;
    let mut random = fastrand::Rng::with_seed(seed);
    println!("{topology:?}, {kills} kills, seed {seed}");
    let mut cluster = ClusterPlan {
        topology,
        store_timeout: TIMEOUT,
        deadline: PATIENCE,
        ..ClusterPlan::default()
    }
    .start()
    .await?;
    let clients: Result<Vec<_>, _> = (0..3).map(|node| cluster.client(node, PATIENCE)).collect();
    let clients = clients?;
    let key = Key::new("k")?;
    let spec = LimitSpec {
        counting: Some(CountingMode::Atomic),
        ..LimitSpec::new(key.clone(), Limit::new(1_000_000, 7200)?)
    };
    let entry = setup_rate_limit(&clients, &spec).await?;
    let announced = switches(&cluster.store_url())?;
    let (stop, stopped) = watch::channel(false);
    let courses: Courses = clients.iter().map(|_| Arc::default()).collect();
    let loads: Vec<_> = clients
        .iter()
        .zip(&courses)
        .map(|(c, course)| {
            tokio::spawn(load(
                c.clone(),
                key.clone(),
                Arc::clone(course),
                stopped.clone(),
            ))
        })
        .collect();
    let link = Link::new(cluster.store_url());
    let set = layout::admissions(&entry.key, entry.epoch);
    let (mut gaps, mut after_switch) = (Vec::new(), Vec::new());
    for kill in 1..=kills {
        // Any moment of the syncs, heartbeats and checks.
        sleep(Duration::from_micros(random.u64(..1_000_000))).await;
        let victim = primary_of(&cluster, &link, &key).await?;
        let killed = Instant::now();
        cluster.kill_member(victim)?;
        let back = followed(&courses, killed).await?;
        let gap = back
            .iter()
            .map(|back| *back - killed)
            .max()
            .unwrap_or_default();
        let switch = match topology {
            // Sentinels name the new primary before they announce it, and an old one that returned
            // before would confuse them.
            StoreTopology::Sentinel { .. } => Some(announced_after(&announced, killed).await?),
            StoreTopology::Cluster { .. } | StoreTopology::Single => None,
        };
        let after: Vec<_> = switch
            .iter()
            .flat_map(|at| back.iter().map(|back| back.saturating_duration_since(*at)))
            .collect();
        println!(
            "kill {kill:>2} of store {victim}: the store decides again after {gap:.2?}; since \
             +switch-master, by node: \
             {after:.0?}"
        );
        gaps.push(gap);
        after_switch.extend(after);
        cluster.restart_member(victim).await?;
        replicated(&cluster, &link, &set).await?;
    }
    stop.send_replace(true);
    for load in loads {
        load.await?;
    }
    let (mut longest, mut failed, mut answered) = (Duration::ZERO, 0, 0);
    for course in &courses {
        of(course, |course| {
            longest = longest.max(course.longest);
            failed += course.failed;
            answered += course.answered;
        });
    }
    let mut own = 0;
    let mut lost = 0;
    for client in &clients {
        loop {
            let counters = client.counters(None).await?.counters;
            let counter = counters
                .iter()
                .find(|c| c.key == key)
                .ok_or("the key is not listed")?;
            if counter.unsynced == 0 {
                own += counter.count;
                break;
            }
            sleep(Duration::from_millis(20)).await;
        }
        lost += client.health().await?.store_lost;
    }
    let held: u64 = link
        .at(&set)
        .query(cmd("ZCARD").arg(&set), PATIENCE)
        .await?;
    println!(
        "{kills} kills: the store decided again after {}",
        summary(&mut gaps)
    );
    println!(
        "since the first +switch-master, each node: {}",
        summary(&mut after_switch)
    );
    println!(
        "{answered} checks answered, {failed} not; longest wait {longest:.1?}, store timeout \
         {TIMEOUT:?}"
    );
    println!(
        "nodes admitted {own}, the store holds {held}; {lost} were lost on the way and sent again"
    );
    if own != held || failed > 0 {
        return Err("the counts differ, or checks were not answered".into());
    }
    if longest > BOUND || after_switch.iter().any(|after| *after > FOLLOW) {
        return Err(format!(
            "a check waited longer than {BOUND:?}, or a node followed after {FOLLOW:?}"
        )
        .into());
    }
    Ok(())
}
/// The number of the store that holds the key's slot.
async fn primary_of(cluster: &LocalCluster, link: &Link, key: &Key) -> Result<usize, Failure> {
    let started = Instant::now();
    loop {
        let primaries = link.primaries(PATIENCE).await?;
        let slot = slot_of(key.as_str());
        for number in 0..cluster.members() {
            let url = cluster.member_url(number)?;
            if primaries
                .iter()
                .any(|primary| primary.to_string() == url.to_string())
                && (primaries.len() == 1 || holds(&url, slot).await)
            {
                return Ok(number);
            }
        }
        if started.elapsed() > PATIENCE {
            return Err("no primary holds the key".into());
        }
        sleep(Duration::from_millis(20)).await;
    }
}

async fn holds(url: &ratelimiter_store::StoreUrl, slot: u16) -> bool {
    let link = Link::new(url.clone());
    let mut count = cmd("CLUSTER");
    count.arg("COUNTKEYSINSLOT").arg(slot);
    let myself: Result<String, _> = link
        .query(cmd("ROLE").arg(&[] as &[&str]), PATIENCE)
        .await
        .map(|role: Vec<redis::Value>| format!("{role:?}"));
    let keys: Result<u64, _> = link.query(&count, PATIENCE).await;
    myself.is_ok_and(|role| role.contains("master")) && keys.is_ok_and(|keys| keys > 0)
}

/// Waits until the new replica has the key: another kill before would lose everything.
async fn replicated(cluster: &LocalCluster, link: &Link, set: &str) -> Result<(), Failure> {
    let started = Instant::now();
    while started.elapsed() < PATIENCE {
        let mut followers = 0;
        for number in 0..cluster.members() {
            let url = cluster.member_url(number)?;
            let info: Result<String, _> = Link::new(url)
                .query(cmd("INFO").arg("replication"), Duration::from_secs(1))
                .await;
            followers += usize::from(info.is_ok_and(|info| info.contains("master_link_status:up")));
        }
        let held: Result<u64, _> = link
            .at(set)
            .query(cmd("ZCARD").arg(set), Duration::from_secs(1))
            .await;
        if followers == cluster.members() / 2 && held.is_ok() {
            return Ok(());
        }
        sleep(Duration::from_millis(50)).await;
    }
    Err("the restarted store does not become a replica".into())
}
