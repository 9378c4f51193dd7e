//! Limiters and stores behind TLS, with the certificate of an authority
//! that no system trusts. Ignored without the programs.
#![expect(
    clippy::unwrap_used,
    reason = "a test that cannot set up its subject has failed"
)]

#[path = "gateways/gateway.rs"]
#[expect(dead_code, reason = "of the gateways, only nginx is needed here")]
mod gateway;
#[path = "../../ratelimiter-cluster/tests/support/needs.rs"]
mod needs;
#[path = "integration/support/mod.rs"]
mod support;

use std::future::ready;
use std::net::{Ipv4Addr, TcpListener};
use std::path::Path;
use std::process::{Command, Stdio};

use gateway::{Gateway, Program};
use needs::{Missing, trial};
use ratelimiter_cluster::make_certificate;
use support::{Started, ends, program, stderr, verify, words};
use tempfile::TempDir;

/// A certificate of an authority that no system knows, for localhost: `certificate.pem` and
/// `key.pem`.
fn certificate() -> TempDir {
    let directory = tempfile::tempdir().unwrap();
    make_certificate(directory.path()).unwrap();
    directory
}

/// The arguments judge a limiter behind TLS once they name its authority, and refuse its
/// certificate before.
fn trusts_only_a_known_authority(arguments: &[&str], authority: &Path) {
    let named = verify(&[arguments, &["--ca", authority.to_str().unwrap()]].concat());
    ends(&named, 0, "");
    let refusing = verify(arguments);
    ends(&refusing, 1, "");
    assert!(
        stderr(&refusing).contains("certificate"),
        "{}",
        stderr(&refusing)
    );
}

fn a_limiter_behind_tls_is_judged() -> Result<(), Missing> {
    let directory = certificate();
    let authority = directory.path().join("certificate.pem");
    let rules = "ssl_certificate certificate.pem; ssl_certificate_key key.pem;
        limit_req_zone $arg_key zone=one:1m rate=10r/s;
        limit_req_status 429;
        server { listen 127.0.0.1:@port@ ssl; limit_req zone=one burst=9 nodelay; }";
    let nginx = Gateway::start(Program::Nginx, rules, directory)?;
    let url = format!("https://localhost:{}/ok?key={{key}}", nginx.port);
    let plan = "http --phase burst --bursts 2 --limit";
    let arguments = words(plan, &["10/1s token-bucket", "--url", &url]);
    trusts_only_a_known_authority(&arguments, &authority);
    let by_system = program(&arguments)
        .env("SSL_CERT_FILE", authority)
        .output()
        .unwrap();
    ends(&by_system, 0, "");
    let unverified = verify(&[&arguments[..], &["--insecure"]].concat());
    ends(&unverified, 0, "--insecure");
    Ok(())
}

fn a_store_behind_tls_is_judged() -> Result<(), Missing> {
    let directory = certificate();
    let authority = directory.path().join("certificate.pem");
    let port = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))
        .unwrap()
        .local_addr()
        .unwrap()
        .port();
    let settings = "--tls-auth-clients no --tls-cert-file certificate.pem --tls-key-file key.pem \
        --tls-ca-cert-file certificate.pem --bind 127.0.0.1 --port 0 --tls-port";
    let started = Command::new("redis-server")
        .args(words(settings, &[&port.to_string(), "--save", ""]))
        .current_dir(&directory)
        .stdout(Stdio::null())
        .spawn();
    let missing =
        |error: std::io::Error| format!("redis-server (apt-get install redis-server): {error}");
    let store = started.map_err(|error| Missing::outside_ci(missing(error)))?;
    let _store = Started(store);
    let began = std::time::Instant::now();
    while std::net::TcpStream::connect((Ipv4Addr::LOCALHOST, port)).is_err() {
        assert!(
            began.elapsed().as_secs() < 30,
            "redis-server does not listen for TLS"
        );
        std::thread::yield_now();
    }
    let url = format!("rediss://localhost:{port}");
    let count = "EVAL \"return redis.call('INCR', KEYS[1]) <= 10 and 1 or 0\" 1 {key}";
    let plan = "resp --allowed-reply =1 --phase burst --limit 10/1m";
    let arguments = words(plan, &["--url", &url, "--command", count]);
    trusts_only_a_known_authority(&arguments, &authority);
    let pause = words("inject redis-pause --for 1s --store", &[&url]);
    let named = verify(&[&pause[..], &["--store-ca", authority.to_str().unwrap()]].concat());
    ends(&named, 0, "");
    let refusing = verify(&pause);
    ends(&refusing, 1, "");
    assert!(
        stderr(&refusing).contains("not trusted here"),
        "{}",
        stderr(&refusing)
    );
    assert_eq!(
        stderr(&refusing).lines().count(),
        1,
        "{}",
        stderr(&refusing)
    );
    Ok(())
}

fn main() {
    needs::run(vec![
        trial("a_limiter_behind_tls_is_judged", || {
            ready(a_limiter_behind_tls_is_judged())
        }),
        trial("a_store_behind_tls_is_judged", || {
            ready(a_store_behind_tls_is_judged())
        }),
    ])
}
