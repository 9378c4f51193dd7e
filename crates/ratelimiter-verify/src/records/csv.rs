//! Columns of a CSV line. A quoted value may hold separators and doubled quotes, but no line break:
//! a quote that is never closed ends with its line, and not with the file.

use std::borrow::Cow;

use memchr::memchr;

use super::field::Fields;

/// The places of the wanted columns.
#[derive(Clone, Debug)]
pub(super) struct CsvColumns {
    /// For each column up to the last wanted one, the place of its value.
    places: Vec<Option<usize>>,
}

impl CsvColumns {
    /// The columns of these names by a header line; or by number, from 1, where there is none.
    pub(super) fn new(names: &[String], header: &str) -> Result<(Self, bool), String> {
        let has_header = !names.iter().all(|name| name.parse::<usize>().is_ok());
        let mut known = Vec::new();
        values(header, |value| {
            known.push(decode(value).trim().to_owned());
            true
        });
        let mut places = Vec::new();
        for (place, name) in names.iter().enumerate() {
            let column = match name.parse::<usize>() {
                Ok(number) if !has_header => number.checked_sub(1),
                _ => known.iter().position(|column| column == name),
            };
            let column = column
                .filter(|&column| column < known.len())
                .ok_or_else(|| no_column(name, &known, has_header))?;
            if places.len() <= column {
                places.resize(column + 1, None);
            }
            places[column] = Some(place);
        }
        Ok((Self { places }, has_header))
    }

    pub(super) fn fields<'l>(&self, line: &'l str) -> Fields<'l> {
        let mut fields = Fields::default();
        let mut places = self.places.iter();
        values(line, |value| {
            if let Some(&Some(place)) = places.next() {
                fields[place] = value;
            }
            !places.as_slice().is_empty()
        });
        fields
    }
}

fn no_column(name: &str, known: &[String], has_header: bool) -> String {
    if !has_header {
        return format!("no column {name}: the first line has {}", known.len());
    }
    let known = Vec::from_iter(known.iter().take(20).map(String::as_str));
    format!(
        "no column {name:?}: the first line has {:?}",
        known.join(",")
    )
}

/// Calls `visit` with each value as written, until it returns false.
fn values<'l>(line: &'l str, mut visit: impl FnMut(&'l str) -> bool) {
    let mut rest = line;
    loop {
        let quoted = if rest.starts_with('"') {
            closing(rest)
        } else {
            0
        };
        let end = memchr(b',', &rest.as_bytes()[quoted..]).map(|at| quoted + at);
        let value = &rest[..end.unwrap_or(rest.len())];
        let plain =
            value.len() >= 2 && quoted == value.len() && !value[1..quoted - 1].contains('"');
        let value = if plain { &value[1..quoted - 1] } else { value };
        match end {
            Some(end) if visit(value) => rest = &rest[end + 1..],
            Some(_) => return,
            None => {
                visit(value);
                return;
            }
        }
    }
}

/// The place after the closing quote of a value.
fn closing(text: &str) -> usize {
    let mut at = 1;
    while let Some(quote) = memchr(b'"', &text.as_bytes()[at..]) {
        at += quote + 1;
        if text.as_bytes().get(at) != Some(&b'"') {
            return at;
        }
        at += 1;
    }
    text.len()
}

/// A value without its quotes.
pub(super) fn decode(raw: &str) -> Cow<'_, str> {
    match raw.strip_prefix('"') {
        Some(inside) => {
            let inside = inside.strip_suffix('"').unwrap_or(inside);
            inside.replace("\"\"", "\"").into()
        }
        None => raw.into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fields(header: &str, names: &[&str], line: &str) -> Vec<String> {
        let names: Vec<String> = names.iter().map(ToString::to_string).collect();
        let (columns, _) = CsvColumns::new(&names, header).unwrap();
        let fields = columns.fields(line);
        let read = fields.iter().take(names.len());
        read.map(|raw| decode(raw).into_owned()).collect()
    }

    #[test]
    fn columns_are_found_by_name_or_number() {
        assert_eq!(fields("a,b,c", &["c", "a"], "1,2,3"), ["3", "1"]);
        assert_eq!(fields("9,8", &["2"], "1,2,3"), ["2"]);
        assert_eq!(
            fields("a,\"b,c\"", &["b,c"], "1,\"x, \"\"y\"\"\",3"),
            ["x, \"y\""]
        );
        assert_eq!(fields("a,b", &["b"], "\"open,1"), [""]);
        assert_eq!(fields("a,b", &["b"], ""), [""]);
        let wrong = CsvColumns::new(&["z".to_owned()], "a,b").unwrap_err();
        assert!(wrong.contains("\"a,b\""), "{wrong}");
    }
}
