//! Two processes with one node id are found: at start where it can be known, and in `/nodes`
//! otherwise.

use crate::common::{PATIENCE, clients, eventually};
use ratelimiter_api::{NodeClient, NodeId};
use ratelimiter_cluster::{ClusterPlan, LocalCluster};
use ratelimiter_node::{Config, NodeError, NodeServer, NodeSettings};
use tokio_util::sync::CancellationToken;

fn config(cluster: &LocalCluster, id: &str) -> Config {
    let listen = "127.0.0.1:0".parse().unwrap();
    Config::new(NodeSettings::new(id, listen, cluster.store_url())).unwrap()
}

#[tokio::test]
async fn a_second_node_of_an_id_is_refused() {
    let mut cluster = ClusterPlan::nodes(1).start().await.unwrap();
    let address = cluster.endpoints().remove(0);
    match NodeServer::bind(config(&cluster, "node-1")).await {
        Err(NodeError::Duplicate { id, address: other }) => {
            assert_eq!((id, other), ("node-1".to_owned(), address.authority()));
        }
        other => panic!("{other:?}"),
    }
    // One that takes the place of a killed node is none.
    cluster.kill_node(0).unwrap();
    drop(NodeServer::bind(config(&cluster, "node-1")).await.unwrap());
}

#[tokio::test]
async fn two_running_nodes_of_an_id_are_reported() {
    let cluster = ClusterPlan::nodes(1).start().await.unwrap();
    let shutdown = CancellationToken::new();
    // Both look for the other before either beats.
    let twins = [
        NodeServer::bind(config(&cluster, "twin")).await.unwrap(),
        NodeServer::bind(config(&cluster, "twin")).await.unwrap(),
    ];
    let addresses = twins.each_ref().map(|node| node.address().to_string());
    let mut asked = clients(&cluster);
    asked.extend(
        twins
            .each_ref()
            .map(|node| NodeClient::new(node.address().into(), PATIENCE)),
    );
    let running = twins.map(|node| tokio::spawn(node.run(shutdown.clone())));
    for client in &asked {
        eventually("every node reports the twins", async || {
            let nodes = client.nodes().await.unwrap().nodes;
            let also_at = |id| {
                nodes
                    .iter()
                    .find(|n| n.id == NodeId::from(id))
                    .map(|n| n.also_at.clone())
            };
            assert!(
                also_at("node-1").is_none_or(|other| other.is_none()),
                "{nodes:?}"
            );
            also_at("twin")
                .flatten()
                .is_some_and(|other| addresses.contains(&other))
        })
        .await;
    }
    shutdown.cancel();
    for node in running {
        node.await.unwrap();
    }
}
