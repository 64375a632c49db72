//! Which View answers a read.

use crate::{answer::Fault, server::App};
use quorate_api::{
    Code, Query,
    query::{Await, Consistency},
};
use quorate_model::{Kind, LogIndex};
use quorate_rt::{rng, time};
use quorate_state::View;
use std::{sync::Arc, time::Duration};

/// A blocking query takes up to a sixteenth longer than it was asked to, so that those who were woken together by one
/// change do not ask again together.
const SPREAD: u32 = 16;

/// Waits for what was asked for, then takes the View once. While it waits, it holds none. A blocking query waits for
/// any change.
pub(super) async fn view(app: &App, query: &Query) -> Result<Arc<View>, Fault> {
    list(app, query, &Kind::ALL).await
}

/// The same for a list, of what changes with `kinds`.
pub(super) async fn list(app: &App, query: &Query, kinds: &[Kind]) -> Result<Arc<View>, Fault> {
    match query.consistency {
        Consistency::Local => {}
        Consistency::Linearizable => {
            app.cluster.read_barrier().await?;
        }
    }
    match query.wait_for {
        Await::Nothing => {}
        Await::Reached(index, _) if app.cluster.view().index() >= index => {}
        Await::Reached(index, wait) => {
            let _place = app.places.waiting()?;
            if app.places.unless_ending(app.cluster.wait_for(index, wait)).await != Some(true) {
                let at = app.cluster.view().index();
                let detail = format!("this node is at index {at}; it did not reach {index} within {wait:?}");
                return Err(Fault::new(Code::IndexNotReached, detail));
            }
        }
        // Either way there is an answer: the new state, or that nothing is new.
        Await::Passed(index, wait) => block(app, kinds, index, wait).await?,
    }
    Ok(app.cluster.view())
}

/// Until one of `kinds` may have changed after `index`, and this node's View has it; or `wait` is over.
async fn block(app: &App, kinds: &[Kind], index: LogIndex, wait: Duration) -> Result<(), Fault> {
    if app.cluster.changed(kinds) > index {
        return Ok(());
    }
    let _place = app.places.waiting()?;
    let spread = wait / SPREAD;
    let wait = wait + spread.mul_f64((rng::random_u64() % 1_024) as f64 / 1_024.0);
    let waiting = async {
        loop {
            // First the index, then the look: what comes between them wakes us.
            let next = LogIndex(app.cluster.view().index().0.saturating_add(1));
            let changed = app.cluster.changed(kinds);
            if changed > index {
                return app.cluster.wait_for(changed, wait).await;
            }
            app.cluster.wait_for(next, wait).await;
        }
    };
    let _ = app.places.unless_ending(time::timeout(wait, waiting)).await;
    Ok(())
}
