//! Requests that found no room. They are counted by their outcome.

use std::fmt;

/// Requests were refused, since a worker has as many connections or requests as it may have, and nobody else is there.
pub struct WorkerFull<'a> {
    /// The worker's address.
    pub worker: &'a str,
    /// How many, since the last line.
    pub refused: u32,
    /// What is full, of the last one.
    pub error: &'a dyn fmt::Display,
}

impl WorkerFull<'_> {
    /// One line. They are counted by their outcome; whoever emits this does so seldom, since under a load that is too
    /// high each request would be one.
    pub fn emit(&self) {
        tracing::warn!(worker = self.worker, refused = self.refused, error = %self.error, "worker full");
    }
}

/// Requests were refused, since each worker of a service has as many as its policy lets it have.
pub struct ServiceFull<'a> {
    /// The service.
    pub service: &'a str,
    /// How many, since the last line.
    pub refused: u32,
}

impl ServiceFull<'_> {
    /// One line, as of [`WorkerFull`].
    pub fn emit(&self) {
        tracing::warn!(service = self.service, refused = self.refused, "service full");
    }
}
