//! The store's `cjson`. Both ways return a value, or nothing and the reason.

use std::collections::BTreeMap;
use std::fmt;

use mlua::{Lua, Table, Value};
use serde::Deserialize;
use serde::de::{DeserializeSeed, Deserializer, MapAccess, SeqAccess, Visitor};

type Converted = (Value, Option<String>);

pub(super) fn decode(lua: &Lua, text: &Value) -> mlua::Result<Converted> {
    let text = match text {
        Value::String(text) => text.as_bytes().to_vec(),
        Value::Integer(number) => number.to_string().into_bytes(),
        other => {
            let why = format!(
                "bad argument #1 to 'decode' (string expected, got {})",
                other.type_name()
            );
            return Ok((Value::Nil, Some(why)));
        }
    };
    // The library also reads numbers that JSON does not have.
    let unsigned = text.strip_prefix(b"-").or(text.strip_prefix(b"+"));
    if unsigned.unwrap_or(&text).eq_ignore_ascii_case(b"inf") {
        let sign = if text[0] == b'-' { -1.0 } else { 1.0 };
        return Ok((Value::Number(sign * f64::INFINITY), None));
    }
    let mut reader = serde_json::Deserializer::from_slice(&text);
    let value = LuaValue(lua).deserialize(&mut reader);
    let value = value.and_then(|value| reader.end().map(|()| value));
    Ok(match value {
        Ok(value) => (value, None),
        Err(why) => (Value::Nil, Some(why.to_string())),
    })
}

/// Reads JSON into Lua. Members keep their order, since a table is iterated by it.
struct LuaValue<'a>(&'a Lua);

impl<'de> DeserializeSeed<'de> for LuaValue<'_> {
    type Value = Value;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for LuaValue<'_> {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::NULL)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(Value::Boolean(value))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(Value::Number(value as f64))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        Ok(Value::Number(value as f64))
    }

    fn visit_f64<E>(self, value: f64) -> Result<Value, E> {
        Ok(Value::Number(value))
    }

    fn visit_str<E>(self, value: &str) -> Result<Value, E> {
        Ok(Value::String(self.0.create_string(value).unwrap()))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Value, A::Error> {
        let table = self.0.create_table().unwrap();
        while let Some(value) = list.next_element_seed(LuaValue(self.0))? {
            table.raw_push(value).unwrap();
        }
        Ok(Value::Table(table))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<Value, A::Error> {
        let table = self.0.create_table().unwrap();
        while let Some(name) = members.next_key::<String>()? {
            let value = members.next_value_seed(LuaValue(self.0))?;
            table.raw_set(name, value).unwrap();
        }
        Ok(Value::Table(table))
    }
}

pub(super) fn encode(lua: &Lua, value: &Value) -> mlua::Result<Converted> {
    let mut text = String::new();
    Ok(match write(lua, value, &mut text)? {
        None => (Value::String(lua.create_string(text)?), None),
        Some(why) => (Value::Nil, Some(why)),
    })
}

/// Appends a value. Returns the reason where it has no JSON.
fn write(lua: &Lua, value: &Value, out: &mut String) -> mlua::Result<Option<String>> {
    match value {
        Value::Boolean(value) => out.push_str(&value.to_string()),
        Value::LightUserData(_) | Value::Nil => out.push_str("null"),
        Value::Integer(number) => out.push_str(&number_text(*number as f64)),
        Value::Number(number) => out.push_str(&number_text(*number)),
        Value::String(text) => {
            let text = serde_json::to_string(&text.to_string_lossy()).unwrap();
            // The library escapes slashes.
            out.push_str(&text.replace('/', "\\/"));
        }
        Value::Table(table) => return write_table(lua, table, out),
        other => {
            let why = format!("Cannot serialise {}: type not supported", other.type_name());
            return Ok(Some(why));
        }
    }
    Ok(None)
}

fn write_table(lua: &Lua, table: &Table, out: &mut String) -> mlua::Result<Option<String>> {
    let length = table.raw_len();
    let (open, close) = if length > 0 { ('[', ']') } else { ('{', '}') };
    out.push(open);
    let mut first = true;
    for pair in table.pairs::<Value, Value>() {
        let (name, value) = pair?;
        if !std::mem::take(&mut first) {
            out.push(',');
        }
        if length == 0 {
            let name = name.to_string()?;
            out.push_str(&serde_json::to_string(&name).unwrap());
            out.push(':');
        }
        if let Some(why) = write(lua, &value, out)? {
            return Ok(Some(why));
        }
    }
    out.push(close);
    Ok(None)
}

/// A number with 14 significant digits, as C's `%.14g` has it.
fn number_text(number: f64) -> String {
    let exponent = number.abs().log10().floor();
    if number == 0.0 {
        return "0".to_owned();
    }
    if (-5.0..14.0).contains(&exponent) {
        let digits = (13.0 - exponent).max(0.0) as usize;
        let text = format!("{number:.digits$}");
        if text.contains('.') {
            return text.trim_end_matches('0').trim_end_matches('.').to_owned();
        }
        return text;
    }
    let text = format!("{number:.13e}");
    let (digits, power) = text.split_once('e').unwrap();
    let digits = digits.trim_end_matches('0').trim_end_matches('.');
    let power: i32 = power.parse().unwrap();
    let sign = if power < 0 { '-' } else { '+' };
    format!("{digits}e{sign}{:02}", power.abs())
}

/// The text of a JSON document with its members in order, for comparisons.
pub(crate) fn normal(text: &[u8]) -> Option<String> {
    let mut reader = serde_json::Deserializer::from_slice(text);
    let members = BTreeMap::<String, serde_json::Value>::deserialize(&mut reader).ok()?;
    serde_json::to_string(&members).ok()
}
