//! The answers about services, as the coordinator's contract has them: frontends parse these.

use super::{Own, push_text};
use bytes::Bytes;
use http::StatusCode;
use quorate_model::ServiceName;
use quorate_routing::service::BadPath;
use quorate_telemetry::label::Outcome;
use std::fmt::Write as _;

/// `OPTIONS`.
pub(crate) fn preflight() -> Own {
    Own::new(StatusCode::OK, Outcome::Preflight, Bytes::new())
}

/// The path names no service, or says something that two readers could read differently.
pub(crate) fn bad_path(bad: BadPath) -> Own {
    let mut body = String::from("{\"error\":\"Invalid service path\"");
    match bad {
        // As the original says it.
        BadPath::NoName => {}
        BadPath::BadName | BadPath::DotSegment | BadPath::HiddenSlash | BadPath::Control => {
            body.push_str(",\"message\":");
            push_text(&mut body, bad.to_string().as_bytes());
        }
    }
    body.push('}');
    Own::new(StatusCode::BAD_REQUEST, Outcome::BadRequest, body).spoken_plainly()
}

/// There is no such service.
pub(crate) fn unknown(name: &str, available: &[ServiceName]) -> Own {
    unavailable(
        Outcome::NoService,
        &format!("Service '{name}' not available"),
        available,
        "Start a worker with this service enabled or choose from available services",
    )
}

/// There is, and nobody takes requests for it.
pub(crate) fn unserved(name: &str, available: &[ServiceName]) -> Own {
    unavailable(
        Outcome::NoWorker,
        &format!("No healthy workers available for '{name}'"),
        available,
        "All workers for this service are offline. Try again later or use an alternative service.",
    )
}

fn unavailable(outcome: Outcome, error: &str, available: &[ServiceName], suggestion: &str) -> Own {
    let mut body = String::from("{\"error\":");
    push_text(&mut body, error.as_bytes());
    body.push_str(",\"available_services\":[");
    for (nth, name) in available.iter().enumerate() {
        if nth > 0 {
            body.push(',');
        }
        push_text(&mut body, name.as_str().as_bytes());
    }
    body.push_str("],\"suggestion\":");
    push_text(&mut body, suggestion.as_bytes());
    body.push('}');
    Own::new(StatusCode::SERVICE_UNAVAILABLE, outcome, body).spoken_plainly()
}

/// The chosen worker failed, the request could not be given to another one, and there are `left`.
pub(crate) fn try_again(outcome: Outcome, retry_after: u64, left: usize) -> Own {
    let mut body = String::from("{\"error\":\"Service temporarily unavailable, retry recommended\"");
    // Writing to a String can't fail.
    let _ = write!(body, ",\"retry_after\":{retry_after},\"healthy_workers\":{left}}}");
    Own::new(StatusCode::SERVICE_UNAVAILABLE, outcome, body).spoken_plainly().retry_after(retry_after)
}

/// The chosen worker failed, and there is no other.
pub(crate) fn failed(outcome: Outcome, message: &str, service: &str, worker: &str) -> Own {
    let mut body = String::from("{\"error\":\"Service proxy failed\"");
    for (field, text) in [("message", message), ("service", service), ("worker", worker)] {
        let _ = write!(body, ",\"{field}\":"); // writing to a String can't fail
        push_text(&mut body, text.as_bytes());
    }
    body.push('}');
    Own::new(StatusCode::BAD_GATEWAY, outcome, body).spoken_plainly()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(names: &[&str]) -> Vec<ServiceName> {
        names.iter().map(|name| ServiceName::parse(name).unwrap()).collect()
    }

    fn check(own: &Own, status: u16, body: &str) {
        assert_eq!((own.status.as_u16(), std::str::from_utf8(&own.body).unwrap()), (status, body));
    }

    #[test]
    fn the_bodies_are_the_contracts() {
        check(
            &unknown("nope", &names(&["notes", "upload"])),
            503,
            r#"{"error":"Service 'nope' not available","available_services":["notes","upload"],"suggestion":"Start a worker with this service enabled or choose from available services"}"#,
        );
        check(
            &unserved("upload", &[]),
            503,
            r#"{"error":"No healthy workers available for 'upload'","available_services":[],"suggestion":"All workers for this service are offline. Try again later or use an alternative service."}"#,
        );
        check(
            &try_again(Outcome::WorkerUnavailable, 2, 1),
            503,
            r#"{"error":"Service temporarily unavailable, retry recommended","retry_after":2,"healthy_workers":1}"#,
        );
        check(
            &failed(Outcome::WorkerUnavailable, "refused", "upload", "w1"),
            502,
            r#"{"error":"Service proxy failed","message":"refused","service":"upload","worker":"w1"}"#,
        );
        check(&bad_path(BadPath::NoName), 400, r#"{"error":"Invalid service path"}"#);
        let body = bad_path(BadPath::DotSegment);
        assert!(body.body.starts_with(br#"{"error":"Invalid service path","message":"the path after"#));
    }

    #[test]
    fn a_name_can_not_break_out_of_its_quotes() {
        let own = unknown("a\"}<script>", &names(&["b\"c"]));
        let body = std::str::from_utf8(&own.body).unwrap();
        assert!(body.starts_with(r#"{"error":"Service 'a\"}\u003cscript\u003e' not"#), "{body}");
        assert!(body.contains(r#"["b\"c"]"#), "{body}");
    }
}
