//! Width of lines: Rust, Lua, and the prose of documents.

use std::path::Path;

/// Characters in a line, at most.
const MAX_COLUMNS: usize = 100;

/// One line for each line that is too long.
pub(super) fn complaints(file: &Path, text: &str) -> Vec<String> {
    let is_document = file.extension().is_some_and(|e| e == "md");
    let mut is_code = false;
    let mut complaints = Vec::new();
    for (number, line) in text.lines().enumerate() {
        let fence = is_document && line.trim_start().starts_with("```");
        is_code ^= fence;
        let columns = line.chars().count();
        if columns > MAX_COLUMNS && !(is_document && (is_code || fence || has_own_width(line))) {
            let place = format!("{}:{}", file.display(), number + 1);
            complaints.push(format!("{place}: {columns} columns, at most {MAX_COLUMNS}"));
        }
    }
    complaints
}

/// Tables, HTML and links cannot be wrapped.
fn has_own_width(line: &str) -> bool {
    line.trim_start().starts_with(['|', '<']) || line.contains("](") || line.contains("://")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_lines_of_code_and_prose_are_named() {
        let long = "x".repeat(MAX_COLUMNS + 1);
        let found = |file: &str, text: &str| complaints(Path::new(file), text);
        let complaint = |file| [format!("{file}:2: 101 columns, at most 100")];
        for file in ["a.rs", "a.lua", "a.md"] {
            assert_eq!(found(file, &format!("\n{long}\n")), complaint(file));
            assert!(found(file, &"ä".repeat(MAX_COLUMNS)).is_empty());
        }
        let free = format!("| {long} |\n[a](b){long}\n```\n{long}\n```\n");
        assert!(found("a.md", &free).is_empty());
    }
}
