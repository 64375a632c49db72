//! A member's question to its delegate.

use super::{
    beat::{Beat, PATH, Passed},
    proof::Prover,
    route::Failure,
};
use crate::{
    Error, Problem, Url,
    nodes::{causes, read_bounded},
    tasks,
    tls::{self, Roots},
};
use reqwest::{Client, redirect};
use std::time::Duration;

/// A connection that was idle for longer is not used again. Less than delegates keep one.
const IDLE_MAX: Duration = Duration::from_secs(20);

pub(super) struct Caller {
    client: Client,
    prover: Prover,
}

impl Caller {
    pub fn new(prover: Prover) -> Result<Self, Error> {
        let client = Client::builder()
            .tls_backend_preconfigured(tls::config(Roots::None)?)
            .redirect(redirect::Policy::none())
            .no_proxy()
            .pool_idle_timeout(IDLE_MAX)
            .user_agent(concat!("quorate-client/", env!("CARGO_PKG_VERSION")))
            .build()
            .map_err(|e| Error::Setup(causes(&e)))?;
        Ok(Self { client, prover })
    }

    /// Once the routers have taken it: how soon the delegate would hear from this member again.
    pub async fn beat(&self, delegate: &Url, mut beat: Beat, limit: Duration) -> Result<Duration, Failure> {
        beat.prove(&self.prover);
        let answer = tasks::within(limit, self.exchange(delegate, &beat)).await;
        let (status, body) = answer.flatten().ok_or(Failure::Silent)?;
        match status {
            200 => match serde_json::from_slice::<Passed>(&body) {
                Ok(passed) if beat.is_answered_by(&passed, &self.prover) => {
                    Ok(Duration::from_millis(passed.again_in_ms))
                }
                Ok(_) | Err(_) => Err(Failure::Useless),
            },
            429 | 503 if !Problem::read(status, &body).code.is_empty() => Err(Failure::NotNow),
            500..=599 => Err(Failure::Silent),
            _ => Err(Failure::Useless),
        }
    }

    async fn exchange(&self, delegate: &Url, beat: &Beat) -> Option<(u16, Vec<u8>)> {
        let mut url = delegate.clone();
        url.path_segments_mut().ok()?.pop_if_empty().extend(PATH);
        let mut response = self.client.post(url).json(beat).send().await.ok()?;
        let body = read_bounded(&mut response).await.ok()?;
        Some((response.status().as_u16(), body))
    }
}
