//! Refusals of a program, and stores that deserve them.

use std::net::TcpListener;
use std::process::Command;

use ratelimiter_cluster::{ClusterPlan, LocalCluster};

pub(crate) const USAGE: i32 = 64;
pub(crate) const FAILURE: i32 = 1;

/// Runs, and expects this exit code and one line on standard error that contains all of `words`,
/// and never the password `hunter2`.
#[track_caller]
pub(crate) fn refuses(command: &mut Command, code: i32, words: &[&str]) {
    let output = command.output().unwrap();
    let line = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(code), "{command:?}: {line}");
    assert_eq!(line.lines().count(), 1, "{command:?}: {line}");
    assert!(
        words.iter().all(|word| line.contains(word)),
        "{command:?}: {line} lacks one of {words:?}"
    );
    assert!(!line.contains("hunter2"), "{command:?}: {line}");
}

/// An address on loopback with no listener.
pub(crate) fn closed_address() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    listener.local_addr().unwrap().to_string()
}

/// A node and a store with the password `right`.
pub(crate) async fn cluster_with_password() -> LocalCluster {
    let plan = ClusterPlan {
        password: Some("right".into()),
        ..ClusterPlan::nodes(1)
    };
    plan.start().await.unwrap()
}

/// The store's URL with another password.
pub(crate) fn login(cluster: &LocalCluster, password: &str) -> String {
    let store = cluster.store_url().to_string();
    let (_, address) = store.rsplit_once('@').unwrap();
    format!("redis://:{password}@{address}")
}
