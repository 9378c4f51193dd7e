//! Fields of a line of text by a template: `$client [$time] "$request" $status`. A field goes on to
//! the text that follows it in the template. A quote after a field is one that no backslash
//! escapes.

use memchr::memchr;

use super::field::Fields;

/// A line as an alternation of text and fields.
#[derive(Clone, Debug)]
pub(super) struct LineTemplate {
    /// A syslog header up to this text is skipped.
    after: String,
    first: String,
    /// Up to the last wanted field.
    fields: Vec<TemplateField>,
}

#[derive(Clone, Debug)]
struct TemplateField {
    place: Option<usize>,
    /// The text after it; empty at the end of a line.
    until: String,
}

/// A template as text and names of fields, in turn.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct TemplateParts {
    pub(super) first: String,
    /// Name, and the text after it.
    pub(super) fields: Vec<(String, String)>,
}

impl TemplateParts {
    pub(super) fn push_text(&mut self, text: &str) {
        match self.fields.last_mut() {
            Some((_, after)) => after.push_str(text),
            None => self.first.push_str(text),
        }
    }

    pub(super) fn push_field(&mut self, name: &str) -> Result<(), String> {
        if let Some((before, after)) = self.fields.last()
            && after.is_empty()
        {
            return Err(format!("nothing separates {before:?} from {name:?}"));
        }
        self.fields.push((name.to_owned(), String::new()));
        Ok(())
    }

    /// `$name` and `${name}`.
    pub(super) fn with_dollars(text: &str) -> Result<Self, String> {
        let mut parts = Self::default();
        let mut rest = text;
        while let Some((before, after)) = rest.split_once('$') {
            parts.push_text(before);
            let word = |c: char| c.is_ascii_alphanumeric() || c == '_';
            let (name, after) = match after.strip_prefix('{') {
                Some(inside) => inside
                    .split_once('}')
                    .ok_or_else(|| format!("{text:?} has a ${{ without its }}"))?,
                None => after.split_at(after.find(|c| !word(c)).unwrap_or(after.len())),
            };
            parts.push_field(name)?;
            rest = after;
        }
        parts.push_text(rest);
        Ok(parts)
    }
}

impl LineTemplate {
    pub(super) fn new(
        parts: &TemplateParts,
        after: &str,
        names: &[String],
    ) -> Result<Self, String> {
        let place = |name: &str| names.iter().position(|wanted| wanted == name);
        if let Some(missing) = names
            .iter()
            .find(|name| !parts.fields.iter().any(|(field, _)| field == *name))
        {
            let fields = Vec::from_iter(parts.fields.iter().map(|(name, _)| name.as_str()));
            return Err(format!(
                "no field {missing:?}: the format has {}",
                fields.join(", ")
            ));
        }
        let fields = parts.fields.iter().map(|(name, until)| TemplateField {
            place: place(name),
            until: until.clone(),
        });
        let mut fields: Vec<_> = fields.collect();
        let last = fields.iter().rposition(|field| field.place.is_some());
        fields.truncate(last.map_or(0, |last| last + 1));
        Ok(Self {
            after: after.to_owned(),
            first: parts.first.clone(),
            fields,
        })
    }

    /// The fields of a line; the number of the first that is missing.
    pub(super) fn fields<'l>(&self, line: &'l str) -> Result<Fields<'l>, usize> {
        let mut fields = Fields::default();
        let header = Some(&self.after).filter(|after| !after.is_empty());
        let body = header.and_then(|after| Some(line.split_once(after.as_str())?.1));
        let body = body.unwrap_or(line);
        let mut rest = body.strip_prefix(self.first.as_str()).ok_or(1_usize)?;
        for (number, field) in self.fields.iter().enumerate() {
            let (value, after) = match field.until.as_str() {
                "" => (rest, ""),
                until => {
                    let end = end_of(rest, until).ok_or(number + 1)?;
                    (&rest[..end], &rest[end + until.len()..])
                }
            };
            if let Some(place) = field.place {
                fields[place] = value;
            }
            rest = after;
        }
        Ok(fields)
    }
}

/// The place of the text that ends a value. Values are short, so its first byte is looked for.
fn end_of(text: &str, until: &str) -> Option<usize> {
    let (bytes, first) = (text.as_bytes(), until.as_bytes()[0]);
    let mut from = 0;
    loop {
        let at = from + memchr(first, &bytes[from..])?;
        let slashes = || bytes[..at].iter().rev().take_while(|b| **b == b'\\');
        if bytes[at..].starts_with(until.as_bytes())
            && (first != b'"' || slashes().count().is_multiple_of(2))
        {
            return Some(at);
        }
        from = at + 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_end_at_the_text_after_them() {
        let parts = TemplateParts::with_dollars("$a - [$b] \"$c\" ${d}ms").unwrap();
        let names = ["d", "b", "c"].map(str::to_owned);
        let template = LineTemplate::new(&parts, "]: ", &names).unwrap();
        let line = r#"<134>Nov 30 host x[7]: 1.2.3.4 - [t] "GET /\" x" 12ms more"#;
        let fields = template.fields(line).unwrap();
        assert_eq!(fields[..3], ["12", "t", r#"GET /\" x"#]);
        assert_eq!(template.fields("1.2.3.4 - [t] \"GET").unwrap_err(), 3);
        assert!(TemplateParts::with_dollars("$a$b").is_err());
    }
}
