use std::path::Path;
use std::process::Command;
use std::time::Duration;

use anyhow::Context as _;

use super::{Docker, ENV_FILE, airgap};
use crate::child::{HeldSignals, output, output_within};
use crate::project;

/// The name that `docker-compose.yml` gives it.
pub const NODE_IMAGE: &str = "ratelimiter-demo/node:local";
/// The variable of the compose files that has the name of the store's image.
pub(super) const STORE_IMAGE: &str = "STORE_IMAGE";
/// Longest wait for a registry while Docker or a local cluster is chosen.
const PULL_PATIENCE: Duration = Duration::from_secs(60);

/// The images of store and nodes, fresh.
pub(super) fn provide(docker: &Docker, signals: &HeldSignals, airgap: bool) -> anyhow::Result<()> {
    let target = project::target_dir()?;
    if airgap {
        airgap::store_image(docker, &target)?;
    } else if !at_hand(docker, &store_image()?) {
        signals.succeed(docker.docker().args(["pull", &store_image()?]))?;
    }
    signals.check()?;
    if !docker.runs_binaries_of_host() {
        return from_source(docker, signals);
    }
    match from_binary(docker, signals, &target) {
        Err(error) if !airgap && error.downcast_ref::<crate::ending::CommandEnd>().is_none() => {
            // Some C libraries have no static version.
            eprintln!(
                "{error:#}; building the node's image from source instead, which takes minutes"
            );
            from_source(docker, signals)
        }
        done => done,
    }
}

/// Whether the store's image is here or can be pulled in a minute; the error says why not.
pub(crate) fn store_at_hand(docker: &Docker) -> anyhow::Result<()> {
    let image = store_image()?;
    if at_hand(docker, &image) {
        return Ok(());
    }
    eprintln!("pulling {image}");
    let mut pull = docker.docker();
    output_within(PULL_PATIENCE, pull.args(["pull", "--quiet", &image]))
        .with_context(|| format!("{image} cannot be pulled"))?;
    Ok(())
}

fn at_hand(docker: &Docker, image: &str) -> bool {
    output(docker.docker().args(["image", "inspect", image])).is_ok()
}

/// Compiles the node on this machine, statically, and puts it into an image of its own: seconds,
/// when little has changed.
fn from_binary(docker: &Docker, signals: &HeldSignals, target: &Path) -> anyhow::Result<()> {
    let triple = output(Command::new("rustc").args(["--print", "host-tuple"]))
        .context("rustc names no host")?;
    // Its own directory: the other flags would make cargo compile everything anew, each time and
    // for both.
    let directory = target.join("image");
    let mut build = Command::new("cargo");
    build.args([
        "build",
        "--release",
        "--package",
        "ratelimiter-node",
        "--target",
        &triple,
        "--target-dir",
    ]);
    build.arg(&directory).current_dir(&docker.root);
    build
        .env_remove("CARGO_ENCODED_RUSTFLAGS")
        .env("RUSTFLAGS", "-C target-feature=+crt-static");
    signals.succeed(&mut build)?;

    let context = directory.join("context");
    let binary = directory.join(triple).join("release/ratelimiter-node");
    std::fs::create_dir_all(&context)
        .and_then(|()| std::fs::copy(&binary, context.join("ratelimiter-node")))
        .with_context(|| format!("cannot copy {}", binary.display()))?;
    let mut build = docker.docker();
    build.args([
        "build",
        "--file",
        "docker/Dockerfile",
        "--target",
        "binary",
        "--tag",
        NODE_IMAGE,
    ]);
    output(build.arg(&context)).context("the node's image cannot be built")?;
    docker.remove_replaced_images();
    Ok(())
}

/// Lets the engine compile the node, on a machine that cannot do it for that engine.
fn from_source(docker: &Docker, signals: &HeldSignals) -> anyhow::Result<()> {
    // One node: all of them have the same image.
    signals.succeed(docker.compose().args(["build", "node-1"]))
}

/// The store's image as [`ENV_FILE`] pins it, which is the one place that has its name.
fn store_image() -> anyhow::Result<String> {
    let path = project::root().join(ENV_FILE);
    let text = std::fs::read_to_string(&path)
        .with_context(|| format!("cannot read {}", path.display()))?;
    let values = text.lines().filter_map(|line| line.split_once('='));
    let image = values
        .into_iter()
        .find(|(name, _)| *name == STORE_IMAGE)
        .map(|(_, image)| image.to_owned());
    image.with_context(|| format!("{ENV_FILE} has no {STORE_IMAGE}"))
}

#[cfg(test)]
mod tests {
    use super::super::COMPOSE_FILE;
    use super::*;

    #[test]
    fn store_is_pinned_to_a_version() {
        let image = store_image().unwrap();
        let (_, tag) = image.split_once(':').unwrap();
        assert!(tag.starts_with(|c: char| c.is_ascii_digit()), "{image}");
    }

    #[test]
    fn node_has_its_compose_name() {
        let compose = std::fs::read_to_string(project::root().join(COMPOSE_FILE)).unwrap();
        assert!(compose.contains(&format!("image: {NODE_IMAGE}\n")));
    }
}
