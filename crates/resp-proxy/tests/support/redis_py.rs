//! The client library of Python.

use std::process::{Command, Output};

use tempfile::TempDir;

use super::needs::Missing;

/// A directory with redis-py.
pub(crate) struct RedisPy(TempDir);

impl RedisPy {
    /// Installs it from the package index.
    pub(crate) fn install() -> Result<Self, Missing> {
        let packages = tempfile::tempdir().unwrap();
        let pip = "-I -m pip install --quiet --disable-pip-version-check redis==5.2.1 --target";
        let installed = Command::new("python3")
            .args(pip.split(' '))
            .arg(packages.path())
            .output();
        match installed {
            Ok(output) if output.status.success() => Ok(Self(packages)),
            failed => Err(Missing::outside_ci(format!("redis-py: {failed:?}"))),
        }
    }

    /// Runs a program that may import `redis`.
    pub(crate) fn run(&self, program: &str, arguments: &[&str]) -> Output {
        Command::new("python3")
            .args([&["-c", program], arguments].concat())
            .env("PYTHONPATH", self.0.path())
            .output()
            .unwrap()
    }
}
