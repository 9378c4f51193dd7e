use std::ffi::OsString;
use std::os::unix::process::CommandExt as _;
use std::process::Command;

use anyhow::Context as _;
use xshell::{Shell, cmd};

/// Builds what the demo needs, and becomes the demo: its exit code and the signals it gets are its own.
pub(crate) fn run(shell: &Shell, arguments: &[OsString]) -> anyhow::Result<()> {
    cmd!(shell, "cargo build --package demo-ratelimiter --package ratelimiter-node").run()?;
    let binaries = target_dir(shell)?.join("debug");
    let demo = binaries.join("demo-ratelimiter");
    let error = Command::new(&demo)
        .arg("run")
        .args(arguments)
        .env("RATELIMITER_NODE_BIN", binaries.join("ratelimiter-node"))
        .exec();
    Err(error).with_context(|| format!("cannot run {}", demo.display()))
}

/// Where cargo puts what it builds.
pub(crate) fn target_dir(shell: &Shell) -> anyhow::Result<std::path::PathBuf> {
    let metadata = cmd!(shell, "cargo metadata --format-version 1 --no-deps").quiet().read()?;
    let metadata: serde_json::Value = serde_json::from_str(&metadata)?;
    let directory =
        metadata["target_directory"].as_str().context("cargo metadata names no target directory")?;
    Ok(directory.into())
}
