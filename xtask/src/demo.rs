use std::ffi::OsString;
use std::os::unix::process::CommandExt as _;
use std::process::Command;

use anyhow::Context as _;
use xshell::{Shell, cmd};

use crate::child::HeldSignals;
use crate::docker::{self, ClusterState, ContainerOptions, ContainerStores, Docker, NODE_PORTS};
use crate::ending::{BadArguments, CommandEnd};
use crate::project;

const HELP: &str = "\
Builds what the demo needs, brings up a cluster and plays the demo on it.

Usage: cargo xtask demo [--docker | --local | --airgap] [OPTIONS OF demo-ratelimiter run]

  --docker   the cluster of docker/docker-compose.yml, brought down again unless it was up already
  --local    processes on free ports, which end with the demo
  --airgap   as --docker, with a store from this machine instead of a registry

  --topology single|cluster|sentinel
             one store, a store cluster of three primaries, or a primary and a replica behind
             three sentinels

Without --docker, --local or --airgap: Docker when an engine answers and the store's image can be
had, else local.
";

/// The wanted cluster.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum ClusterChoice {
    Whatever,
    Local,
    Docker {
        airgap: bool,
    },
    /// No cluster to bring up: one is given, or only help is wanted.
    Nothing,
}

/// Plays the demo on the cluster of the flags, or else on the better one that can be had.
pub(crate) fn run(shell: &Shell, arguments: &[OsString]) -> anyhow::Result<()> {
    let (stores, rest) = ContainerStores::taken_from(arguments)?;
    let (choice, options) = ClusterChoice::of(&rest)?;
    let wanted = ContainerOptions {
        stores,
        airgap: choice == ClusterChoice::Docker { airgap: true },
        ..ContainerOptions::default()
    };
    let (docker, why) = match choice {
        ClusterChoice::Nothing => {
            if options.iter().any(is_help) {
                println!("{HELP}");
            }
            return local(shell, stores, &options);
        }
        ClusterChoice::Local => {
            eprintln!("cluster: local");
            return local(shell, stores, &options);
        }
        ClusterChoice::Docker { .. } => (Docker::require()?, "as asked"),
        ClusterChoice::Whatever => match containers_can_be_had(wanted) {
            Ok(docker_and_reason) => docker_and_reason,
            Err(why) => {
                eprintln!("cluster: local, since {why:#}");
                return local(shell, stores, &options);
            }
        },
    };
    eprintln!("cluster: Docker, {why}");
    containers(&docker, wanted, &options)
}

fn is_help(option: &OsString) -> bool {
    option == "--help" || option == "-h"
}

impl ClusterChoice {
    /// Takes our own flags out of those for the demo.
    fn of(arguments: &[OsString]) -> Result<(Self, Vec<OsString>), BadArguments> {
        let (ours, options): (Vec<_>, Vec<_>) = arguments.iter().cloned().partition(|argument| {
            ["--docker", "--local", "--airgap"]
                .iter()
                .any(|flag| argument == flag)
        });
        let has = |flag: &str| ours.iter().any(|given| given == flag);
        let help = options.iter().any(is_help);
        let named = options
            .iter()
            .any(|option| option.to_string_lossy().split('=').next() == Some("--node"));
        // The nodes in containers reach their store directly.
        let through_proxy = options
            .windows(2)
            .any(|pair| pair[0] == "--fault" && pair[1] == "proxy")
            || options.iter().any(|option| option == "--fault=proxy");
        let local = has("--local") || through_proxy;
        let wish = match (local, has("--docker") || has("--airgap")) {
            _ if help => Self::Nothing,
            (true, true) => {
                return Err(BadArguments(
                    "--local and --fault proxy are one cluster, --docker and --airgap are another"
                        .into(),
                ));
            }
            (false, true) if named => {
                return Err(BadArguments(
                    "--node names a cluster that is there, and --docker brings one up".into(),
                ));
            }
            _ if named => Self::Nothing,
            (true, false) => Self::Local,
            (false, true) => Self::Docker {
                airgap: has("--airgap"),
            },
            (false, false) => Self::Whatever,
        };
        Ok((wish, options))
    }
}

/// Docker and the reason to use it; the error is the reason against it.
fn containers_can_be_had(options: ContainerOptions) -> anyhow::Result<(Docker, &'static str)> {
    let docker = Docker::find()?;
    match docker::state(&docker, &options.services())? {
        ClusterState::Up => return Ok((docker, "since the cluster is up already")),
        ClusterState::Partly(_) => {
            anyhow::bail!(
                "a part of the Docker cluster is there, or one with other stores (`cargo xtask \
                 down` ends it)"
            )
        }
        ClusterState::Down => {}
    }
    docker::all_free(&options.ports())?;
    docker::store_at_hand(&docker)?;
    Ok((docker, "since an engine answers and the images can be had"))
}

/// Becomes the demo, which starts and ends a local cluster: its exit code and signals are those of
/// this process.
fn local(shell: &Shell, stores: ContainerStores, options: &[OsString]) -> anyhow::Result<()> {
    let engine = project::engine_flags(options);
    cmd!(
        shell,
        "cargo build --package demo-ratelimiter --package ratelimiter-node {engine...}"
    )
    .run()?;
    let binaries = project::target_dir()?.join("debug");
    let demo = binaries.join("demo-ratelimiter");
    let node = binaries.join("ratelimiter-node");
    let error = Command::new(&demo)
        .arg("run")
        .args(stores.option())
        .args(options)
        .env("RATELIMITER_NODE_BIN", node)
        .exec();
    Err(error).with_context(|| format!("cannot run {}", demo.display()))
}

/// Plays the demo as a child, so that this process can bring the containers down.
fn containers(docker: &Docker, with: ContainerOptions, options: &[OsString]) -> anyhow::Result<()> {
    let signals = HeldSignals::hold()?;
    let mut build = Command::new("cargo");
    build
        .args(["build", "--package", "demo-ratelimiter"])
        .args(project::engine_flags(options));
    build.current_dir(project::root());
    signals.succeed(&mut build)?;
    let cluster = docker::bring_up(docker, &signals, with)?;
    if cluster.was_up() {
        eprintln!("the cluster is up already: it is used as it is, and left up");
    }
    let mut demo = Command::new(project::target_dir()?.join("debug/demo-ratelimiter"));
    demo.arg("run");
    for port in NODE_PORTS {
        demo.args(["--node", &format!("http://127.0.0.1:{port}")]);
    }
    demo.args(["--store", &with.stores.url()]).args(options);
    let status = signals.run(&mut demo)?;
    cluster.end()?;
    if status.success() {
        Ok(())
    } else {
        Err(CommandEnd::with(status).into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wish(arguments: &[&str]) -> Result<(ClusterChoice, Vec<OsString>), String> {
        let arguments: Vec<OsString> = arguments.iter().map(OsString::from).collect();
        ClusterChoice::of(&arguments).map_err(|e| e.to_string())
    }

    #[test]
    fn own_flags_choose_the_cluster() {
        assert_eq!(wish(&[]).unwrap(), (ClusterChoice::Whatever, vec![]));
        let (chosen, rest) = wish(&["--headless", "--docker", "--limit", "5"]).unwrap();
        assert_eq!(
            (chosen, rest.len()),
            (ClusterChoice::Docker { airgap: false }, 3)
        );
        assert_eq!(
            wish(&["--airgap"]).unwrap().0,
            ClusterChoice::Docker { airgap: true }
        );
        assert_eq!(
            wish(&["--docker", "--airgap"]).unwrap().0,
            ClusterChoice::Docker { airgap: true }
        );
        assert_eq!(wish(&["--local"]).unwrap().0, ClusterChoice::Local);
        assert_eq!(wish(&["--fault", "proxy"]).unwrap().0, ClusterChoice::Local);
        assert_eq!(
            wish(&["--fault", "pause"]).unwrap().0,
            ClusterChoice::Whatever
        );
    }

    #[test]
    fn given_cluster_is_not_brought_up() {
        for own in [
            ["--node=http://127.0.0.1:1"].as_slice(),
            &["--node", "http://127.0.0.1:1"],
            &["-h"],
        ] {
            assert_eq!(wish(own).unwrap().0, ClusterChoice::Nothing, "{own:?}");
        }
    }

    #[test]
    fn help_brings_nothing_up() {
        for flags in [
            ["--docker", "--help"],
            ["--airgap", "-h"],
            ["--local", "--help"],
        ] {
            assert_eq!(wish(&flags).unwrap().0, ClusterChoice::Nothing, "{flags:?}");
        }
    }

    #[test]
    fn two_clusters_at_once_are_refused() {
        assert!(wish(&["--local", "--docker"]).is_err());
        assert!(wish(&["--airgap", "--local"]).is_err());
        assert!(wish(&["--docker", "--node=http://127.0.0.1:1"]).is_err());
        assert!(wish(&["--docker", "--fault=proxy"]).is_err());
    }
}
