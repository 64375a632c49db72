//! Which requests reached which workers: written down outside the simulated machines, so that no crash loses it.

use super::worker::Mood;
use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard},
};

/// The id of a request, in the request and in its answer.
pub const ID: &str = "x-sim-id";
/// How many bytes of [`content`] a request's body has.
pub const SENT_BYTES: &str = "x-sim-sent-bytes";
/// How many its answer is to have.
pub const ANSWER_BYTES: &str = "x-sim-answer-bytes";
/// How the answer's body is framed: with its length, or in chunks.
pub const IN_CHUNKS: &str = "x-sim-in-chunks";
/// Which worker answers.
pub const WORKER: &str = "x-sim-worker";
/// Who asks: a route may keep his requests at one destination.
pub const KEY: &str = "x-sim-key";
/// Which version of a route it was, where the route says so: to the worker, and to the client.
pub const VERSION: &str = "x-sim-version";

/// The one body of its length that belongs to request `id`, or to its answer.
pub fn content(id: u64, bytes: usize) -> Vec<u8> {
    format!("{id};").into_bytes().into_iter().cycle().take(bytes).collect()
}

/// A request at a worker.
#[derive(Clone, Debug)]
pub struct Visit {
    /// The worker, from 0.
    pub worker: usize,
    /// When its head had been read.
    pub at_ms: u128,
    /// How the worker was then.
    pub mood: Mood,
    /// What it was asked for.
    pub path: String,
    /// Of which version of a route it was told.
    pub version: Option<u64>,
    /// Whether the worker had all of it, and did its work.
    pub executed: bool,
}

/// All visits of all requests.
#[derive(Clone, Debug, Default)]
pub struct Arrivals(Arc<Mutex<Book>>);

#[derive(Debug, Default)]
struct Book {
    visits: BTreeMap<u64, Vec<Visit>>,
    /// The first request whose body was another one than was sent.
    spoiled: Option<String>,
}

impl Arrivals {
    /// Request `id` has come to a worker; the number of this visit.
    pub fn arrived(&self, id: u64, visit: Visit) -> usize {
        let mut book = self.book();
        let visits = book.visits.entry(id).or_default();
        visits.push(visit);
        visits.len() - 1
    }

    /// The worker has done what it was asked.
    pub fn executed(&self, id: u64, visit: usize) {
        if let Some(visit) = self.book().visits.get_mut(&id).and_then(|visits| visits.get_mut(visit)) {
            visit.executed = true;
        }
    }

    /// A body that arrived whole is not what was sent.
    pub fn spoiled(&self, id: u64, what: String) {
        self.book().spoiled.get_or_insert_with(|| format!("request {id}: {what}"));
    }

    /// Where request `id` has been.
    pub fn of(&self, id: u64) -> Vec<Visit> {
        self.book().visits.get(&id).cloned().unwrap_or_default()
    }

    /// All requests that arrived, with their visits.
    pub fn all(&self) -> Vec<(u64, Vec<Visit>)> {
        self.book().visits.iter().map(|(id, visits)| (*id, visits.clone())).collect()
    }

    /// No worker was given another body than the client sent.
    pub fn are_unspoiled(&self) -> Result<(), String> {
        self.book().spoiled.clone().map_or(Ok(()), Err)
    }

    fn book(&self) -> MutexGuard<'_, Book> {
        self.0.lock().expect("no panic while held")
    }
}
