//! Licences, duplicate versions and sources of the dependencies, by cargo-deny and `deny.toml`.

use std::path::PathBuf;

use anyhow::Context as _;
use xshell::{Shell, cmd};

use crate::project;

/// Checks everything that needs no advisory database.
pub(crate) fn run(shell: &Shell) -> anyhow::Result<()> {
    let tool = tool()?;
    Ok(cmd!(
        shell,
        "{tool} check --hide-inclusion-graph licenses bans sources"
    )
    .run()?)
}

pub(crate) fn needs() -> anyhow::Result<()> {
    tool().map(drop)
}

/// cargo-deny on PATH, or the one that `.ci/run` puts below `target`.
fn tool() -> anyhow::Result<PathBuf> {
    project::tool("cargo-deny", "target/cargo-deny/bin")
        .context("cargo-deny is not installed (cargo install --locked cargo-deny)")
}
