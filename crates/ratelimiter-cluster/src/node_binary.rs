use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::sync::OnceLock;

use crate::ClusterError;

const NAME: &str = "ratelimiter-node";

/// The node's executable: `RATELIMITER_NODE_BIN`; else, where cargo runs this very process (a test,
/// an example), one freshly built by it; else the one beside this process's own executable.
///
/// # Errors
/// When none of these is there.
pub fn node_binary() -> Result<PathBuf, ClusterError> {
    if let Some(path) = std::env::var_os("RATELIMITER_NODE_BIN").map(PathBuf::from) {
        let missing = || {
            ClusterError::NoNode(format!(
                "RATELIMITER_NODE_BIN is {}, which does not exist",
                path.display()
            ))
        };
        return if path.is_file() {
            Ok(path)
        } else {
            Err(missing())
        };
    }
    let beside = beside_this_executable();
    // A test must not pass or fail with the node of last week: a fresh build costs cargo a fraction
    // of a second.
    if let Some(cargo) = std::env::var_os("CARGO") {
        static BUILT: OnceLock<Result<(), String>> = OnceLock::new();
        BUILT
            .get_or_init(|| build(&cargo))
            .clone()
            .map_err(ClusterError::NoNode)?;
    }
    match beside {
        Some(path) if path.is_file() => Ok(path),
        Some(path) => Err(ClusterError::NoNode(format!(
            "{} does not exist",
            path.display()
        ))),
        None => Err(ClusterError::NoNode(
            "this process does not know its own executable".into(),
        )),
    }
}

/// Tests and examples are one directory below the binaries.
fn beside_this_executable() -> Option<PathBuf> {
    let own = std::env::current_exe().ok()?;
    let mut directory = own.parent()?;
    if directory.ends_with("deps") || directory.ends_with("examples") {
        directory = directory.parent()?;
    }
    Some(directory.join(NAME))
}

fn build(cargo: &std::ffi::OsStr) -> Result<(), String> {
    let mut command = Command::new(cargo);
    command.args(["build", "--quiet", "--package", NAME, "--bin", NAME]);
    if !cfg!(debug_assertions) {
        command.arg("--release");
    }
    let output = command
        .stdin(Stdio::null())
        .output()
        .map_err(|e| format!("cargo cannot be run: {e}"))?;
    if output.status.success() {
        return Ok(());
    }
    let words = String::from_utf8_lossy(&output.stderr);
    Err(format!(
        "cargo could not build it: {}",
        words.lines().next().unwrap_or("it said nothing")
    ))
}
