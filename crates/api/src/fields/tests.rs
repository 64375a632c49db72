use super::*;
use serde_json::json;

fn fields(value: Value) -> Fields {
    Fields::of_body(object(value.to_string().as_bytes()).expect("an object"))
}

fn shown(wrong: Wrong) -> Vec<String> {
    wrong.iter().map(ToString::to_string).collect()
}

#[test]
fn every_wrong_field_is_listed_with_its_path() {
    let mut f = fields(json!({"a": 5, "list": [1, "x", 1.5, 3_000_000_000u64], "extra": 1}));
    assert_eq!(f.required("a", "text", any_text), None);
    assert_eq!(f.required("b", "text", any_text), None);
    assert_eq!(f.required("list", "numbers", list(9, partition)), None);
    assert_eq!(
        shown(f.finish()),
        [
            "a: is a number; allowed: a string",
            "b: is missing; allowed: text",
            "list[1]: is a string; allowed: a whole number, -2147483648 to 2147483647",
            "list[2]: is no whole number; allowed: a whole number, -2147483648 to 2147483647",
            "list[3]: is out of range; allowed: a whole number, -2147483648 to 2147483647",
            "extra: is no known field; allowed: a, b, list",
        ]
    );
}

#[test]
fn objects_inside_of_lists_are_read_alike() {
    let mut f = fields(json!({"items": [{"n": "x", "m": 1}, 7]}));
    let item = |value| nested(value, |f| f.required("n", "a number", number(9)));
    assert_eq!(f.required("items", "", list(9, item)), None);
    assert_eq!(
        shown(f.finish()),
        [
            "items[0].n: is a string; allowed: a number, 0 to 9",
            "items[0].m: is no known field; allowed: n",
            "items[1]: is a number; allowed: an object",
        ]
    );
}

#[test]
fn null_is_absent() {
    let mut f = fields(json!({"a": null, "b": null}));
    assert_eq!(f.optional("a", any_text), None);
    assert_eq!(f.required("b", "text", any_text), None);
    assert_eq!(shown(f.finish()), ["b: is missing; allowed: text"]);
}

#[test]
fn a_list_that_is_too_long_is_not_read() {
    let mut f = fields(json!({"a": ["x", "y"]}));
    assert_eq!(f.required("a", "", list(1, any_text)), None);
    assert_eq!(shown(f.finish()), ["a: has 2 items; allowed: at most 1"]);
}

#[test]
fn what_is_no_object_says_what_it_is() {
    assert_eq!(object(b"[1]"), Err(NotAnObject("it is an array".into())));
    assert!(object(b"{\"a\":").expect_err("cut").0.contains("EOF"));
    assert!(object(b"{} x").expect_err("trailing").0.contains("trailing"));
    assert!(object(b"\xff").is_err());
}

/// C5: a document of depth 10,000 is refused by the parser, long before it is a tree.
#[test]
fn depth_is_bounded() {
    let bomb = format!("{{\"a\":{}", "[".repeat(10_000));
    assert!(object(bomb.as_bytes()).expect_err("too deep").0.contains("recursion limit"));
}
