//! Requests and replies of the store's protocol, RESP2.

use std::fmt;

/// The bytes of a name, an argument or a value.
pub(crate) type Text = Vec<u8>;

/// A reply of the store.
#[derive(Clone, PartialEq)]
pub(crate) enum Reply {
    Nil,
    Whole(i64),
    Bulk(Text),
    Status(String),
    Error(String),
    List(Vec<Reply>),
}

impl Reply {
    pub(crate) fn ok() -> Self {
        Self::Status("OK".to_owned())
    }

    pub(crate) fn bulk(text: impl Into<Text>) -> Self {
        Self::Bulk(text.into())
    }

    /// The value of an entry or a field, if there is one.
    pub(crate) fn maybe(text: Option<impl Into<Text>>) -> Self {
        text.map_or(Self::Nil, Self::bulk)
    }

    pub(crate) fn count(number: usize) -> Self {
        Self::Whole(i64::try_from(number).unwrap())
    }

    /// As it travels.
    pub(crate) fn encode(&self, out: &mut Vec<u8>) {
        match self {
            Self::Nil => out.extend(b"$-1\r\n"),
            Self::Whole(number) => out.extend(format!(":{number}\r\n").bytes()),
            Self::Status(text) => out.extend(format!("+{text}\r\n").bytes()),
            Self::Error(text) => out.extend(format!("-{text}\r\n").bytes()),
            Self::Bulk(text) => {
                out.extend(format!("${}\r\n", text.len()).bytes());
                out.extend(text);
                out.extend(b"\r\n");
            }
            Self::List(replies) => {
                out.extend(format!("*{}\r\n", replies.len()).bytes());
                replies.iter().for_each(|reply| reply.encode(out));
            }
        }
    }
}

impl fmt::Debug for Reply {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Nil => f.write_str("nil"),
            Self::Whole(number) => write!(f, "{number}"),
            Self::Status(text) => write!(f, "+{text}"),
            Self::Error(text) => write!(f, "-{text}"),
            Self::Bulk(text) => write!(f, "{:?}", String::from_utf8_lossy(text)),
            Self::List(replies) => f.debug_list().entries(replies).finish(),
        }
    }
}

/// Takes the first request from the bytes that have arrived, if it is complete.
pub(crate) fn take_request(buffer: &mut Vec<u8>) -> Option<Vec<Text>> {
    let mut place = 0;
    let parts = number(buffer, &mut place, b'*')?;
    let mut request = Vec::with_capacity(parts);
    for _ in 0..parts {
        let length = number(buffer, &mut place, b'$')?;
        request.push(buffer.get(place..place + length)?.to_vec());
        place += length + 2;
    }
    (buffer.len() >= place).then(|| buffer.drain(..place))?;
    Some(request)
}

fn number(buffer: &[u8], place: &mut usize, mark: u8) -> Option<usize> {
    let rest = buffer.get(*place..)?;
    let end = rest.windows(2).position(|two| two == b"\r\n")?;
    assert_eq!(rest[0], mark, "a client sends lists of texts alone");
    *place += end + 2;
    std::str::from_utf8(&rest[1..end]).ok()?.parse().ok()
}
