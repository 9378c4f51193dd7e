use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsString;

use anyhow::Context as _;
use serde_json::Value;
use xshell::{Shell, cmd};

use crate::project;

/// For every crate, the workspace crates it may use.
type CrateArrows = BTreeMap<String, BTreeSet<String>>;

/// Compares what the manifests say with the table in ARCHITECTURE.md, which is the one list of
/// arrows.
pub(crate) fn run(shell: &Shell, arguments: &[OsString]) -> anyhow::Result<()> {
    crate::ending::no_arguments(arguments)?;
    let metadata = project::metadata()?;
    let found = of_metadata(&metadata, &Value::Null)?;
    let tests = of_metadata(&metadata, &Value::from("dev"))?;
    let table = shell.read_file("ARCHITECTURE.md")?;
    let mut complaints = compare(&found, &of_table(&table));
    complaints.extend(run_back(&found, &tests));
    for name in pure(&table) {
        let tree = cmd!(
            shell,
            "cargo tree --package {name} --edges normal --prefix none"
        )
        .quiet();
        complaints.extend(impurities(name, &tree.read()?));
    }
    anyhow::ensure!(complaints.is_empty(), "{}", complaints.join("\n"));
    println!(
        "{} crates use each other as ARCHITECTURE.md lists",
        found.len()
    );
    Ok(())
}

/// The dependencies of one kind: null for the normal ones, "dev" for those of tests.
fn of_metadata(metadata: &Value, kind: &Value) -> anyhow::Result<CrateArrows> {
    let packages = metadata["packages"]
        .as_array()
        .context("cargo metadata lists no packages")?;
    let name = |value: &Value| value["name"].as_str().map(ToOwned::to_owned);
    let members: BTreeSet<String> = packages.iter().filter_map(name).collect();
    let uses = |package: &Value| -> BTreeSet<String> {
        let dependencies = package["dependencies"].as_array().into_iter().flatten();
        dependencies
            .filter(|d| d["kind"] == *kind)
            .filter_map(name)
            .filter(|d| members.contains(d))
            .collect()
    };
    Ok(packages
        .iter()
        .filter_map(|p| Some((name(p)?, uses(p))))
        .collect())
}

/// Rows of the form "| `crate` | purpose | `used`, `used` |"; a dash is nothing.
fn of_table(text: &str) -> CrateArrows {
    let quoted = |cell: &str| {
        cell.split('`')
            .skip(1)
            .step_by(2)
            .map(ToOwned::to_owned)
            .collect::<Vec<_>>()
    };
    text.lines()
        .filter_map(|line| {
            let cells: Vec<&str> = line
                .trim()
                .strip_prefix('|')?
                .strip_suffix('|')?
                .split('|')
                .collect();
            let [name, .., uses] = cells.as_slice() else {
                return None;
            };
            let [name] = quoted(name).try_into().ok()?;
            Some((name, quoted(uses).into_iter().collect()))
        })
        .collect()
}

/// The crates whose purpose in the table begins with "pure".
fn pure(text: &str) -> impl Iterator<Item = &str> {
    text.lines()
        .filter_map(|line| Some(line.strip_prefix("| `")?.split_once("` | pure:")?.0))
}

/// A pure crate compiles no runtime, no socket and no HTTP.
fn impurities(name: &str, tree: &str) -> Vec<String> {
    ["hyper", "mio", "redis", "tokio"]
        .into_iter()
        .filter(|used| {
            tree.lines()
                .any(|line| line.split(' ').next() == Some(*used))
        })
        .map(|used| format!("{name} is pure, and compiles {used}"))
        .collect()
}

fn compare(found: &CrateArrows, allowed: &CrateArrows) -> Vec<String> {
    let mut complaints = Vec::new();
    for (name, uses) in found {
        let Some(may) = allowed.get(name) else {
            complaints.push(format!("{name} is not in the table of ARCHITECTURE.md"));
            continue;
        };
        complaints.extend(
            uses.difference(may)
                .map(|used| format!("{name} must not use {used}")),
        );
        complaints.extend(
            may.difference(uses)
                .map(|used| format!("{name} no longer uses {used}: remove it from the table")),
        );
    }
    complaints.extend(
        allowed
            .keys()
            .filter(|n| !found.contains_key(*n))
            .map(|n| format!("there is no crate {n}")),
    );
    complaints
}

/// Tests may use any crate to build their subject, but for those that are built on it.
fn run_back(found: &CrateArrows, tests: &CrateArrows) -> Vec<String> {
    let mut complaints = Vec::new();
    for (name, uses) in tests {
        // Its own crate with more features is no other crate.
        for used in uses.iter().filter(|used| *used != name) {
            let mut reached = BTreeSet::from([used]);
            let mut open = vec![used];
            while let Some(next) = open.pop() {
                let further = found.get(next).into_iter().flatten();
                open.extend(further.filter(|further| reached.insert(further)));
            }
            if reached.contains(name) {
                complaints.push(format!(
                    "the tests of {name} must not use {used}, which is built on it"
                ));
            }
        }
    }
    complaints
}

#[cfg(test)]
mod tests {
    use super::*;

    fn arrows(list: &[(&str, &[&str])]) -> CrateArrows {
        list.iter()
            .map(|(n, u)| ((*n).to_owned(), u.iter().map(|u| (*u).to_owned()).collect()))
            .collect()
    }

    #[test]
    fn the_table_is_read() {
        let table =
            "| crate | holds | uses |\n|---|---|---|\n| `a` | x | `b`, `c` |\n| `b` | y | - |\n";
        assert_eq!(of_table(table), arrows(&[("a", &["b", "c"]), ("b", &[])]));
    }

    #[test]
    fn pure_crates_compile_no_runtime() {
        let table = "| `a` | pure: sums | - |\n| `b` | a node | `a` |\n";
        assert_eq!(pure(table).collect::<Vec<_>>(), ["a"]);
        assert_eq!(
            impurities("a", "a v0.1.0\ntokio v1.54.0\nhyper-util v0.1.21"),
            ["a is pure, and compiles tokio"]
        );
    }

    #[test]
    fn wrong_arrows_are_named_both_ways() {
        let found = arrows(&[("a", &["c"]), ("c", &[]), ("d", &[])]);
        let allowed = arrows(&[("a", &["b"]), ("c", &[]), ("e", &[])]);
        let complaints = compare(&found, &allowed);
        assert_eq!(
            complaints,
            [
                "a must not use c",
                "a no longer uses b: remove it from the table",
                "d is not in the table of ARCHITECTURE.md",
                "there is no crate e"
            ]
        );
        assert!(compare(&allowed, &allowed).is_empty());
    }

    #[test]
    fn tests_do_not_run_back() {
        let found = arrows(&[("a", &[]), ("b", &["a"]), ("c", &["b"]), ("d", &[])]);
        let tests = arrows(&[("a", &["c", "d"]), ("c", &["a"])]);
        assert_eq!(
            run_back(&found, &tests),
            ["the tests of a must not use c, which is built on it"]
        );
    }

    #[test]
    fn kinds_of_dependencies_are_told_apart() {
        let metadata = serde_json::json!({"packages": [
            {"name": "a", "dependencies": [
                {"name": "b", "kind": null}, {"name": "c", "kind": "dev"},
                {"name": "serde", "kind": null},
            ]},
            {"name": "b", "dependencies": []}, {"name": "c", "dependencies": []},
        ]});
        let of = |kind| of_metadata(&metadata, &kind).unwrap();
        assert_eq!(
            of(Value::Null),
            arrows(&[("a", &["b"]), ("b", &[]), ("c", &[])])
        );
        assert_eq!(
            of("dev".into()),
            arrows(&[("a", &["c"]), ("b", &[]), ("c", &[])])
        );
    }
}
