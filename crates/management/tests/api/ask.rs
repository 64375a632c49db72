//! Requests, and answers read to their end.

use axum::{body::Body, response::Response};
use http::{HeaderMap, Request};
use http_body_util::BodyExt;
use serde_json::Value;

/// A request.
#[derive(Clone, Debug)]
pub struct Ask {
    method: &'static str,
    path: String,
    headers: Vec<(&'static str, String)>,
    body: Vec<u8>,
}

impl Ask {
    pub fn new(method: &'static str, path: &str) -> Self {
        Self { method, path: path.into(), headers: Vec::new(), body: Vec::new() }
    }

    pub fn get(path: &str) -> Self {
        Self::new("GET", path)
    }

    /// With JSON, and the content type for it.
    pub fn json(method: &'static str, path: &str, body: Value) -> Self {
        Self::new(method, path).header("content-type", "application/json").body(body.to_string())
    }

    pub fn header(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.headers.push((name, value.into()));
        self
    }

    pub fn body(mut self, body: impl Into<Vec<u8>>) -> Self {
        self.body = body.into();
        self
    }
}

impl From<Ask> for Request<Body> {
    fn from(ask: Ask) -> Self {
        let mut request = Request::builder().method(ask.method).uri(&ask.path);
        for (name, value) in ask.headers {
            request = request.header(name, value);
        }
        request.body(Body::from(ask.body)).expect("a request")
    }
}

/// An answer, read to its end.
#[derive(Clone, Debug)]
pub struct Answer {
    pub status: u16,
    pub headers: HeaderMap,
    pub text: String,
}

impl Answer {
    pub async fn read(response: Response) -> Self {
        let (head, body) = response.into_parts();
        let bytes = body.collect().await.expect("a body").to_bytes();
        let text = String::from_utf8(bytes.to_vec()).expect("text");
        Self { status: head.status.as_u16(), headers: head.headers, text }
    }

    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).map(|value| value.to_str().expect("ASCII"))
    }

    pub fn json(&self) -> Value {
        serde_json::from_str(&self.text).unwrap_or_else(|e| panic!("{e}: {}", self.text))
    }

    /// Status and body, to compare with the contract byte for byte.
    pub fn exactly(&self) -> (u16, &str) {
        (self.status, &self.text)
    }

    /// A problem document: its code, after its form was checked.
    pub fn problem(&self) -> String {
        let body = self.json();
        let code = body["code"].as_str().unwrap_or_else(|| panic!("no code: {}", self.text)).to_owned();
        assert_eq!(self.header("content-type"), Some("application/problem+json"), "{}", self.text);
        assert_eq!(body["status"], self.status, "{}", self.text);
        assert_eq!(body["type"], format!("urn:quorate:error:{code}"));
        assert!(body["title"].is_string() && body["detail"].is_string(), "{}", self.text);
        code
    }

    /// The fields that a problem lists.
    pub fn wrong_fields(&self) -> Vec<String> {
        let body = self.json();
        let errors = body["errors"].as_array().cloned().unwrap_or_default();
        errors.iter().map(|e| e["field"].as_str().expect("a field").to_owned()).collect()
    }
}
