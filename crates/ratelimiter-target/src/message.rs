//! The messages of Envoy's rate limit service (RLS v3), in the wire format of protocol buffers,
//! with the fields that a check needs.
//!
//! ```text
//!   RateLimitRequest   1 domain   2 descriptors { 1 entries { 1 key  2 value } }   3 hits_addend
//!   RateLimitResponse  1 overall_code
//!                      2 statuses { 2 current_limit { 1 requests_per_unit }
//!                                   3 limit_remaining  4 duration_until_reset }
//! ```

use ratelimiter_api::{Claims, Outcome, StatedTime};

use crate::CheckAnswer;

const OK: u64 = 1;
const OVER_LIMIT: u64 = 2;

/// A request for one descriptor, with the prefix of gRPC: no compression, and the length.
pub(crate) fn request(domain: &str, entries: &[(String, String)], cost: u32) -> Vec<u8> {
    let entry = |(key, value): &(String, String)| {
        [bytes(1, key.as_bytes()), bytes(2, value.as_bytes())].concat()
    };
    let descriptor: Vec<u8> = entries
        .iter()
        .flat_map(|pair| bytes(1, &entry(pair)))
        .collect();
    let cost = [varint(3 << 3), varint(cost.into())].concat();
    let message = [bytes(1, domain.as_bytes()), bytes(2, &descriptor), cost].concat();
    let length = u32::try_from(message.len())
        .unwrap_or(u32::MAX)
        .to_be_bytes();
    [&[0][..], &length, &message].concat()
}

/// The answer in a response with that prefix.
pub(crate) fn answer(response: &[u8]) -> CheckAnswer {
    let message = match response {
        [0, a, b, c, d, message @ ..]
            if u32::from_be_bytes([*a, *b, *c, *d]) as usize == message.len() =>
        {
            message
        }
        _ => return CheckAnswer::unknown("the answer is no single uncompressed message"),
    };
    let Some(fields) = fields(message) else {
        return CheckAnswer::unknown("the answer is no protocol buffer");
    };
    let code = fields
        .iter()
        .find_map(|field| field.number(1))
        .unwrap_or_default();
    let outcome = match code {
        OK => Outcome::Allowed,
        OVER_LIMIT => Outcome::Denied,
        code => return CheckAnswer::unknown(format!("overall_code {code}")),
    };
    let status = fields
        .iter()
        .find_map(|field| self::fields(field.bytes(2)?));
    CheckAnswer {
        claims: status
            .map(|status| claims(&status, outcome))
            .unwrap_or_default(),
        ..CheckAnswer::plain(outcome)
    }
}

/// The statements of the first descriptor's status. A field that is zero is not sent.
fn claims(status: &[WireField<'_>], outcome: Outcome) -> Claims {
    let limit = status.iter().find_map(|field| fields(field.bytes(2)?));
    let limit = limit.and_then(|limit| limit.iter().find_map(|field| field.number(1)));
    let remaining = status
        .iter()
        .find_map(|field| field.number(3))
        .or(limit.map(|_| 0));
    let reset = status
        .iter()
        .find_map(|field| fields(field.bytes(4)?))
        .and_then(|duration| {
            let part = |number| {
                duration
                    .iter()
                    .find_map(|field| field.number(number))
                    .unwrap_or_default()
            };
            // A negative number is of two's complement.
            let [seconds, nanos] = [part(1), part(2)].map(|n| n.cast_signed() as f64);
            StatedTime::seconds(seconds + nanos / 1e9)
        });
    Claims {
        limit,
        remaining: remaining.and_then(|left| left.try_into().ok()),
        reset,
        retry_after: reset.filter(|_| outcome == Outcome::Denied),
    }
}

/// One field of a message.
struct WireField<'a> {
    tag: u64,
    value: WireValue<'a>,
}

enum WireValue<'a> {
    Number(u64),
    Bytes(&'a [u8]),
}

impl<'a> WireField<'a> {
    fn number(&self, tag: u64) -> Option<u64> {
        match self.value {
            WireValue::Number(number) if self.tag == tag => Some(number),
            _ => None,
        }
    }

    fn bytes(&self, tag: u64) -> Option<&'a [u8]> {
        match self.value {
            WireValue::Bytes(bytes) if self.tag == tag => Some(bytes),
            _ => None,
        }
    }
}

/// The fields of a message; nothing when it is malformed.
fn fields(mut message: &[u8]) -> Option<Vec<WireField<'_>>> {
    let mut fields = Vec::new();
    while !message.is_empty() {
        let head = take_varint(&mut message)?;
        let value = match head & 7 {
            0 => WireValue::Number(take_varint(&mut message)?),
            1 => WireValue::Bytes(take(&mut message, 8)?),
            2 => {
                let length = usize::try_from(take_varint(&mut message)?).ok()?;
                WireValue::Bytes(take(&mut message, length)?)
            }
            5 => WireValue::Bytes(take(&mut message, 4)?),
            _ => return None,
        };
        fields.push(WireField {
            tag: head >> 3,
            value,
        });
    }
    Some(fields)
}

fn take<'a>(message: &mut &'a [u8], length: usize) -> Option<&'a [u8]> {
    let (taken, rest) = message.split_at_checked(length)?;
    *message = rest;
    Some(taken)
}

fn take_varint(message: &mut &[u8]) -> Option<u64> {
    let mut number = 0_u64;
    for shift in (0..64).step_by(7) {
        let byte = take(message, 1)?[0];
        number |= u64::from(byte & 0x7f) << shift;
        if byte & 0x80 == 0 {
            return Some(number);
        }
    }
    None
}

fn varint(mut number: u64) -> Vec<u8> {
    let mut bytes = Vec::new();
    while number >= 0x80 {
        bytes.push(((number & 0x7f) as u8) | 0x80);
        number >>= 7;
    }
    bytes.push(number as u8);
    bytes
}

fn bytes(tag: u64, value: &[u8]) -> Vec<u8> {
    [
        &varint((tag << 3) | 2)[..],
        &varint(value.len() as u64),
        value,
    ]
    .concat()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn framed(message: &[u8]) -> Vec<u8> {
        [&[0][..], &(message.len() as u32).to_be_bytes(), message].concat()
    }

    #[test]
    fn a_request_has_its_wire_form() {
        let made = request("d", &[("k".into(), "v".into())], 300);
        let message = [
            0x0a, 1, b'd', // domain
            0x12, 8, 0x0a, 6, 0x0a, 1, b'k', 0x12, 1, b'v', // descriptor, entry, key, value
            0x18, 0xac, 0x02, // hits_addend
        ];
        assert_eq!(made, framed(&message));
    }

    #[test]
    fn codes_and_statuses_are_read() {
        let limit = bytes(2, &[0x08, 10]);
        let reset = bytes(4, &[0x08, 30]);
        let status = bytes(2, &[limit, vec![0x18, 7], reset].concat());
        let allowed = answer(&framed(&[vec![0x08, 1], status.clone()].concat()));
        assert_eq!(allowed.outcome, Outcome::Allowed);
        assert_eq!(
            (allowed.claims.limit, allowed.claims.remaining),
            (Some(10), Some(7))
        );
        let denied = answer(&framed(&[vec![0x08, 2], status].concat()));
        assert_eq!(denied.outcome, Outcome::Denied);
        assert_eq!(denied.claims.retry_after, StatedTime::seconds(30.0));
    }

    #[test]
    fn malformed_answers_are_unknown() {
        for wrong in [
            &[][..],
            &[1, 0, 0, 0, 0],
            &[0, 0, 0, 0, 9],
            &framed(&[0x08]),
            &framed(&[0x12, 9]),
            &framed(&[]),
        ] {
            assert_eq!(answer(wrong).outcome, Outcome::Unknown, "{wrong:?}");
        }
    }
}
