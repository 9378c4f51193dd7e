use std::ffi::OsString;
use std::os::unix::process::CommandExt as _;

use anyhow::Context as _;
use xshell::Shell;

use crate::docker::Docker;

/// Becomes `compose logs`, whose options and services it takes.
pub(crate) fn run(_shell: &Shell, arguments: &[OsString]) -> anyhow::Result<()> {
    let error = Docker::require()?
        .compose()
        .arg("logs")
        .args(arguments)
        .exec();
    Err(error).context("cannot run compose")
}
