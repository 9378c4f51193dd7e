//! Kills primaries at random moments under steady load, and checks that no admission is counted twice:
//!
//! `cargo run --release -p ratelimiter-node --example primary_kills [cluster|sentinel] [kills]`
//!
//! Prints, for each kill, how long the store decided nothing, and at the end the longest wait of any check and both counts.

use std::time::{Duration, Instant};

use ratelimiter_api::{CheckRequest, CountingMode, DecidedBy, Key, Limit, LimitSpec, NodeClient, layout};
use ratelimiter_chaos::setup_rate_limit;
use ratelimiter_cluster::{LocalCluster, StoreTopology};
use ratelimiter_store::{Link, slot_of};
use redis::cmd;
use tokio::sync::watch;
use tokio::time::sleep;

type Failure = Box<dyn std::error::Error + Send + Sync>;

const PATIENCE: Duration = Duration::from_secs(30);
/// How long a check of the nodes waits for the store.
const TIMEOUT: Duration = Duration::from_millis(200);

/// The load of one node: the longest wait, and the checks without an answer.
async fn load(client: NodeClient, key: Key, stop: watch::Receiver<bool>) -> (Duration, u64, u64) {
    let (mut longest, mut failed, mut answered) = (Duration::ZERO, 0, 0);
    while !*stop.borrow() {
        let asked = Instant::now();
        match client.check(&CheckRequest::new(key.clone())).await {
            Ok(_) => answered += 1,
            Err(_) => failed += 1,
        }
        longest = longest.max(asked.elapsed());
        sleep(Duration::from_millis(5)).await;
    }
    (longest, failed, answered)
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
    let mut cluster =
        LocalCluster::builder().topology(topology).store_timeout(TIMEOUT).deadline(PATIENCE).start().await?;
    let clients: Result<Vec<_>, _> = (0..3).map(|node| cluster.client(node, PATIENCE)).collect();
    let clients = clients?;
    let key = Key::new("k")?;
    let spec = LimitSpec {
        counting: Some(CountingMode::Atomic),
        ..LimitSpec::new(key.clone(), Limit::new(1_000_000, 7200)?)
    };
    let entry = setup_rate_limit(&clients, &spec).await?;
    let (stop, stopped) = watch::channel(false);
    let loads: Vec<_> =
        clients.iter().map(|c| tokio::spawn(load(c.clone(), key.clone(), stopped.clone()))).collect();
    let link = Link::new(cluster.store_url())?;
    let set = layout::admissions(&entry.key, entry.epoch);
    let mut gaps = Vec::new();
    for kill in 0..kills {
        // Another moment of the sync and of the checks each time.
        sleep(Duration::from_millis(u64::from(kill * 37 % 200))).await;
        let victim = primary_of(&cluster, &link, &key).await?;
        let killed = Instant::now();
        cluster.kill_member(victim)?;
        while clients[0].check(&CheckRequest::new(key.clone())).await?.decided_by == DecidedBy::Store {
            if killed.elapsed() > PATIENCE {
                return Err("the kill had no effect".into());
            }
        }
        while clients[0].check(&CheckRequest::new(key.clone())).await?.decided_by != DecidedBy::Store {
            if killed.elapsed() > PATIENCE {
                return Err(format!("no primary within {} s after kill {kill}", PATIENCE.as_secs()).into());
            }
            sleep(Duration::from_millis(10)).await;
        }
        gaps.push(killed.elapsed());
        println!(
            "kill {:>2} of store {victim}: the store decides again after {:.2?}",
            kill + 1,
            killed.elapsed()
        );
        cluster.restart_member(victim).await?;
        replicated(&cluster, &link, &set).await?;
    }
    stop.send_replace(true);
    let (mut longest, mut failed, mut answered) = (Duration::ZERO, 0, 0);
    for load in loads {
        let (wait, without, with) = load.await?;
        (longest, failed, answered) = (longest.max(wait), failed + without, answered + with);
    }
    let mut own = 0;
    let mut lost = 0;
    for client in &clients {
        loop {
            let counters = client.counters(None).await?.counters;
            let counter = counters.iter().find(|c| c.key == key).ok_or("the key is not listed")?;
            if counter.unsynced == 0 {
                own += counter.count;
                break;
            }
            sleep(Duration::from_millis(20)).await;
        }
        lost += client.health().await?.store_lost;
    }
    let held: u64 = link.at(&set).query(cmd("ZCARD").arg(&set), PATIENCE).await?;
    gaps.sort_unstable();
    println!(
        "{kills} kills: the store decided again after {:.2?} (median), {:.2?} (longest)",
        gaps[gaps.len() / 2],
        gaps[gaps.len() - 1]
    );
    println!(
        "{answered} checks answered, {failed} not; longest wait {longest:.1?}, store timeout {TIMEOUT:?}"
    );
    println!("nodes admitted {own}, the store holds {held}; {lost} were lost on the way and sent again");
    if own == held && failed == 0 {
        Ok(())
    } else {
        Err("the counts differ, or checks were not answered".into())
    }
}

/// The number of the store that holds the key's slot.
async fn primary_of(cluster: &LocalCluster, link: &Link, key: &Key) -> Result<usize, Failure> {
    let started = Instant::now();
    loop {
        let primaries = link.primaries(PATIENCE).await?;
        let slot = slot_of(key.as_str());
        for number in 0..cluster.members() {
            let url = cluster.member_url(number)?;
            if primaries.iter().any(|primary| primary.to_string() == url.to_string())
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
    let Ok(link) = Link::new(url.clone()) else { return false };
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
            let info: Result<String, _> =
                Link::new(url)?.query(cmd("INFO").arg("replication"), Duration::from_secs(1)).await;
            followers += usize::from(info.is_ok_and(|info| info.contains("master_link_status:up")));
        }
        let held: Result<u64, _> = link.at(set).query(cmd("ZCARD").arg(set), Duration::from_secs(1)).await;
        if followers == cluster.members() / 2 && held.is_ok() {
            return Ok(());
        }
        sleep(Duration::from_millis(50)).await;
    }
    Err("the restarted store does not become a replica".into())
}
