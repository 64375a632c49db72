//! Python's websockets, server and client, with the gateway between them; and a client over HTTP/2.

use crate::{
    origins::python,
    router::{Router, counted},
    support::{eventually, free_address, machine_shared},
    tools,
};

const SERVER: &str = include_str!("websocket_server.py");
const CLIENT: &str = include_str!("websocket_client.py");
const OVER_HTTP2: &str = include_str!("websocket_http2.py");

#[test]
fn websockets_pass_whatever_they_say_with_and_without_tls_and_over_http2() {
    let Some(interpreter) = tools::python() else { return };
    let _shared = machine_shared();
    let router = Router::ready();
    let folder = tempfile::tempdir().expect("a folder");
    let address = free_address();
    let server = python("server", folder.path(), interpreter, SERVER, &[&address.to_string()]);
    eventually("the server listens", || server.log().contains("listening").then_some(()));
    router.worker("py", "chat", address);
    let pem = router.folder().join("tls.pem");
    let path = "/api/service/chat/room?x=1";
    let routing = router.node.routing;
    let runs = [
        (CLIENT, "plain", format!("ws://{routing}{path}"), "-"),
        (CLIENT, "tls", format!("wss://{}{path}", router.https), pem.to_str().expect("UTF-8")),
        (OVER_HTTP2, "http2", routing.to_string(), path),
    ];
    for (program, name, first, second) in runs {
        let mut client = python(name, folder.path(), interpreter, program, &[&first, second]);
        let said = client.ended_well();
        assert!(said.contains("all well"), "{name}: {said}");
    }
    let said = server.log();
    assert!(said.contains("opened /room?x=1 chat"), "{said}");
    // What the client said in the end has reached the server, twice in each protocol.
    for close in ["closed 4001 client is done", "closed 4002 over"] {
        eventually("the server hears the end", || (server.log().matches(close).count() == 2).then_some(()));
    }
    let open = || counted(&router.node, "quorate_proxy_tunnels_open", "");
    eventually("no tunnel is left", || (open() == 0).then_some(()));
}
