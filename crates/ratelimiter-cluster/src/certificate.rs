use std::io;
use std::path::Path;
use std::process::{Command, Stdio};

use crate::ClusterError;

/// Makes a certificate for `localhost`, `127.0.0.1` and `::1` that no system trusts:
/// `certificate.pem`, which is its own authority, and `key.pem`. Runs `openssl`.
///
/// # Errors
/// When there is no `openssl`, or it fails.
pub fn make_certificate(directory: &Path) -> Result<(), ClusterError> {
    let made = Command::new("openssl")
        .args([
            "req",
            "-x509",
            "-newkey",
            "ec",
            "-pkeyopt",
            "ec_paramgen_curve:P-256",
            "-nodes",
            "-days",
            "2",
        ])
        .args([
            "-subj",
            "/CN=ratelimiter-cluster",
            "-addext",
            "subjectAltName=DNS:localhost,IP:127.0.0.1,IP:::1",
        ])
        // One that is marked as an authority's is no server's.
        .args(["-addext", "basicConstraints=critical,CA:FALSE"])
        .args(["-keyout", KEY, "-out", CERTIFICATE])
        .current_dir(directory)
        .stdin(Stdio::null())
        .output();
    let failed = match made {
        Ok(output) if output.status.success() => return Ok(()),
        Ok(output) => io::Error::other(String::from_utf8_lossy(&output.stderr).trim().to_owned()),
        Err(error) => error,
    };
    Err(ClusterError::io(
        "make a certificate with openssl (apt-get install openssl)",
    )(failed))
}

/// Names of the files.
pub(crate) const CERTIFICATE: &str = "certificate.pem";
pub(crate) const KEY: &str = "key.pem";
