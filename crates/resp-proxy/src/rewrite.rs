//! Addresses of a cluster's nodes, rewritten to those of the proxies in front of them.

use std::collections::HashMap;

use crate::value::Value;

/// Which proxy stands in front of which node: `(host, port)` to `(host, port)`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AddressMap {
    map: HashMap<(String, u16), (String, u16)>,
}

impl AddressMap {
    /// Rewrites nothing.
    pub fn new() -> Self {
        Self::default()
    }

    /// Answers that name `node` name `proxy` instead.
    #[must_use]
    pub fn with(mut self, node: (&str, u16), proxy: (&str, u16)) -> Self {
        self.map
            .insert((node.0.to_owned(), node.1), (proxy.0.to_owned(), proxy.1));
        self
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.map.is_empty()
    }

    fn of(&self, host: &[u8], port: i64) -> Option<&(String, u16)> {
        let host = std::str::from_utf8(host).ok()?.to_owned();
        self.map.get(&(host, u16::try_from(port).ok()?))
    }

    /// The reply with other addresses: MOVED and ASK errors, and the answers of CLUSTER SLOTS,
    /// SHARDS and NODES.
    pub(crate) fn rewrite(&self, reply: &mut Value) {
        match reply {
            Value::Line(b'-', line) => {
                let text = String::from_utf8_lossy(line).into_owned();
                if let Some(text) = self.redirected(&text) {
                    *line = text.into_bytes();
                }
            }
            Value::Bulk(_, Some(text)) => {
                let lines = String::from_utf8_lossy(text).into_owned();
                *text = lines
                    .split_inclusive('\n')
                    .map(|line| self.node_line(line))
                    .collect::<String>()
                    .into();
            }
            Value::Many(_, Some(elements)) => self.elements(elements),
            _ => {}
        }
    }

    /// `MOVED 3999 127.0.0.1:6381` and `ASK` likewise.
    fn redirected(&self, line: &str) -> Option<String> {
        let mut words = line.split(' ');
        let (word, slot, address) = (words.next()?, words.next()?, words.next()?);
        let (host, port) = address.rsplit_once(':')?;
        let (host, port) = self.of(host.as_bytes(), port.parse().ok()?)?;
        matches!(word, "MOVED" | "ASK").then(|| format!("{word} {slot} {host}:{port}"))
    }

    /// One line of CLUSTER NODES: `id host:port@busport[,hostname] flags ...`.
    fn node_line(&self, line: &str) -> String {
        let rewritten = || {
            let mut words: Vec<&str> = line.splitn(3, ' ').collect();
            let (address, rest) = words.get(1)?.split_once('@')?;
            let (host, port) = address.rsplit_once(':')?;
            let (host, port) = self.of(host.as_bytes(), port.parse().ok()?)?;
            let address = format!("{host}:{port}@{rest}");
            words[1] = &address;
            Some(words.join(" "))
        };
        rewritten().unwrap_or_else(|| line.to_owned())
    }

    fn elements(&self, elements: &mut [Value]) {
        // CLUSTER SLOTS: a node is `[host, port, id, ...]`.
        if let [Value::Bulk(_, Some(host)), Value::Line(b':', port), ..] = elements
            && let Some((to_host, to_port)) = self.of(host, number(port))
        {
            *host = to_host.clone().into_bytes();
            *port = to_port.to_string().into_bytes();
        }
        // CLUSTER SHARDS: a node is a map with the names `ip`, `endpoint` and `port`, flattened in
        // RESP2.
        let value_of = |elements: &[Value], name: &str| {
            elements
                .chunks_exact(2)
                .position(|pair| pair[0].is(name))
                .map(|at| 2 * at + 1)
        };
        if let (Some(ip), Some(port)) = (value_of(elements, "ip"), value_of(elements, "port"))
            && let (Some(host), Some(number)) = (elements[ip].text(), elements[port].integer())
            && let Some((to_host, to_port)) = self.of(host, number).cloned()
        {
            let host = Value::Bulk(b'$', Some(to_host.into_bytes()));
            if let Some(endpoint) = value_of(elements, "endpoint") {
                elements[endpoint] = host.clone();
            }
            elements[ip] = host;
            elements[port] = Value::Line(b':', to_port.to_string().into_bytes());
        }
        for element in elements {
            if let Value::Many(_, Some(inner)) = element {
                self.elements(inner);
            }
        }
    }
}

fn number(digits: &[u8]) -> i64 {
    std::str::from_utf8(digits)
        .ok()
        .and_then(|text| text.parse().ok())
        .unwrap_or(-1)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rewritten(reply: &str) -> String {
        let map = AddressMap::new().with(("127.0.0.1", 7001), ("127.0.0.1", 8001));
        let mut value = Value::parse(reply.as_bytes()).unwrap();
        map.rewrite(&mut value);
        let mut out = Vec::new();
        value.write(&mut out);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn redirections_lead_to_the_proxy() {
        assert_eq!(
            rewritten("-MOVED 3999 127.0.0.1:7001\r\n"),
            "-MOVED 3999 127.0.0.1:8001\r\n"
        );
        assert_eq!(
            rewritten("-ASK 1 127.0.0.1:7001\r\n"),
            "-ASK 1 127.0.0.1:8001\r\n"
        );
        for untouched in [
            "-MOVED 3999 127.0.0.1:7002\r\n",
            "-ERR no 127.0.0.1:7001\r\n",
        ] {
            assert_eq!(rewritten(untouched), untouched);
        }
    }

    #[test]
    fn slots_and_shards_lead_to_the_proxy() {
        let slots = "*1\r\n*3\r\n:0\r\n:5460\r\n*3\r\n$9\r\n127.0.0.1\r\n:7001\r\n$2\r\nid\r\n";
        assert_eq!(rewritten(slots), slots.replace("7001", "8001"));
        let node = "*6\r\n$4\r\nport\r\n:7001\r\n$2\r\nip\r\n$9\r\n127.0.0.1\r\n$8\r\nendpoint\r\n$9\r\n127.0.0.1\r\n";
        let shards = format!("*1\r\n*2\r\n$5\r\nnodes\r\n*1\r\n{node}");
        assert_eq!(rewritten(&shards), shards.replace("7001", "8001"));
        let nodes = "a1 127.0.0.1:7001@17001 myself,master - 0 0 1 connected 0-5460\nb2 \
            127.0.0.1:7002@17002 master\n";
        let bulk = format!("${}\r\n{nodes}\r\n", nodes.len());
        assert_eq!(rewritten(&bulk), bulk.replace(":7001@", ":8001@"));
    }
}
