use std::fmt;
#[cfg(feature = "tls")]
use std::{
    path::Path,
    sync::{Arc, OnceLock},
};

#[cfg(feature = "tls")]
use rustls::{
    RootCertStore,
    pki_types::{CertificateDer, pem::PemObject as _},
};

#[cfg(feature = "tls")]
use crate::TargetError;

/// The authorities that vouch for a target behind TLS: those of the system, and perhaps others. They are read once, before the
/// first connection that needs them.
#[derive(Clone, Default)]
pub struct Trust {
    #[cfg(feature = "tls")]
    others: Arc<Vec<CertificateDer<'static>>>,
    #[cfg(feature = "tls")]
    roots: Arc<OnceLock<Arc<RootCertStore>>>,
}

impl fmt::Debug for Trust {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Trust")
    }
}

#[cfg(feature = "tls")]
impl Trust {
    /// Trusts the certificates of a file in PEM form, too.
    ///
    /// # Errors
    /// When the file cannot be read, or holds no certificate.
    pub fn in_file(file: &Path) -> Result<Self, TargetError> {
        let refuse = |reason: String| TargetError::Authorities { file: file.to_owned(), reason };
        let read = CertificateDer::pem_file_iter(file).and_then(Iterator::collect::<Result<Vec<_>, _>>);
        let others = read.map_err(|e| refuse(e.to_string()))?;
        if others.is_empty() {
            return Err(refuse("it holds no certificate".into()));
        }
        Ok(Self { others: Arc::new(others), roots: Arc::default() })
    }

    pub(crate) fn roots(&self) -> Arc<RootCertStore> {
        let read = || {
            let mut roots = RootCertStore::empty();
            roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
            roots.add_parsable_certificates(self.others.iter().cloned());
            Arc::new(roots)
        };
        Arc::clone(self.roots.get_or_init(read))
    }
}
