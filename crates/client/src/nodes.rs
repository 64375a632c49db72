//! How one call finds a node that answers.
//!
//! Every node of a cluster answers every call, so the first that answers is as good as any other: calls stay with
//! it, which keeps one connection warm, and move on only when it fails. A failure is silence, an answer of the
//! 5xx family or 429 (busy, no leader), or a redirect: no node redirects, so that was somebody else, and to follow
//! would hand the token and the registration to a stranger.

use crate::{
    Error, Problem,
    error::Silence,
    operator::Download,
    tasks,
    tls::{self, Roots},
};
use bytes::Bytes;
use reqwest::{Body, Client, Method, Response, Url, redirect};
use serde_json::Value;
use std::{
    sync::atomic::{AtomicUsize, Ordering},
    time::Duration,
};

/// A node that does not even accept a connection is passed over quickly.
const CONNECT_LIMIT: Duration = Duration::from_secs(2);
/// Larger answers are refused: pages are far smaller.
const ANSWER_BYTES_MAX: usize = 16 << 20;
/// Longer lists of nodes are refused.
const NODES_MAX: usize = 64;

/// Parses base URLs, separated by commas.
pub fn routers(text: &str) -> Result<Vec<Url>, Error> {
    text.split(',').map(str::trim).map(router).collect()
}

fn router(text: &str) -> Result<Url, Error> {
    let wrong = |why: &str| {
        Error::Invalid(format!("`{text}` {why}; allowed: an http or https URL such as http://127.0.0.1:9090"))
    };
    let url = Url::parse(text).map_err(|e| wrong(&format!("is no URL ({e})")))?;
    check(&url).map_err(wrong)?;
    Ok(url)
}

fn check(url: &Url) -> Result<(), &'static str> {
    if !matches!(url.scheme(), "http" | "https") {
        return Err("is neither http nor https");
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err("names a user");
    }
    if url.query().is_some() || url.fragment().is_some() {
        return Err("has a query or a fragment");
    }
    Ok(())
}

/// The nodes that a caller knows, and the one that answered last.
pub struct Nodes {
    urls: Vec<Url>,
    sticky: AtomicUsize,
    client: Client,
    token: Option<String>,
    limit: Duration,
}

/// One call, before a node is chosen.
#[derive(Clone, Debug)]
pub(crate) struct Call<'a> {
    pub method: Method,
    /// Behind the node's base URL; each is percent-encoded.
    pub path: &'a [&'a str],
    pub query: &'a [(&'a str, &'a str)],
    pub body: Option<&'a Value>,
    /// The log index of the record's last change, where only that one may be changed; 0: there must be none.
    pub if_match: Option<u64>,
}

/// An answer of the 2xx family.
#[derive(Debug)]
pub(crate) struct Answer {
    pub node: String,
    pub json: Value,
    /// For how many seconds the node has heard no leader, where it says so.
    pub stale: Option<u64>,
}

/// What came back, whatever its status.
struct Came {
    status: u16,
    body: Vec<u8>,
    stale: Option<u64>,
}

/// How much a failed call may have done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Doubt {
    /// Each attempt was answered: what they say is all that happened.
    None,
    /// An attempt was sent and not answered; it may still take effect.
    MayHaveHappened,
}

impl Nodes {
    /// `limit` bounds each attempt at one node.
    pub fn new(urls: Vec<Url>, token: Option<String>, limit: Duration) -> Result<Self, Error> {
        if urls.is_empty() || urls.len() > NODES_MAX {
            return Err(Error::Invalid(format!("{} routers; allowed: 1 to {NODES_MAX}", urls.len())));
        }
        for url in &urls {
            check(url)
                .map_err(|why| Error::Invalid(format!("`{}` {why}", url.host_str().unwrap_or_default())))?;
        }
        let roots = if urls.iter().any(|url| url.scheme() == "https") { Roots::System } else { Roots::None };
        let client = Client::builder()
            .tls_backend_preconfigured(tls::config(roots)?)
            .redirect(redirect::Policy::none())
            // Routers are dialled directly: a proxy for the web outside does not know them.
            .no_proxy()
            .connect_timeout(CONNECT_LIMIT.min(limit))
            .user_agent(concat!("quorate-client/", env!("CARGO_PKG_VERSION")))
            .build()
            .map_err(|e| Error::Setup(causes(&e)))?;
        Ok(Self { urls, sticky: AtomicUsize::new(0), client, token, limit })
    }

    /// The same nodes, with another bound for each attempt.
    pub(crate) fn with_limit(&self, limit: Duration) -> Self {
        Self {
            urls: self.urls.clone(),
            sticky: AtomicUsize::new(self.sticky.load(Ordering::Relaxed)),
            client: self.client.clone(),
            token: self.token.clone(),
            limit,
        }
    }

    pub(crate) fn token(&self) -> Option<&str> {
        self.token.as_deref()
    }

    /// Tries each node once, beginning with the one that answered last.
    pub(crate) async fn call(&self, call: &Call<'_>) -> Result<Answer, Error> {
        self.call_and_doubt(call).await.0
    }

    pub(crate) async fn call_and_doubt(&self, call: &Call<'_>) -> (Result<Answer, Error>, Doubt) {
        let first = self.sticky.load(Ordering::Relaxed);
        let (mut silent, mut failed, mut doubt) = (Vec::new(), None, Doubt::None);
        for nth in 0..self.urls.len() {
            let at = (first + nth) % self.urls.len();
            match self.attempt(&self.urls[at], call).await {
                Attempt::Answered(result) => {
                    self.sticky.store(at, Ordering::Relaxed);
                    return (result, doubt);
                }
                Attempt::Failed(problem) => failed = Some(problem),
                Attempt::Silent { why, sent } => {
                    if sent == Doubt::MayHaveHappened {
                        doubt = sent;
                    }
                    silent.push(Silence { node: self.urls[at].to_string(), why });
                }
            }
        }
        let error = failed.map_or(Error::Unreachable(silent), Error::Refused);
        (Err(error), doubt)
    }

    /// Status and body from the first node, whatever they are.
    pub(crate) async fn look(&self, call: &Call<'_>) -> Result<(u16, Vec<u8>), Error> {
        let node = &self.urls[0];
        let silent = |silence| Error::Unreachable(vec![silence]);
        match tasks::within(self.limit, self.send(node, call)).await {
            Some(Ok(Came { status, body, .. })) => Ok((status, body)),
            Some(Err(Trouble { why, .. })) => Err(silent(Silence { node: node.to_string(), why })),
            None => Err(silent(late(node, self.limit))),
        }
    }

    /// The answer's head; its body is left to the caller. Tries each node once.
    pub(crate) async fn download(&self, call: &Call<'_>) -> Result<Download, Error> {
        let first = self.sticky.load(Ordering::Relaxed);
        let (mut silent, mut failed) = (Vec::new(), None);
        for nth in 0..self.urls.len() {
            let node = &self.urls[(first + nth) % self.urls.len()];
            match tasks::within(self.limit, self.request(node, call).send()).await {
                Some(Ok(response)) if response.status().is_success() => {
                    return Ok(Download { node: node.to_string(), response });
                }
                Some(Ok(mut response)) => {
                    let status = response.status().as_u16();
                    let body = read_bounded(&mut response).await.unwrap_or_default();
                    failed = Some(Problem::read(status, &body));
                }
                Some(Err(e)) => silent.push(Silence { node: node.to_string(), why: causes(&e) }),
                None => silent.push(late(node, self.limit)),
            }
        }
        Err(failed.map_or(Error::Unreachable(silent), Error::Refused))
    }

    /// Sends a large body to the node that answered last. It takes as long as it takes, as long as it moves: the node
    /// sees to that.
    pub(crate) async fn upload(&self, call: &Call<'_>, body: Body) -> Result<Answer, Error> {
        let node = &self.urls[self.sticky.load(Ordering::Relaxed) % self.urls.len()];
        let request = self.request(node, call).header("content-type", "application/octet-stream").body(body);
        let silent =
            |e: reqwest::Error| Error::Unreachable(vec![Silence { node: node.to_string(), why: causes(&e) }]);
        let mut response = request.send().await.map_err(silent)?;
        let status = response.status();
        let body = read_bounded(&mut response).await;
        let body =
            body.map_err(|Trouble { why, .. }| Error::Answer { node: node.to_string(), problem: why })?;
        if status.is_success() {
            read(node, &body)
        } else {
            Err(Error::Refused(Problem::read(status.as_u16(), &body)))
        }
    }

    fn request(&self, node: &Url, call: &Call<'_>) -> reqwest::RequestBuilder {
        let request = self.client.request(call.method.clone(), target(node, call));
        match &self.token {
            Some(token) => request.bearer_auth(token),
            None => request,
        }
    }

    async fn attempt(&self, node: &Url, call: &Call<'_>) -> Attempt {
        let sent = tasks::within(self.limit, self.send(node, call)).await;
        let Came { status, body, stale } = match sent {
            Some(Ok(came)) => came,
            Some(Err(Trouble { why, doubt })) => return Attempt::Silent { why, sent: doubt },
            None => {
                let why = format!("no answer within {:?}", self.limit);
                return Attempt::Silent { why, sent: Doubt::MayHaveHappened };
            }
        };
        match status {
            200..=299 => Attempt::Answered(read(node, &body).map(|answer| Answer { stale, ..answer })),
            429 | 500..=599 | 300..=399 => Attempt::Failed(Problem::read(status, &body)),
            _ => Attempt::Answered(Err(Error::Refused(Problem::read(status, &body)))),
        }
    }

    async fn send(&self, node: &Url, call: &Call<'_>) -> Result<Came, Trouble> {
        let mut request = self.request(node, call);
        if let Some(body) = call.body {
            request = request.json(body);
        }
        if let Some(index) = call.if_match {
            request = request.header("if-match", format!("\"{index}\""));
        }
        let mut response = request.send().await.map_err(Trouble::from)?;
        let body = read_bounded(&mut response).await?;
        let stale =
            response.headers().get("x-quorate-stale").and_then(|text| text.to_str().ok()?.parse().ok());
        Ok(Came { status: response.status().as_u16(), body, stale })
    }
}

/// A large answer that does not move for so long is given up.
const CHUNK_LIMIT: Duration = Duration::from_secs(30);

/// The next piece of a large answer; `None` at its end.
pub(crate) async fn next_chunk(response: &mut Response) -> Result<Option<Bytes>, String> {
    match tasks::within(CHUNK_LIMIT, response.chunk()).await {
        Some(chunk) => chunk.map_err(|e| causes(&e)),
        None => Err(format!("nothing came for {CHUNK_LIMIT:?}")),
    }
}

pub(crate) async fn read_bounded(response: &mut Response) -> Result<Vec<u8>, Trouble> {
    let mut body = Vec::new();
    while let Some(chunk) = response.chunk().await.map_err(Trouble::from)? {
        if body.len() + chunk.len() > ANSWER_BYTES_MAX {
            let why = format!("the answer is larger than {ANSWER_BYTES_MAX} bytes");
            return Err(Trouble { why, doubt: Doubt::MayHaveHappened });
        }
        body.extend_from_slice(&chunk);
    }
    Ok(body)
}

fn late(node: &Url, limit: Duration) -> Silence {
    Silence { node: node.to_string(), why: format!("no answer within {limit:?}") }
}

enum Attempt {
    Answered(Result<Answer, Error>),
    Failed(Problem),
    Silent { why: String, sent: Doubt },
}

pub(crate) struct Trouble {
    why: String,
    doubt: Doubt,
}

impl From<reqwest::Error> for Trouble {
    fn from(error: reqwest::Error) -> Self {
        let doubt = if error.is_connect() { Doubt::None } else { Doubt::MayHaveHappened };
        Self { why: causes(&error), doubt }
    }
}

/// reqwest says "error sending request" and keeps the reason in its sources; the URL is told elsewhere.
pub(crate) fn causes(error: &reqwest::Error) -> String {
    let mut at: &dyn std::error::Error = error;
    while let Some(source) = at.source() {
        at = source;
    }
    at.to_string()
}

fn target(node: &Url, call: &Call<'_>) -> Url {
    let mut url = node.clone();
    if let Ok(mut segments) = url.path_segments_mut() {
        segments.pop_if_empty().extend(call.path);
    }
    if !call.query.is_empty() {
        url.query_pairs_mut().extend_pairs(call.query);
    }
    url
}

/// An empty answer is JSON's null.
fn read(node: &Url, body: &[u8]) -> Result<Answer, Error> {
    let node = node.to_string();
    if body.is_empty() {
        return Ok(Answer { node, json: Value::Null, stale: None });
    }
    match serde_json::from_slice(body) {
        Ok(json) => Ok(Answer { node, json, stale: None }),
        Err(e) => Err(Error::Answer { node, problem: format!("no JSON: {e}") }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn routers_are_http_urls_separated_by_commas() {
        let urls = routers("http://a:9090, https://b/prefix/").expect("valid");
        assert_eq!(urls.iter().map(Url::as_str).collect::<Vec<_>>(), ["http://a:9090/", "https://b/prefix/"]);
        for bad in ["", "a:9090", "127.0.0.1:9090", "ftp://a", "http://u:p@a", "http://a?q=1", "http://a,"] {
            let error = routers(bad).expect_err(bad).to_string();
            assert!(error.contains("allowed: an http or https URL"), "{error}");
        }
    }

    #[test]
    fn ids_are_encoded_and_a_prefix_is_kept() {
        let call = Call {
            method: Method::GET,
            path: &["v1", "workers", "a/b ?#é"],
            query: &[("limit", "5"), ("cursor", "x&y")],
            body: None,
            if_match: None,
        };
        let url = target(&routers("http://a/prefix/").expect("valid")[0], &call);
        assert_eq!(url.as_str(), "http://a/prefix/v1/workers/a%2Fb%20%3F%23%C3%A9?limit=5&cursor=x%26y");
    }
}
