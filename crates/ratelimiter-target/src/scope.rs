use std::net::IpAddr;

use crate::TargetError;

/// How far checks may reach.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Scope {
    /// Loopback addresses and the name `localhost` only.
    #[default]
    ThisMachine,
    /// Any address.
    Anywhere,
}

impl Scope {
    /// Refuses a host outside the scope.
    pub(crate) fn permit(self, host: &str, node: &str) -> Result<(), TargetError> {
        let bare = host.trim_start_matches('[').trim_end_matches(']');
        let loopback = bare.eq_ignore_ascii_case("localhost")
            || bare.parse::<IpAddr>().is_ok_and(|ip| ip.is_loopback());
        if loopback || self == Self::Anywhere {
            Ok(())
        } else {
            Err(TargetError::Remote {
                node: node.to_owned(),
            })
        }
    }
}
