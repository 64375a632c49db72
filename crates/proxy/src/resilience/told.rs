//! Which breakers opened on other cores and nodes, and who is told of this core's.

use crate::destination::Registered;
use quorate_model::{Epoch, Opening, Openings, ServiceName, WorkerId};
use quorate_rt::published::{Published, Reader};
use std::sync::Arc;
use tokio::sync::mpsc;

/// What the data plane is told of breakers, and whom it tells.
#[derive(Clone, Default)]
pub struct Breakers {
    /// Those that opened, here or at other nodes.
    pub told: Option<Arc<Published<Openings>>>,
    /// Who is told of this node's. When there is no room one goes untold, and nobody waits.
    pub opened: Option<mpsc::Sender<Opening>>,
}

/// One core's picture of what is told. Published spans count from when it is looked at, which is within a tick.
pub(crate) struct Told {
    news: Option<Reader<Openings>>,
    seen: Option<Arc<Openings>>,
    by_service: Registered<ServiceName, Vec<ToldOpening>>,
}

/// That a worker is left alone.
#[derive(Clone, Debug)]
pub(crate) struct ToldOpening {
    pub worker: WorkerId,
    pub epoch: Epoch,
    pub number: u64,
    pub until_ms: u64,
}

impl Told {
    pub fn new(breakers: &Breakers) -> Self {
        let news = breakers.told.as_ref().map(Published::reader);
        Self { news, seen: None, by_service: Registered::default() }
    }

    /// Whether there is something new.
    pub fn look(&mut self, now_ms: u64) -> bool {
        let Some(news) = &mut self.news else { return false };
        let news = news.load();
        if self.seen.as_ref().is_some_and(|seen| Arc::ptr_eq(seen, news)) {
            return false;
        }
        self.by_service.clear();
        for told in &news.0 {
            let Opening { service, worker, epoch, left_ms } = &told.opening;
            self.by_service.entry(service.clone()).or_default().push(ToldOpening {
                worker: worker.clone(),
                epoch: *epoch,
                number: told.number,
                until_ms: now_ms.saturating_add((*left_ms).into()),
            });
        }
        self.seen = Some(news.clone());
        true
    }

    /// Whom others leave alone for a service.
    pub fn of(&self, service: &str) -> &[ToldOpening] {
        self.by_service.get(service).map_or(&[], Vec::as_slice)
    }
}
