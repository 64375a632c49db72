//! Files of nginx through the gateway, as curl sees them: HTTP/1.1 as servers and clients speak it that are in use
//! everywhere.

use crate::{
    origins::Nginx,
    router::{Router, counted},
    support::{
        http::{Ask, Connection},
        machine_shared,
    },
    tools,
};
use std::{path::Path, process::Command};

/// What curl was answered.
struct Got {
    status: u16,
    head: String,
    body: Vec<u8>,
}

fn curl(folder: &Path, args: &[&str], url: &str) -> Got {
    let [head, body] = ["head", "body"].map(|name| folder.join(name));
    std::fs::write(&body, "").expect("written");
    let mut command = Command::new("curl");
    // Nothing of the developer's settings: a proxy would stand between.
    command.env_clear().args(["--disable", "--silent", "--show-error", "--insecure", "--max-time", "60"]);
    command.args(args).arg("--dump-header").arg(&head).arg("--output").arg(&body).arg(url);
    let output = command.output().expect("there is curl");
    assert!(output.status.success(), "{args:?}: {}", String::from_utf8_lossy(&output.stderr));
    let head = std::fs::read_to_string(head).expect("a head");
    let status = head.split(' ').nth(1).and_then(|status| status.parse().ok());
    Got { status: status.expect("a status"), head, body: std::fs::read(body).expect("a body") }
}

impl Got {
    fn header(&self, name: &str) -> Option<&str> {
        let fields = self.head.lines().filter_map(|line| line.split_once(':'));
        fields.filter(|(field, _)| field.eq_ignore_ascii_case(name)).map(|(_, value)| value.trim()).next()
    }
}

/// Bytes that no part of another place looks like.
fn bytes(length: usize) -> Vec<u8> {
    let mut state = 0x2545_f491_4f6c_dd1d_u64;
    let mut made = Vec::with_capacity(length + 8);
    while made.len() < length {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        made.extend(state.to_le_bytes());
    }
    made.truncate(length);
    made
}

#[test]
fn files_of_nginx_arrive_whole_in_each_protocol() {
    if !tools::has(&["nginx", "curl", "setpriv"]) {
        return;
    }
    let _shared = machine_shared();
    let router = Router::ready();
    let nginx = Nginx::start("files", router.folder(), "", "");
    let contents: Vec<_> = [0, 1, 4_096, 65_537, 48 << 20].map(bytes).into();
    for content in &contents {
        std::fs::write(nginx.files().join(content.len().to_string()), content).expect("written");
    }
    router.worker("files", "files", nginx.address);
    let https = format!("https://{}/api/service/files", router.https);
    let http = router.url("files", "");
    for (base, flag) in
        [(&http, "--http1.1"), (&http, "--http2-prior-knowledge"), (&https, "--http1.1"), (&https, "--http2")]
    {
        for content in &contents {
            let got = curl(router.folder(), &[flag], &format!("{base}/{}", content.len()));
            assert_eq!(got.status, 200, "{flag} {}", got.head);
            assert_eq!(got.header("content-length"), Some(content.len().to_string().as_str()));
            assert!(got.body == *content, "{base} {flag}: {} bytes are others", content.len());
        }
    }
}

#[test]
fn parts_conditions_and_heads_are_as_nginx_gives_them() {
    if !tools::has(&["nginx", "curl", "setpriv"]) {
        return;
    }
    let _shared = machine_shared();
    let router = Router::ready();
    let nginx =
        Nginx::start("parts", router.folder(), "", "location /ssi/ { alias files/; ssi on; ssi_types *; }");
    let content = bytes(1 << 20);
    std::fs::write(nginx.files().join("file"), &content).expect("written");
    router.worker("parts", "parts", nginx.address);
    for flag in ["--http1.1", "--http2-prior-knowledge"] {
        let get = |args: &[&str], path: &str| {
            curl(router.folder(), &[&[flag], args].concat(), &router.url("parts", path))
        };
        let head = get(&["--head"], "/file");
        assert_eq!((head.status, head.header("content-length")), (200, Some("1048576")), "{flag}");
        let (tag, modified) =
            (head.header("etag").expect("a tag"), head.header("last-modified").expect("a time"));
        for condition in [format!("if-none-match: {tag}"), format!("if-modified-since: {modified}")] {
            let got = get(&["--header", &condition], "/file");
            assert_eq!(
                (got.status, got.body.len(), got.header("etag")),
                (304, 0, Some(tag)),
                "{flag} {condition}"
            );
        }
        let got = get(&["--header", "if-match: \"another\""], "/file");
        assert_eq!(got.status, 412, "{flag}");
        for (range, from, to) in
            [("0-0", 0, 1), ("1000-70000", 1_000, 70_001), ("-77", (1 << 20) - 77, 1 << 20)]
        {
            let got = get(&["--range", range], "/file");
            assert_eq!(got.status, 206, "{flag} {range}");
            let said = format!("bytes {from}-{}/1048576", to - 1);
            assert_eq!(got.header("content-range"), Some(said.as_str()));
            assert!(got.body == content[from..to], "{flag} {range}");
        }
        let several = get(&["--range", "0-9,100-109"], "/file");
        assert_eq!(several.status, 206);
        assert!(several.header("content-type").is_some_and(|kind| kind.starts_with("multipart/byteranges")));
        assert_eq!(get(&["--range", "2000000-"], "/file").status, 416, "{flag}");
        assert_eq!(get(&[], "/nothing").status, 404, "{flag}");
        assert_eq!(
            get(&["--data", "x"], "/file").status,
            405,
            "{flag}: a POST of a file is refused by nginx"
        );
    }
}

/// A body whose length nginx does not know is chunked, and so it is here; one connection carries many of them.
#[test]
fn chunked_bodies_and_kept_connections_go_on() {
    const REQUESTS: usize = 300;
    if !tools::has(&["nginx", "setpriv"]) {
        return;
    }
    let _shared = machine_shared();
    let router = Router::ready();
    let server = "ssi on; ssi_types *; add_header x-request $connection_requests always;";
    let nginx = Nginx::start("chunks", router.folder(), "", server);
    let content = b"a line of text\n".repeat(10_000);
    std::fs::write(nginx.files().join("file"), &content).expect("written");
    router.worker("chunks", "chunks", nginx.address);
    let mut connection = Connection::open(router.node.routing).expect("it listens");
    for nth in 0..REQUESTS {
        let answer = connection.exchange(&Ask::get("/api/service/chunks/file")).expect("it answers").ok();
        assert_eq!(answer.header("transfer-encoding"), Some("chunked"), "request {nth}");
        assert!(answer.body == content, "request {nth}: {} bytes", answer.body.len());
    }
    let opened = counted(&router.node, "quorate_proxy_upstream_connections_total", "opened");
    assert!((1..=3).contains(&opened), "{opened} connections for {REQUESTS} requests");
}
