use std::ffi::{OsStr, OsString};

use super::COMPOSE_FILE;
use crate::ending::BadArguments;

/// The stores of the cluster, by the names that `demo-ratelimiter run --topology` has for them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ContainerStores {
    /// One store.
    #[default]
    Single,
    /// A store cluster of three primaries.
    Cluster,
    /// A primary, a replica and three sentinels.
    Sentinel,
}

/// Ports of the stores, in the network of the containers and on this machine's loopback.
const STORE_PORTS: [u16; 3] = [6379, 6380, 6381];
const SENTINEL_PORTS: [u16; 3] = [26379, 26380, 26381];
/// The service that makes a cluster of the stores, and ends.
pub(super) const FORMER: &str = "form";

impl ContainerStores {
    /// Each of them.
    pub const ALL: [Self; 3] = [Self::Single, Self::Cluster, Self::Sentinel];
    const OPTION: &str = "--topology";

    fn name(self) -> &'static str {
        match self {
            Self::Single => "single",
            Self::Cluster => "cluster",
            Self::Sentinel => "sentinel",
        }
    }

    /// Takes the option out of a command line.
    pub(crate) fn taken_from(
        arguments: &[OsString],
    ) -> Result<(Self, Vec<OsString>), BadArguments> {
        let mut stores = Self::default();
        let mut rest = Vec::new();
        let mut arguments = arguments.iter();
        while let Some(argument) = arguments.next() {
            let text = argument.to_string_lossy();
            match text.strip_prefix(Self::OPTION) {
                Some("") => stores = Self::named(arguments.next().map(OsString::as_os_str))?,
                Some(value) if value.starts_with('=') => {
                    stores = Self::named(Some(value[1..].as_ref()))?;
                }
                _ => rest.push(argument.clone()),
            }
        }
        Ok((stores, rest))
    }

    fn named(name: Option<&OsStr>) -> Result<Self, BadArguments> {
        let known = Self::ALL
            .into_iter()
            .find(|stores| name == Some(stores.name().as_ref()));
        known.ok_or_else(|| {
            let names = Self::ALL.map(Self::name).join(", ");
            let given = name.map_or("nothing".into(), OsStr::to_string_lossy);
            BadArguments(format!(
                "{} takes one of {names}, and was given {given}",
                Self::OPTION
            ))
        })
    }

    /// The option that chooses these, where one is needed.
    pub(crate) fn option(self) -> Vec<&'static str> {
        if self == Self::default() {
            Vec::new()
        } else {
            vec![Self::OPTION, self.name()]
        }
    }

    /// The compose files, in the order in which they are put over each other.
    pub fn files(self) -> Vec<&'static str> {
        let over = match self {
            Self::Single => None,
            Self::Cluster => Some("docker/cluster.yml"),
            Self::Sentinel => Some("docker/sentinel.yml"),
        };
        std::iter::once(COMPOSE_FILE).chain(over).collect()
    }

    pub(super) fn services(self) -> &'static [&'static str] {
        match self {
            Self::Single => &["store"],
            Self::Cluster => &["store", "store-2", "store-3", FORMER],
            Self::Sentinel => &["store", "store-2", "sentinel-1", "sentinel-2", "sentinel-3"],
        }
    }

    /// The services that hold data, and their ports.
    pub(super) fn primaries(self) -> impl Iterator<Item = (&'static str, u16)> {
        let services: &[_] = match self {
            Self::Single | Self::Sentinel => &["store"],
            Self::Cluster => &["store", "store-2", "store-3"],
        };
        services.iter().copied().zip(STORE_PORTS)
    }

    pub(super) fn ports(self) -> Vec<u16> {
        match self {
            Self::Single => STORE_PORTS[..1].to_vec(),
            Self::Cluster => STORE_PORTS.to_vec(),
            Self::Sentinel => [&STORE_PORTS[..2], &SENTINEL_PORTS].concat(),
        }
    }

    /// Their URL, which is the same for the nodes and for this machine.
    pub fn url(self) -> String {
        let at = |ports: &[u16]| {
            ports
                .iter()
                .map(|port| format!("127.0.0.1:{port}"))
                .collect::<Vec<_>>()
                .join(",")
        };
        match self {
            Self::Single => format!("redis://{}", at(&STORE_PORTS[..1])),
            Self::Cluster => format!("redis+cluster://{}", at(&STORE_PORTS)),
            Self::Sentinel => format!("redis+sentinel://{}/main", at(&SENTINEL_PORTS)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn taken(arguments: &[&str]) -> Result<(ContainerStores, usize), String> {
        let arguments: Vec<OsString> = arguments.iter().map(OsString::from).collect();
        let (stores, rest) = ContainerStores::taken_from(&arguments).map_err(|e| e.to_string())?;
        Ok((stores, rest.len()))
    }

    #[test]
    fn option_chooses_stores() {
        assert_eq!(taken(&["--headless"]), Ok((ContainerStores::Single, 1)));
        assert_eq!(
            taken(&["--topology", "cluster", "--headless"]),
            Ok((ContainerStores::Cluster, 1))
        );
        assert_eq!(
            taken(&["--topology=sentinel"]),
            Ok((ContainerStores::Sentinel, 0))
        );
        assert_eq!(
            taken(&["--topologies"]),
            Ok((ContainerStores::Single, 1)),
            "another option"
        );
        let known = "--topology takes one of single, cluster, sentinel, and was given";
        assert_eq!(
            taken(&["--topology=three"]).unwrap_err(),
            format!("{known} three")
        );
        assert_eq!(
            taken(&["--topology"]).unwrap_err(),
            format!("{known} nothing")
        );
    }

    #[test]
    fn nodes_have_the_url_of_their_stores() {
        for stores in ContainerStores::ALL {
            let last = stores.files().pop().unwrap();
            let text = std::fs::read_to_string(crate::project::root().join(last)).unwrap();
            assert!(
                text.contains(&format!("RATELIMITER_STORE: {}\n", stores.url())),
                "{last}"
            );
        }
    }
}
