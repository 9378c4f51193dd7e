//! The project's directories and build flags.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::Context as _;

use crate::child::output;

/// The workspace, wherever a command is called from.
pub fn root() -> PathBuf {
    let own = Path::new(env!("CARGO_MANIFEST_DIR"));
    own.parent().unwrap_or(own).to_owned()
}

/// The workspace, as cargo describes it.
pub(crate) fn metadata() -> anyhow::Result<serde_json::Value> {
    let mut metadata = Command::new("cargo");
    metadata
        .args(["metadata", "--format-version", "1", "--no-deps"])
        .current_dir(root());
    Ok(serde_json::from_str(&output(&mut metadata)?)?)
}

/// Cargo's target directory.
pub fn target_dir() -> anyhow::Result<PathBuf> {
    let metadata = metadata()?;
    let directory = metadata["target_directory"].as_str();
    Ok(directory
        .context("cargo metadata names no target directory")?
        .into())
}

/// A program on PATH, or in a directory of the project.
pub(crate) fn tool(name: &str, own: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path)
        .chain([root().join(own)])
        .map(|directory| directory.join(name))
        .find(|tool| tool.is_file())
}

/// Cargo's flags for a demo with these options. The engine that asks language models brings HTTP
/// and TLS with it, several times what the rest takes to build; who names neither a model nor a
/// store behind TLS does without.
pub(crate) fn engine_flags(options: &[OsString]) -> &'static [&'static str] {
    let needs = |option: &OsString| {
        let option = option.to_string_lossy();
        option.starts_with("--model") || option.contains("rediss")
    };
    if options.iter().any(needs) {
        &[]
    } else {
        &["--no-default-features"]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn model_and_tls_alone_build_all_features() {
        let flags = |options: &[&str]| {
            engine_flags(&options.iter().map(OsString::from).collect::<Vec<_>>()).len()
        };
        assert_eq!(flags(&["--headless"]), 1);
        assert_eq!(flags(&["--headless", "--model", "m"]), 0);
        assert_eq!(flags(&["--model=m"]), 0);
        assert_eq!(flags(&["--store", "rediss+cluster://h:1"]), 0);
    }
}
