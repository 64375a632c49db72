//! Who may open a tunnel, while the node runs and its file of tokens changes.

use crate::{
    support::{
        eventually,
        http::Ask,
        machine_shared,
        node::{Node, quorate, ran},
        worker::Worker,
    },
    tunnels::{Local, asked},
};

#[test]
fn who_shows_no_token_opens_no_tunnel() {
    let _machine = machine_shared();
    let folder = tempfile::tempdir().expect("a folder");
    let tokens = folder.path().join("tokens");
    std::fs::write(&tokens, "# for one team\nteam. team-token-0123456789\n").expect("written");
    let mut node = Node::new("n1", folder.path());
    node.args = ["--worker-ttl", "1h", "--tunnel-token-file", &tokens.display().to_string()]
        .map(str::to_owned)
        .to_vec();
    node.start();
    node.becomes("ready");
    let newest = quorate_model::FeatureLevel::NEWEST.get();
    eventually("the feature level is raised", || {
        (node.get("/v1/cluster")["feature_level"] == newest).then_some(())
    });
    let laptop = Worker::start("laptop");
    let refused = |more: &[&str], words: &str| {
        let mut local = Local::start(&[&node], laptop.address, more);
        assert_eq!(local.exit_code(), Some(1), "{}", local.said());
        assert!(local.said().contains(words), "{}", local.said());
        assert!(!local.said().contains("token-0123456789"), "{}", local.said());
    };
    refused(&["--name", "team.web"], "tunnels need a token");
    refused(&["--name", "team.web", "--token", "wrong-token-0123456789"], "tunnels need a token");
    let others = "tunnels of other names, which begin with `team.`; this one is `local_dev-1`: `--name`";
    refused(&["--token", "team-token-0123456789"], others);
    let plain = node.ask(&Ask::new("POST", "/v1/tunnels/team.web"));
    assert_eq!((plain.status, plain.json()["code"].as_str()), (426, Some("upgrade_required")));
    let good =
        Local::start(&[&node], laptop.address, &["--name", "team.web", "--token", "team-token-0123456789"]);
    good.says("requests with the key dev-1 come to");
    assert_eq!(asked(&node).worker(), "laptop");
    // What can't be used changes nothing.
    std::fs::write(&tokens, "team. other-token-0123456789\nteam.and-no-token-behind-it\n").expect("written");
    node.signal("HUP");
    eventually("the node says which line it is", || {
        let log = node.log();
        (log.contains("line 2: it may be the beginning of names") && log.contains("those from before hold"))
            .then_some(())
    });
    assert_eq!(asked(&node).worker(), "laptop");
    // A token that goes takes its tunnel with it, and its client is told.
    std::fs::write(&tokens, "team. other-token-0123456789\n").expect("written");
    node.signal("HUP");
    let mut expelled = good;
    assert_eq!(expelled.exit_code(), Some(1), "{}", expelled.said());
    expelled.says("its token is not good any more");
    expelled.says("tunnels need a token");
    let other =
        Local::start(&[&node], laptop.address, &["--name", "team.web", "--token", "other-token-0123456789"]);
    other.says("requests with the key dev-1 come to");
    assert!(!node.log().contains("token-0123456789"), "a token is in the log");
    let bad = folder.path().join("bad");
    std::fs::write(&bad, "short\n").expect("written");
    let refused = ran(quorate(&["serve", "--tunnel-token-file", &bad.display().to_string()]));
    assert_eq!(refused.code, Some(2), "{}", refused.err);
    assert!(refused.err.contains("line 1") && !refused.err.contains("short\n"), "{}", refused.err);
}
