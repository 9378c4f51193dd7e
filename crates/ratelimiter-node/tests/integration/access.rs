//! Who may change limits and list keys: with the admin token anyone, without one this machine
//! alone, and never a web page.

use crate::common::raw::{JSON, exchange, post, refused, request};
use crate::common::{clients, set, spec, start};
use ratelimiter_cluster::ClusterPlan;

#[tokio::test]
async fn changes_and_lists_need_the_admin_token() {
    let cluster = start(ClusterPlan {
        admin_token: Some("s3cret".into()),
        ..ClusterPlan::nodes(1)
    })
    .await;
    let endpoint = cluster.endpoints().remove(0);
    let limit = br#"{"key":"known","limit":10,"window_sec":60}"#;
    for (method, path, body) in [
        ("POST", "/limit", &limit[..]),
        ("POST", "/limit", b"this is not even JSON"),
        ("POST", "/counters/known/reset", b""),
        ("DELETE", "/limits/known", b""),
    ] {
        for token in [
            "",
            "authorization: Bearer wrong!\r\n",
            "authorization: s3cret\r\n",
            "authorization: Bearer \r\n",
        ] {
            let reply = exchange(&endpoint, &request(method, path, token, body)).await;
            assert_eq!(
                (reply.status, reply.header("www-authenticate")),
                (401, Some("Bearer")),
                "{path} {token}"
            );
            assert!(!reply.problem().detail.contains("s3cret"));
        }
    }
    let right = format!("authorization: Bearer s3cret\r\n{JSON}");
    assert_eq!(
        exchange(&endpoint, &request("POST", "/limit", &right, limit))
            .await
            .status,
        200
    );
    assert_eq!(
        exchange(&endpoint, &post("/check", r#"{"key":"known"}"#))
            .await
            .status,
        200
    );
    assert_eq!(
        exchange(
            &endpoint,
            &request("POST", "/counters/known/reset", &right, b"")
        )
        .await
        .status,
        200
    );
    // Keys are in these answers, and in no other.
    for path in ["/limits", "/counters", "/metrics"] {
        assert_eq!(
            exchange(&endpoint, &request("GET", path, "", b""))
                .await
                .status,
            401,
            "{path}"
        );
        assert_eq!(
            exchange(&endpoint, &request("GET", path, &right, b""))
                .await
                .status,
            200,
            "{path}"
        );
    }
    for path in ["/nodes", "/health"] {
        let open = exchange(&endpoint, &request("GET", path, "", b"")).await;
        assert_eq!(open.status, 200, "{path}");
        assert!(
            !String::from_utf8(open.body).unwrap().contains("known"),
            "{path}"
        );
    }
    assert_eq!(
        exchange(&endpoint, &request("DELETE", "/limits/known", &right, b""))
            .await
            .status,
        204
    );
}

#[tokio::test]
async fn web_pages_cannot_change_limits() {
    let cluster = ClusterPlan::nodes(1).start().await.unwrap();
    set(&cluster, &spec("known", 1000)).await;
    let endpoint = cluster.endpoints().remove(0);
    let limit = br#"{"key":"known","limit":1000000,"window_sec":1}"#;
    let page = "origin: https://page.example\r\n";
    for (fields, status) in [
        (format!("{page}content-type: text/plain\r\n"), 403),
        (format!("{page}{JSON}"), 403),
        ("content-type: text/plain\r\n".to_owned(), 415),
        (String::new(), 415),
    ] {
        refused(
            &endpoint,
            status,
            &[(request("POST", "/limit", &fields, limit), "")],
        )
        .await;
        refused(
            &endpoint,
            status,
            &[(request("POST", "/counters/known/reset", &fields, b""), "")],
        )
        .await;
    }
    // A name of the page's own that resolves to loopback.
    let rebound = |request: Vec<u8>| {
        String::from_utf8(request)
            .unwrap()
            .replace("host: localhost", "host: page.example")
            .into_bytes()
    };
    refused(&endpoint, 403, &[(rebound(post("/limit", limit)), "Host")]).await;
    refused(
        &endpoint,
        403,
        &[(rebound(request("DELETE", "/limits/known", "", b"")), "Host")],
    )
    .await;
    let kept = clients(&cluster)[0].limits().await.unwrap();
    assert_eq!(kept[0].limit.admissions(), 1000, "{kept:?}");
}
