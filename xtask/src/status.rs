use std::ffi::OsString;

use xshell::Shell;

use crate::child::output;
use crate::docker::{self, Docker};

/// Shows which containers run, and their health.
pub(crate) fn run(_shell: &Shell, arguments: &[OsString]) -> anyhow::Result<()> {
    crate::ending::no_arguments(arguments)?;
    let docker = Docker::require()?;
    if docker::left(&docker)?.nothing() {
        println!("nothing is up");
        return Ok(());
    }
    println!("{}", output(docker.compose().args(["ps", "--all"]))?);
    Ok(())
}
