//! Handshakes with servers of several certificates.
#![cfg(feature = "tls")]
#![expect(
    clippy::unwrap_used,
    reason = "a test that cannot set up its subject has failed"
)]

use std::sync::Arc;

use client_tls::{Authorities, TlsError};
use rcgen::{BasicConstraints, CertificateParams, IsCa, KeyPair};
use rustls::pki_types::PrivateKeyDer;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, DuplexStream, duplex};

/// A server whose certificate is for `store.example`, and the file of its authority.
struct Server {
    config: Arc<rustls::ServerConfig>,
    directory: tempfile::TempDir,
}

impl Server {
    fn new(is_ca: IsCa) -> Self {
        let mut params = CertificateParams::new(["store.example".to_owned()]).unwrap();
        params.is_ca = is_ca;
        let key = KeyPair::generate().unwrap();
        let certificate = params.self_signed(&key).unwrap();
        let directory = tempfile::tempdir().unwrap();
        std::fs::write(directory.path().join("authority.pem"), certificate.pem()).unwrap();
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = rustls::ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(
                vec![certificate.der().clone()],
                PrivateKeyDer::try_from(key.serialize_der()).unwrap(),
            )
            .unwrap();
        Self {
            config: Arc::new(config),
            directory,
        }
    }

    fn trust(&self) -> Authorities {
        Authorities::in_file(&self.directory.path().join("authority.pem")).unwrap()
    }

    /// A connection to it, which sends back all that it gets.
    fn connection(&self) -> DuplexStream {
        let (near, far) = duplex(1 << 16);
        let acceptor = tokio_rustls::TlsAcceptor::from(Arc::clone(&self.config));
        tokio::spawn(async move {
            let Ok(stream) = acceptor.accept(far).await else {
                return;
            };
            let (mut from, mut to) = tokio::io::split(stream);
            let _ = tokio::io::copy(&mut from, &mut to).await;
        });
        near
    }

    async fn refusal(&self, trust: Authorities, host: &str) -> TlsError {
        trust
            .connect(host, self.connection(), &[])
            .await
            .err()
            .unwrap()
    }
}

#[tokio::test]
async fn trusted_authority_leads_to_an_encrypted_stream() {
    let server = Server::new(IsCa::NoCa);
    let trust = server.trust();
    for _ in 0..2 {
        let mut stream = trust
            .connect("store.example", server.connection(), &[])
            .await
            .unwrap();
        stream.write_all(b"PING").await.unwrap();
        stream.flush().await.unwrap();
        let mut back = [0; 4];
        stream.read_exact(&mut back).await.unwrap();
        assert_eq!(&back, b"PING");
    }
}

#[tokio::test]
async fn each_refusal_names_its_reason() {
    let (server, other) = (Server::new(IsCa::NoCa), Server::new(IsCa::NoCa));
    // Both authorities have the same name, so that the second is mistaken for the first.
    for trust in [Authorities::of_system().unwrap(), other.trust()] {
        let unknown = server.refusal(trust, "store.example").await;
        assert!(matches!(unknown, TlsError::UnknownAuthority), "{unknown}");
    }
    let name = server
        .refusal(server.trust(), "127.0.0.1")
        .await
        .to_string();
    assert!(
        name.contains("127.0.0.1") && name.contains("store.example"),
        "{name}"
    );
    let authority = Server::new(IsCa::Ca(BasicConstraints::Unconstrained));
    let marked = authority
        .refusal(authority.trust(), "store.example")
        .await
        .to_string();
    assert!(marked.contains("marked as an authority's"), "{marked}");
}

#[tokio::test]
async fn plain_answer_is_no_tls() {
    let (near, mut far) = duplex(1 << 16);
    far.write_all(b"-ERR unknown command\r\n").await.unwrap();
    let error = Authorities::default()
        .connect("store.example", near, &[])
        .await
        .err()
        .unwrap();
    assert!(matches!(error, TlsError::NotTls), "{error}");
}
