//! Links between documents: their files and headings exist.

use std::collections::BTreeMap;
use std::path::{Component, Path, PathBuf};

/// One line for each link whose file is not there, or has no such heading.
///
/// A heading's anchor is made as code hosts make it: lower case, hyphens for spaces, and no other
/// punctuation.
pub(super) fn complaints<'a>(
    documents: impl Iterator<Item = (&'a Path, &'a str)>,
    exists: impl Fn(&Path) -> bool,
) -> Vec<String> {
    let documents: BTreeMap<&Path, &str> = documents.collect();
    let mut complaints = Vec::new();
    for (file, text) in &documents {
        for link in prose(text)
            .flat_map(targets)
            .filter(|link| !link.contains("://"))
        {
            let (path, anchor) = link.split_once('#').unwrap_or((link, ""));
            let target = if path.is_empty() {
                file.to_path_buf()
            } else {
                joined(file.parent().unwrap_or(Path::new("")), path)
            };
            let linked = documents.get(target.as_path());
            let is_there = linked.is_some() || exists(&target);
            if !is_there {
                complaints.push(format!("{}: there is no {link}", file.display()));
            } else if !anchor.is_empty()
                && linked.is_some_and(|text| !headings(text).any(|heading| heading == anchor))
            {
                complaints.push(format!("{}: no heading has {link}", file.display()));
            }
        }
    }
    complaints
}

/// The lines outside of code blocks.
fn prose(text: &str) -> impl Iterator<Item = &str> {
    let mut is_code = false;
    text.lines().filter(move |line| {
        let fence = line.trim_start().starts_with("```");
        is_code ^= fence;
        !is_code && !fence
    })
}

/// The targets of the links and pictures in a line.
fn targets(line: &str) -> impl Iterator<Item = &str> {
    line.split("](")
        .skip(1)
        .filter_map(|rest| rest.split_once(')').map(|(target, _)| target))
}

fn headings(text: &str) -> impl Iterator<Item = String> {
    let headings = prose(text).filter(|line| line.starts_with('#'));
    headings.map(|line| {
        let title = line.trim_start_matches('#').trim().to_lowercase();
        let kept = title
            .chars()
            .filter(|c| c.is_alphanumeric() || [' ', '-', '_'].contains(c));
        kept.map(|c| if c == ' ' { '-' } else { c }).collect()
    })
}

/// A relative path from a directory, without `..`.
fn joined(directory: &Path, path: &str) -> PathBuf {
    let mut joined = directory.to_path_buf();
    for part in Path::new(path).components() {
        match part {
            Component::ParentDir => {
                joined.pop();
            }
            Component::CurDir => {}
            part => joined.push(part),
        }
    }
    joined
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(text: &str) -> Vec<String> {
        let other = "# One\n\n## A `pass`, and what it leaves open\n";
        let documents = [("docs/a.md", text), ("docs/b.md", other)];
        let documents = documents.map(|(file, text)| (Path::new(file), text));
        complaints(documents.into_iter(), |path| path == Path::new("LICENSE"))
    }

    #[test]
    fn links_lead_to_files_and_headings() {
        let right = "[b](b.md) [p](b.md#a-pass-and-what-it-leaves-open) [l](../LICENSE)\n\
            # Here\n[here](#here) [web](https://example.org/x#y)\n```\n[code](no.md)\n```\n";
        assert!(found(right).is_empty(), "{:?}", found(right));
        for (wrong, complaint) in [
            ("[b](c.md)", "docs/a.md: there is no c.md"),
            ("![b](../c.svg)", "docs/a.md: there is no ../c.svg"),
            ("[b](b.md#two)", "docs/a.md: no heading has b.md#two"),
            ("[b](#two)", "docs/a.md: no heading has #two"),
        ] {
            assert_eq!(found(wrong), [complaint]);
        }
    }
}
