//! Gateways of Debian, judged as their operators configured them. Ignored without the programs; the
//! example `gateways` plays all cases.
#![expect(
    clippy::unwrap_used,
    reason = "a test that cannot set up its subject has failed"
)]

#[expect(dead_code, reason = "only the example plays long cases")]
mod case;
mod cases;
mod gateway;
mod logs;
#[path = "../../../ratelimiter-cluster/tests/support/needs.rs"]
mod needs;

use std::future::ready;

use cases::CASES;
use needs::{Missing, trial};

/// The cases of the gate.
const GATE: [&str; 16] = [
    "nginx-by-address",
    "nginx-paced",
    "nginx-two-limits",
    "nginx-two-limits-too-small",
    "haproxy-two-period",
    "varnish-by-address",
    "nginx-keyed",
    "nginx-virtual-host",
    "nginx-too-large",
    "nginx-two-alone-fixed",
    "haproxy-two-alone",
    "varnish-two-alone",
    "nginx-redirect",
    "nginx-http2-too-low",
    "nginx-http2-unnamed",
    "nginx-http2-tls-burst",
];

fn play(name: &str) -> Result<(), Missing> {
    let case = CASES.iter().find(|case| case.name == name).unwrap();
    let output = case.play(env!("CARGO_BIN_EXE_ratelimiter-verify"))?;
    let (out, err) = (&output.stdout, &output.stderr);
    assert!(
        case.is_deserved(&output),
        "{case:?}: {}\n{}{}",
        output.status,
        String::from_utf8_lossy(out),
        String::from_utf8_lossy(err)
    );
    Ok(())
}

/// Every row of the README that names a case has its limit.
fn readme_has_limits_of_cases() -> Result<(), Missing> {
    let rows = include_str!("../../README.md").lines().filter_map(|row| {
        let mut cells = row.trim_end_matches(" |").rsplit(" | ");
        let name = cells.next()?.trim_matches('`');
        let case = CASES.iter().find(|case| case.name == name)?;
        Some((case, cells.next()?.trim_matches('`')))
    });
    let compared = rows.inspect(|(case, limit)| assert_eq!(case.limit, *limit, "{case:?}"));
    assert!(compared.count() >= 6, "the README lacks its table of cases");
    Ok(())
}

fn main() {
    let mut trials = vec![trial("readme_has_limits_of_cases", || {
        ready(readme_has_limits_of_cases())
    })];
    trials.extend(GATE.map(|name| trial(name, move || ready(play(name)))));
    let logged = [
        ("nginx_log_is_judged_as_our_record", logs::NGINX),
        ("haproxy_log_is_judged_as_our_record", logs::HAPROXY),
        ("apache_log_is_judged_as_our_record", logs::APACHE),
    ];
    let program = env!("CARGO_BIN_EXE_ratelimiter-verify");
    trials.extend(logged.map(|(name, run)| trial(name, move || ready(run.play(program)))));
    needs::run(trials);
}
