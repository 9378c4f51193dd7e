//! Python with the packages of `python.txt`: a client library, a test runner, and a client of
//! Toxiproxy.

use std::process::{Command, Output};

use tempfile::TempDir;

use super::needs::Missing;

/// A directory with the packages.
pub(crate) struct PythonPackages(TempDir);

impl PythonPackages {
    /// Installs them from the package index, with their hashes checked.
    pub(crate) fn install() -> Result<Self, Missing> {
        let packages = tempfile::tempdir().unwrap();
        let list = packages.path().join("python.txt");
        std::fs::write(&list, include_str!("python.txt")).unwrap();
        let pip = "-I -m pip install --quiet --disable-pip-version-check --no-deps \
            --only-binary=:all: --require-hashes";
        let installed = Command::new("python3")
            .args(pip.split_whitespace())
            .arg("--requirement")
            .arg(list)
            .arg("--target")
            .arg(packages.path())
            .output();
        match installed {
            Ok(output) if output.status.success() => Ok(Self(packages)),
            failed => Err(Missing::outside_ci(format!("Python packages: {failed:?}"))),
        }
    }

    /// Runs Python with these arguments; its programs may import the packages.
    pub(crate) fn run(&self, arguments: &[&str]) -> Output {
        Command::new("python3")
            .args(arguments)
            .env("PYTHONPATH", self.0.path())
            .output()
            .unwrap()
    }
}
