use std::ffi::OsString;

use xshell::Shell;

use crate::child::Signals;
use crate::docker::{self, Docker, NODE_PORTS, Options, Stores};
use crate::ending::Usage;

/// Brings the containers up and leaves them up.
pub(crate) fn run(_shell: &Shell, arguments: &[OsString]) -> anyhow::Result<()> {
    let options = options(arguments)?;
    let docker = Docker::require()?;
    let signals = Signals::hold()?;
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

fn options(arguments: &[OsString]) -> Result<Options, Usage> {
    let (stores, flags) = Stores::taken_from(arguments)?;
    let mut options = Options {
        stores,
        ..Options::default()
    };
    for argument in &flags {
        match argument.to_str() {
            Some("--airgap") => options.airgap = true,
            Some("--observability") => options.observability = true,
            _ => {
                return Err(Usage(format!(
                    "takes --store, --airgap and --observability, and was given {argument:?}"
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
        assert_eq!(given(&[]).unwrap(), Options::default());
        assert!(given(&["--airgap"]).unwrap().airgap);
        assert_eq!(
            given(&["--store", "cluster"]).unwrap().stores,
            Stores::Cluster
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
