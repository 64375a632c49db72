//! Which View answers a read.

use crate::{answer::Fault, server::App};
use quorate_api::{
    Code, Query,
    query::{Await, Consistency},
};
use quorate_model::LogIndex;
use quorate_state::View;
use std::sync::Arc;

/// Waits for what was asked for, then takes the View once. While it waits, it holds none.
pub(super) async fn view(app: &App, query: &Query) -> Result<Arc<View>, Fault> {
    match query.consistency {
        Consistency::Local => {}
        Consistency::Linearizable => {
            app.cluster.read_barrier().await?;
        }
    }
    match query.wait_for {
        Await::Nothing => {}
        Await::Reached(index, wait) => {
            if !app.cluster.wait_for(index, wait).await {
                let at = app.cluster.view().index();
                let detail = format!("this node is at index {at}; it did not reach {index} within {wait:?}");
                return Err(Fault::new(Code::IndexNotReached, detail));
            }
        }
        Await::Passed(index, wait) => {
            // Either way there is an answer: the new state, or that nothing is new.
            let _ = app.cluster.wait_for(LogIndex(index.0.saturating_add(1)), wait).await;
        }
    }
    Ok(app.cluster.view())
}
