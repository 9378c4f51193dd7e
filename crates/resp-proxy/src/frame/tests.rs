use super::*;

/// Every frame of `bytes` as (type byte, length), scanned in pieces of `step` bytes.
fn frames(side: StreamSide, bytes: &[u8], step: usize) -> Result<Vec<(u8, usize)>, NotResp> {
    let (mut scanner, mut found, mut length) = (FrameScanner::new(side), Vec::new(), 0);
    for piece in bytes.chunks(step) {
        let mut at = 0;
        while at < piece.len() {
            let (used, progress) = scanner.scan(&piece[at..], &mut NoCapture)?;
            at += used;
            length += used;
            if progress == ScanProgress::End {
                found.push((scanner.kind(), length));
                length = 0;
            }
        }
    }
    assert_eq!(
        length == 0,
        scanner.at_frame_start(),
        "in {:?}",
        String::from_utf8_lossy(bytes)
    );
    Ok(found)
}

const REPLIES: [&str; 20] = [
    "+OK\r\n",
    "-ERR no such key\r\n",
    ":-42\r\n",
    "$5\r\nhello\r\n",
    "$0\r\n\r\n",
    "$-1\r\n",
    "*0\r\n",
    "*-1\r\n",
    "*2\r\n$1\r\na\r\n*2\r\n:1\r\n$-1\r\n",
    "_\r\n",
    ",1.5e10\r\n",
    "#t\r\n",
    "(3492890328409238509324850943850943825024385\r\n",
    "=15\r\ntxt:Some string\r\n",
    "!21\r\nSYNTAX invalid syntax\r\n",
    "%2\r\n+a\r\n:1\r\n+b\r\n*1\r\n:2\r\n",
    "~2\r\n+a\r\n+b\r\n",
    ">3\r\n+message\r\n+channel\r\n$2\r\nhi\r\n",
    "$?\r\n;4\r\nHell\r\n;1\r\no\r\n;0\r\n",
    "*?\r\n:1\r\n*1\r\n+x\r\n.\r\n",
];

#[test]
fn frames_end_alike_at_every_split() {
    let all: String = REPLIES.concat();
    let expected: Vec<_> = REPLIES.iter().map(|f| (f.as_bytes()[0], f.len())).collect();
    for step in 1..=all.len() {
        assert_eq!(
            frames(StreamSide::Replies, all.as_bytes(), step).unwrap(),
            expected,
            "pieces of {step}"
        );
    }
}

#[test]
fn attributes_precede_the_frame_they_describe() {
    let text = b"|1\r\n+ttl\r\n:3\r\n$1\r\na\r\n";
    assert_eq!(
        frames(StreamSide::Replies, text, 3).unwrap(),
        [(b'|', 14), (b'$', 7)]
    );
    let inside = b"*2\r\n|1\r\n+ttl\r\n:3\r\n:1\r\n:2\r\n";
    assert_eq!(
        frames(StreamSide::Replies, inside, 1).unwrap(),
        [(b'*', inside.len())]
    );
}

#[test]
fn pushes_among_elements_are_none() {
    let text = b"*2\r\n:1\r\n>3\r\n+message\r\n+a\r\n+b\r\n:2\r\n+OK\r\n";
    assert_eq!(
        frames(StreamSide::Replies, text, 1).unwrap(),
        [(b'*', text.len() - 5), (b'+', 5)]
    );
}

#[test]
fn requests_may_be_inline() {
    let text = b"PING\r\n*1\r\n$4\r\nPING\r\n\r\nget a\n";
    assert_eq!(
        frames(StreamSide::Requests, text, 2).unwrap(),
        [(0, 6), (b'*', 14), (0, 2), (0, 6)]
    );
}

#[test]
fn nonsense_is_an_error_and_no_panic() {
    let deep = "*1\r\n".repeat(DEPTH + 1);
    let wrong = [
        "@",
        "$x",
        "$1\r\nab",
        "*99999999999999999999\r\n",
        ";1\r\n",
        ".\r\n",
        "$\r\n",
        &deep,
    ];
    for text in wrong {
        assert!(
            frames_of_garbage(text.as_bytes()),
            "{text:?} was taken for RESP"
        );
    }
}

fn frames_of_garbage(bytes: &[u8]) -> bool {
    let (mut scanner, mut at) = (FrameScanner::new(StreamSide::Replies), 0);
    while at < bytes.len() {
        match scanner.scan(&bytes[at..], &mut NoCapture) {
            Ok((used, _)) => at += used,
            Err(_) => return true,
        }
    }
    false
}
