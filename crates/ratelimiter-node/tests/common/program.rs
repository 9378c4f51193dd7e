//! The node as a program that ends by itself.

use std::process::{Output, Stdio};

use ratelimiter_cluster::node_binary;
use tokio::time::timeout;

use super::PATIENCE;

/// Runs the node until it ends, which it must.
pub(crate) async fn run(arguments: &[&str]) -> Output {
    let mut command = tokio::process::Command::new(node_binary().unwrap());
    command
        .args(arguments)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    // Nothing of the surroundings decides.
    for (name, _) in std::env::vars().filter(|(name, _)| name.starts_with("RATELIMITER_")) {
        command.env_remove(name);
    }
    let child = command.kill_on_drop(true).spawn().unwrap();
    timeout(PATIENCE, child.wait_with_output())
        .await
        .expect("it does not start to serve")
        .unwrap()
}

/// One line on stderr with this text, this exit code, and nothing on stdout.
pub(crate) async fn refuses(arguments: &[&str], code: i32, says: &str) {
    let output = run(arguments).await;
    let stderr = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(code), "{arguments:?}: {stderr}");
    assert!(
        stderr.contains(says),
        "{arguments:?}: {stderr:?} does not say {says:?}"
    );
    assert!(
        stderr.starts_with("ratelimiter-node: ") && stderr.lines().count() == 1,
        "{arguments:?}: {stderr}"
    );
    assert!(output.stdout.is_empty());
    assert!(
        !stderr.contains("hunter2"),
        "a password was printed: {stderr}"
    );
}
