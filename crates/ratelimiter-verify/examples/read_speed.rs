//! Speed and memory of the readers of records, beside `wc -l` and another build of the program.
//!
//! ```sh
//! cargo run --release -p ratelimiter-verify --example read_speed -- 10000000 OTHER-BINARY
//! ```
//!
//! Writes the same checks as an nginx log and as a history into the system's directory for
//! temporary files, and prints for each reading the seconds of the processors (user and system),
//! the seconds that passed, and the peak of memory. The program must have been built beside the
//! example.
#![expect(
    clippy::unwrap_used,
    reason = "an example that cannot set up its subject ends"
)]

use std::fs::{File, read_to_string};
use std::io::{BufWriter, Write as _};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

const KEYS: u64 = 1_000;

/// A limit that no key comes near, so that the checker has one sweep to do.
const LIMIT: &str = "1000000/1s";

fn main() {
    let mut arguments = std::env::args().skip(1);
    let lines: u64 = arguments.next().map_or(1_000_000, |n| n.parse().unwrap());
    let directory = tempfile::tempdir().unwrap();
    let (log, history) = (
        directory.path().join("access.log"),
        directory.path().join("h.jsonl"),
    );
    write(lines, &log, &history);
    let example = std::env::current_exe().unwrap();
    let own = example
        .parent()
        .unwrap()
        .with_file_name("ratelimiter-verify");
    let own = own.to_str().unwrap();
    let format =
        "nginx:$remote_addr - - [$time_local] \"$request\" $status $bytes $msec $request_time";
    println!(
        "{lines} lines, load {}",
        read_to_string("/proc/loadavg").unwrap().trim()
    );
    println!("reading                        cpu s  elapsed s  peak MB");
    let check = |program: &str, file: &Path, more: &[&str]| {
        let mut command = Command::new(program);
        command
            .arg("check")
            .arg(file)
            .args(["--limit", LIMIT])
            .args(more);
        command
    };
    for file in [&log, &history] {
        let mut count = Command::new("wc");
        print("wc -l", file, count.arg("-l").arg(file));
    }
    let other = arguments.next();
    if let Some(other) = &other {
        let mut check = check(other, &history, &[]);
        print("other build's check", &history, &mut check);
    }
    print("check", &history, &mut check(own, &history, &[]));
    let flags = [
        "--format",
        format,
        "--key",
        "remote_addr",
        "--allowed",
        "200",
    ];
    print("check", &log, &mut check(own, &log, &flags));
    // A last line that is no record ends a check before anything is judged.
    let mut broken = File::options().append(true).open(&history).unwrap();
    writeln!(broken, "{{").unwrap();
    if let Some(other) = &other {
        let mut check = check(other, &history, &[]);
        print("other build's reading of", &history, &mut check);
    }
    print("reading of", &history, &mut check(own, &history, &[]));
}

/// The checks of a run with seeded times, a thousandth of a second apart.
fn write(lines: u64, log: &Path, history: &Path) {
    let [mut log, mut history] =
        [log, history].map(|path| BufWriter::new(File::create(path).unwrap()));
    let mut random = fastrand::Rng::with_seed(7);
    for n in 0..lines {
        let (begin, took) = (n, random.u64(1..30));
        let end = begin + took;
        let key = random.u64(..KEYS);
        let (status, outcome) = match random.u8(..5) {
            0 => (429, "denied"),
            _ => (200, "allowed"),
        };
        writeln!(
            log,
            "10.0.{}.{} - - [30/Nov/2026:21:50:48 +0000] \"GET /items/{n} HTTP/1.1\" {status} 612 \
             {}.{:03} 0.{took:03}",
            key / 256,
            key % 256,
            1_796_075_448 + end / 1_000,
            end % 1_000
        )
        .unwrap();
        writeln!(
            history,
            "{{\"key\":\"10.0.{}.{}\",\"node\":\"10.0.0.7:8080\",\"invoke_ms\":{begin}.0,\
             \"complete_ms\":{end}.0,\"outcome\":\"{outcome}\",\"cost\":1}}",
            key / 256,
            key % 256
        )
        .unwrap();
    }
}

fn print(what: &str, file: &Path, command: &mut Command) {
    let (before, began) = (processor_time(), Instant::now());
    let command = command.stdout(Stdio::null()).stderr(Stdio::null());
    let mut child = command.spawn().unwrap();
    let status = format!("/proc/{}/status", child.id());
    let mut peak = 0;
    while child.try_wait().unwrap().is_none() {
        peak = peak.max(peak_kib(&status).unwrap_or(0));
        std::thread::sleep(Duration::from_millis(5));
    }
    let name = format!("{what} {}", file.file_name().unwrap().display());
    println!(
        "{name:<30} {:>5.2} {:>10.2} {:>8}",
        processor_time() - before,
        began.elapsed().as_secs_f64(),
        peak / 1024
    );
}

/// Seconds that ended children took of all processors, by clock ticks of 10 ms.
fn processor_time() -> f64 {
    let stat = read_to_string("/proc/self/stat").unwrap();
    let fields = stat.rsplit_once(')').unwrap().1.split_whitespace();
    let ticks = fields
        .skip(13)
        .take(2)
        .map(|ticks| ticks.parse::<f64>().unwrap());
    ticks.sum::<f64>() / 100.0
}

fn peak_kib(status: &str) -> Option<u64> {
    let status = read_to_string(status).ok()?;
    let line = status.lines().find(|line| line.starts_with("VmHWM"))?;
    line.split_whitespace().nth(1)?.parse().ok()
}
