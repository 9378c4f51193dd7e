//! Parts of a reply that the proxy reads for itself.

use redis::Value;

/// The elements of an array; none of another value.
pub(crate) fn elements(value: &Value) -> &[Value] {
    match value {
        Value::Array(elements) => elements,
        _ => &[],
    }
}

/// The value behind a name, in an array of names and values.
pub(crate) fn field<'a>(value: &'a Value, name: &str) -> Option<&'a Value> {
    let is_name = |candidate: &Value| match candidate {
        Value::BulkString(bytes) => bytes == name.as_bytes(),
        Value::SimpleString(text) => text == name,
        _ => false,
    };
    elements(value)
        .chunks_exact(2)
        .find(|pair| is_name(&pair[0]))
        .map(|pair| &pair[1])
}
