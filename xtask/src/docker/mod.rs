//! The commands that need a Docker engine: images, the cluster made of them, and compose.

mod airgap;
mod cluster;
mod images;
mod libraries;
mod options;
mod ports;
mod state;
mod stores;

use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use anyhow::Context as _;

use crate::child::{output, output_within};

pub use cluster::bring_down;
pub(crate) use cluster::bring_up;
pub use images::NODE_IMAGE;
pub(crate) use images::store_at_hand;
pub use options::{ContainerOptions, NODE_PORTS, PROFILE};
pub(crate) use ports::all_free;
pub use state::{ClusterState, Leftovers, left, state};
pub use stores::ContainerStores;

/// Name of the compose project, a label of everything that it creates. [`ENV_FILE`] has it too.
pub(crate) const PROJECT: &str = "ratelimiter-demo";
/// Deadline of an answer of the engine, over a local socket.
const ENGINE_PATIENCE: Duration = Duration::from_secs(3);
/// The file of one store; `docker compose` and `docker-compose` 1.29 both read it.
const COMPOSE_FILE: &str = "docker/docker-compose.yml";
/// Read by compose itself: the names of the project and of the store's image.
const ENV_FILE: &str = "docker/.env";

/// A Docker engine that answers, and a compose tool to use it with.
pub struct Docker {
    compose: &'static [&'static str],
    /// As in `linux/amd64`.
    platform: String,
    root: PathBuf,
}

impl Docker {
    /// Asks the engine, in a few seconds at most. The error names the missing part.
    pub fn find() -> anyhow::Result<Self> {
        let version = ["version", "--format", "{{.Server.Os}}/{{.Server.Arch}}"];
        let platform = output_within(ENGINE_PATIENCE, Command::new("docker").args(version))
            .context("no Docker engine answers")?;
        let compose = Self::compose_tools().next().context(
            "the Docker engine answers, but there is neither `docker compose` nor `docker-compose`",
        )?;
        Ok(Self {
            compose,
            platform,
            root: crate::project::root(),
        })
    }

    /// As [`Self::find`], for commands that need Docker: the error lists the ways out.
    pub(crate) fn require() -> anyhow::Result<Self> {
        Self::find().map_err(|why| {
            anyhow::anyhow!(
                "{why:#}\nstart Docker (`systemctl start docker`, or Docker Desktop) with its \
                 compose plugin, or play \
                 without it: `cargo xtask demo --local`"
            )
        })
    }

    /// The compose tools of this machine: the plugin, and the program that was there before it.
    pub fn compose_tools() -> impl Iterator<Item = &'static [&'static str]> {
        const TOOLS: [&[&str]; 2] = [&["docker", "compose"], &["docker-compose"]];
        TOOLS.into_iter().filter(|tool| {
            let version = output(Command::new(tool[0]).args(&tool[1..]).arg("version"));
            version.is_ok()
        })
    }

    /// The docker program, in the project's directory.
    pub fn docker(&self) -> Command {
        let mut command = Command::new("docker");
        command.current_dir(&self.root);
        command
    }

    /// Whether the engine runs executables of this machine.
    fn runs_binaries_of_host(&self) -> bool {
        self.platform == platform_of_host()
    }

    /// Removes images of the project whose name a newer one has taken, to free their space.
    fn remove_replaced_images(&self) {
        let ours = "label=ratelimiter-demo.part";
        let _ = output(
            self.docker()
                .args(["image", "prune", "--force", "--filter", ours]),
        );
    }

    /// The compose tool for every service, with any stores and options.
    pub fn compose(&self) -> Command {
        let mut files: Vec<_> = ContainerStores::ALL
            .into_iter()
            .flat_map(ContainerStores::files)
            .collect();
        files.sort_by_key(|file| *file != COMPOSE_FILE);
        files.dedup();
        let mut compose = self.compose_with(self.compose, &files);
        compose.args(PROFILE);
        compose
    }

    /// The compose tool for the cluster with these options.
    pub(crate) fn compose_for(&self, options: ContainerOptions) -> Command {
        let mut compose = self.compose_with(self.compose, &options.stores.files());
        if options.airgap {
            compose.env(images::STORE_IMAGE, airgap::STORE_IMAGE);
        }
        if options.observability {
            compose.args(PROFILE);
        }
        compose
    }

    /// This compose tool with these files.
    pub fn compose_with(&self, tool: &[&str], files: &[&str]) -> Command {
        let mut command = Command::new(tool[0]);
        command
            .args(&tool[1..])
            .args(["--project-name", PROJECT])
            .current_dir(&self.root);
        files.iter().for_each(|file| {
            command.args(["--file", file]);
        });
        command
    }
}

/// The platform of this machine's executables, in the engine's words.
fn platform_of_host() -> String {
    let arch = match std::env::consts::ARCH {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        other => other,
    };
    format!("{}/{arch}", std::env::consts::OS)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn compose_without_xtask_has_the_same_project() {
        let env = std::fs::read_to_string(crate::project::root().join(ENV_FILE)).unwrap();
        assert!(env.contains(&format!("COMPOSE_PROJECT_NAME={PROJECT}\n")));
    }
}
