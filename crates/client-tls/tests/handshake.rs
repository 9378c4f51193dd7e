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
        Self::naming(&["store.example"], is_ca)
    }

    fn naming(names: &[&str], is_ca: IsCa) -> Self {
        let names = Vec::from_iter(names.iter().map(ToString::to_string));
        let mut params = CertificateParams::new(names).unwrap();
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
}

/// As `openssl req -x509` makes it: marked as an authority's, and perhaps without a name.
#[tokio::test]
async fn a_certificate_that_is_named_itself_is_accepted() {
    let authority = IsCa::Ca(BasicConstraints::Unconstrained);
    let server = Server::naming(&["store.example"], authority);
    let (named, connection) = (server.trust(), server.connection());
    assert!(
        named
            .connect("store.example", connection, &[])
            .await
            .is_ok()
    );
    let other = server.refusal(server.trust(), "other.example").await;
    assert!(other.to_string().contains("store.example"), "{other}");

    let nameless = Server::naming(&[], authority);
    let (named, connection) = (nameless.trust(), nameless.connection());
    assert!(named.connect("localhost", connection, &[]).await.is_ok());
    let far = nameless.refusal(nameless.trust(), "store.example").await;
    assert!(matches!(far, TlsError::Certificate(_)), "{far}");
}

#[tokio::test]
async fn any_certificate_is_accepted_where_told() {
    let server = Server::new(IsCa::NoCa);
    let (any, connection) = (Authorities::any().unwrap(), server.connection());
    assert!(any.connect("localhost", connection, &[]).await.is_ok());
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
