//! Clients that people use pass through: RESP3 with pushes and transactions, subscriptions, TLS
//! upstream.

use std::io::Write as _;
use std::net::Ipv4Addr;
use std::sync::Arc;

use crate::proxy::proxy_to;
use crate::store::Store;
use crate::support::{PATIENCE, connect_raw, eventually, proxy, receives};
use redis::AsyncCommands as _;
use resp_proxy::{Authorities, Upstream};
use tokio::net::TcpListener;

#[tokio::test(flavor = "multi_thread")]
async fn transactions_and_pushes_of_resp3_pass() {
    let store = Store::start();
    let proxy = proxy(&store).await;
    let open = async |protocol: &str| {
        let client =
            redis::Client::open(format!("redis://{}/?protocol={protocol}", proxy.address()))
                .unwrap();
        let (sender, pushes) = tokio::sync::mpsc::unbounded_channel();
        let config = redis::AsyncConnectionConfig::new().set_response_timeout(Some(PATIENCE));
        let config = if protocol == "resp3" {
            config.set_push_sender(sender)
        } else {
            config
        };
        (
            client
                .get_multiplexed_async_connection_with_config(&config)
                .await
                .unwrap(),
            pushes,
        )
    };
    let (mut listening, mut pushes) = open("resp3").await;
    listening.subscribe("news").await.unwrap();
    let (mut writing, _) = open("resp2").await;
    for round in 0..100 {
        let mut transaction = redis::pipe();
        transaction
            .atomic()
            .set("k", round)
            .ignore()
            .publish("news", round)
            .ignore()
            .get("k");
        let (value,): (i64,) = transaction.query_async(&mut writing).await.unwrap();
        assert_eq!(value, round);
        // The subscriber's own commands are matched among the pushes that arrive.
        let own: i64 = listening.incr("own", 1).await.unwrap();
        assert_eq!(own, round + 1);
    }
    let mut messages = 0;
    eventually("all messages arrive", async || {
        while let Ok(push) = pushes.try_recv() {
            messages += usize::from(push.kind == redis::PushKind::Message);
        }
        messages == 100
    })
    .await;
    let counters = proxy.counters();
    assert_eq!(
        (counters.unmatched, counters.streams, counters.not_resp),
        (0, 0, 0),
        "{counters:?}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn subscriptions_of_resp2_pass() {
    let store = Store::start();
    let proxy = proxy(&store).await;
    let mut stream = connect_raw(proxy.address());
    stream.write_all(b"PING\r\nSUBSCRIBE a b\r\n").unwrap();
    let confirmed =
        |name: &str, n: u8| format!("*3\r\n$9\r\nsubscribe\r\n$1\r\n{name}\r\n:{n}\r\n");
    let message = "*3\r\n$7\r\nmessage\r\n$1\r\na\r\n$2\r\nhi\r\n";
    let expected = format!(
        "+PONG\r\n{}{}{message}",
        confirmed("a", 1),
        confirmed("b", 2)
    );
    let client = redis::Client::open(store.url()).unwrap();
    let mut direct = client.get_multiplexed_async_connection().await.unwrap();
    eventually("the subscriber is there", async || {
        direct.publish::<_, _, i64>("a", "hi").await.unwrap() == 1
    })
    .await;
    receives(&mut stream, &expected);
    assert_eq!(proxy.counters().streams, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn credentials_of_the_url_are_used_upstream() {
    let store = Store::start();
    let client = redis::Client::open(store.url()).unwrap();
    let mut direct = client.get_multiplexed_async_connection().await.unwrap();
    let _: () = redis::cmd("ACL")
        .arg(&["SETUSER", "app", "on", ">hunter2", "~*", "+@all"])
        .query_async(&mut direct)
        .await
        .unwrap();
    let whoami = async |url: String| {
        let proxy = proxy_to(url.parse().unwrap()).await;
        let client = redis::Client::open(format!("redis://{}", proxy.address())).unwrap();
        let mut connection = client.get_multiplexed_async_connection().await?;
        redis::cmd("ACL")
            .arg("WHOAMI")
            .query_async::<String>(&mut connection)
            .await
    };
    assert_eq!(whoami(store.url()).await.unwrap(), "default");
    assert_eq!(
        whoami(format!("redis://app:hunter2@{}", store.address))
            .await
            .unwrap(),
        "app"
    );
    assert!(
        whoami(format!("redis://app:wrong@{}", store.address))
            .await
            .is_err()
    );
}

/// A TLS end in front of a store, with a certificate of its own. Returns its address and the
/// certificate in PEM form.
async fn tls_end(store: &Store) -> (std::net::SocketAddr, String) {
    let made = rcgen::generate_simple_self_signed(["127.0.0.1".to_owned()]).unwrap();
    let key = rustls::pki_types::PrivateKeyDer::try_from(made.signing_key.serialize_der()).unwrap();
    let config = rustls::ServerConfig::builder_with_provider(Arc::new(
        rustls::crypto::ring::default_provider(),
    ))
    .with_safe_default_protocol_versions()
    .unwrap()
    .with_no_client_auth()
    .with_single_cert(vec![made.cert.der().clone()], key)
    .unwrap();
    let acceptor = tokio_rustls::TlsAcceptor::from(Arc::new(config));
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let (address, store) = (listener.local_addr().unwrap(), store.address);
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let acceptor = acceptor.clone();
            tokio::spawn(async move {
                let (Ok(mut client), Ok(mut store)) = (
                    acceptor.accept(stream).await,
                    tokio::net::TcpStream::connect(store).await,
                ) else {
                    return;
                };
                let _ = tokio::io::copy_bidirectional(&mut client, &mut store).await;
            });
        }
    });
    (address, made.cert.pem())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_store_behind_tls_is_reached() {
    let store = Store::start();
    let (address, certificate) = tls_end(&store).await;
    let url: Upstream = format!("rediss://{address}").parse().unwrap();
    let ask = async |upstream: Upstream| {
        let proxy = proxy_to(upstream).await;
        let client = redis::Client::open(format!("redis://{}", proxy.address())).unwrap();
        let mut connection = client.get_multiplexed_async_connection().await?;
        // More than a TLS record and a socket buffer hold: the last part must not stay behind.
        let value = "v".repeat(3 << 20);
        connection.set::<_, _, ()>("large", &value).await?;
        assert_eq!(connection.get::<_, String>("large").await?, value);
        connection.incr::<_, _, i64>("k", 1).await
    };
    assert!(
        ask(url.clone()).await.is_err(),
        "a certificate that is not trusted was accepted"
    );
    let directory = tempfile::tempdir().unwrap();
    let authority = directory.path().join("authority.pem");
    std::fs::write(&authority, certificate).unwrap();
    assert_eq!(
        ask(url
            .trusting(Authorities::in_file(&authority).unwrap())
            .unwrap())
        .await
        .unwrap(),
        1
    );
}
