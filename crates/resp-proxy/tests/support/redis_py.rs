//! The client library of Python.

use std::process::Command;

use tempfile::TempDir;

/// A directory with redis-py, for `PYTHONPATH`. `None` where it cannot be installed; in CI that is
/// a failure.
pub(crate) fn redis_py() -> Option<TempDir> {
    let packages = tempfile::tempdir().unwrap();
    let installed = Command::new("python3")
        .args([
            "-I",
            "-m",
            "pip",
            "install",
            "--quiet",
            "--disable-pip-version-check",
            "--target",
        ])
        .arg(packages.path())
        .arg("redis==5.2.1")
        .output();
    match installed {
        Ok(output) if output.status.success() => Some(packages),
        reason => {
            assert!(
                std::env::var_os("CI").is_none(),
                "redis-py cannot be had: {reason:?}"
            );
            eprintln!("not checked: redis-py cannot be had");
            None
        }
    }
}
