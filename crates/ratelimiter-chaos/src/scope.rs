use ratelimiter_api::Endpoint;
use ratelimiter_store::StoreUrl;

use crate::ChaosError;

/// How far faults and traffic may reach.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Scope {
    /// Loopback addresses and socket files only.
    #[default]
    ThisMachine,
    /// Every named target.
    Anywhere,
}

impl From<Scope> for ratelimiter_target::Scope {
    fn from(scope: Scope) -> Self {
        match scope {
            Scope::ThisMachine => Self::ThisMachine,
            Scope::Anywhere => Self::Anywhere,
        }
    }
}

impl Scope {
    /// Refuses a store outside the scope.
    ///
    /// # Errors
    /// When it is not on this machine and has to be.
    pub fn permit_store(self, url: &StoreUrl) -> Result<(), ChaosError> {
        self.permit(url.is_loopback(), url)
    }

    /// Refuses a list of nodes that is empty or has one outside the scope.
    ///
    /// # Errors
    /// When there is no node, or one is not on this machine and has to be.
    pub fn permit_nodes(self, endpoints: &[Endpoint]) -> Result<(), ChaosError> {
        if endpoints.is_empty() {
            return Err(ChaosError::NoTargets);
        }
        endpoints
            .iter()
            .try_for_each(|e| self.permit(e.is_loopback(), e))
    }

    fn permit(self, loopback: bool, target: &impl ToString) -> Result<(), ChaosError> {
        if loopback || self == Self::Anywhere {
            Ok(())
        } else {
            Err(ChaosError::Remote {
                target: target.to_string(),
            })
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn remote_targets_are_refused_unless_allowed() {
        let far: StoreUrl = "redis://:secret@10.1.2.3:6379".parse().unwrap();
        let refused = Scope::ThisMachine
            .permit_store(&far)
            .unwrap_err()
            .to_string();
        assert!(
            refused.contains("10.1.2.3") && refused.contains("--allow-remote"),
            "{refused}"
        );
        assert!(!refused.contains("secret"), "{refused}");
        Scope::Anywhere.permit_store(&far).unwrap();

        let nodes = [
            "http://localhost:1".parse().unwrap(),
            "http://10.1.2.3:1".parse().unwrap(),
        ];
        Scope::ThisMachine.permit_nodes(&nodes[..1]).unwrap();
        assert!(matches!(
            Scope::ThisMachine.permit_nodes(&nodes),
            Err(ChaosError::Remote { .. })
        ));
        assert!(matches!(
            Scope::Anywhere.permit_nodes(&[]),
            Err(ChaosError::NoTargets)
        ));
    }
}
