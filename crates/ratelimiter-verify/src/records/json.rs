//! Fields of a JSON object by their paths. Nothing is copied or built.

use std::borrow::Cow;
use std::ops::ControlFlow;

use memchr::memchr2;

use super::field::Fields;

/// The text is no JSON, or is cut.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct NoJson;

pub(super) type JsonResult = Result<(), NoJson>;

/// A step of a path.
#[derive(Clone, Debug, PartialEq, Eq)]
enum PathStep {
    /// `name`: a member of an object.
    Member(String),
    /// `[name]`: the value of the pair of this name, in an array of objects that have `key` or
    /// `name` beside `value`, as headers in HAR and attributes in OTLP.
    Pair(String),
    /// `[]`: all elements of an array.
    Each,
}

/// `request.headers[X-Api-Key]`, `log.entries[]`.
fn path(text: &str) -> Vec<PathStep> {
    let mut steps = Vec::new();
    let mut rest = text;
    while !rest.is_empty() {
        let inside = rest
            .strip_prefix('[')
            .and_then(|inside| inside.split_once(']'));
        let (step, after) = match inside {
            Some(("", after)) => (PathStep::Each, after),
            Some((name, after)) => (PathStep::Pair(name.to_owned()), after),
            None => {
                let (name, after) =
                    rest.split_at(rest[1..].find(['.', '[']).map_or(rest.len(), |at| at + 1));
                (PathStep::Member(name.to_owned()), after)
            }
        };
        steps.push(step);
        rest = after.strip_prefix('.').unwrap_or(after);
    }
    steps
}

/// The fields that a format wants of an object, as a tree of paths.
#[derive(Clone, Debug, Default)]
pub(super) struct JsonFields {
    /// From the document of a line to the objects that are rows.
    each: Vec<PathStep>,
    wanted: PathTree,
}

#[derive(Clone, Debug, Default)]
struct PathTree {
    /// Place among the fields, where a path ends.
    place: Option<usize>,
    next: Vec<(PathStep, PathTree)>,
}

impl JsonFields {
    pub(super) fn new(each: &str, names: &[String]) -> Self {
        let mut wanted = PathTree::default();
        for (place, name) in names.iter().enumerate() {
            wanted.insert(path(name), place);
        }
        Self {
            each: path(each),
            wanted,
        }
    }

    /// Calls `visit` with the fields of each row.
    pub(super) fn rows<'l, B>(
        &self,
        line: &'l str,
        mut visit: impl FnMut(&Fields<'l>) -> ControlFlow<B>,
    ) -> Result<ControlFlow<B>, NoJson> {
        for row in rows(line, &self.each)? {
            let mut fields = Fields::default();
            self.wanted.read(row, &mut fields)?;
            fields = fields.map(scalar);
            if let broken @ ControlFlow::Break(_) = visit(&fields) {
                return Ok(broken);
            }
        }
        Ok(ControlFlow::Continue(()))
    }
}

/// The values at the end of a path that may branch.
fn rows<'l>(value: &'l str, path: &[PathStep]) -> Result<Vec<&'l str>, NoJson> {
    let Some((step, rest)) = path.split_first() else {
        return Ok(vec![value]);
    };
    let mut found = Vec::new();
    if *step == PathStep::Each {
        members(value, |_, element| {
            found.extend(rows(element, rest)?);
            Ok(())
        })?;
    } else {
        let mut tree = PathTree::default();
        tree.insert(vec![step.clone()], 0);
        let mut fields = Fields::default();
        tree.read(value, &mut fields)?;
        if !fields[0].is_empty() {
            found = rows(fields[0], rest)?;
        }
    }
    Ok(found)
}

impl PathTree {
    fn insert(&mut self, steps: Vec<PathStep>, place: usize) {
        let mut tree = self;
        for step in steps {
            let known = tree.next.iter().position(|(known, _)| *known == step);
            let known = known.unwrap_or_else(|| {
                tree.next.push((step, Self::default()));
                tree.next.len() - 1
            });
            tree = &mut tree.next[known].1;
        }
        tree.place = Some(place);
    }

    /// Reads the fields of an object.
    fn read<'l>(&self, object: &'l str, fields: &mut Fields<'l>) -> JsonResult {
        members(object, |name, value| {
            let is = |step: &PathStep| matches!(step, PathStep::Member(known) if known == name);
            match self.next.iter().find(|(step, _)| is(step)) {
                Some((_, tree)) => tree.read_value(value, fields),
                None => Ok(()),
            }
        })
    }

    fn read_value<'l>(&self, value: &'l str, fields: &mut Fields<'l>) -> JsonResult {
        match (self.place, value.as_bytes()) {
            (Some(place), _) if self.next.is_empty() => fields[place] = value,
            (_, [b'{', ..]) => self.read(value, fields)?,
            (_, [b'[', ..]) => {
                members(value, |_, pair| self.read_pair(pair, fields))?;
            }
            _ => {}
        }
        Ok(())
    }

    fn read_pair<'l>(&self, pair: &'l str, fields: &mut Fields<'l>) -> JsonResult {
        let (mut name, mut value) = ("", "");
        members(pair, |member, of| {
            match member {
                "key" | "name" => name = scalar(of),
                "value" => value = of,
                _ => {}
            }
            Ok(())
        })?;
        for (step, tree) in &self.next {
            if matches!(step, PathStep::Pair(known) if known.eq_ignore_ascii_case(name)) {
                tree.read_value(value, fields)?;
            }
        }
        Ok(())
    }
}

/// Calls `visit` with the name, escapes and all, and the value of each member of an object; the
/// names of an array's elements are empty. No value is built, so the time is that of a scan.
pub(super) fn members<'l>(
    text: &'l str,
    mut visit: impl FnMut(&'l str, &'l str) -> JsonResult,
) -> JsonResult {
    let bytes = text.as_bytes();
    let close = match bytes.first() {
        Some(b'{') => b'}',
        Some(b'[') => b']',
        _ => return Err(NoJson),
    };
    let mut at = after_space(bytes, 1);
    let close_at = |at: usize| match after_space(bytes, at + 1) == bytes.len() {
        true => Ok(()),
        false => Err(NoJson),
    };
    if bytes.get(at) == Some(&close) {
        return close_at(at);
    }
    loop {
        let mut name = "";
        if close == b'}' {
            let end = value_end(bytes, at).ok_or(NoJson)?;
            name = text.get(at + 1..end - 1).ok_or(NoJson)?;
            at = after_space(bytes, end);
            if bytes.get(at) != Some(&b':') {
                return Err(NoJson);
            }
            at = after_space(bytes, at + 1);
        }
        let end = value_end(bytes, at).ok_or(NoJson)?;
        visit(name, &text[at..end])?;
        at = after_space(bytes, end);
        match bytes.get(at) {
            Some(b',') => at = after_space(bytes, at + 1),
            Some(other) if *other == close => return close_at(at),
            _ => return Err(NoJson),
        }
    }
}

fn after_space(bytes: &[u8], mut at: usize) -> usize {
    while bytes.get(at).is_some_and(u8::is_ascii_whitespace) {
        at += 1;
    }
    at
}

/// Whether a byte ends a number, `true`, `false` or `null`.
const ENDS_WORD: [bool; 256] = {
    let mut ends = [false; 256];
    let bytes = b" \t\n\r\x0c,:]}[{\"";
    let mut at = 0;
    while at < bytes.len() {
        ends[bytes[at] as usize] = true;
        at += 1;
    }
    ends
};

/// The place after the value that begins at a place.
fn value_end(bytes: &[u8], at: usize) -> Option<usize> {
    let (mut at, mut depth) = (at, 0_usize);
    loop {
        match bytes.get(at)? {
            b'"' => {
                at += 1;
                loop {
                    at += memchr2(b'"', b'\\', bytes.get(at..)?)?;
                    if bytes[at] == b'"' {
                        break;
                    }
                    at += 2;
                }
                at += 1;
            }
            b'{' | b'[' => (at, depth) = (at + 1, depth + 1),
            b'}' | b']' => (at, depth) = (at + 1, depth.checked_sub(1)?),
            b',' | b':' if depth == 0 => return None,
            byte if byte.is_ascii_whitespace() || matches!(byte, b',' | b':') => {
                at += 1;
                continue;
            }
            _ => {
                let ends = |byte: &u8| ENDS_WORD[usize::from(*byte)];
                let rest = &bytes[at..];
                at += rest.iter().position(ends).unwrap_or(rest.len());
            }
        }
        if depth == 0 {
            return Some(at);
        }
    }
}

/// The value of a field as text: without quotes where it has no escapes, and empty for null. Of an
/// array its first element, as of header fields in Caddy; of an object its first member, as of
/// values in OTLP.
fn scalar(raw: &str) -> &str {
    match raw.as_bytes() {
        [b'n', ..] => "",
        [b'"', inside @ .., b'"'] if !inside.contains(&b'\\') => &raw[1..raw.len() - 1],
        [b'[' | b'{', ..] => {
            let mut first = None;
            let read = members(raw, |_, value| {
                first = first.or(Some(value));
                Ok(())
            });
            read.map_or("", |()| first.map_or("", scalar))
        }
        _ => raw,
    }
}

/// The value of a field that may have escapes.
pub(super) fn decode(raw: &str) -> Cow<'_, str> {
    let escaped = raw.starts_with('"').then(|| serde_json::from_str(raw).ok());
    escaped.flatten().map_or(raw.into(), Cow::Owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_lead_through_objects_arrays_and_pairs() {
        let names = ["a.b", "h[x-k]", "list", "no.such", "t"].map(str::to_owned);
        let json = JsonFields::new("r[].s[]", &names);
        let line = r#"{"r":[{"s":[{"a":{"b":1.5},"h":[{"key":"X-K","value":{"stringValue":"v"}}],
            "list":["f","g"],"t":"\"q\""},{"a":3}]},{"s":[]}]}"#;
        let mut read = Vec::new();
        let visited = json.rows(line, |fields| {
            read.push(
                fields[..5]
                    .iter()
                    .map(|raw| decode(raw).into_owned())
                    .collect::<Vec<_>>(),
            );
            ControlFlow::<()>::Continue(())
        });
        assert!(visited.is_ok());
        assert_eq!(read, [vec!["1.5", "v", "f", "", "\"q\""], vec![""; 5]]);
        assert!(
            json.rows("{\"r\":[", |_| ControlFlow::<()>::Continue(()))
                .is_err()
        );
    }
}
