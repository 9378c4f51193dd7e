//! Gateways as operators configure them, each with the limit that it states and the verdict that
//! it deserves.

use crate::case::{BY_ADDRESS, BY_FIELD, Case, Deserved, KEYED};
use crate::gateway::Program;

const NGINX: &str = "limit_req_zone $arg_key zone=one:1m rate=5r/s;
    limit_req_status 429;
    server { listen 127.0.0.1:@port@; limit_req zone=one burst=9 nodelay; }";
const NGINX_TWO: &str = "limit_req_zone $arg_key zone=one:1m rate=5r/s;
    limit_req_zone $arg_key zone=two:1m rate=150r/m;
    limit_req_status 429;
    server { listen 127.0.0.1:@port@;
        limit_req zone=one burst=9 nodelay; limit_req zone=two burst=14 nodelay; }";
const PROXIED: &str = "limit_req_zone $proxy_protocol_addr zone=one:1m rate=5r/s;
    limit_req_status 429;
    server { listen 127.0.0.1:@port@ proxy_protocol; limit_req zone=one burst=9 nodelay; }";
const NGINX_HTTP2: &str = "limit_req_zone $arg_key zone=one:1m rate=5r/s;
    limit_req_status 429;
    server { listen 127.0.0.1:@port@ http2; limit_req zone=one burst=9 nodelay; }";
/// Any other version would be refused.
const NGINX_HTTP2_TLS: &str = "ssl_certificate certificate.pem; ssl_certificate_key key.pem;
    limit_req_zone $arg_key zone=one:1m rate=5r/s;
    limit_req_status 429;
    server { listen 127.0.0.1:@port@ ssl http2;
        if ($server_protocol != HTTP/2.0) { return 403; }
        limit_req zone=one burst=9 nodelay; }";
const HAPROXY: &str = "frontend all
    bind 127.0.0.1:@port@
    stick-table type string len 99 size 100k expire 10s store http_req_rate(2s)
    http-request track-sc0 url_param(key)
    http-request deny deny_status 429 if { sc_http_req_rate(0) gt 10 }
    http-request return status 200";
const VARNISH: &str = "if (vsthrottle.is_denied(req.url, 10, 2s)) { return (synth(429)); }";
const ENVOY: &str = include_str!("envoy-keyed.yaml");
const TRAEFIK: &str = "rateLimit: { average: 5, period: 1s, burst: 10, \
    sourceCriterion: { requestHeaderName: X-Key } }";

/// Every case.
pub(crate) const CASES: &[Case] = &[
    Case {
        name: "nginx-keyed",
        rules: NGINX,
        ..KEYED
    },
    Case {
        name: "nginx-by-address",
        rules: "limit_req_zone $binary_remote_addr zone=one:1m rate=5r/s;
            limit_req_status 429;
            server { listen 127.0.0.1:@port@; limit_req zone=one burst=9 nodelay; }",
        ..BY_ADDRESS
    },
    Case {
        name: "nginx-source-addresses",
        rules: "limit_req_zone $binary_remote_addr zone=one:1m rate=5r/s;
            limit_req_status 429;
            server { listen 127.0.0.1:@port@; limit_req zone=one burst=9 nodelay; }",
        flags: &["--source", "{ip}"],
        ..BY_ADDRESS
    },
    Case {
        name: "nginx-proxy-protocol-v1",
        rules: PROXIED,
        flags: &["--proxy-protocol", "v1"],
        ..BY_ADDRESS
    },
    Case {
        name: "nginx-proxy-protocol-v2",
        rules: PROXIED,
        flags: &["--proxy-protocol", "v2"],
        ..BY_ADDRESS
    },
    Case {
        // A limit by the address of the load balancer itself.
        name: "nginx-proxy-protocol-ignored",
        rules: "limit_req_zone $binary_remote_addr zone=one:1m rate=5r/s;
            limit_req_status 429;
            server { listen 127.0.0.1:@port@ proxy_protocol;
                limit_req zone=one burst=9 nodelay; }",
        flags: &["--proxy-protocol", "v1"],
        deserved: Deserved::Says("share one quota"),
        ..BY_ADDRESS
    },
    Case {
        name: "nginx-socket-file",
        rules: "limit_req_zone $arg_key zone=one:1m rate=5r/s;
            limit_req_status 429;
            server { listen 127.0.0.1:@port@; return 503; }
            server { listen unix:@dir@/socket; limit_req zone=one burst=9 nodelay; }",
        flags: &["--unix", "@dir@/socket"],
        ..KEYED
    },
    Case {
        // 444 closes the connection without an answer.
        name: "nginx-closes",
        rules: "limit_req_zone $arg_key zone=one:1m rate=5r/s;
            limit_req_status 444;
            server { listen 127.0.0.1:@port@; limit_req zone=one burst=9 nodelay; }",
        flags: &["--denied", "close"],
        ..KEYED
    },
    Case {
        name: "nginx-http2",
        rules: NGINX_HTTP2,
        flags: &["--http2"],
        ..KEYED
    },
    Case {
        name: "nginx-http2-too-low",
        rules: NGINX_HTTP2,
        limit: "7/2s token-bucket",
        flags: &["--http2", "--phase", "burst"],
        deserved: Deserved::Broken,
        ..KEYED
    },
    Case {
        // It speaks HTTP/2 alone.
        name: "nginx-http2-unnamed",
        rules: NGINX_HTTP2,
        deserved: Deserved::Says("--http2"),
        ..KEYED
    },
    Case {
        name: "nginx-http2-tls",
        rules: NGINX_HTTP2_TLS,
        flags: &["--ca", "@dir@/certificate.pem"],
        ..KEYED
    },
    Case {
        name: "nginx-http2-tls-burst",
        rules: NGINX_HTTP2_TLS,
        flags: &[
            "--ca",
            "@dir@/certificate.pem",
            "--phase",
            "burst",
            "--bursts",
            "2",
        ],
        ..KEYED
    },
    Case {
        name: "nginx-http2-tls-too-low",
        rules: NGINX_HTTP2_TLS,
        limit: "7/2s token-bucket",
        flags: &["--ca", "@dir@/certificate.pem"],
        deserved: Deserved::Broken,
        ..KEYED
    },
    Case {
        name: "haproxy-proxy-protocol",
        program: Program::HaProxy,
        rules: "frontend all
    bind 127.0.0.1:@port@ accept-proxy
    stick-table type ip size 100k expire 10s store http_req_rate(2s)
    http-request track-sc0 src
    http-request deny deny_status 429 if { sc_http_req_rate(0) gt 10 }
    http-request return status 200",
        limit: "10/2s",
        flags: &["--proxy-protocol", "v2", "--fail-on", "excess"],
        ..BY_ADDRESS
    },
    Case {
        name: "nginx-delays",
        rules: "limit_req_zone $arg_key zone=one:1m rate=5r/s;
            limit_req_status 429;
            server { listen 127.0.0.1:@port@; limit_req zone=one burst=9; }",
        ..KEYED
    },
    Case {
        name: "nginx-paced",
        rules: "limit_req_zone $arg_key zone=one:1m rate=5r/s;
            limit_req_status 429;
            server { listen 127.0.0.1:@port@; limit_req zone=one burst=9; }",
        limit: "1/200ms paced wait=2s",
        flags: &["--phase", "burst", "--bursts", "2"],
        ..KEYED
    },
    Case {
        name: "nginx-two-limits",
        rules: NGINX_TWO,
        flags: &[
            "--limit",
            "15/6s token-bucket",
            "--phase",
            "burst",
            "--phase",
            "again",
        ],
        ..KEYED
    },
    Case {
        name: "nginx-two-limits-too-small",
        rules: NGINX_TWO,
        flags: &[
            "--limit",
            "12/6s token-bucket",
            "--phase",
            "burst",
            "--phase",
            "again",
        ],
        deserved: Deserved::Says("limit 12/6s token-bucket"),
        ..KEYED
    },
    Case {
        name: "nginx-virtual-host",
        rules: "limit_req_zone $arg_key zone=one:1m rate=5r/s;
            limit_req_status 429;
            server { listen 127.0.0.1:@port@; return 404; }
            server { listen 127.0.0.1:@port@; server_name a.example;
                limit_req zone=one burst=9 nodelay; }",
        flags: &["--header", "Host: a.example"],
        ..KEYED
    },
    Case {
        name: "nginx-503",
        rules: "limit_req_zone $arg_key zone=one:1m rate=5r/s;
            server { listen 127.0.0.1:@port@; limit_req zone=one burst=9 nodelay; }",
        flags: &["--denied", "503"],
        ..KEYED
    },
    Case {
        name: "nginx-503-unnamed",
        rules: "limit_req_zone $arg_key zone=one:1m rate=5r/s;
            server { listen 127.0.0.1:@port@; limit_req zone=one burst=9 nodelay; }",
        deserved: Deserved::Says("--denied 503"),
        ..KEYED
    },
    Case {
        name: "nginx-per-minute",
        rules: "limit_req_zone $arg_key zone=one:1m rate=10r/m;
            limit_req_status 429;
            server { listen 127.0.0.1:@port@; limit_req zone=one burst=9 nodelay; }",
        limit: "10/1m token-bucket",
        flags: &["--thorough"],
        long: true,
        ..KEYED
    },
    Case {
        name: "nginx-too-large",
        rules: "limit_req_zone $arg_key zone=one:1m rate=5r/s;
            limit_req_status 429;
            server { listen 127.0.0.1:@port@; limit_req zone=one burst=14 nodelay; }",
        deserved: Deserved::Broken,
        ..KEYED
    },
    Case {
        name: "nginx-two-alone",
        rules: NGINX,
        instances: 2,
        deserved: Deserved::Broken,
        ..KEYED
    },
    Case {
        name: "nginx-two-alone-fixed",
        rules: NGINX,
        instances: 3,
        limit: "10/2s fixed",
        deserved: Deserved::Broken,
        ..KEYED
    },
    Case {
        name: "nginx-redirect",
        rules: "server { listen 127.0.0.1:@port@; return 301 https://$host$request_uri; }",
        deserved: Deserved::Broken,
        ..KEYED
    },
    Case {
        name: "nginx-forbidden",
        rules: "server { listen 127.0.0.1:@port@; return 403; }",
        deserved: Deserved::Broken,
        ..KEYED
    },
    Case {
        // `return` comes before the phase in which requests are limited.
        name: "nginx-bypassed",
        rules: "limit_req_zone $arg_key zone=one:1m rate=5r/s;
            server { listen 127.0.0.1:@port@; limit_req zone=one burst=9 nodelay; return 200; }",
        deserved: Deserved::Broken,
        ..KEYED
    },
    Case {
        name: "nginx-bypassed-fixed",
        rules: "server { listen 127.0.0.1:@port@; return 200; }",
        limit: "10/2s fixed",
        deserved: Deserved::Broken,
        ..KEYED
    },
    Case {
        name: "nginx-connections",
        rules: "limit_conn_zone $arg_key zone=one:1m;
            limit_conn_status 429;
            server { listen 127.0.0.1:@port@; limit_conn one 10; }",
        deserved: Deserved::Broken,
        ..KEYED
    },
    Case {
        // The limiter is asked first, does not answer, and the request passes.
        name: "nginx-fails-open",
        rules: "server { listen 127.0.0.1:@port@;
            location / { auth_request /limiter; error_page 500 = @open; }
            location @open { try_files /ok =404; }
            location = /limiter { internal; proxy_pass http://127.0.0.1:1; } }",
        deserved: Deserved::Broken,
        ..KEYED
    },
    Case {
        name: "nginx-ignores-key",
        rules: "limit_req_zone $binary_remote_addr zone=one:1m rate=5r/s;
            limit_req_status 429;
            server { listen 127.0.0.1:@port@; limit_req zone=one burst=9 nodelay; }",
        deserved: Deserved::Says("share one quota"),
        ..KEYED
    },
    Case {
        name: "haproxy-keyed",
        program: Program::HaProxy,
        rules: HAPROXY,
        limit: "10/2s two-period charge=all",
        ..KEYED
    },
    Case {
        name: "haproxy-two-period",
        program: Program::HaProxy,
        rules: HAPROXY,
        limit: "10/2s two-period charge=all",
        flags: &["--phase", "burst", "--phase", "overload"],
        ..KEYED
    },
    Case {
        name: "haproxy-by-address",
        program: Program::HaProxy,
        rules: "frontend all
    bind 127.0.0.1:@port@
    stick-table type ip size 100k expire 10s store http_req_rate(2s)
    http-request track-sc0 src
    http-request deny deny_status 429 if { sc_http_req_rate(0) gt 10 }
    http-request return status 200",
        limit: "10/2s two-period charge=all",
        ..BY_ADDRESS
    },
    Case {
        // Denied requests count, so that callers are locked out under overload.
        name: "haproxy-counts-denied",
        program: Program::HaProxy,
        rules: HAPROXY,
        limit: "10/2s",
        deserved: Deserved::Says("stricter"),
        ..KEYED
    },
    Case {
        // An estimate from two periods admits more than the limit in a window across them.
        name: "haproxy-two-periods",
        program: Program::HaProxy,
        rules: "frontend all
    bind 127.0.0.1:@port@
    stick-table type string len 99 size 100k expire 10s store gpc0,gpc0_rate(2s)
    http-request track-sc0 url_param(key)
    http-request deny deny_status 429 if { sc_gpc0_rate(0) ge 10 }
    http-request sc-inc-gpc0(0)
    http-request return status 200",
        limit: "10/2s",
        deserved: Deserved::Broken,
        ..KEYED
    },
    Case {
        name: "haproxy-two-alone",
        program: Program::HaProxy,
        rules: HAPROXY,
        instances: 2,
        limit: "10/2s",
        deserved: Deserved::Broken,
        ..KEYED
    },
    Case {
        name: "varnish-keyed",
        program: Program::Varnish,
        rules: VARNISH,
        flags: &["--fail-on", "excess"],
        ..KEYED
    },
    Case {
        name: "varnish-by-address",
        program: Program::Varnish,
        rules: "if (vsthrottle.is_denied(client.identity, 10, 2s)) { return (synth(429)); }",
        flags: &["--fail-on", "excess"],
        ..BY_ADDRESS
    },
    Case {
        // Frequent checks lose parts of tokens, which are cut off while the clock moves on.
        name: "varnish-cuts-tokens",
        program: Program::Varnish,
        rules: VARNISH,
        deserved: Deserved::Says("stricter"),
        ..KEYED
    },
    Case {
        name: "varnish-two-alone",
        program: Program::Varnish,
        rules: VARNISH,
        instances: 2,
        deserved: Deserved::Broken,
        ..KEYED
    },
    Case {
        // Every child process counts alone.
        name: "apache-evasive",
        program: Program::Apache,
        rules: "LoadModule mpm_prefork_module modules/mod_mpm_prefork.so
            LoadModule evasive20_module modules/mod_evasive20.so
            DOSLogDir @dir@
            DOSPageCount 10
            DOSPageInterval 2
            DOSBlockingPeriod 2",
        limit: "10/2s",
        path: "/ok",
        flags: &["--denied", "403"],
        deserved: Deserved::Broken,
        ..KEYED
    },
    Case {
        name: "apache-redirect",
        program: Program::Apache,
        rules: "LoadModule mpm_prefork_module modules/mod_mpm_prefork.so
            Redirect / https://localhost/",
        deserved: Deserved::Broken,
        ..KEYED
    },
    Case {
        name: "envoy-keyed",
        program: Program::Envoy,
        rules: ENVOY,
        ..BY_FIELD
    },
    Case {
        name: "envoy-http2",
        program: Program::EnvoyHttp2,
        rules: ENVOY,
        flags: &["--header", "X-Key: {key}", "--http2"],
        ..BY_FIELD
    },
    Case {
        name: "envoy-http2-too-low",
        program: Program::EnvoyHttp2,
        rules: ENVOY,
        limit: "7/2s token-bucket",
        flags: &["--header", "X-Key: {key}", "--http2"],
        deserved: Deserved::Broken,
        ..BY_FIELD
    },
    Case {
        name: "envoy-http2-unnamed",
        program: Program::EnvoyHttp2,
        rules: ENVOY,
        deserved: Deserved::Says("--http2"),
        ..BY_FIELD
    },
    Case {
        name: "envoy-one-bucket",
        program: Program::Envoy,
        rules: include_str!("envoy-one-bucket.yaml"),
        ..BY_ADDRESS
    },
    Case {
        name: "envoy-two-alone",
        program: Program::Envoy,
        rules: ENVOY,
        instances: 2,
        deserved: Deserved::Broken,
        ..BY_FIELD
    },
    Case {
        // The service of the limits does not answer, and Envoy lets everything pass.
        name: "envoy-fails-open",
        program: Program::Envoy,
        rules: include_str!("envoy-service.yaml"),
        limit: "10/2s fixed",
        deserved: Deserved::Broken,
        ..BY_FIELD
    },
    Case {
        // The first requests of a key at one instant may each make a bucket.
        name: "traefik-keyed",
        program: Program::Traefik,
        rules: TRAEFIK,
        deserved: Deserved::Racy,
        ..BY_FIELD
    },
    Case {
        name: "traefik-by-address",
        program: Program::Traefik,
        rules: "rateLimit: { average: 5, period: 1s, burst: 10 }",
        deserved: Deserved::Racy,
        ..BY_ADDRESS
    },
    Case {
        name: "traefik-two-alone",
        program: Program::Traefik,
        rules: TRAEFIK,
        instances: 2,
        deserved: Deserved::Broken,
        ..BY_FIELD
    },
    Case {
        name: "tower-governor",
        program: Program::TowerGovernor,
        limit: "5/10s token-bucket",
        flags: &["--header", "x-key: {key}", "--fail-on", "excess,denials"],
        ..BY_FIELD
    },
    Case {
        // The seconds of Retry-After are cut off.
        name: "tower-governor-cuts-retry",
        program: Program::TowerGovernor,
        limit: "5/10s token-bucket",
        deserved: Deserved::Says("as the limiter stated"),
        ..BY_FIELD
    },
    Case {
        name: "governor",
        program: Program::Governor,
        flags: &["--has-cost"],
        ..KEYED
    },
    Case {
        name: "limits-fixed",
        program: Program::Limits,
        rules: "fixed-window 10 2",
        limit: "10/2s fixed",
        ..KEYED
    },
    Case {
        // A denied check is charged, so that cheaper ones are denied after it.
        name: "limits-charges-denied",
        program: Program::Limits,
        rules: "fixed-window 10 2",
        limit: "10/2s fixed",
        flags: &["--has-cost"],
        deserved: Deserved::Says("stricter"),
        ..KEYED
    },
    Case {
        name: "limits-after-calls",
        program: Program::LimitsAfter,
        rules: "fixed-window 10 2",
        limit: "10/2s fixed charge=after settles=50ms lease=1s",
        ..KEYED
    },
    Case {
        // The call that crosses the limit is not charged, and so none is ever denied.
        name: "limits-after-calls-moving",
        program: Program::LimitsAfter,
        rules: "moving-window 10 2",
        limit: "10/2s charge=after settles=50ms lease=1s",
        deserved: Deserved::Broken,
        ..KEYED
    },
    Case {
        name: "aiolimiter",
        program: Program::AioLimiter,
        rules: "5 1",
        limit: "5/1s paced",
        flags: &["--deadline", "20s"],
        ..KEYED
    },
    Case {
        // Twice as fast as stated.
        name: "aiolimiter-too-fast",
        program: Program::AioLimiter,
        rules: "10 1",
        limit: "5/1s paced",
        flags: &["--deadline", "20s"],
        deserved: Deserved::Broken,
        ..KEYED
    },
    Case {
        name: "limits-moving",
        program: Program::Limits,
        rules: "moving-window 10 2",
        limit: "10/2s",
        ..KEYED
    },
];
