//! Statements of a limiter in its header fields, against its answers.

use std::collections::HashMap;
use std::sync::Mutex;

use crate::support::fixed_answer::answer_server;
use crate::support::{ends, stdout, verify, words};

/// A limiter of ten for each path, whose denials have this field. Its address.
fn limiter(field: &str) -> String {
    let denied = format!("HTTP/1.1 429 Too Many Requests\r\nContent-Length: 0\r\n{field}\r\n\r\n");
    let denied: &'static str = denied.leak();
    let counts = Mutex::new(HashMap::new());
    answer_server(move |request| {
        let path = request.lines().next().unwrap_or_default().to_owned();
        let mut counts = counts.lock().unwrap();
        let count = counts.entry(path).or_insert(0);
        *count += 1;
        match *count {
            ..=10 => "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n",
            _ => denied,
        }
    })
}

#[test]
fn false_statements_of_denials_are_named() {
    for (field, code, text) in [
        ("Retry-After: 60", 0, "Passed"),
        ("Retry-After: 3600", 3, "a retry in 3600.000 s"),
        ("Retry-After: 1700000060", 3, "(seconds since 1970?)"),
        ("Retry-After: -5", 3, "a retry 5.000 s in the past"),
        (
            "Retry-After: Fri, 31 Dec 1999 23:59:59 GMT",
            3,
            "s in the past",
        ),
        ("X-RateLimit-Reset: 1000000000", 3, "a reset"),
        ("X-RateLimit-Remaining: -1", 3, "stated -1 remaining"),
        ("X-RateLimit-Remaining: 5", 3, "stated 5 remaining"),
        (
            "X-RateLimit-Used: 11",
            0,
            "answers: x-ratelimit-used was not understood",
        ),
    ] {
        let url = format!("http://{}/{{key}}", limiter(field));
        let plan = "http --limit 10/1m --phase fields --phase burst --url";
        let output = verify(&words(plan, &[&url]));
        ends(&output, code, field);
        let out = stdout(&output);
        assert!(out.contains(text), "{field}: {out}");
        let claims = out.contains("Violated: the limiter's statements contradict its answers");
        assert_eq!(claims, code == 3, "{field}: {out}");
    }
}
