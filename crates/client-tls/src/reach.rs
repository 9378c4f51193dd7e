use std::net::IpAddr;

/// The machines that a program may connect to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Reach {
    /// Loopback addresses, the name `localhost`, and socket files only.
    #[default]
    ThisMachine,
    /// Any machine.
    Anywhere,
}

/// A target on another machine, without the permission for it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0} is not on this machine: --allow-remote permits it")]
pub struct OutOfReach(String);

impl Reach {
    /// The reach of a program with a flag `--allow-remote`.
    pub fn new(allow_remote: bool) -> Self {
        if allow_remote {
            Self::Anywhere
        } else {
            Self::ThisMachine
        }
    }

    /// Refuses a target, shown as `target`, unless `is_local` or other machines are allowed.
    ///
    /// # Errors
    /// When it is out of reach.
    pub fn permit(self, is_local: bool, target: &impl ToString) -> Result<(), OutOfReach> {
        if is_local || self == Self::Anywhere {
            Ok(())
        } else {
            Err(OutOfReach(target.to_string()))
        }
    }
}

/// Whether a connection to this host, a name or an address, stays on this machine.
pub fn is_loopback(host: &str) -> bool {
    let bare = host.trim_start_matches('[').trim_end_matches(']');
    bare.eq_ignore_ascii_case("localhost")
        || bare.parse::<IpAddr>().is_ok_and(|ip| ip.is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn other_machines_need_the_permission() {
        let far = "10.1.2.3:6379";
        let refused = Reach::new(false)
            .permit(false, &far)
            .unwrap_err()
            .to_string();
        assert!(
            refused.contains(far) && refused.contains("--allow-remote"),
            "{refused}"
        );
        Reach::new(false).permit(true, &far).unwrap();
        Reach::new(true).permit(false, &far).unwrap();
    }

    #[test]
    fn hosts_of_this_machine_are_loopback() {
        for host in [
            "localhost",
            "LocalHost",
            "127.0.0.1",
            "127.9.9.9",
            "::1",
            "[::1]",
        ] {
            assert!(is_loopback(host), "{host}");
        }
        for host in ["10.0.0.1", "localhost.example", "0.0.0.0", "[fe80::1]", ""] {
            assert!(!is_loopback(host), "{host}");
        }
    }
}
