use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::Context as _;

use crate::child::output;

/// The workspace, wherever a command is called from.
pub(crate) fn root() -> PathBuf {
    let own = Path::new(env!("CARGO_MANIFEST_DIR"));
    own.parent().unwrap_or(own).to_owned()
}

/// Where cargo puts what it builds.
pub(crate) fn target_dir() -> anyhow::Result<PathBuf> {
    let mut metadata = Command::new("cargo");
    metadata.args(["metadata", "--format-version", "1", "--no-deps"]).current_dir(root());
    let metadata: serde_json::Value = serde_json::from_str(&output(&mut metadata)?)?;
    let directory = metadata["target_directory"].as_str();
    Ok(directory.context("cargo metadata names no target directory")?.into())
}
