use std::io;
use std::path::Path;

use crate::ClusterError;

/// Names of the files.
pub(crate) const CERTIFICATE: &str = "certificate.pem";
pub(crate) const KEY: &str = "key.pem";

/// Makes a certificate for `localhost`, `127.0.0.1` and `::1` that no system trusts:
/// `certificate.pem`, which is its own authority, and `key.pem`.
///
/// # Errors
/// When a file cannot be written, and without the feature `tls`.
pub fn make_certificate(directory: &Path) -> Result<(), ClusterError> {
    #[cfg(feature = "tls")]
    let made = {
        use crate::secret::write_private;
        let names = ["localhost", "127.0.0.1", "::1"].map(String::from);
        self_signed(names.to_vec())
            .map_err(io::Error::other)
            .and_then(|(certificate, key)| {
                std::fs::write(directory.join(CERTIFICATE), certificate)?;
                write_private(&directory.join(KEY), &key)
            })
    };
    #[cfg(not(feature = "tls"))]
    let made = Err(io::Error::other(
        "ratelimiter-cluster was built without its feature tls",
    ));
    let what = format!("make a certificate in {}", directory.display());
    made.map_err(ClusterError::io(what))
}

#[cfg(feature = "tls")]
fn self_signed(names: Vec<String>) -> Result<(String, String), rcgen::Error> {
    let mut parameters = rcgen::CertificateParams::new(names)?;
    // One that is marked as an authority's is no server's.
    parameters.is_ca = rcgen::IsCa::ExplicitNoCa;
    let key = rcgen::KeyPair::generate()?;
    Ok((parameters.self_signed(&key)?.pem(), key.serialize_pem()))
}
