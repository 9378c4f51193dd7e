use std::fmt;
use std::path::Path;
#[cfg(feature = "tls")]
use std::sync::{Arc, OnceLock};

#[cfg(feature = "tls")]
use outside_text::read_file;
#[cfg(feature = "tls")]
use rustls::pki_types::{CertificateDer, ServerName, pem::PemObject as _};
#[cfg(feature = "tls")]
use rustls::{ClientConfig, RootCertStore};
use tokio::io::{AsyncRead, AsyncWrite};

use crate::TlsError;
#[cfg(feature = "tls")]
use crate::verifier::ServerVerifier;

/// The largest file of certificates, bytes.
#[cfg(feature = "tls")]
const LARGEST_PEM: u64 = 16 * 1024 * 1024;

/// A connection inside TLS.
#[cfg(feature = "tls")]
pub use tokio_rustls::client::TlsStream;
/// A connection inside TLS, which there is none of without the feature `tls`.
#[cfg(not(feature = "tls"))]
pub type TlsStream<S> = S;

/// The connection below TLS.
pub fn below_tls<S>(stream: &TlsStream<S>) -> &S {
    #[cfg(feature = "tls")]
    let stream = stream.get_ref().0;
    stream
}

/// Whether the server chose this protocol of those that were offered (ALPN).
pub fn has_chosen<S>(stream: &TlsStream<S>, protocol: &str) -> bool {
    #[cfg(feature = "tls")]
    let chosen = stream.get_ref().1.alpn_protocol();
    #[cfg(not(feature = "tls"))]
    let (chosen, _) = (None::<&[u8]>, stream);
    chosen == Some(protocol.as_bytes())
}

/// The authorities that vouch for a server: those of the system, and perhaps others. Clones share
/// what they have read, and the sessions that servers let them resume.
#[derive(Clone, Default)]
pub struct Authorities {
    #[cfg(feature = "tls")]
    shared: Arc<SharedTrust>,
}

#[cfg(feature = "tls")]
#[derive(Default)]
struct SharedTrust {
    others: Vec<CertificateDer<'static>>,
    /// Whether every certificate is accepted.
    any: bool,
    config: OnceLock<Arc<ClientConfig>>,
}

impl fmt::Debug for Authorities {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Authorities")
    }
}

#[cfg(feature = "tls")]
impl Authorities {
    /// Those of the system.
    ///
    /// # Errors
    /// When this build has no TLS.
    pub fn of_system() -> Result<Self, TlsError> {
        Ok(Self::default())
    }

    /// Those of the system, and those of a file in PEM form.
    ///
    /// # Errors
    /// When the file cannot be read or holds no certificate, or this build has no TLS.
    pub fn in_file(file: &Path) -> Result<Self, TlsError> {
        let refuse = |reason: String| TlsError::Authorities {
            file: file.to_owned(),
            reason,
        };
        let pem = read_file(file, LARGEST_PEM).map_err(|e| refuse(e.to_string()))?;
        let read = CertificateDer::pem_slice_iter(&pem).collect::<Result<Vec<_>, _>>();
        let others = read.map_err(|e| refuse(e.to_string()))?;
        if others.is_empty() {
            return Err(refuse("it holds no certificate in PEM form".into()));
        }
        let mut roots = RootCertStore::empty();
        for certificate in &others {
            roots
                .add(certificate.clone())
                .map_err(|e| refuse(e.to_string()))?;
        }
        Ok(Self {
            shared: Arc::new(SharedTrust {
                others,
                ..SharedTrust::default()
            }),
        })
    }

    /// Every certificate is accepted: for servers of this machine alone.
    ///
    /// # Errors
    /// When this build has no TLS.
    pub fn any() -> Result<Self, TlsError> {
        Ok(Self {
            shared: Arc::new(SharedTrust {
                any: true,
                ..SharedTrust::default()
            }),
        })
    }

    /// Whether every certificate is accepted.
    pub fn is_any(&self) -> bool {
        self.shared.any
    }

    /// Reads the system's authorities, unless that is done: the first handshake does so otherwise,
    /// within the time that it has.
    pub fn read(&self) {
        self.config();
    }

    fn config(&self) -> &Arc<ClientConfig> {
        self.shared.config.get_or_init(|| {
            let mut roots = RootCertStore::empty();
            roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
            roots.add_parsable_certificates(self.shared.others.iter().cloned());
            let provider = Arc::new(rustls::crypto::ring::default_provider());
            let config = ClientConfig::builder_with_provider(Arc::clone(&provider))
                .with_safe_default_protocol_versions()
                .expect("ring has the suites of the default versions");
            let SharedTrust { others, any, .. } = &*self.shared;
            let config = if others.is_empty() && !any {
                config.with_root_certificates(roots)
            } else {
                let verifier = ServerVerifier::new(roots, others.clone(), *any, provider);
                config
                    .dangerous()
                    .with_custom_certificate_verifier(Arc::new(verifier))
            };
            Arc::new(config.with_no_client_auth())
        })
    }

    /// Encrypts a connection to `host`, a name or an IP address, whose certificate has to name it.
    /// `protocols` are offered to the server (ALPN).
    ///
    /// # Errors
    /// When the server's certificate is refused, it does not answer in TLS, or the connection
    /// breaks.
    pub async fn connect<S: AsyncRead + AsyncWrite + Unpin>(
        &self,
        host: &str,
        stream: S,
        protocols: &[&str],
    ) -> Result<TlsStream<S>, TlsError> {
        let mut config = Arc::clone(self.config());
        if !protocols.is_empty() {
            Arc::make_mut(&mut config).alpn_protocols = protocols
                .iter()
                .map(|protocol| protocol.as_bytes().to_vec())
                .collect();
        }
        let name = host
            .trim_start_matches('[')
            .trim_end_matches(']')
            .to_owned();
        let name =
            ServerName::try_from(name).map_err(|e| TlsError::Handshake(format!("{host}: {e}")))?;
        let connecting = tokio_rustls::TlsConnector::from(config).connect(name, stream);
        connecting.await.map_err(TlsError::of_handshake)
    }
}

#[cfg(not(feature = "tls"))]
impl Authorities {
    /// Those of the system.
    ///
    /// # Errors
    /// Always: this build has no TLS.
    pub fn of_system() -> Result<Self, TlsError> {
        Err(TlsError::NotBuilt)
    }

    /// Those of the system, and those of a file in PEM form.
    ///
    /// # Errors
    /// Always: this build has no TLS.
    pub fn in_file(_: &Path) -> Result<Self, TlsError> {
        Err(TlsError::NotBuilt)
    }

    /// Every certificate is accepted.
    ///
    /// # Errors
    /// Always: this build has no TLS.
    pub fn any() -> Result<Self, TlsError> {
        Err(TlsError::NotBuilt)
    }

    /// Whether every certificate is accepted.
    pub fn is_any(&self) -> bool {
        false
    }

    /// Nothing, without TLS.
    pub fn read(&self) {}

    /// Encrypts a connection.
    ///
    /// # Errors
    /// Always: this build has no TLS.
    pub async fn connect<S: AsyncRead + AsyncWrite + Unpin>(
        &self,
        _: &str,
        _: S,
        _: &[&str],
    ) -> Result<TlsStream<S>, TlsError> {
        Err(TlsError::NotBuilt)
    }
}
