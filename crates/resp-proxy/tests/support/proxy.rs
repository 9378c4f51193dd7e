//! A proxy on a free loopback port.

use std::net::Ipv4Addr;

use resp_proxy::{RespProxy, Upstream};

pub(crate) async fn proxy_to(upstream: Upstream) -> RespProxy {
    let listening = RespProxy::builder(upstream).listen((Ipv4Addr::LOCALHOST, 0).into());
    listening.await.expect("a free port")
}
