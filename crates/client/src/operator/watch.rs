//! Watching a cluster: each change as it happens, through the loss of the node that tells it.
//!
//! A watch goes on at the next node right behind the last event that it has handed out: positions are the same on all
//! nodes, so nothing is missed and nothing comes twice. Where that is not possible any more the cluster says `reset`,
//! and everything that stands follows.

use super::{Download, Operator};
use crate::{
    Error, backoff,
    nodes::{Call, causes},
    tasks,
};
use reqwest::Method;
use serde_json::Value;
use std::{collections::VecDeque, time::Duration};

/// Nodes say something every 15 s. One that is silent for so long is given up.
const SILENT_LIMIT: Duration = Duration::from_secs(40);
/// Longest event. A worker with all the partitions that it may have takes less than a megabyte.
const EVENT_BYTES_MAX: usize = 16 << 20;

/// What to watch.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Watched {
    /// Begin right behind this log index, or the id of an event; `None`: with everything that stands.
    pub from: Option<String>,
    /// Such as `worker`; none: all kinds.
    pub kinds: Vec<String>,
    /// How names begin; empty: all.
    pub prefix: String,
}

/// An event.
#[derive(Clone, Debug, PartialEq)]
pub struct Event {
    /// `worker`, `keyspace` and others, of changes; `reset` and `synced`.
    pub kind: String,
    /// The position of a change; `None` for what stands already.
    pub id: Option<String>,
    /// What happened.
    pub data: Value,
}

/// What happens to a watch.
#[derive(Clone, Debug, PartialEq)]
pub enum Step {
    /// An event.
    Event(Event),
    /// The node that told them is gone. The watch goes on with the next step, at any node.
    Lost {
        /// What happened to it.
        why: String,
    },
}

/// A watch that is open, or will be again.
pub struct Watch<'a> {
    operator: &'a Operator,
    watched: Watched,
    stream: Option<Stream>,
    failures: u32,
}

struct Stream {
    download: Download,
    reader: Reader,
}

impl Operator {
    /// `GET /v1/watch`. An error where no node can be watched at all; once it is open, a watch comes back by itself.
    pub async fn watch(&self, watched: Watched) -> Result<Watch<'_>, Error> {
        let mut watch = Watch { operator: self, watched, stream: None, failures: 0 };
        watch.stream = Some(watch.open().await?);
        Ok(watch)
    }
}

impl Watch<'_> {
    /// The next step. An error only if the cluster refuses what is watched.
    pub async fn next(&mut self) -> Result<Step, Error> {
        loop {
            let Some(stream) = &mut self.stream else {
                if let Some(lost) = self.come_back().await? {
                    return Ok(lost);
                }
                continue;
            };
            match stream.reader.take() {
                Some(Told::Event(event)) => {
                    self.failures = 0;
                    self.remember(&event);
                    return Ok(Step::Event(event));
                }
                Some(Told::Position(position)) => {
                    self.watched.from = Some(position);
                    continue;
                }
                None => {}
            }
            if let Err(why) = stream.read_on().await {
                self.stream = None;
                return Ok(Step::Lost { why });
            }
        }
    }

    fn remember(&mut self, event: &Event) {
        if event.id.is_some() {
            self.watched.from.clone_from(&event.id);
        }
        if event.kind == "reset" {
            // What stood before is void, also where to go on from it.
            self.watched.from = None;
        }
    }

    async fn come_back(&mut self) -> Result<Option<Step>, Error> {
        self.failures = self.failures.saturating_add(1);
        tasks::sleep(backoff::delay(self.failures, tasks::random())).await;
        match self.open().await {
            Ok(stream) => {
                self.stream = Some(stream);
                Ok(None)
            }
            Err(Error::Refused(problem)) if (400..429).contains(&problem.status) => {
                Err(Error::Refused(problem))
            }
            Err(error @ (Error::Invalid(_) | Error::Setup(_))) => Err(error),
            Err(error) => Ok(Some(Step::Lost { why: error.to_string() })),
        }
    }

    async fn open(&self) -> Result<Stream, Error> {
        let Watched { from, kinds, prefix } = &self.watched;
        let kinds = kinds.join(",");
        let mut query = Vec::new();
        query.extend(from.as_deref().map(|from| ("from", from)));
        if !kinds.is_empty() {
            query.push(("kinds", &kinds));
        }
        if !prefix.is_empty() {
            query.push(("prefix", prefix));
        }
        let call =
            Call { method: Method::GET, path: &["v1", "watch"], query: &query, body: None, if_match: None };
        let download = self.operator.nodes.download(&call).await?;
        Ok(Stream { download, reader: Reader::default() })
    }
}

impl Stream {
    async fn read_on(&mut self) -> Result<(), String> {
        let node = self.download.node.clone();
        match tasks::within(SILENT_LIMIT, self.download.response.chunk()).await {
            Some(Ok(Some(piece))) => self.reader.push(&piece).map_err(|why| format!("{node}: {why}")),
            Some(Ok(None)) => Err(format!("{node} ended the watch")),
            Some(Err(error)) => Err(format!("the connection to {node} broke: {}", causes(&error))),
            None => Err(format!("{node} said nothing for {SILENT_LIMIT:?}")),
        }
    }
}

/// What a stream tells.
#[derive(Debug, PartialEq)]
enum Told {
    Event(Event),
    /// With no event: nothing has happened up to here.
    Position(String),
}

/// Events out of the text of a stream.
#[derive(Default)]
struct Reader {
    bytes: Vec<u8>,
    told: VecDeque<Told>,
}

impl Reader {
    fn push(&mut self, piece: &[u8]) -> Result<(), String> {
        self.bytes.extend_from_slice(piece);
        while let Some(end) = self.bytes.windows(2).position(|two| two == b"\n\n") {
            let block: Vec<u8> = self.bytes.drain(..end + 2).collect();
            self.read(&String::from_utf8_lossy(&block))?;
        }
        if self.bytes.len() > EVENT_BYTES_MAX {
            return Err(format!("an event has more than {EVENT_BYTES_MAX} bytes"));
        }
        Ok(())
    }

    fn read(&mut self, block: &str) -> Result<(), String> {
        let field = |name: &str| {
            let value = block.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
            value.map(|value| value.strip_prefix(' ').unwrap_or(value).to_owned())
        };
        let id = field("id").filter(|id| !id.is_empty());
        match (field("event"), field("data")) {
            (Some(kind), Some(data)) => {
                let data = serde_json::from_str(&data).map_err(|e| format!("an event is no JSON: {e}"))?;
                self.told.push_back(Told::Event(Event { kind, id, data }));
                Ok(())
            }
            (None, None) => {
                self.told.extend(id.map(Told::Position));
                Ok(())
            }
            _ => Err("a block is neither an event nor silence".into()),
        }
    }

    fn take(&mut self) -> Option<Told> {
        self.told.pop_front()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    const STREAM: &str = "retry: 1000\n\nevent: reset\ndata: {\"index\":2}\n\nevent: worker\nid: 3.0\n\
        data: {\"name\":\"w:1\"}\n\n: keep-alive\nid: 7\n\nevent: reset\nid:\ndata: {}\n\n";

    fn read(pieces: impl Iterator<Item = Vec<u8>>) -> Vec<Told> {
        let mut reader = Reader::default();
        pieces.for_each(|piece| reader.push(&piece).expect("sound"));
        std::iter::from_fn(|| reader.take()).collect()
    }

    #[test]
    fn events_come_out_whole_however_the_stream_was_cut() {
        let whole = read([STREAM.as_bytes().to_vec()].into_iter());
        let event = |kind: &str, id: Option<&str>, data| {
            Told::Event(Event { kind: kind.into(), id: id.map(Into::into), data })
        };
        let expected = [
            event("reset", None, json!({"index": 2})),
            event("worker", Some("3.0"), json!({"name": "w:1"})),
            Told::Position("7".into()),
            event("reset", None, json!({})),
        ];
        assert_eq!(whole, expected);
        for size in 1..STREAM.len() {
            assert_eq!(read(STREAM.as_bytes().chunks(size).map(Into::into)), expected, "pieces of {size}");
        }
    }

    #[test]
    fn what_is_no_event_is_an_error() {
        for bad in ["event: x\n\n", "data: {}\n\n", "event: x\ndata: {\n\n"] {
            assert!(Reader::default().push(bad.as_bytes()).is_err(), "{bad}");
        }
    }
}
