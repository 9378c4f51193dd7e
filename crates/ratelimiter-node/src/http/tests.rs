//! Requests of any shape: each is answered with a status that fits, never with a 500, and nothing
//! panics.
//!
//! The corpus in `tests/corpus` is replayed as it is, then mutated. `PROPTEST_CASES=100000` tries
//! that many mutations.

use std::sync::Arc;

use bytes::Bytes;
use http_body_util::{BodyExt as _, Full};
use hyper::header::CONTENT_TYPE;
use hyper::{Method, Request, Uri};
use proptest::prelude::*;
use proptest::sample::{Index, select};
use ratelimiter_api::{Key, Limit, LimitSpec, PROBLEM_CONTENT_TYPE, Problem};
use tokio::runtime::Runtime;

use super::NodeApi;
use crate::{Config, NodeServer, NodeSettings};

const CORPUS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/corpus");

fn bodies() -> Vec<Vec<u8>> {
    let files = std::fs::read_dir(format!("{CORPUS}/bodies")).unwrap();
    let mut paths: Vec<_> = files.map(|file| file.unwrap().path()).collect();
    paths.sort();
    assert!(paths.len() > 30, "the corpus is there");
    paths
        .iter()
        .map(|path| std::fs::read(path).unwrap())
        .collect()
}

fn paths() -> Vec<Vec<u8>> {
    let text = std::fs::read_to_string(format!("{CORPUS}/paths.txt")).unwrap();
    text.lines().map(|line| line.as_bytes().to_vec()).collect()
}

/// A node with one limit and without a store.
struct FuzzSubject {
    runtime: Runtime,
    api: Arc<NodeApi>,
}

impl FuzzSubject {
    fn new() -> Self {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .unwrap();
        let absent = std::net::TcpListener::bind("127.0.0.1:0")
            .unwrap()
            .local_addr()
            .unwrap();
        let store = format!("redis://{absent}").parse().unwrap();
        let known = LimitSpec::new(Key::new("known").unwrap(), Limit::new(10, 60).unwrap());
        let settings = NodeSettings {
            limits: vec![known],
            ..NodeSettings::new("n", "127.0.0.1:0".parse().unwrap(), store)
        };
        let node = NodeServer::bind(Config::new(settings).unwrap());
        let (_, api) = runtime.block_on(node).unwrap().into_server();
        Self { runtime, api }
    }

    fn answer(&self, method: &Method, path: &[u8], body: &[u8]) {
        // A target that is no URI is turned away by the server before it reaches a handler.
        let Ok(uri) = Uri::try_from(path) else { return };
        let request = Request::builder()
            .method(method)
            .uri(uri)
            .header("host", "localhost")
            .header(CONTENT_TYPE, "application/json")
            .body(Full::new(Bytes::copy_from_slice(body)))
            .unwrap();
        let answer = self.runtime.block_on(self.api.handle(request));
        let status = answer.status().as_u16();
        let shown = || format!("{method} {} {}", path.escape_ascii(), body.escape_ascii());
        let fits = [200, 204, 400, 403, 404, 405, 409, 413, 415, 422, 429, 503].contains(&status);
        assert!(fits, "{status} to {}", shown());
        if status >= 400 && status != 429 {
            assert_eq!(
                answer.headers()[CONTENT_TYPE],
                PROBLEM_CONTENT_TYPE,
                "{}",
                shown()
            );
            let body = self
                .runtime
                .block_on(answer.into_body().collect())
                .unwrap()
                .to_bytes();
            let problem: Problem = serde_json::from_slice(&body).unwrap();
            assert_eq!(problem.status, status, "{}", shown());
            assert!(problem.detail.len() < 20_000, "{}", shown());
        }
    }

    /// Every endpoint that takes a body, and every method on a path.
    fn answers(&self, path: &[u8], body: &[u8]) {
        self.answer(&Method::POST, b"/check", body);
        self.answer(&Method::POST, b"/limit", body);
        for method in [Method::GET, Method::HEAD, Method::POST, Method::DELETE] {
            self.answer(&method, path, body);
        }
    }
}

/// Entries of the corpus, some of them cut, spliced or with bytes changed.
fn mutated(corpus: Vec<Vec<u8>>) -> impl Strategy<Value = Vec<u8>> {
    let changes = prop::collection::vec((any::<Index>(), any::<u8>()), 0..6);
    (
        select(corpus.clone()),
        select(corpus),
        any::<Index>(),
        any::<Index>(),
        changes,
        any::<bool>(),
    )
        .prop_map(|(mut text, other, from, to, changes, splice)| {
            if splice {
                text.truncate(from.index(text.len() + 1));
                text.extend_from_slice(&other[to.index(other.len() + 1)..]);
            }
            for (at, byte) in changes {
                if !text.is_empty() {
                    let at = at.index(text.len());
                    text[at] = byte;
                }
            }
            text
        })
}

#[test]
fn the_corpus_is_answered() {
    let subject = FuzzSubject::new();
    for body in bodies() {
        subject.answers(b"/nodes", &body);
    }
    for path in paths() {
        subject.answers(&path, b"{}");
    }
}

#[test]
fn mutations_of_the_corpus_are_answered() {
    let subject = FuzzSubject::new();
    proptest!(|(path in mutated(paths()), body in mutated(bodies()))| {
        subject.answers(&path, &body);
    });
}
