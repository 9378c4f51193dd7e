//! A slot moves from primary to primary while its keys are checked.
//!
//! `RATELIMITER_MIGRATIONS=200 cargo test --release -p ratelimiter-node --test migration` moves it
//! more often than the gate.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use crate::common::raw::{exchange, request};
use crate::common::{
    PATIENCE, Store, all_synced, check, clients, count, counted, eventually, failing, key,
    primary_of, set, start,
};
use ratelimiter_api::{CountingMode, DecidedBy, Key, LimitEntry, NodeClient, StoreFailurePolicy};
use ratelimiter_cluster::{ClusterPlan, LocalCluster, StoreTopology};
use ratelimiter_store::{Link, slot_of};
use redis::cmd;
use tokio::time::{Instant, sleep};

const TOPOLOGY: StoreTopology = StoreTopology::Cluster { replicas: false };
const PRIMARIES: usize = 3;
const TIMEOUT: Duration = Duration::from_millis(400);
/// Pace of each caller.
const PACE: Duration = Duration::from_millis(10);
/// Admissions of the key that has a limit.
const LIMIT: i64 = 300;

/// Moves of the slot.
fn migrations() -> usize {
    std::env::var("RATELIMITER_MIGRATIONS").map_or(6, |text| text.parse().unwrap())
}

/// The primaries of a cluster, past its nodes.
struct Primaries {
    links: Vec<Link>,
    ids: Vec<String>,
}

impl Primaries {
    async fn of(cluster: &LocalCluster) -> Self {
        let links: Vec<_> = (0..PRIMARIES)
            .map(|n| Link::new(cluster.member_url(n).unwrap()))
            .collect();
        let mut ids = Vec::new();
        for link in &links {
            ids.push(
                link.query(cmd("CLUSTER").arg("MYID"), PATIENCE)
                    .await
                    .unwrap(),
            );
        }
        Self { links, ids }
    }

    async fn set_slot(&self, member: usize, slot: u16, words: &[&str]) {
        let mut command = cmd("CLUSTER");
        command.arg("SETSLOT").arg(slot).arg(words);
        self.links[member]
            .query::<()>(&command, PATIENCE)
            .await
            .unwrap();
    }

    /// Declares that the slot moves.
    async fn begin(&self, slot: u16, from: usize, to: usize) {
        self.set_slot(to, slot, &["IMPORTING", &self.ids[from]])
            .await;
        self.set_slot(from, slot, &["MIGRATING", &self.ids[to]])
            .await;
    }

    /// Moves at most `most` keys; false when none was left. A key that is on both members already
    /// fails here.
    async fn carry(&self, slot: u16, from: usize, to: usize, most: usize) -> bool {
        let mut list = cmd("CLUSTER");
        list.arg("GETKEYSINSLOT").arg(slot).arg(most);
        let keys: Vec<String> = self.links[from].query(&list, PATIENCE).await.unwrap();
        if keys.is_empty() {
            return false;
        }
        let url = self.links[to].url().to_string();
        let port = url.rsplit_once(':').unwrap().1;
        let mut migrate = cmd("MIGRATE");
        migrate
            .arg("127.0.0.1")
            .arg(port)
            .arg("")
            .arg(0)
            .arg(5000)
            .arg("KEYS")
            .arg(&keys);
        let moved: String = self.links[from].query(&migrate, PATIENCE).await.unwrap();
        assert!(["OK", "NOKEY"].contains(&moved.as_str()), "{moved}");
        true
    }

    /// Declares that the slot has moved.
    async fn end(&self, slot: u16, from: usize, to: usize) {
        for member in [to, from]
            .into_iter()
            .chain((0..PRIMARIES).filter(|m| ![from, to].contains(m)))
        {
            self.set_slot(member, slot, &["NODE", &self.ids[to]]).await;
        }
    }
}

/// How often the nodes had to follow the cluster, by the name of its answer.
async fn redirects(cluster: &LocalCluster) -> BTreeMap<String, u64> {
    let mut sums = BTreeMap::new();
    for endpoint in cluster.endpoints() {
        let reply = exchange(&endpoint, &request("GET", "/metrics", "", b"")).await;
        for line in String::from_utf8(reply.body).unwrap().lines() {
            if let Some(rest) = line.strip_prefix("ratelimiter_store_redirects{kind=\"") {
                let (kind, count) = rest.split_once("\"} ").unwrap();
                *sums.entry(kind.to_owned()).or_default() += count.parse::<u64>().unwrap();
            }
        }
    }
    sums
}

/// Shared by all callers.
#[derive(Default)]
struct Course {
    stop: AtomicBool,
    /// Checks that the store decided.
    by_store: AtomicU64,
}

/// The answers that one caller got.
#[derive(Default)]
struct Answers {
    /// All checks, and the allowed ones, by their decider.
    by: BTreeMap<&'static str, (u64, u64)>,
    longest: Duration,
}

async fn load(client: NodeClient, key: Key, course: Arc<Course>) -> Answers {
    let mut answers = Answers::default();
    while !course.stop.load(Ordering::Relaxed) {
        let asked = Instant::now();
        let answer = check(&client, &key).await;
        answers.longest = answers.longest.max(asked.elapsed());
        course.by_store.fetch_add(
            (answer.decided_by == DecidedBy::Store).into(),
            Ordering::Relaxed,
        );
        let count = answers.by.entry(answer.decided_by.as_str()).or_default();
        *count = (count.0 + 1, count.1 + u64::from(answer.allowed));
        sleep(PACE).await;
    }
    answers
}

async fn cluster() -> LocalCluster {
    start(ClusterPlan {
        topology: TOPOLOGY,
        store_timeout: TIMEOUT,
        deadline: 2 * PATIENCE,
        ..ClusterPlan::default()
    })
    .await
}

/// Every mode goes on, no admission is counted twice or forgotten, and none of the atomic key is
/// above its limit.
#[tokio::test]
async fn a_slot_moves_under_load() {
    let cluster = cluster().await;
    let (clients, primaries) = (clients(&cluster), Primaries::of(&cluster).await);
    let open = set(&cluster, &counted("open", 1_000_000, CountingMode::Atomic)).await;
    let slot = slot_of("open");
    // Keys of the same slot.
    let mut others = (0..)
        .map(|n| format!("k{n}"))
        .filter(|name| slot_of(name) == slot);
    let (strict, cached) = (others.next().unwrap(), others.next().unwrap());
    let strict = set(
        &cluster,
        &failing(
            &strict,
            LIMIT,
            CountingMode::Atomic,
            StoreFailurePolicy::Deny,
        ),
    )
    .await;
    let cached = set(&cluster, &counted(&cached, 1_000_000, CountingMode::Cached)).await;

    let course = Arc::<Course>::default();
    let start = |entry: &LimitEntry| -> Vec<_> {
        let caller =
            |c: &NodeClient| tokio::spawn(load(c.clone(), entry.key.clone(), Arc::clone(&course)));
        clients.iter().map(caller).collect()
    };
    let callers = [
        ("open", start(&open)),
        ("strict", start(&strict)),
        ("cached", start(&cached)),
    ];
    let mut at = primary_of("open", TOPOLOGY);
    for n in 0..migrations() {
        let to = (at + 1) % PRIMARIES;
        let decided = course.by_store.load(Ordering::Relaxed);
        eventually("the store decides at its place", async || {
            course.by_store.load(Ordering::Relaxed) >= decided + 60
        })
        .await;
        let before = redirects(&cluster).await;
        primaries.begin(slot, at, to).await;
        // Half of the moves rest with a part of the keys on each side until the nodes have met
        // that.
        for _ in 0..3 {
            primaries.carry(slot, at, to, 1).await;
            if n % 2 == 0 {
                eventually("the nodes meet the halved slot", async || {
                    // Which of the two depends on the entries that were carried: a script whose
                    // entries lie on both sides is told to try again, a command whose only entry
                    // has left is sent on.
                    let now = redirects(&cluster).await;
                    ["ask", "tryagain"]
                        .into_iter()
                        .any(|kind| now.get(kind) > before.get(kind))
                })
                .await;
            }
        }
        while primaries.carry(slot, at, to, 10).await {}
        primaries.end(slot, at, to).await;
        at = to;
    }
    course.stop.store(true, Ordering::Relaxed);
    let mut strictly = 0;
    for (name, callers) in callers {
        let (mut by, mut longest) = (BTreeMap::<_, (u64, u64)>::new(), Duration::ZERO);
        for caller in callers {
            let answers = caller.await.unwrap();
            longest = longest.max(answers.longest);
            for (decider, (all, allowed)) in answers.by {
                let count = by.entry(decider).or_default();
                *count = (count.0 + all, count.1 + allowed);
            }
        }
        println!("{name}: (checks, allowed) by {by:?}, longest wait {longest:.1?} of {TIMEOUT:?}");
        assert!(longest < TIMEOUT * 3 / 2, "{name}: {longest:?}");
        if name == "strict" {
            assert_eq!(
                by.get("policy").map_or(0, |(_, allowed)| *allowed),
                0,
                "no fail-open"
            );
            assert_eq!(by.get("local"), None);
            strictly = by.get("store").map_or(0, |(_, allowed)| *allowed);
        }
    }
    println!("followed: {:?}", redirects(&cluster).await);
    // Until it is full.
    for client in &clients {
        eventually("the strict key is full", async || {
            let answer = check(client, &strict.key).await;
            strictly += u64::from(answer.allowed);
            !answer.allowed && answer.decided_by == DecidedBy::Store
        })
        .await;
    }
    assert_eq!(strictly, LIMIT.cast_unsigned(), "neither more nor fewer");
    let store = Store::of(&cluster);
    for entry in [&open, &cached, &strict] {
        all_synced(&clients, &entry.key).await;
        let mut own = 0;
        for client in &clients {
            own += count(client, &entry.key).await.0;
            assert_eq!(
                client.health().await.unwrap().store_lost,
                0,
                "nothing was lost"
            );
        }
        assert_eq!(store.held(entry).await, own, "{}", entry.key);
    }
}

/// While some entries of a key have left and others have not, each is read where it is.
#[tokio::test]
async fn reads_of_a_halved_slot_miss_nothing() {
    let cluster = cluster().await;
    let primaries = Primaries::of(&cluster).await;
    let link = Link::new(cluster.store_url());
    let (from, slot) = (primary_of("tag", TOPOLOGY), slot_of("tag"));
    let to = (from + 1) % PRIMARIES;
    let entries: Vec<String> = (0..6).map(|n| format!("{n}{{tag}}")).collect();
    let at = || link.at("tag");
    for entry in &entries {
        at().query::<()>(cmd("SET").arg(entry).arg(1), PATIENCE)
            .await
            .unwrap();
    }
    primaries.begin(slot, from, to).await;
    for _ in 0..3 {
        assert!(primaries.carry(slot, from, to, 1).await);
    }
    let mut pipeline = redis::pipe();
    entries.iter().for_each(|entry| {
        pipeline.cmd("GET").arg(entry);
    });
    let values: Vec<Option<u64>> = at().pipeline(&pipeline, PATIENCE).await.unwrap();
    let asked = link.redirects();
    assert!(asked.ask > 0, "{asked:?}");
    assert_eq!(values, vec![Some(1); entries.len()]);
    while primaries.carry(slot, from, to, 10).await {}
    primaries.end(slot, from, to).await;
}

/// A slot that no member serves: the failure policy decides, and is named.
#[tokio::test]
async fn an_unserved_slot_is_decided_by_policy() {
    let cluster = cluster().await;
    let (clients, primaries) = (clients(&cluster), Primaries::of(&cluster).await);
    let slot = slot_of("k");
    let entry = set(
        &cluster,
        &failing("k", 5, CountingMode::Atomic, StoreFailurePolicy::Deny),
    )
    .await;
    assert_eq!(
        check(&clients[0], &key("k")).await.decided_by,
        DecidedBy::Store
    );
    let change = async |verb: &str| {
        for link in &primaries.links {
            let mut command = cmd("CLUSTER");
            // Another member takes the slot only when it is told to.
            let _: Result<(), _> = link.query(command.arg(verb).arg(slot), PATIENCE).await;
        }
    };
    change("DELSLOTS").await;
    eventually("the policy decides", async || {
        let asked = Instant::now();
        let answer = check(&clients[0], &entry.key).await;
        assert!(asked.elapsed() < TIMEOUT * 3 / 2);
        answer.decided_by == DecidedBy::Policy && !answer.allowed
    })
    .await;
    let counted = redirects(&cluster).await;
    assert!(counted["clusterdown"] + counted["lost"] > 0, "{counted:?}");
    let mut command = cmd("CLUSTER");
    command.arg("ADDSLOTS").arg(slot);
    primaries.links[primary_of("k", TOPOLOGY)]
        .query::<()>(&command, PATIENCE)
        .await
        .unwrap();
    eventually("the store decides again", async || {
        check(&clients[0], &entry.key).await.decided_by == DecidedBy::Store
    })
    .await;
}
