use std::str::FromStr;

use percent_encoding::percent_decode_str;
use ratelimiter_api::{Key, MAX_PAGE};

use super::message::{HttpRefusal, bad_request};
use crate::limiter::KeySelection;

/// The query of a list: which keys, and for `/counters` the end of the span.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct ListQuery {
    pub(crate) select: KeySelection,
    /// Microseconds on the store's clock.
    pub(crate) at_us: Option<u64>,
}

impl ListQuery {
    /// Reads `key=K` (repeatable), or `after=K` and `limit=N`, or all of these with `active=true`;
    /// and `at_us=T`.
    pub(crate) fn parse(query: Option<&str>) -> Result<Self, HttpRefusal> {
        let (mut keys, mut after, mut most, mut active, mut at_us) =
            (Vec::new(), None, MAX_PAGE, false, None);
        for pair in query
            .unwrap_or_default()
            .split('&')
            .filter(|pair| !pair.is_empty())
        {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            match name {
                "key" => keys.push(decode(value)?),
                "after" => after = Some(decode(value)?),
                "limit" => most = number::<usize>(pair, value)?,
                "active" => active = value == "true" || value == "1",
                "at_us" => at_us = Some(number(pair, value)?),
                _ => {
                    return Err(bad_request(format!(
                        "query {pair:?} is none of key=KEY, after=KEY, limit=NUMBER, active=true, \
                         at_us=MICROSECONDS"
                    )));
                }
            }
        }
        if most == 0 || most > MAX_PAGE || keys.len() > MAX_PAGE {
            return Err(bad_request(format!("a page has 1 to {MAX_PAGE} keys")));
        }
        let select = if active {
            KeySelection::Active {
                after,
                most,
                also: keys,
            }
        } else if !keys.is_empty() {
            KeySelection::Keys(keys)
        } else {
            KeySelection::Page { after, most }
        };
        Ok(Self { select, at_us })
    }
}

fn number<T: FromStr>(pair: &str, value: &str) -> Result<T, HttpRefusal> {
    value.parse().map_err(|_| {
        bad_request(format!(
            "query {pair:?} has no number, as in at_us=MICROSECONDS"
        ))
    })
}

/// A key from a segment or a query.
pub(crate) fn decode(text: &str) -> Result<Key, HttpRefusal> {
    let text = percent_decode_str(text)
        .decode_utf8()
        .map_err(|_| bad_request("the key is not UTF-8"))?;
    Key::new(text).map_err(|e| bad_request(e.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(query: &str) -> Option<ListQuery> {
        ListQuery::parse(Some(query)).ok()
    }

    fn key(text: &str) -> Key {
        Key::new(text).unwrap()
    }

    #[test]
    fn keys_pages_and_instants_are_read() {
        let page = |after, most| KeySelection::Page { after, most };
        assert_eq!(
            parse(""),
            Some(ListQuery {
                select: page(None, MAX_PAGE),
                at_us: None
            })
        );
        assert_eq!(
            parse("at_us=7"),
            Some(ListQuery {
                select: page(None, MAX_PAGE),
                at_us: Some(7)
            })
        );
        assert_eq!(
            parse("after=a%20b&limit=3").unwrap().select,
            page(Some(key("a b")), 3)
        );
        assert_eq!(
            parse("key=a&key=b").unwrap().select,
            KeySelection::Keys(vec![key("a"), key("b")])
        );
        let active = |after, most, also| KeySelection::Active { after, most, also };
        assert_eq!(
            parse("active=true").unwrap().select,
            active(None, MAX_PAGE, vec![])
        );
        assert_eq!(
            parse("active=true&after=a&limit=3&key=b").unwrap().select,
            active(Some(key("a")), 3, vec![key("b")])
        );
        for wrong in [
            "at_us=x",
            "limit=0",
            "limit=10001",
            "key=",
            "nonsense",
            "key=%ff",
        ] {
            assert_eq!(parse(wrong), None, "{wrong}");
        }
    }
}
