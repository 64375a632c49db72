//! h2load on both listeners, with nginx behind them in either protocol.

use crate::{
    load::{Loaded, h2load},
    origins::Nginx,
    router::{Router, counted},
    support::machine_shared,
    tools,
};
use serde_json::json;

const REQUESTS: u64 = 4_000;

fn all_well(router: &Router, service: &str) {
    let body = router.folder().join("body");
    std::fs::write(&body, "x".repeat(20_000)).expect("written");
    let body = ["-d", body.to_str().expect("UTF-8")];
    for (base, protocol) in
        [(format!("http://{}", router.node.routing), "h2c"), (format!("https://{}", router.https), "h2")]
    {
        for (args, path) in [(&[][..], "/file"), (&body[..], "/take")] {
            let url = format!("{base}/api/service/{service}{path}");
            let loaded = h2load(router.folder(), REQUESTS, 8, args, &url);
            let well = Loaded { succeeded: REQUESTS, failed: 0, good: REQUESTS, protocol: protocol.into() };
            assert_eq!(loaded, well, "{url}");
        }
    }
}

fn through(listen: &str, protocol: &str) -> u64 {
    let _shared = machine_shared();
    let router = Router::ready();
    // It closes each connection after a hundred requests: by GOAWAY, where it speaks HTTP/2.
    let server = "keepalive_requests 100; location /take { return 200 taken; }";
    let nginx = ["a", "b"].map(|name| Nginx::start(name, router.folder(), listen, server));
    router.policy("web", &json!({"protocol": protocol}));
    for (name, nginx) in ["a", "b"].iter().zip(&nginx) {
        std::fs::write(nginx.files().join("file"), "x".repeat(3_000)).expect("written");
        router.worker(name, "web", nginx.address);
    }
    all_well(&router, "web");
    counted(&router.node, "quorate_proxy_upstream_connections_total", "opened")
}

#[test]
fn h2load_fails_no_request_with_nginx_behind_in_http1() {
    if !tools::has(&["nginx", "h2load", "setpriv"]) {
        return;
    }
    let opened = through("", "http1");
    assert!(opened >= 4 * REQUESTS / 100, "{opened}: nginx closes each after a hundred requests");
}

#[test]
fn h2load_fails_no_request_with_nginx_behind_in_http2_that_says_goaway() {
    if !tools::has(&["nginx", "h2load", "setpriv"]) {
        return;
    }
    let opened = through("http2", "h2c");
    assert!(opened >= 4 * REQUESTS / 100, "{opened}: nginx closes each after a hundred requests");
}
