use std::ffi::OsString;

use xshell::{Shell, cmd};

use crate::project;

/// Where the README looks for them.
const MEDIA: &str = "docs/media";
/// Large enough for every panel.
const SIZE: &str = "120x36";

/// Makes the README's picture and a recording anew, from a real run on a local cluster.
pub(crate) fn run(shell: &Shell, arguments: &[OsString]) -> anyhow::Result<()> {
    crate::no_arguments(arguments)?;
    shell.create_dir(MEDIA)?;
    let engine = project::engine_flags(&[]);
    cmd!(shell, "cargo build --package demo-ratelimiter --package ratelimiter-node {engine...}").run()?;
    let demo = project::target_dir()?.join("debug/demo-ratelimiter");
    // The drift is at its largest when the pause ends; the burst is on the axis once it is explained.
    let (drift, ghost) = (format!("settled:4={MEDIA}/drift.svg"), format!("settled:10={MEDIA}/ghost.svg"));
    let recording = format!("{MEDIA}/demo.cast");
    cmd!(shell, "{demo} run --offscreen {SIZE} --color always --picture {drift} --picture {ghost} --record {recording}")
        .run()?;
    Ok(())
}
