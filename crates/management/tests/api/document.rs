//! The OpenAPI document: its golden file, and whether it says what the paths do.

use crate::{ask::Ask, fake::Fake};
use expect_test::expect_file;
use serde_json::{Value, json};
use std::collections::BTreeSet;

fn document() -> Value {
    serde_json::from_str(&quorate_management::openapi()).expect("JSON")
}

/// Renew with `UPDATE_EXPECT=1`; the difference is a change of the public contract.
#[test]
fn the_document_is_golden() {
    expect_file!["../../golden/openapi.json"].assert_eq(&quorate_management::openapi());
}

#[tokio::test]
async fn it_is_served_as_it_is() {
    let answer = Fake::formed().ask(Ask::get("/openapi.json")).await;
    assert_eq!((answer.status, answer.header("content-type")), (200, Some("application/json")));
    assert_eq!(answer.json(), document());
    assert_eq!(document()["openapi"], "3.1.0");
}

fn operations() -> Vec<(String, &'static str, Value)> {
    let document = document();
    let paths = document["paths"].as_object().expect("paths");
    let mut all = Vec::new();
    for (path, item) in paths {
        for method in ["get", "put", "post", "patch", "delete"] {
            if let Some(operation) = item.get(method) {
                all.push((path.clone(), method, operation.clone()));
            }
        }
    }
    all
}

#[test]
fn operation_ids_are_unique_and_references_lead_somewhere() {
    let ids: Vec<_> = operations().into_iter().map(|(_, _, o)| o["operationId"].to_string()).collect();
    assert_eq!(ids.iter().collect::<BTreeSet<_>>().len(), ids.len(), "{ids:?}");
    let (document, text) = (document(), quorate_management::openapi());
    for reference in text.split("\"#/").skip(1).map(|rest| rest.split('"').next().expect("an end")) {
        assert!(document.pointer(&format!("/{reference}")).is_some(), "{reference}");
    }
}

/// Two types of one name would silently be one schema.
#[test]
fn bodies_are_documented_as_what_they_are() {
    let document = document();
    let properties = |pointer: &str| -> Vec<String> {
        let reference =
            document.pointer(pointer).and_then(Value::as_str).unwrap_or_else(|| panic!("{pointer}"));
        let schema = document.pointer(&reference[1..]).expect("a schema");
        schema["properties"].as_object().expect("an object").keys().cloned().collect()
    };
    let body = "requestBody/content/application~1json/schema/$ref";
    let answer = |status| format!("responses/{status}/content/application~1json/schema/$ref");
    assert_eq!(
        properties(&format!("/paths/~1register/post/{body}")),
        ["httpAddress", "partitions", "workerId"]
    );
    assert_eq!(properties(&format!("/paths/~1unregister/post/{body}")), ["workerId"]);
    assert_eq!(properties(&format!("/paths/~1healthz/get/{}", answer(500))), ["error", "status"]);
    let native = properties(&format!("/paths/~1v1~1workers~1{{id}}/put/{body}"));
    assert!(native.contains(&"address".into()) && native.contains(&"labels".into()), "{native:?}");
    let shown = properties(&format!("/paths/~1v1~1workers~1{{id}}/get/{}", answer(200)));
    assert!(shown.contains(&"partitions_out_of_range".into()), "{shown:?}");
    assert_eq!(
        properties(&format!("/paths/~1v1~1workers/get/{}", answer(200))),
        ["index", "items", "next_cursor"]
    );
}

/// The parameters that a path documents are the ones that it knows.
#[tokio::test]
async fn documented_parameters_are_the_known_ones() {
    let fake = Fake::formed();
    for (path, method, operation) in operations().into_iter().filter(|(path, ..)| path.starts_with("/v1/")) {
        let documented: BTreeSet<String> = operation["parameters"]
            .as_array()
            .into_iter()
            .flatten()
            .filter(|parameter| parameter["in"] == "query")
            .map(|parameter| parameter["name"].as_str().expect("a name").to_owned())
            .collect();
        let url = format!("{}?no_such=1", path.replace("{id}", "w1").replace("{name}", "default"));
        let method = match method {
            "get" => "GET",
            "put" => "PUT",
            "post" => "POST",
            "patch" => "PATCH",
            _ => "DELETE",
        };
        let answer = fake.ask(Ask::json(method, &url, json!({}))).await;
        assert_eq!(answer.wrong_fields(), ["query.no_such"], "{method} {path}");
        let detail = answer.json()["errors"][0]["detail"].as_str().expect("text").to_owned();
        let known = detail.split("allowed: ").nth(1).expect("what is allowed");
        let known: BTreeSet<String> = match known {
            "no parameter at all" => BTreeSet::new(),
            names => names.split(", ").map(Into::into).collect(),
        };
        assert_eq!(documented, known, "{method} {path}");
    }
}
