//! The pause against a real store: the commands that it holds back, those that pass, and its end in
//! every case.
#![expect(
    clippy::unwrap_used,
    reason = "a test that cannot set up its subject has failed"
)]

use std::process::{Command, Stdio};
use std::time::Duration;

use ratelimiter_chaos::{
    ChaosError, LEASE, PauseDuration, Reach, RedisPause, foreign_pause, redis_pause, writes_pass,
};
use ratelimiter_cluster::{ClusterPlan, LocalCluster, node_binary};
use ratelimiter_store::{Link, StoreError, StoreUrl};
use redis::cmd;
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::time::{Instant, sleep};

const SECOND: Duration = Duration::from_secs(1);

async fn store() -> (LocalCluster, StoreUrl) {
    let cluster = ClusterPlan::nodes(1).start().await.unwrap();
    let url = cluster.store_url();
    (cluster, url)
}

fn write_pause(url: &StoreUrl) -> RedisPause {
    RedisPause::new(url.clone(), Reach::ThisMachine).unwrap()
}

#[tokio::test]
async fn pause_holds_writes_and_lets_reads_pass() {
    let (_cluster, url) = store().await;
    let (reader, writer) = (Link::new(url.clone()), Link::new(url.clone()));
    let guard = write_pause(&url).inject().await.unwrap();

    // Longer than one lease, so that it has to be renewed to hold.
    while guard.started().elapsed() < 3 * LEASE {
        let read: Result<Option<String>, _> = reader.query(cmd("GET").arg("x"), SECOND).await;
        assert_eq!(read.unwrap(), None);
        let write: Result<(), _> = writer.query(cmd("SET").arg("x").arg(1), LEASE / 3).await;
        assert!(
            matches!(write, Err(StoreError::Deadline { .. })),
            "{write:?}"
        );
    }
    let report = guard.heal().await.unwrap();
    assert!(
        report.ended - report.started >= 3 * LEASE && report.renewals >= 3,
        "{report:?}"
    );
    assert!(
        report.held() >= 2 * LEASE && report.probes >= 3,
        "{report:?}"
    );
    writer
        .query::<()>(cmd("SET").arg("x").arg(1), SECOND)
        .await
        .unwrap();
}

#[tokio::test]
async fn a_dropped_guard_heals() {
    let (_cluster, url) = store().await;
    let guard = write_pause(&url).inject().await.unwrap();
    assert!(!writes_pass(&url).await.unwrap());
    drop(guard);
    let until = Instant::now() + 10 * SECOND;
    while !writes_pass(&url).await.unwrap() {
        assert!(Instant::now() < until, "the store still takes no writes");
    }
}

#[tokio::test]
async fn someone_elses_pause_is_seen_and_left_alone() {
    let (_cluster, url) = store().await;
    let other = Link::new(url.clone());
    other
        .query::<()>(cmd("CLIENT").arg("PAUSE").arg(30_000).arg("WRITE"), SECOND)
        .await
        .unwrap();
    assert!(foreign_pause(&url).await.unwrap().is_some());
    let refused = write_pause(&url).inject().await.unwrap_err();
    assert!(
        matches!(refused, ChaosError::ForeignPause { .. }),
        "{refused}"
    );
    assert!(
        !writes_pass(&url).await.unwrap(),
        "the other's pause is still there"
    );
    other
        .query::<()>(cmd("CLIENT").arg("UNPAUSE"), SECOND)
        .await
        .unwrap();
    assert_eq!(foreign_pause(&url).await.unwrap(), None);
}

#[tokio::test]
async fn healing_leaves_a_later_foreign_pause_alone() {
    let (_cluster, url) = store().await;
    let guard = write_pause(&url).inject().await.unwrap();
    let (other, foreign) = (Link::new(url.clone()), Duration::from_millis(1500));
    let mut pause = cmd("CLIENT");
    pause.arg("PAUSE").arg(1500).arg("WRITE");
    let began = Instant::now();
    other.query::<()>(&pause, SECOND).await.unwrap();
    let report = guard.heal().await.unwrap();
    assert!(
        report.ended - began >= foreign,
        "healing ended the other pause: {report:?}"
    );
    assert!(report.outlasted_by().is_some(), "{report:?}");
}

#[tokio::test]
async fn pause_ended_by_another_is_not_held() {
    let (_cluster, url) = store().await;
    let guard = write_pause(&url).inject().await.unwrap();
    let (other, until) = (Link::new(url.clone()), Instant::now() + 2 * SECOND);
    while Instant::now() < until {
        other
            .query::<()>(cmd("CLIENT").arg("UNPAUSE"), SECOND)
            .await
            .unwrap();
        sleep(Duration::from_millis(5)).await;
    }
    let report = guard.heal().await.unwrap();
    assert!(!report.is_without_gap(), "{report:?}");
    assert!(
        report.held() < (report.ended - report.started) / 2,
        "{report:?}"
    );
}

#[tokio::test]
async fn documented_rights_suffice_to_pause_only() {
    let (_cluster, url) = store().await;
    let admin = Link::new(url.clone());
    let rights =
        "on >pw resetkeys -@all +client|pause +client|id +client|setname +info +ping +evalsha";
    let mut acl = cmd("ACL");
    acl.arg("SETUSER")
        .arg("chaos")
        .arg(rights.split(' ').collect::<Vec<_>>());
    admin.query::<()>(&acl, SECOND).await.unwrap();
    admin
        .query::<()>(
            cmd("ACL")
                .arg("SETUSER")
                .arg("nobody")
                .arg("on")
                .arg(">pw")
                .arg("+info")
                .arg("+ping")
                .arg("+evalsha"),
            SECOND,
        )
        .await
        .unwrap();
    let as_user = |user: &str| -> StoreUrl {
        url.to_string()
            .replace("redis://", &format!("redis://{user}:pw@"))
            .parse()
            .unwrap()
    };

    let lease = PauseDuration::new(LEASE).unwrap();
    let report = redis_pause(as_user("chaos"), lease, Reach::ThisMachine)
        .await
        .unwrap();
    assert!(
        report.ended - report.started >= LEASE && report.held() > LEASE / 2,
        "{report:?}"
    );
    let read = Link::new(as_user("chaos"))
        .query::<Option<String>>(cmd("GET").arg("x"), SECOND)
        .await;
    assert!(
        matches!(read, Err(StoreError::NotPermitted { .. })),
        "{read:?}"
    );

    let refused = redis_pause(as_user("nobody"), lease, Reach::ThisMachine)
        .await
        .unwrap_err();
    assert!(
        matches!(refused, ChaosError::NotPermitted { .. }),
        "{refused}"
    );
    assert!(refused.to_string().contains("ACL SETUSER"), "{refused}");
    let wrong = redis_pause(as_user("chaos:x"), lease, Reach::ThisMachine)
        .await
        .unwrap_err();
    assert!(
        matches!(wrong, ChaosError::Store(StoreError::Login { .. })),
        "{wrong}"
    );
}

#[tokio::test]
async fn store_death_in_the_pause_is_reported() {
    let (mut cluster, url) = store().await;
    let guard = write_pause(&url).inject().await.unwrap();
    cluster.kill_store();
    let until = Instant::now() + 10 * SECOND;
    while guard.is_held() {
        assert!(Instant::now() < until, "the loss is noticed");
        sleep(Duration::from_millis(10)).await;
    }
    assert!(guard.heal().await.is_err());
}

/// How often a write is tried while measuring how long a pause outlives its owner.
#[tokio::test]
async fn pause_of_a_killed_owner_ends() {
    let (_cluster, url) = store().await;
    let hold = node_binary()
        .unwrap()
        .with_file_name("examples")
        .join("hold_pause");
    let mut owner = tokio::process::Command::new(hold)
        .arg(url.to_string())
        .stdout(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(owner.stdout.take().unwrap()).lines();
    assert_eq!(lines.next_line().await.unwrap().as_deref(), Some("held"));
    assert!(!writes_pass(&url).await.unwrap());
    let id = owner.id().unwrap();
    assert!(
        Command::new("kill")
            .args(["-KILL", &id.to_string()])
            .status()
            .unwrap()
            .success()
    );
    let killed = Instant::now();
    let writer = Link::new(url);
    // Held back until the lease has run out, then answered at once.
    writer
        .query::<()>(cmd("SET").arg("x").arg(1), 10 * SECOND)
        .await
        .unwrap();
    let outlived = killed.elapsed();
    assert!(
        outlived < LEASE + 10 * RELEASE_DELAY,
        "the pause outlived its owner by {outlived:?}"
    );
}

/// A store looks for ended pauses ten times a second.
const RELEASE_DELAY: Duration = Duration::from_millis(100);

#[tokio::test]
async fn an_unreachable_store_refuses_the_fault() {
    let nowhere: StoreUrl = "redis://127.0.0.1:1".parse().unwrap();
    let unreachable = redis_pause(
        nowhere,
        PauseDuration::new(SECOND).unwrap(),
        Reach::ThisMachine,
    )
    .await
    .unwrap_err();
    assert!(
        matches!(
            unreachable,
            ChaosError::Store(StoreError::Unreachable { .. })
        ),
        "{unreachable}"
    );
}
