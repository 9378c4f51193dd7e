//! One reply as a tree, for the few replies that the proxy itself reads or changes. Everything else
//! passes as bytes.

/// A parsed reply.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Value {
    /// A line: type byte and content. Integers, simple strings, errors, null, booleans, doubles,
    /// big numbers.
    Line(u8, Vec<u8>),
    /// A bulk string, bulk error or verbatim string: type byte and content; empty option for a
    /// null.
    Bulk(u8, Option<Vec<u8>>),
    /// An aggregate: type byte and elements, keys and values in turn for a map; empty option for a
    /// null.
    Many(u8, Option<Vec<Value>>),
}

impl Value {
    /// Parses exactly one complete reply without streamed parts. The scanner has found its end
    /// before.
    pub(crate) fn parse(bytes: &[u8]) -> Option<Self> {
        let mut rest = bytes;
        let value = take(&mut rest)?;
        rest.is_empty().then_some(value)
    }

    /// The elements of an aggregate.
    pub(crate) fn elements(&self) -> Option<&[Self]> {
        match self {
            Self::Many(_, elements) => elements.as_deref(),
            _ => None,
        }
    }

    /// The content of a string.
    pub(crate) fn text(&self) -> Option<&[u8]> {
        match self {
            Self::Line(b'+', text) | Self::Bulk(_, Some(text)) => Some(text),
            _ => None,
        }
    }

    /// The value of an integer.
    pub(crate) fn integer(&self) -> Option<i64> {
        match self {
            Self::Line(b':', digits) => std::str::from_utf8(digits).ok()?.parse().ok(),
            _ => None,
        }
    }

    /// Whether this is a string of this content.
    pub(crate) fn is(&self, text: &str) -> bool {
        self.text() == Some(text.as_bytes())
    }

    /// Writes the value as it came.
    pub(crate) fn write(&self, out: &mut Vec<u8>) {
        let header = |out: &mut Vec<u8>, kind: u8, length: Option<usize>| {
            out.push(kind);
            out.extend_from_slice(
                length
                    .map_or_else(|| "-1".to_owned(), |n| n.to_string())
                    .as_bytes(),
            );
            out.extend_from_slice(b"\r\n");
        };
        match self {
            Self::Line(kind, text) => {
                out.push(*kind);
                out.extend_from_slice(text);
                out.extend_from_slice(b"\r\n");
            }
            Self::Bulk(kind, text) => {
                header(out, *kind, text.as_ref().map(Vec::len));
                if let Some(text) = text {
                    out.extend_from_slice(text);
                    out.extend_from_slice(b"\r\n");
                }
            }
            Self::Many(kind, elements) => {
                let pairs = if matches!(kind, b'%' | b'|') { 2 } else { 1 };
                header(out, *kind, elements.as_ref().map(|e| e.len() / pairs));
                elements
                    .iter()
                    .flatten()
                    .for_each(|element| element.write(out));
            }
        }
    }
}

fn take(rest: &mut &[u8]) -> Option<Value> {
    let (&kind, after) = rest.split_first()?;
    let end = after.iter().position(|b| *b == b'\n')?;
    let line = after[..end].strip_suffix(b"\r").unwrap_or(&after[..end]);
    *rest = &after[end + 1..];
    let length = || -> Option<i64> { std::str::from_utf8(line).ok()?.parse().ok() };
    match kind {
        b'$' | b'!' | b'=' => {
            let Ok(length) = usize::try_from(length()?) else {
                return Some(Value::Bulk(kind, None));
            };
            let text = rest.get(..length)?.to_vec();
            *rest = rest.get(length + 2..)?;
            Some(Value::Bulk(kind, Some(text)))
        }
        b'*' | b'~' | b'>' | b'%' | b'|' => {
            let Ok(length) = usize::try_from(length()?) else {
                return Some(Value::Many(kind, None));
            };
            let length = length.checked_mul(if matches!(kind, b'%' | b'|') { 2 } else { 1 })?;
            let elements = (0..length).map(|_| take(rest)).collect::<Option<_>>()?;
            Some(Value::Many(kind, Some(elements)))
        }
        _ => Some(Value::Line(kind, line.to_vec())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_written_as_they_came() {
        for text in [
            "*2\r\n$3\r\nfoo\r\n:7\r\n",
            "*-1\r\n",
            "$-1\r\n",
            "%1\r\n+a\r\n*0\r\n",
            "-MOVED 1 127.0.0.1:7000\r\n",
            "=7\r\ntxt:abc\r\n",
        ] {
            let mut out = Vec::new();
            Value::parse(text.as_bytes()).unwrap().write(&mut out);
            assert_eq!(String::from_utf8(out).unwrap(), text);
        }
        assert_eq!(Value::parse(b"*2\r\n:1\r\n"), None);
        assert_eq!(Value::parse(b"$-1\r\n+extra\r\n"), None);
    }
}
