//! Circles of imports among the files of a crate, by a textual reading.
//!
//! A file uses another when one of its paths that begin with `crate::`, `super::`, `self::` or a
//! child module leads there; the longest part of the path that is a module decides. Three kinds of
//! arrows do not count: to a module that contains the file, whose items its children share; from
//! such a module to its children, which it composes; and names that a crate's root re-exports,
//! which the root resolves. Tests at the end of a file are not read, nor are comments.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

/// The path of a module within its crate; empty for the root.
type ModulePath = Vec<String>;

/// The modules that each module uses.
type ModuleArrows = BTreeMap<ModulePath, BTreeSet<ModulePath>>;

/// One line for each circle.
pub(super) fn complaints<'a>(files: impl Iterator<Item = (&'a Path, &'a str)>) -> Vec<String> {
    let mut crates: BTreeMap<String, BTreeMap<ModulePath, String>> = BTreeMap::new();
    for (file, text) in files {
        if let Some((name, module)) = module(file) {
            // A crate may have a library and a program, whose roots are one here.
            crates
                .entry(name)
                .or_default()
                .entry(module)
                .or_default()
                .push_str(&code(text));
        }
    }
    let complaint = |name: &str, circle: &[String]| {
        format!(
            "{name}: the files {} import each other in a circle",
            circle.join(", ")
        )
    };
    crates
        .iter()
        .flat_map(|(name, modules)| {
            circles_of(modules)
                .into_iter()
                .map(move |circle| complaint(name, &circle))
        })
        .collect()
}

/// The files of each circle.
fn circles_of(modules: &BTreeMap<ModulePath, String>) -> Vec<Vec<String>> {
    let arrows: ModuleArrows = modules
        .iter()
        .map(|(module, text)| {
            let used = paths(text)
                .into_iter()
                .filter_map(|path| target(module, &path, modules));
            (
                module.clone(),
                used.filter(|used| !is_family(module, used)).collect(),
            )
        })
        .collect();
    circles(&arrows)
        .iter()
        .map(|circle| circle.iter().map(|module| module.join("/")).collect())
        .collect()
}

/// Crate and module of a file below a `src` directory, or below that of an example or a test.
fn module(file: &Path) -> Option<(String, ModulePath)> {
    let text = file.to_str()?;
    let (name, inner) = text.split_once("/src/").or_else(|| {
        let (_, inside) = text
            .split_once("/examples/")
            .or_else(|| text.split_once("/tests/"))?;
        let (_, inner) = inside.split_once('/')?;
        Some((text.strip_suffix(inner)?.trim_end_matches('/'), inner))
    })?;
    let mut module: ModulePath = inner
        .strip_suffix(".rs")?
        .split('/')
        .map(ToOwned::to_owned)
        .collect();
    if module
        .last()
        .is_some_and(|last| ["mod", "lib", "main"].contains(&last.as_str()))
    {
        module.pop();
    }
    Some((name.to_owned(), module))
}

/// A file without its tests and comments.
fn code(text: &str) -> String {
    let lines = text.lines().take_while(|line| *line != "#[cfg(test)]");
    lines
        .map(|line| line.split("//").next().unwrap_or(line))
        .collect::<Vec<_>>()
        .join("\n")
        + "\n"
}

/// All paths of more than one part, with the trees of `use` written out.
fn paths(code: &str) -> Vec<Vec<String>> {
    let mut found = Vec::new();
    let mut words = tokens(code).into_iter().peekable();
    // The prefixes of the braces that are open in a tree of `use`.
    let mut open: Vec<Vec<String>> = Vec::new();
    let mut path: Vec<String> = Vec::new();
    let mut continues = false;
    while let Some(word) = words.next() {
        let is_name = word.starts_with(|c: char| c.is_alphabetic() || c == '_');
        if word == "::" {
            if words.peek().is_some_and(|next| next == "{") {
                open.push(
                    open.last()
                        .into_iter()
                        .flatten()
                        .cloned()
                        .chain(path.drain(..))
                        .collect(),
                );
                words.next();
            }
            continues = true;
        } else if is_name && (continues || path.is_empty()) {
            path.push(word);
            continues = false;
        } else {
            let prefix = open.last().cloned().unwrap_or_default();
            let whole: Vec<String> = prefix.into_iter().chain(path.drain(..)).collect();
            if whole.len() > 1 {
                found.push(whole);
            }
            continues = false;
            if is_name {
                path.push(word);
            } else if word == "}" {
                open.pop();
            } else if word == ";" {
                open.clear();
            }
        }
    }
    found
}

/// Names, `::`, and every other character that is no space.
fn tokens(code: &str) -> Vec<String> {
    let mut tokens: Vec<String> = Vec::new();
    let mut chars = code.chars().peekable();
    while let Some(c) = chars.next() {
        if c.is_alphanumeric() || c == '_' {
            let mut name = String::from(c);
            while let Some(c) = chars.next_if(|c| c.is_alphanumeric() || *c == '_') {
                name.push(c);
            }
            tokens.push(name);
        } else if c == ':' && chars.next_if_eq(&':').is_some() {
            tokens.push("::".to_owned());
        } else if !c.is_whitespace() {
            tokens.push(c.to_string());
        }
    }
    tokens
}

/// The module that a path leads to, if it is another one of this crate.
fn target(
    from: &ModulePath,
    path: &[String],
    modules: &BTreeMap<ModulePath, String>,
) -> Option<ModulePath> {
    let child = |name: &String| {
        modules.contains_key(&[from.as_slice(), std::slice::from_ref(name)].concat())
    };
    let mut rest = path;
    let mut base = match rest.first()?.as_str() {
        "crate" => Vec::new(),
        "self" | "super" => from.clone(),
        _ if child(rest.first()?) => from.clone(),
        _ => return None,
    };
    while let Some(first) = rest
        .first()
        .filter(|first| ["crate", "self", "super"].contains(&first.as_str()))
    {
        if first == "super" {
            base.pop();
        }
        rest = &rest[1..];
    }
    for name in rest {
        base.push(name.clone());
        if !modules.contains_key(&base) {
            base.pop();
            break;
        }
    }
    (base != *from && !base.is_empty()).then_some(base)
}

/// Whether one contains the other.
fn is_family(a: &ModulePath, b: &ModulePath) -> bool {
    a.starts_with(b) || b.starts_with(a)
}

/// The sets of modules that reach each other.
fn circles(arrows: &ModuleArrows) -> Vec<BTreeSet<ModulePath>> {
    let reach: BTreeMap<&ModulePath, BTreeSet<&ModulePath>> = arrows
        .keys()
        .map(|module| (module, reached(module, arrows)))
        .collect();
    let mut circles: Vec<BTreeSet<ModulePath>> = Vec::new();
    for module in arrows
        .keys()
        .filter(|module| reach[module].contains(module))
    {
        if !circles.iter().any(|circle| circle.contains(module)) {
            let mutual = reach[module]
                .iter()
                .filter(|other| reach[**other].contains(module));
            circles.push(mutual.map(|other| (*other).clone()).collect());
        }
    }
    circles
}

/// Every module that is reached in one step or more.
fn reached<'a>(from: &'a ModulePath, arrows: &'a ModuleArrows) -> BTreeSet<&'a ModulePath> {
    let mut reached = BTreeSet::new();
    let mut next: Vec<&ModulePath> = vec![from];
    while let Some(module) = next.pop() {
        next.extend(
            arrows
                .get(module)
                .into_iter()
                .flatten()
                .filter(|used| reached.insert(*used)),
        );
    }
    reached.retain(|module| arrows.contains_key(*module));
    reached
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(files: &[(&str, &str)]) -> Vec<String> {
        complaints(files.iter().map(|(file, text)| (Path::new(*file), *text)))
    }

    #[test]
    fn files_that_import_each_other_are_named() {
        let circle = found(&[
            ("c/src/lib.rs", "mod a; mod b; pub use a::A;"),
            (
                "c/src/a.rs",
                "use std::fmt;\nuse crate::{\n    b::{B, Other},\n    A,\n};\n",
            ),
            ("c/src/b.rs", "fn f() { super::a::g(); }"),
        ]);
        assert_eq!(circle, ["c: the files a, b import each other in a circle"]);
    }

    #[test]
    fn an_example_and_a_test_are_crates() {
        let files = [
            ("c/examples/e/a.rs", "use crate::b::B;"),
            ("c/examples/e/b.rs", "use crate::a::A;"),
            ("c/examples/f/a.rs", "use crate::b::B;"),
            ("c/tests/t/a.rs", "use crate::b::B;"),
            ("c/tests/t/b.rs", "use crate::a::A;"),
        ];
        let named = |of| format!("{of}: the files a, b import each other in a circle");
        assert_eq!(found(&files), [named("c/examples/e"), named("c/tests/t")]);
    }

    #[test]
    fn longer_circles_are_one() {
        let circle = found(&[
            ("c/src/a.rs", "use crate::b::B;"),
            ("c/src/b.rs", "use crate::d::e::E;"),
            ("c/src/d/mod.rs", "mod e;"),
            ("c/src/d/e.rs", "use crate::a::{self, A};"),
            ("c/src/f.rs", "use crate::a::A;"),
        ]);
        assert_eq!(
            circle,
            ["c: the files a, b, d/e import each other in a circle"]
        );
    }

    #[test]
    fn parents_tests_comments_and_other_crates_are_free() {
        let none: [String; 0] = [];
        let free = found(&[
            ("c/src/a/mod.rs", "mod b; use b::B; pub struct A;"),
            ("c/src/a/b.rs", "use super::A;\n// crate::d::D\n"),
            (
                "c/src/d.rs",
                "use crate::a::A;\n#[cfg(test)]\nmod tests { use crate::e::E; }",
            ),
            ("c/src/e.rs", "use crate::d::D;"),
            ("x/src/a.rs", "use crate::d::D;"),
            ("x/src/d.rs", "use other::a::A;"),
        ]);
        assert_eq!(free, none);
    }
}
