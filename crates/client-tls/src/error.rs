use std::io;
use std::path::PathBuf;

/// A failure of TLS, or of the connection below it.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// The feature is off.
    #[error("this build has no TLS: build it with `--features tls`")]
    NotBuilt,
    /// The file of authorities is of no use.
    #[error("certificates of {}: {reason}", .file.display())]
    Authorities {
        /// The file.
        file: PathBuf,
        /// The reason.
        reason: String,
    },
    /// The certificate's authority is not trusted.
    #[error(
        "its certificate is of an authority that is not trusted here: name the file of that \
         authority"
    )]
    UnknownAuthority,
    /// The certificate is wrong in another way.
    #[error("its certificate is refused: {0}")]
    Certificate(String),
    /// The other end does not answer in TLS.
    #[error("it does not answer in TLS")]
    NotTls,
    /// The two ends find no common ground.
    #[error("the TLS handshake failed: {0}")]
    Handshake(String),
    /// The connection broke.
    #[error(transparent)]
    Io(#[from] io::Error),
}

/// For callers that treat all failures to connect alike.
impl From<TlsError> for io::Error {
    fn from(error: TlsError) -> Self {
        match error {
            TlsError::Io(error) => error,
            TlsError::NotBuilt => Self::new(io::ErrorKind::Unsupported, error),
            refused => Self::new(io::ErrorKind::InvalidData, refused),
        }
    }
}

#[cfg(feature = "tls")]
impl TlsError {
    /// The failure of a handshake, in which rustls's own errors come wrapped.
    pub(crate) fn of_handshake(error: io::Error) -> Self {
        use rustls::{CertificateError, Error, InvalidMessage, OtherError};

        let Some(cause) = error
            .get_ref()
            .and_then(|inner| inner.downcast_ref::<Error>())
        else {
            return Self::Io(error);
        };
        // webpki's own name for a certificate that is marked as an authority's and offered as a
        // server's.
        let is_authority = |other: &OtherError| other.to_string().contains("CaUsedAsEndEntity");
        match cause {
            // The last two are of a trusted authority that has the same name and another key.
            Error::InvalidCertificate(
                CertificateError::UnknownIssuer
                | CertificateError::BadSignature
                | CertificateError::UnsupportedSignatureAlgorithmForPublicKeyContext { .. },
            ) => Self::UnknownAuthority,
            Error::InvalidCertificate(CertificateError::Other(other)) if is_authority(other) => {
                Self::Certificate(
                    "it is marked as an authority's (CA:TRUE); a server needs one that is not"
                        .into(),
                )
            }
            Error::InvalidCertificate(reason) => Self::Certificate(reason.to_string()),
            Error::InvalidMessage(InvalidMessage::InvalidContentType) => Self::NotTls,
            other => Self::Handshake(other.to_string()),
        }
    }
}
