//! Lost replies, one rule and one run: a client library that retries counts twice, and a node with
//! named admissions does not. Ignored where its packages cannot be installed.

#![expect(
    clippy::unwrap_used,
    reason = "a test that cannot set up its subject has failed"
)]

#[path = "support/needs.rs"]
mod needs;
#[path = "../../resp-proxy/tests/support/python.rs"]
mod python;

use std::time::{Duration, Instant};

use needs::{Missing, trial};
use python::PythonPackages;
use ratelimiter_api::{CheckRequest, Key, Limit, LimitSpec, layout};
use ratelimiter_cluster::{ClusterPlan, Proxies};
use redis::AsyncCommands as _;

const PATIENCE: Duration = Duration::from_secs(30);
/// A third of all writes is committed without an answer.
const RULE: &str = "class=write,script percent=30 seed=7 do=swallow-reply";
const REQUESTS: u32 = 30;

const RETRYING: &str = r#"
import sys
import redis
from redis.backoff import NoBackoff
from redis.retry import Retry
client = redis.Redis(host="127.0.0.1", port=int(sys.argv[1]), socket_timeout=0.3,
                     retry=Retry(NoBackoff(), 50), retry_on_timeout=True)
for _ in range(int(sys.argv[2])):
    client.incr("plain")
"#;

async fn lost_replies_double_plain_counts_alone() -> Result<(), Missing> {
    let python = PythonPackages::install()?;
    let cluster = ClusterPlan {
        proxies: Some(Proxies::Shared),
        ..ClusterPlan::nodes(1)
    }
    .start()
    .await
    .unwrap();
    let node = cluster.client(0, PATIENCE).unwrap();
    let key = Key::new("named").unwrap();
    let spec = LimitSpec::new(key.clone(), Limit::new(1000, 60).unwrap());
    let limit = node.set_limit(&spec).await.unwrap();

    let lost = cluster.rules().add(RULE.parse().unwrap());
    let port = cluster.proxies()[0].address().port();
    let client = tokio::task::spawn_blocking(move || {
        python.run(&["-c", RETRYING, &port.to_string(), &REQUESTS.to_string()])
    });
    let mut admitted = 0;
    while !client.is_finished() || admitted < REQUESTS {
        let answer = node.check(&CheckRequest::new(key.clone())).await.unwrap();
        admitted += u32::from(answer.allowed);
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    let output = client.await.unwrap();
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    let report = lost.heal();
    let until = Instant::now() + PATIENCE;
    while node
        .counters_of(std::slice::from_ref(&key), None)
        .await
        .unwrap()
        .counters
        .first()
        .is_none_or(|counter| counter.unsynced > 0)
    {
        assert!(Instant::now() < until, "the node keeps its admissions");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }

    let client = redis::Client::open(cluster.store_url().to_string()).unwrap();
    let mut direct = client.get_multiplexed_async_connection().await.unwrap();
    let plain: u32 = direct.get("plain").await.unwrap();
    assert!(
        plain > REQUESTS,
        "{plain} of {REQUESTS}, although {} replies were lost",
        report.effects
    );
    let stored: u32 = direct
        .zcard(layout::admissions(&key, limit.epoch))
        .await
        .unwrap();
    assert_eq!(
        stored, admitted,
        "each admission counts once, although {} replies were lost",
        report.effects
    );
    Ok(())
}

fn main() {
    needs::run(vec![trial(
        "lost_replies_double_plain_counts_alone",
        lost_replies_double_plain_counts_alone,
    )])
}
