//! Backups: large bodies, streamed both ways.

use super::{Operator, Told};
use crate::{
    Error,
    nodes::{Answer, Call},
};
use bytes::Bytes;
use http_body::{Body, Frame};
use reqwest::{Method, Response};
use serde::Deserialize;
use std::{
    io,
    pin::Pin,
    task::{Context, Poll},
};
use tokio::sync::mpsc;

/// The pieces of a file on their way to a node. An error ends the upload, and nothing is restored.
pub type Pieces = mpsc::Receiver<io::Result<Vec<u8>>>;

/// What was restored.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq)]
pub struct Restored {
    /// Where in the log it took the place of the empty state.
    pub index: u64,
    /// Worker records.
    pub workers: u64,
    /// Keyspaces.
    pub keyspaces: u64,
}

/// A snapshot that is being received.
pub struct Download {
    pub(crate) node: String,
    pub(crate) response: Response,
}

impl Download {
    /// The next piece; `None` at the end, which is the file's own end only if the file says so.
    pub async fn next(&mut self) -> Result<Option<Vec<u8>>, Error> {
        let piece = crate::nodes::next_chunk(&mut self.response).await;
        let broke_off =
            |why| Error::Answer { node: self.node.clone(), problem: format!("it broke off: {why}") };
        Ok(piece.map_err(broke_off)?.map(|bytes| bytes.to_vec()))
    }
}

impl Operator {
    /// `GET /v1/snapshot`; not `consistent`: whatever the node knows, also without a quorum.
    pub async fn save_snapshot(&self, consistent: bool) -> Result<Download, Error> {
        let query = [("consistent", if consistent { "true" } else { "false" })];
        let call = Call {
            method: Method::GET,
            path: &["v1", "snapshot"],
            query: &query,
            body: None,
            if_match: None,
        };
        self.nodes.download(&call).await
    }

    /// `POST /v1/snapshot`, of the first node that answers at all.
    pub async fn restore_snapshot(&self, pieces: Pieces) -> Result<Told<Restored>, Error> {
        // A file that comes through a pipe can be sent once: first find somebody who listens.
        self.cluster().await?;
        let call =
            Call { method: Method::POST, path: &["v1", "snapshot"], query: &[], body: None, if_match: None };
        let answer: Answer = self.nodes.upload(&call, reqwest::Body::wrap(Upload(pieces))).await?;
        super::told(answer)
    }
}

struct Upload(Pieces);

impl Body for Upload {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, io::Error>>> {
        let piece = std::task::ready!(self.0.poll_recv(cx));
        Poll::Ready(piece.map(|piece| piece.map(|bytes| Frame::data(bytes.into()))))
    }
}
