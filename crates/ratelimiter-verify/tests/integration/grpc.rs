//! The program against a rate limit service (RLS v3) of this process, one that is right and one
//! that is wrong.

use std::collections::HashMap;
use std::convert::Infallible;
use std::sync::{Arc, Mutex};

use crate::support::{ends, program, stdout, words};
use http_body_util::{BodyExt as _, Full};
use hyper::body::{Bytes, Incoming};
use hyper::header::HeaderMap;
use hyper::server::conn::http2;
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::net::TcpListener;

/// Checks so far of each request body: with costs of 1, one body stands for one key.
type Counts = Arc<Mutex<HashMap<Bytes, u32>>>;

/// Admits the first `limit` checks of a key.
async fn serve(listener: TcpListener, limit: u32) {
    let counts = Counts::default();
    while let Ok((stream, _)) = listener.accept().await {
        stream.set_nodelay(true).unwrap();
        let counts = Arc::clone(&counts);
        let answer = move |request: Request<Incoming>| {
            let counts = Arc::clone(&counts);
            async move {
                let body = request.into_body().collect().await.unwrap().to_bytes();
                let count = {
                    let mut counts = counts.lock().unwrap();
                    let count = counts.entry(body).or_default();
                    *count += 1;
                    *count
                };
                let code = if count <= limit { 1 } else { 2 };
                let trailers =
                    HeaderMap::from_iter([("grpc-status".parse().unwrap(), "0".parse().unwrap())]);
                let message = Full::new(Bytes::from(vec![0, 0, 0, 0, 2, 0x08, code]));
                let body =
                    message.with_trailers(async move { Some(Ok::<_, Infallible>(trailers)) });
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

#[tokio::test(flavor = "multi_thread")]
async fn a_service_is_judged_over_grpc() {
    for (limit, code) in [(10, 0), (11, 3)] {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        tokio::spawn(serve(listener, limit));
        let plan = "grpc --domain demo --entry user={key} --limit 10/1m --phase burst";
        let mut program = program(&words(plan, &["--url", &url]));
        let output = tokio::task::spawn_blocking(move || program.output())
            .await
            .unwrap()
            .unwrap();
        ends(&output, code, limit);
        assert!(!stdout(&output).contains("barrier"), "{}", stdout(&output));
    }
}
