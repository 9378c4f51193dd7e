use std::ffi::OsString;

use xshell::Shell;

use crate::child::HeldSignals;
use crate::docker::{self, ContainerOptions, ContainerStores, Docker, NODE_PORTS};
use crate::ending::BadArguments;

/// Brings the containers up and leaves them up.
pub(crate) fn run(_shell: &Shell, arguments: &[OsString]) -> anyhow::Result<()> {
    let options = options(arguments)?;
    let docker = Docker::require()?;
    let signals = HeldSignals::hold()?;
    let cluster = docker::bring_up(&docker, &signals, options)?;
    let is = if cluster.was_up() {
        "was up already, and nothing has changed"
    } else {
        "is up"
    };
    // Before anything is printed: it stays up even when the output is closed.
    cluster.keep();
    let demo = [["demo"].as_slice(), &options.stores.option()]
        .concat()
        .join(" ");
    println!("the cluster {is}: `cargo xtask {demo}` plays on it, `cargo xtask down` ends it");
    NODE_PORTS
        .iter()
        .for_each(|port| println!("  node   http://127.0.0.1:{port}"));
    println!("  store  {}", options.stores.url());
    if options.observability {
        println!("  Prometheus  http://127.0.0.1:9090\n  Grafana     http://127.0.0.1:3000");
    }
    Ok(())
}

fn options(arguments: &[OsString]) -> Result<ContainerOptions, BadArguments> {
    let (stores, flags) = ContainerStores::taken_from(arguments)?;
    let mut options = ContainerOptions {
        stores,
        ..ContainerOptions::default()
    };
    for argument in &flags {
        match argument.to_str() {
            Some("--airgap") => options.airgap = true,
            Some("--observability") => options.observability = true,
            _ => {
                return Err(BadArguments(format!(
                    "takes --topology, --airgap and --observability, and was given {argument:?}"
                )));
            }
        }
    }
    Ok(options)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_an_option_is_named() {
        let given = |list: &[&str]| options(&list.iter().map(OsString::from).collect::<Vec<_>>());
        assert_eq!(given(&[]).unwrap(), ContainerOptions::default());
        assert!(given(&["--airgap"]).unwrap().airgap);
        assert_eq!(
            given(&["--topology", "cluster"]).unwrap().stores,
            ContainerStores::Cluster
        );
        assert!(
            given(&["--observability", "--airgap"])
                .unwrap()
                .observability
        );
        assert!(
            given(&["--docker"])
                .unwrap_err()
                .to_string()
                .contains("--docker")
        );
    }
}
