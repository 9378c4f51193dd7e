//! A rate limit service of this process, asked as Envoy asks it.

use std::convert::Infallible;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use hyper::header::HeaderMap;
use hyper::server::conn::http2;
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::{TokioExecutor, TokioIo};
use ratelimiter_api::{Key, Outcome};
use ratelimiter_target::{Authorities, Check, GrpcTarget, Reach, Target as _};
use tokio::net::TcpListener;

/// Allows the first two checks of the domain "known"; another domain has an error.
async fn serve(listener: TcpListener) {
    let checks = Arc::new(AtomicU64::new(0));
    while let Ok((stream, _)) = listener.accept().await {
        let checks = Arc::clone(&checks);
        let answer = move |request: Request<Incoming>| {
            let checks = Arc::clone(&checks);
            async move {
                assert_eq!(
                    request.uri().path(),
                    "/envoy.service.ratelimit.v3.RateLimitService/ShouldRateLimit"
                );
                let body = request.into_body().collect().await.unwrap().to_bytes();
                let known = body.windows(5).any(|part| part == b"known");
                let code = if checks.fetch_add(1, Ordering::SeqCst) < 2 {
                    1
                } else {
                    2
                };
                let status = if known { "0" } else { "14" };
                let mut trailers = HeaderMap::new();
                trailers.insert("grpc-status", status.parse().unwrap());
                let message = Bytes::from(vec![0, 0, 0, 0, 2, 0x08, code]);
                let body = Full::new(message)
                    .with_trailers(async move { Some(Ok::<_, Infallible>(trailers)) });
                Ok::<_, Infallible>(Response::new(body))
            }
        };
        tokio::spawn(async move {
            let stream = TokioIo::new(stream);
            let _ = http2::Builder::new(TokioExecutor::new())
                .serve_connection(stream, service_fn(answer))
                .await;
        });
    }
}

#[tokio::test]
async fn codes_of_a_service_are_outcomes() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(serve(listener));
    let target = |domain: &str| {
        let entries = vec![("user".to_owned(), "{key}".parse().unwrap())];
        let urls = std::slice::from_ref(&url);
        GrpcTarget::new(
            urls,
            domain.into(),
            entries,
            Reach::ThisMachine,
            &Authorities::default(),
        )
        .unwrap()
    };
    let check = Check::new(Key::new("k").unwrap(), 1, Duration::from_secs(30));
    let mut connection = target("known").connect(0).await.unwrap();
    let mut outcomes = Vec::new();
    for _ in 0..3 {
        outcomes.push(connection.check(&check).await.outcome);
    }
    assert_eq!(
        outcomes,
        [Outcome::Allowed, Outcome::Allowed, Outcome::Denied]
    );

    let mut connection = target("other").connect(0).await.unwrap();
    let answer = connection.check(&check).await;
    assert_eq!(
        (answer.outcome, answer.detail.as_str()),
        (Outcome::Unknown, "grpc-status 14")
    );
}

#[test]
fn remote_services_are_refused() {
    let urls = ["http://10.0.0.1:8081".to_owned()];
    let trust = Authorities::default();
    let refused =
        GrpcTarget::new(&urls, "d".into(), Vec::new(), Reach::ThisMachine, &trust).unwrap_err();
    assert!(refused.to_string().contains("--allow-remote"), "{refused}");
}
