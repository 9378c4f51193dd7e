use std::io::ErrorKind;
use std::net::{Ipv4Addr, TcpListener};

/// Tries every port for a moment: compose would find a taken one only after it has started half of
/// the cluster.
pub(crate) fn all_free(ports: &[u16]) -> anyhow::Result<()> {
    for port in ports {
        match TcpListener::bind((Ipv4Addr::LOCALHOST, *port)) {
            Ok(_) => {}
            Err(error) if error.kind() == ErrorKind::AddrInUse => {
                anyhow::bail!("port {port} is taken")
            }
            Err(error) => anyhow::bail!("port {port} cannot be used: {error}"),
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_taken_port_is_named() {
        let taken = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let port = taken.local_addr().unwrap().port();
        assert_eq!(
            all_free(&[port]).unwrap_err().to_string(),
            format!("port {port} is taken")
        );
        let anywhere = TcpListener::bind((Ipv4Addr::UNSPECIFIED, 0)).unwrap();
        let port = anywhere.local_addr().unwrap().port();
        assert_eq!(
            all_free(&[port]).unwrap_err().to_string(),
            format!("port {port} is taken")
        );
        all_free(&[]).unwrap();
    }
}
