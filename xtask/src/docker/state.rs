use std::fmt;

use super::options::OBSERVERS;
use super::stores::FORMER;
use super::{Docker, PROJECT};
use crate::child::output;

/// State of the cluster.
#[derive(Debug, PartialEq, Eq)]
pub enum ClusterState {
    /// None of it.
    Down,
    /// Some of it, an unhealthy service, or other stores: one line for each wrong service.
    Partly(Vec<String>),
    /// Every wanted service runs and is healthy, and no other store is there.
    Up,
}

/// Asks the engine about the services.
pub fn state(docker: &Docker, wanted: &[&str]) -> anyhow::Result<ClusterState> {
    let format = r#"{{.Label "com.docker.compose.service"}}|{{.State}}|{{.Status}}"#;
    let listed =
        output(
            docker
                .docker()
                .args(["ps", "--all", "--filter", &ours(), "--format", format]),
        )?;
    Ok(of_listing(&listed, wanted))
}

fn ours() -> String {
    format!("label=com.docker.compose.project={PROJECT}")
}

/// Reads lines such as `node-1|running|Up 3 seconds (healthy)`.
fn of_listing(listed: &str, wanted: &[&str]) -> ClusterState {
    let services: Vec<(&str, &str, &str)> = listed
        .lines()
        .filter_map(|line| {
            let (service, rest) = line.split_once('|')?;
            let (state, status) = rest.split_once('|')?;
            Some((service, state, status))
        })
        .collect();
    if services.is_empty() {
        return ClusterState::Down;
    }
    let not_well = wanted.iter().filter_map(|wanted| {
        match services.iter().find(|(service, ..)| service == wanted) {
            None => Some(format!("{wanted} is not there")),
            Some((_, "running", status)) if status.contains("(healthy)") => None,
            Some((service, _, status))
                if *service == FORMER && status.starts_with("Exited (0)") =>
            {
                None
            }
            Some((_, _, status)) => Some(format!("{wanted}: {status}")),
        }
    });
    let may_be_there = |service: &str| {
        wanted.contains(&service) || OBSERVERS.iter().any(|(observer, _)| *observer == service)
    };
    let others = services
        .iter()
        .filter(|(service, ..)| !may_be_there(service));
    let wrong: Vec<String> = not_well
        .chain(others.map(|(service, ..)| format!("{service} is there as well")))
        .collect();
    if wrong.is_empty() {
        ClusterState::Up
    } else {
        ClusterState::Partly(wrong)
    }
}

/// Everything that the engine keeps for the project.
#[derive(Clone, Debug)]
pub struct Leftovers(Vec<String>);

impl Leftovers {
    /// Whether nothing is left.
    pub fn nothing(&self) -> bool {
        self.0.is_empty()
    }
}

impl fmt::Display for Leftovers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.nothing() {
            f.write_str("nothing")
        } else {
            f.write_str(&self.0.join(", "))
        }
    }
}

/// Containers that run or not, networks and volumes.
pub fn left(docker: &Docker) -> anyhow::Result<Leftovers> {
    let mut left = Vec::new();
    for (what, command, format) in [
        ("container", ["ps", "--all"].as_slice(), "{{.Names}}"),
        ("network", &["network", "ls"], "{{.Name}}"),
        ("volume", &["volume", "ls"], "{{.Name}}"),
    ] {
        let listed =
            output(
                docker
                    .docker()
                    .args(command)
                    .args(["--filter", &ours(), "--format", format]),
            )?;
        left.extend(listed.lines().map(|name| format!("{what} {name}")));
    }
    Ok(Leftovers(left))
}

#[cfg(test)]
mod tests {
    use super::*;

    const WANTED: [&str; 2] = ["store", "node-1"];

    #[test]
    fn cluster_is_up_when_all_healthy() {
        assert_eq!(of_listing("", &WANTED), ClusterState::Down);
        let up = "node-1|running|Up 3 seconds (healthy)\nstore|running|Up 4 minutes (healthy)\n";
        assert_eq!(of_listing(up, &WANTED), ClusterState::Up);
        let observed = format!("{up}grafana|running|Up 1 second (health: starting)\n");
        assert_eq!(of_listing(&observed, &WANTED), ClusterState::Up);
        let formed = format!("{up}form|exited|Exited (0) 3 seconds ago\n");
        assert_eq!(
            of_listing(&formed, &["store", "node-1", FORMER]),
            ClusterState::Up
        );
    }

    #[test]
    fn what_is_wrong_is_named() {
        let wrong = |listed| match of_listing(listed, &WANTED) {
            ClusterState::Partly(wrong) => wrong,
            other => panic!("{other:?}"),
        };
        let starting =
            "node-1|running|Up 1 second (health: starting)\nstore|running|Up 1 second (healthy)";
        assert_eq!(wrong(starting), ["node-1: Up 1 second (health: starting)"]);
        let ended = "store|exited|Exited (1) 2 seconds ago";
        assert_eq!(
            wrong(ended),
            ["store: Exited (1) 2 seconds ago", "node-1 is not there"]
        );
        let ill = "node-1|running|Up 9 seconds (unhealthy)\nstore|running|Up 9 seconds (healthy)";
        assert_eq!(wrong(ill), ["node-1: Up 9 seconds (unhealthy)"]);
        let stopped = "node-1|exited|Exited (0) 1 second ago\nstore|running|Up 9 seconds (healthy)";
        assert_eq!(wrong(stopped), ["node-1: Exited (0) 1 second ago"]);
        let other = "node-1|running|Up 9 seconds (healthy)\nstore|running|Up 9 seconds \
            (healthy)\nstore-2|running|Up";
        assert_eq!(wrong(other), ["store-2 is there as well"]);
    }
}
