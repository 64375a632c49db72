//! `/v1/snapshot`, on the way in and out.

use crate::{ask::Ask, fake::Fake};
use quorate_management::Reason;

fn restore(file: &str) -> Ask {
    Ask::new("POST", "/v1/snapshot").header("content-type", "application/octet-stream").body(file)
}

#[tokio::test]
async fn an_export_is_a_file_with_a_name_and_an_index() {
    let answer = Fake::formed().ask(Ask::get("/v1/snapshot")).await;
    assert_eq!(answer.exactly(), (200, "state at 1"));
    assert_eq!(answer.header("content-type"), Some("application/octet-stream"));
    assert_eq!(answer.header("x-quorate-index"), Some("1"));
    let name = answer.header("content-disposition").expect("a name");
    assert!(name.starts_with("attachment; filename=\"quorate-") && name.ends_with("-1.snapshot\""), "{name}");
}

#[tokio::test]
async fn an_export_is_linearizable_unless_told_otherwise() {
    let fake = Fake::formed();
    fake.break_down(Reason::NoQuorum);
    let problem = fake.ask(Ask::get("/v1/snapshot")).await;
    assert_eq!((problem.status, problem.json()["code"].as_str()), (503, Some("no_quorum")));
    assert_eq!(fake.ask(Ask::get("/v1/snapshot?consistent=true")).await.status, 503);
    assert_eq!(fake.ask(Ask::get("/v1/snapshot?consistent=false")).await.status, 200);
    assert_eq!(fake.ask(Ask::get("/v1/snapshot?consistnt=false")).await.status, 400);
}

#[tokio::test]
async fn a_restore_says_what_it_brought() {
    let answer = Fake::formed().ask(restore("whole")).await;
    assert_eq!(answer.exactly(), (200, r#"{"index":9,"workers":2,"keyspaces":1}"#));
    assert_eq!(answer.header("x-quorate-index"), Some("9"));
}

#[tokio::test]
async fn each_refusal_of_a_restore_has_its_code() {
    let fake = Fake::formed();
    for (file, status, code) in [
        ("early", 409, "cluster_not_empty"),
        ("no snapshot", 422, "snapshot_unsound"),
        ("large", 507, "no_room"),
    ] {
        let problem = fake.ask(restore(file)).await;
        assert_eq!((problem.status, problem.json()["code"].as_str()), (status, Some(code)), "{file}");
    }
    // What a form of somebody else's web page could send.
    for content_type in ["text/plain", "multipart/form-data", "application/x-www-form-urlencoded", ""] {
        let ask = Ask::new("POST", "/v1/snapshot").header("content-type", content_type).body("whole");
        let problem = fake.ask(ask).await;
        let wanted = (415, Some("content_type_unsupported"));
        assert_eq!((problem.status, problem.json()["code"].as_str()), wanted, "{content_type}");
    }
}
