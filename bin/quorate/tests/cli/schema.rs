//! The schema of what operators declare, as editors read it.

use super::run;
use boon::{Compiler, SchemaIndex, Schemas};
use serde_json::{Value, json};

const FILE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/schema/quorate-config.schema.json");
const ROUTES: &str = include_str!("../../../../docs/routes.md");
const SANDBOXES: &str = include_str!("../../../../docs/sandboxes.md");
const DECLARING: &str = include_str!("../../../../docs/declaring.md");

struct Checker(Schemas, SchemaIndex);

impl Checker {
    fn new() -> Self {
        let schema: Value = serde_json::from_str(&run(&["config", "schema"]).out).expect("JSON");
        let (mut schemas, mut compiler) = (Schemas::new(), Compiler::new());
        compiler.add_resource("quorate.json", schema).expect("a schema");
        let index = compiler.compile("quorate.json", &mut schemas).expect("a schema that is sound");
        Self(schemas, index)
    }

    fn check(&self, document: &Value) -> Result<(), String> {
        self.0.validate(document, self.1).map_err(|error| error.to_string())
    }
}

/// The blocks of a page between these lines.
fn blocks(page: &str, begin: &str, end: &str) -> Vec<Value> {
    let rest = page.split(begin).skip(1).map(|rest| rest.split(end).next().expect("an end"));
    rest.map(|text| serde_saphyr::from_str(text).unwrap_or_else(|e| panic!("{e}: {text}"))).collect()
}

#[test]
fn the_schema_is_as_documented() {
    expect_test::expect_file![FILE].assert_eq(&run(&["config", "schema"]).out);
}

#[test]
fn the_examples_of_the_pages_are_valid() {
    let checker = Checker::new();
    let routes = blocks(ROUTES, "```json\n", "```").into_iter().map(|route| json!({"routes": {"x": route}}));
    let sandboxes = blocks(SANDBOXES, "put dev-2 -f - <<END\n", "END").into_iter();
    let sandboxes = sandboxes.map(|sandbox| json!({"sandboxes": {"dev-2": sandbox}}));
    let whole = blocks(DECLARING, "```yaml\n", "```");
    let help = run(&["apply", "--help"]).out;
    let helped = blocks(&help, "each by name:\n", "Prints what changes");
    assert_eq!((whole.len(), helped.len()), (1, 1));
    let all: Vec<_> = routes.chain(sandboxes).chain(whole).chain(helped).collect();
    assert!(all.len() >= 6, "{}", all.len());
    for document in all {
        checker.check(&document).unwrap_or_else(|why| panic!("{why}: {document:#}"));
    }
}

/// What editors should underline.
#[test]
fn what_a_router_would_refuse_for_its_shape_is_not_valid() {
    let checker = Checker::new();
    let to = |route: Value| json!({"routes": {"x": route}});
    for document in [
        json!({"gateways": {}}),
        to(json!({"match": {}, "destinatons": []})),
        to(json!({"match": {}, "destinations": [{"service": "a", "weight": -1}]})),
        to(json!({"match": {}, "destinations": [{"service": "a", "weight": "80"}]})),
        to(json!({"match": {"methods": "GET"}, "destinations": [{"service": "a"}]})),
        to(json!({"match": {}, "destinations": [{"service": "a"}], "balancing": "fair"})),
        json!({"sandboxes": {"k": {"rules": [{"target": "a", "fallbak": true}]}}}),
        json!({"services": {"upload": {"hold": 5}}}),
        json!({"services": []}),
        json!({"keyspaces": {"default": {"partitions": 0}}}),
        json!({"keyspaces": {"default": null}}),
    ] {
        assert!(checker.check(&document).is_err(), "{document:#}");
    }
    let gone = json!({"routes": {"a": null}, "sandboxes": {"k": null}, "services": {"s": null}});
    checker.check(&gone).expect("a null takes away");
}
