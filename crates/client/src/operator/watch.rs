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
    /// The node that told them is gone. The watch goes on with the next steps, at any node. Told once, however long it
    /// takes.
    Lost {
        /// What happened to it.
        why: String,
    },
    /// After [`Step::Lost`]: a node tells again, from where the watch was.
    Regained {
        /// Which.
        node: String,
    },
    /// The node that tells hears no leader: nothing may have happened, or it does not know. Told once.
    Stale {
        /// Which.
        node: String,
        /// For how long, in its own words.
        since: String,
    },
    /// After [`Step::Stale`]: it hears a leader again.
    Fresh {
        /// Which.
        node: String,
    },
}

/// A watch that is open, or will be again.
pub struct Watch<'a> {
    operator: &'a Operator,
    watched: Watched,
    stream: Option<Stream>,
    failures: u32,
    /// The loss was told, and nothing was heard since.
    lost: bool,
    /// The node that tells was said to hear no leader.
    stale: bool,
}

struct Stream {
    download: Download,
    reader: Reader,
}

impl Operator {
    /// `GET /v1/watch`. An error where no node can be watched at all; once it is open, a watch comes back by itself.
    pub async fn watch(&self, watched: Watched) -> Result<Watch<'_>, Error> {
        let mut watch =
            Watch { operator: self, watched, stream: None, failures: 0, lost: false, stale: false };
        watch.stream = Some(watch.open().await?);
        Ok(watch)
    }
}

impl Watch<'_> {
    /// The next step. An error only if the cluster refuses what is watched.
    pub async fn next(&mut self) -> Result<Step, Error> {
        loop {
            if let Some(turn) = self.turn() {
                return Ok(turn);
            }
            let Some(stream) = &mut self.stream else {
                self.come_back().await?;
                continue;
            };
            match stream.reader.take() {
                Some(Told::Event(event)) => {
                    self.failures = 0;
                    self.remember(&event);
                    return Ok(Step::Event(event));
                }
                Some(Told::Silence { position, .. }) => {
                    self.watched.from = position.or(self.watched.from.take());
                    continue;
                }
                None => {}
            }
            if let Err(why) = stream.read_on().await {
                (self.stream, self.stale) = (None, false);
                if !std::mem::replace(&mut self.lost, true) {
                    return Ok(Step::Lost { why });
                }
            }
        }
    }

    /// What the word that is heard next says about who tells it. It is still to be taken.
    fn turn(&mut self) -> Option<Step> {
        let stream = self.stream.as_ref()?;
        let (told, node) = (stream.reader.told.front()?, || stream.download.node.clone());
        if std::mem::take(&mut self.lost) {
            return Some(Step::Regained { node: node() });
        }
        let since = match told {
            Told::Silence { stale, .. } => stale.as_ref(),
            Told::Event(event) if is_change(event) => None,
            Told::Event(_) => return None,
        };
        let was_stale = std::mem::replace(&mut self.stale, since.is_some());
        match since {
            Some(since) if !was_stale => Some(Step::Stale { node: node(), since: since.clone() }),
            None if was_stale => Some(Step::Fresh { node: node() }),
            Some(_) | None => None,
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

    async fn come_back(&mut self) -> Result<(), Error> {
        self.failures = self.failures.saturating_add(1);
        tasks::sleep(backoff::delay(self.failures, tasks::random())).await;
        match self.open().await {
            Ok(stream) => {
                self.stream = Some(stream);
                Ok(())
            }
            Err(Error::Refused(problem)) if (400..429).contains(&problem.status) => {
                Err(Error::Refused(problem))
            }
            Err(error @ (Error::Invalid(_) | Error::Setup(_))) => Err(error),
            // The loss was told.
            Err(Error::Refused(_) | Error::Unreachable(_) | Error::Answer { .. }) => Ok(()),
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
    /// No event: nothing has happened, up to a position where it names one. `stale`: for how long the node has heard
    /// no leader.
    Silence {
        position: Option<String>,
        stale: Option<String>,
    },
}

/// Whether it has just happened: then the node hears a leader.
fn is_change(event: &Event) -> bool {
    event.id.is_some() && event.kind != "synced"
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
                let said = block.lines().find_map(|line| line.strip_prefix(": keep-alive"));
                let stale = said.and_then(|said| said.strip_prefix(", stale for ")).map(str::to_owned);
                if said.is_some() || id.is_some() {
                    self.told.push_back(Told::Silence { position: id, stale });
                }
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
        data: {\"name\":\"w:1\"}\n\n: keep-alive\nid: 7\n\n: keep-alive, stale for 12 s\nid: 7\n\nevent: reset\nid:\ndata: {}\n\n";

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
            Told::Silence { position: Some("7".into()), stale: None },
            Told::Silence { position: Some("7".into()), stale: Some("12 s".into()) },
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
