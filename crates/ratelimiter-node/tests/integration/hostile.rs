//! The node prints no control character, whatever it is given.

#[path = "../../../ratelimiter-cluster/tests/support/hostile.rs"]
mod hostile_input;

use std::time::Duration;

use hostile_input::{Program, hostile_json, hostile_text};
use ratelimiter_api::layout::NODES;
use ratelimiter_cluster::ClusterPlan;
use ratelimiter_store::Link;
use redis::cmd;
use tokio::time::{Instant, sleep};

#[test]
fn no_command_puts_out_control_characters() {
    let key = format!(
        r#"[{{"key":{},"limit":1,"window_seconds":1}}]"#,
        hostile_json()
    );
    Program {
        path: env!("CARGO_BIN_EXE_ratelimiter-node"),
        values: &[
            ("--store", "redis://127.0.0.1:PORT"),
            ("--listen", "127.0.0.1:0"),
            ("--node", "http://127.0.0.1:PORT"),
            ("--limits", "FILE"),
            ("--log", "trace"),
        ],
        always: &[("", "--listen")],
        files: vec![key.into_bytes(), hostile_text().into_bytes()],
        commands: 2,
    }
    .stays_clean();
}

#[tokio::test]
async fn hostile_entries_of_the_roster_are_left_out() {
    let cluster = ClusterPlan::nodes(2).start().await.unwrap();
    let second = Duration::from_secs(1);
    let beat =
        |address: &str| format!(r#"{{"address":{address},"boot":"b","at_us":1}}"#).into_bytes();
    let good = beat("\"127.0.0.1:1\"");
    let entries = [
        (hostile_text().into_bytes(), good.clone()),
        (b"\xff\x9b".to_vec(), good.clone()),
        (b"bytes".to_vec(), b"\xff\x9b".to_vec()),
        (b"address".to_vec(), beat(&hostile_json())),
        (b"other-node".to_vec(), good),
    ];
    let link = Link::new(cluster.store_url());
    for (id, text) in entries {
        let mut plant = cmd("HSET");
        plant.arg(NODES).arg(id).arg(text);
        link.query::<()>(&plant, second).await.unwrap();
    }
    let client = cluster.client(0, second).unwrap();
    let until = Instant::now() + 20 * second;
    loop {
        let ids = client.nodes().await.unwrap().nodes.into_iter();
        let ids: Vec<String> = ids.map(|node| node.id.to_string()).collect();
        assert!(client.health().await.unwrap().redis_connected, "{ids:?}");
        if ids == ["node-1", "node-2", "other-node"] {
            return;
        }
        assert!(Instant::now() < until, "{ids:?}");
        sleep(Duration::from_millis(20)).await;
    }
}
