//! The node as a program that ends by itself.

use std::process::{Output, Stdio};

use ratelimiter_cluster::node_binary;
use tokio::process::Command;
use tokio::time::timeout;

use super::PATIENCE;

/// The node as a child process of a program that runs another one in its place: `env`, or `nohup`.
pub(crate) fn command(runner: &str, arguments: &[&str]) -> Command {
    let mut runner = runner.split(' ');
    let mut command = Command::new(runner.next().unwrap());
    command
        .args(runner)
        .arg(node_binary().unwrap())
        .args(arguments)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    // Nothing of the surroundings decides.
    for (name, _) in std::env::vars().filter(|(name, _)| name.starts_with("RATELIMITER_")) {
        command.env_remove(name);
    }
    command.kill_on_drop(true);
    command
}

/// Runs the node until it ends, which it must.
pub(crate) async fn run(arguments: &[&str]) -> Output {
    let child = command("env", arguments).spawn().unwrap();
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
