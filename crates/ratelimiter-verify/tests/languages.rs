//! The code of docs/tests.md, as it stands there, in the test runners of other languages: a limiter
//! that holds passes, and one with a race fails with its witness. Ignored without the runner.
#![expect(
    clippy::unwrap_used,
    reason = "a test that cannot set up its subject has failed"
)]

#[path = "../../ratelimiter-cluster/tests/support/needs.rs"]
#[expect(dead_code, reason = "CI installs none of the languages")]
mod needs;

use std::future::ready;
use std::path::Path;
use std::process::{Command, Output};

use needs::{Missing, trial};
use tempfile::TempDir;

const DOCUMENT: &str = include_str!("../../../docs/tests.md");

fn main() {
    needs::run(vec![
        trial("pytest", || ready(pytest())),
        trial("node", || ready(node())),
        trial("jest", || ready(jest())),
        trial("go", || ready(go())),
    ]);
}

/// The block of code of the document that has these words.
fn code(words: &str) -> String {
    let mut blocks = DOCUMENT.split("\n```").skip(1).step_by(2);
    let block = blocks.find(|block| block.contains(words));
    let (_, code) = block.unwrap().split_once('\n').unwrap();
    format!("{code}\n")
}

/// A directory of these files, in which the runner's command runs with our program on its path.
fn project(files: &[(&str, &str)]) -> TempDir {
    let directory = tempfile::tempdir().unwrap();
    for (name, text) in files {
        let path = directory.path().join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    }
    directory
}

fn run(directory: &Path, program: &str, arguments: &[&str]) -> Output {
    let built = Path::new(env!("CARGO_BIN_EXE_ratelimiter-verify"));
    let mut path = built.parent().unwrap().as_os_str().to_owned();
    path.push(":");
    path.push(std::env::var_os("PATH").unwrap_or_default());
    let python = Path::new(env!("CARGO_MANIFEST_DIR")).join("python");
    let mut command = Command::new(program);
    command.args(arguments).current_dir(directory);
    command.env("PATH", path).env("PYTHONPATH", python);
    command.env("GOFLAGS", "-mod=mod").env("GOPROXY", "off");
    command.output().unwrap()
}

fn has(program: &str, arguments: &[&str]) -> Result<(), Missing> {
    let found = Command::new(program).args(arguments).output();
    match found {
        Ok(output) if output.status.success() => Ok(()),
        _ => Err(Missing(format!("{program} {}", arguments.join(" ")))),
    }
}

/// Runs a project with the limiter that holds and, beside it, one with the racy limiter.
fn both_end_as_they_must(
    project: impl Fn(bool) -> TempDir + Sync,
    runner: &str,
    arguments: &[&str],
) {
    let end = |racy: bool| {
        let project = project(racy);
        let output = run(project.path(), runner, arguments);
        let text = [&output.stdout, &output.stderr].map(|text| String::from_utf8_lossy(text));
        let text = text.concat();
        assert_eq!(output.status.success(), !racy, "{runner}: {text}");
        let has_witness = text.contains("admissions within");
        assert!(!racy || has_witness, "{runner}: {text}");
    };
    std::thread::scope(|scope| {
        scope.spawn(|| end(true));
        end(false);
    });
}

const PYTHON: &str = "
import threading, time

class Limiter:
    def __init__(self, racy):
        self.admitted, self.lock, self.racy = {}, threading.Lock(), racy

    def allow(self, key, cost=1):
        if self.racy:
            return self.decide(key, cost)
        with self.lock:
            return self.decide(key, cost)

    def decide(self, key, cost):
        now = time.monotonic()
        kept = [entry for entry in self.admitted.get(key, []) if entry > now - 2]
        if len(kept) + cost > 10:
            return False
        if self.racy:
            time.sleep(0.001)
        self.admitted[key] = kept + [time.monotonic()] * cost
        return True

limiter = Limiter(RACY)
";

fn pytest() -> Result<(), Missing> {
    has("python3", &["-m", "pytest", "--version"])?;
    let test = code("def test_ten_in_two_seconds");
    let with = |racy: bool| {
        let limits = PYTHON.replace("RACY", if racy { "True" } else { "False" });
        let files = [
            ("test_limits.py", test.as_str()),
            ("shop/limits.py", &limits),
        ];
        project(&[&files[..], &[("shop/__init__.py", "")]].concat())
    };
    both_end_as_they_must(
        with,
        "python3",
        &["-m", "pytest", "-q", "-p", "no:cacheprovider"],
    );
    Ok(())
}

const JAVASCRIPT: &str = "
const admitted = new Map();
export async function allow(key, cost) {
  const now = performance.now();
  const kept = (admitted.get(key) ?? []).filter((at) => at > now - 2000);
  if (kept.length + cost > 10) return false;
  if (RACY) await new Promise((done) => setTimeout(done, 1));
  admitted.set(key, [...kept, ...Array(cost).fill(performance.now())]);
  return true;
}
";

fn javascript(racy: bool) -> TempDir {
    let limiter = JAVASCRIPT.replace("RACY", &racy.to_string());
    project(&[
        ("limiter.mjs", &limiter),
        ("adapter.mjs", &code("// adapter.mjs")),
        ("limiter.test.js", &code("// limiter.test.js")),
        ("package.json", "{}"),
        // Node.js's own runner has no global functions.
        (
            "global.cjs",
            "globalThis.test = (name, run) => require('node:test')(name, run);",
        ),
    ])
}

fn node() -> Result<(), Missing> {
    has("node", &["--test", "--version"])?;
    let arguments = ["--require", "./global.cjs", "--test", "limiter.test.js"];
    both_end_as_they_must(javascript, "node", &arguments);
    Ok(())
}

fn jest() -> Result<(), Missing> {
    has("jest", &["--version"])?;
    both_end_as_they_must(javascript, "jest", &["--colors=false"]);
    Ok(())
}

const GO: &str = "
package limiter

import (
	\"sync\"
	\"time\"
)

const racy = RACY

var (
	lock     sync.Mutex
	admitted = map[string][]time.Time{}
)

func Allow(key string, cost int) bool {
	lock.Lock()
	defer lock.Unlock()
	now, kept := time.Now(), []time.Time{}
	for _, at := range admitted[key] {
		if now.Sub(at) < 2*time.Second {
			kept = append(kept, at)
		}
	}
	if len(kept)+cost > 10 {
		return false
	}
	if racy {
		lock.Unlock()
		time.Sleep(time.Millisecond)
		lock.Lock()
	}
	for n := 0; n < cost; n++ {
		kept = append(kept, time.Now())
	}
	admitted[key] = kept
	return true
}
";

fn go() -> Result<(), Missing> {
    has("go", &["version"])?;
    let with = |racy: bool| {
        project(&[
            ("go.mod", "module example.com/shop\n\ngo 1.18\n"),
            ("limiter/limiter.go", &GO.replace("RACY", &racy.to_string())),
            ("adapter/main.go", &code("// adapter/main.go")),
            ("limiter_test.go", &code("// limiter_test.go")),
        ])
    };
    both_end_as_they_must(with, "go", &["test", "."]);
    Ok(())
}
