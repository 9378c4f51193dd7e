use std::ffi::OsString;

use xshell::Shell;

use crate::docker::{self, Docker};

/// Ends and removes the containers, networks and volumes of the project, also of other processes.
pub(crate) fn run(_shell: &Shell, arguments: &[OsString]) -> anyhow::Result<()> {
    crate::ending::no_arguments(arguments)?;
    let was = docker::bring_down(&Docker::require()?)?;
    if was.nothing() {
        println!("nothing was up");
    } else {
        println!("removed {was}");
    }
    Ok(())
}
