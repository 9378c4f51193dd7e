use std::ffi::OsString;

use xshell::{Shell, cmd};

use crate::project;

/// Directory of the README's pictures.
const MEDIA: &str = "docs/media";

/// Makes the README's pictures and the cast again, from the log of a real run on a local cluster.
pub(crate) fn run(shell: &Shell, arguments: &[OsString]) -> anyhow::Result<()> {
    crate::ending::no_arguments(arguments)?;
    shell.create_dir(MEDIA)?;
    let engine = project::engine_flags(&[]);
    cmd!(
        shell,
        "cargo build --package demo-ratelimiter --package ratelimiter-node {engine...}"
    )
    .run()?;
    let demo = project::target_dir()?.join("debug/demo-ratelimiter");
    let log = format!("{MEDIA}/story.jsonl");
    cmd!(
        shell,
        "{demo} run --headless --remedy --record {log} --force"
    )
    .run()?;
    cmd!(shell, "{demo} pictures {log} --out {MEDIA} --force").run()?;
    Ok(())
}
