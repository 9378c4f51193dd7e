//! Names of types: one meaning each, and those in the glossary exist.

use std::collections::BTreeMap;
use std::path::Path;

/// The document of the words, each with the type that carries it in its last column.
const GLOSSARY: &str = "docs/glossary.md";

/// One line for each name of several types, and for each type of the glossary that is not there.
pub(super) fn complaints<'a>(files: impl Iterator<Item = (&'a Path, &'a str)>) -> Vec<String> {
    let mut places: BTreeMap<&str, Vec<String>> = BTreeMap::new();
    let mut glossary = "";
    for (file, text) in files {
        if file == Path::new(GLOSSARY) {
            glossary = text;
        }
        let is_code = file.components().any(|part| part.as_os_str() == "src");
        if !is_code || file.ends_with("tests.rs") {
            continue;
        }
        for line in text.lines().take_while(|line| *line != "#[cfg(test)]") {
            if let Some(name) = declared_type(line.trim_start()) {
                let files = places.entry(name).or_default();
                // An indented one is local, or that of a macro.
                if !line.starts_with(' ') {
                    files.push(file.display().to_string());
                }
            }
        }
    }
    let twice = places.iter().filter(|(_, files)| files.len() > 1);
    let unknown = glossary_types(glossary).filter(|name| !places.contains_key(name));
    twice
        .map(|(name, files)| format!("{name} names several types: {}", files.join(", ")))
        .chain(unknown.map(|name| format!("{GLOSSARY}: there is no type {name}")))
        .collect()
}

/// The name in a declaration, or in one of the macro `choice!`: `Name, "words" {`.
fn declared_type(line: &str) -> Option<&str> {
    if let Some((name, _)) = line.split_once(", \"").filter(|_| line.ends_with("\" {")) {
        return Some(name);
    }
    let line = match line.strip_prefix("pub") {
        Some(rest) => rest.split_once(' ')?.1,
        None => line,
    };
    let (kind, rest) = line.split_once(' ')?;
    let is_type = ["struct", "enum", "trait", "union"].contains(&kind);
    is_type.then(|| rest.split(|c: char| !c.is_alphanumeric()).next())?
}

/// The last column of the rows of a table, where it is code.
fn glossary_types(text: &str) -> impl Iterator<Item = &str> {
    text.lines().flat_map(|line| {
        let last = line
            .strip_suffix(" |")
            .and_then(|row| row.rsplit('|').next());
        last.unwrap_or("").split('`').skip(1).step_by(2)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn second_meanings_and_unknown_words_are_named() {
        let files = [
            (
                "a/src/x.rs",
                "pub(crate) struct Lamp<T> {\n}\n#[cfg(test)]\nmod tests {\nstruct Key;",
            ),
            (
                "b/src/y.rs",
                "enum Lamp {\n    struct Not;\n}\nchoice! {\n    Key, \"key\" {\n}\n",
            ),
            ("b/tests/z.rs", "struct Key;\n"),
            (
                GLOSSARY,
                "| word | type |\n|---|---|\n| a key | `Key` |\n| a hit | `Hit` |\n",
            ),
        ];
        let complaints = complaints(files.iter().map(|(file, text)| (Path::new(*file), *text)));
        assert_eq!(
            complaints,
            [
                "Lamp names several types: a/src/x.rs, b/src/y.rs",
                "docs/glossary.md: there is no type Hit"
            ]
        );
    }
}
