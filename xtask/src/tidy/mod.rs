//! Taste that a machine can check: sizes, widths, module docs, unfinished work, circles of imports,
//! names, links between documents, and plain words.

mod circles;
mod columns;
mod links;
mod names;
mod words;

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use xshell::{Shell, cmd};

/// Past this, a file holds a second idea.
const MAX_LINES: usize = 600;

/// Checks every Rust and Lua file and every document.
pub(crate) fn run(shell: &Shell, arguments: &[OsString]) -> anyhow::Result<()> {
    crate::ending::no_arguments(arguments)?;
    let listed = cmd!(
        shell,
        "git ls-files --cached --others --exclude-standard -- *.rs *.md *.lua"
    )
    .quiet()
    .read()?;
    let mut files = Vec::new();
    for file in listed.lines().filter(|file| shell.path_exists(file)) {
        files.push((PathBuf::from(file), shell.read_file(file)?));
    }
    let of_kind = |extensions: &'static [&str]| {
        let files = files
            .iter()
            .map(|(file, text)| (file.as_path(), text.as_str()));
        files.filter(move |(file, _)| {
            extensions
                .iter()
                .any(|e| file.extension() == Some(e.as_ref()))
        })
    };
    let rust = of_kind(&["rs"]).count();
    anyhow::ensure!(rust > 0, "there is nothing to check");
    let words = words::count(of_kind(&["rs", "md"]));
    let complaints: Vec<String> = of_kind(&["rs", "md", "lua"])
        .flat_map(|(file, text)| columns::complaints(file, text))
        .chain(of_kind(&["rs"]).flat_map(|(file, text)| complaints_of(file, text)))
        .chain(circles::complaints(of_kind(&["rs"])))
        .chain(names::complaints(of_kind(&["rs", "md"])))
        .chain(links::complaints(of_kind(&["md"]), |path| {
            shell.path_exists(path)
        }))
        .chain(words.complaints())
        .collect();
    anyhow::ensure!(complaints.is_empty(), "{}", complaints.join("\n"));
    println!("{rust} files are tidy; {words}");
    Ok(())
}

fn complaints_of(file: &Path, text: &str) -> Vec<String> {
    let mut complaints = Vec::new();
    let mut complain = |what: String| complaints.push(format!("{}: {what}", file.display()));
    let lines = text.lines().count();
    if lines > MAX_LINES {
        complain(format!("{lines} lines, at most {MAX_LINES}"));
    }
    // What explains itself to a reader of the crate: its root, and everything that runs on its own.
    let root = file.ends_with("src/lib.rs") || file.ends_with("src/main.rs");
    let alone = file
        .parent()
        .is_some_and(|dir| dir.ends_with("tests") || dir.ends_with("examples"));
    if (root || alone) && !text.starts_with("//!") {
        complain("does not begin with a doc comment that says what it is".into());
    }
    // Taken apart, so that this file does not complain about itself.
    for unfinished in [
        concat!("TO", "DO"),
        concat!("FIX", "ME"),
        concat!("#[ig", "nore"),
        concat!("to", "do!("),
        concat!("unimple", "mented!("),
    ] {
        for (number, _) in text
            .lines()
            .enumerate()
            .filter(|(_, line)| line.contains(unfinished))
        {
            complain(format!("line {}: {unfinished}", number + 1));
        }
    }
    complaints
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn complaints_name_the_place() {
        assert!(complaints_of(Path::new("a/src/lib.rs"), "//! A map.\n").is_empty());
        assert_eq!(
            complaints_of(Path::new("a/src/lib.rs"), "mod x;\n").len(),
            1
        );
        assert!(complaints_of(Path::new("a/src/x.rs"), "mod x;\n").is_empty());
        let long = "x\n".repeat(MAX_LINES + 1);
        assert_eq!(
            complaints_of(Path::new("a.rs"), &long),
            ["a.rs: 601 lines, at most 600"]
        );
        let unfinished = format!("fn f() {{}}\n// {} later\n", concat!("TO", "DO"));
        assert_eq!(complaints_of(Path::new("a.rs"), &unfinished).len(), 1);
    }
}
