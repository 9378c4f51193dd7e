use super::ContainerStores;

/// Where the nodes are published, on loopback.
pub const NODE_PORTS: [u16; 3] = [8001, 8002, 8003];
/// Nodes, and the container whose network is that of nodes and stores.
const SERVICES: [&str; 4] = ["pod", "node-1", "node-2", "node-3"];

/// Services of the profile `observability`, and their ports.
pub(super) const OBSERVERS: [(&str, u16); 2] = [("prometheus", 9090), ("grafana", 3000)];
/// Compose's option for these.
pub const PROFILE: [&str; 2] = ["--profile", "observability"];

/// The cluster to bring up.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ContainerOptions {
    /// With one store or several.
    pub stores: ContainerStores,
    /// With a store from this machine instead of a registry.
    pub airgap: bool,
    /// With Prometheus and Grafana.
    pub observability: bool,
}

impl ContainerOptions {
    /// Names of the services.
    pub fn services(self) -> Vec<&'static str> {
        let observers = OBSERVERS
            .iter()
            .map(|(name, _)| *name)
            .filter(|_| self.observability);
        SERVICES
            .iter()
            .chain(self.stores.services())
            .copied()
            .chain(observers)
            .collect()
    }

    pub(crate) fn ports(self) -> Vec<u16> {
        let observers = OBSERVERS
            .iter()
            .map(|(_, port)| *port)
            .filter(|_| self.observability);
        self.stores
            .ports()
            .into_iter()
            .chain(NODE_PORTS)
            .chain(observers)
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn compose_publishes_services_on_loopback_only() {
        for stores in ContainerStores::ALL {
            let options = ContainerOptions {
                stores,
                airgap: false,
                observability: true,
            };
            let read = |file| std::fs::read_to_string(crate::project::root().join(file)).unwrap();
            let compose: String = stores.files().into_iter().map(read).collect();
            for service in options.services() {
                assert!(compose.contains(&format!("\n  {service}:")), "{service}");
            }
            let lists = compose
                .lines()
                .filter_map(|line| line.trim().strip_prefix("ports: "));
            let mut published: Vec<_> = lists
                .flat_map(|l| l.trim_matches(['[', ']']).split(", "))
                .collect();
            let mut wanted: Vec<_> = options
                .ports()
                .iter()
                .map(|port| format!("\"127.0.0.1:{port}:{port}\""))
                .collect();
            published.sort_unstable();
            wanted.sort_unstable();
            assert_eq!(published, wanted);
        }
    }
}
