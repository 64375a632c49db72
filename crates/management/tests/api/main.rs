//! The HTTP APIs against a real replicated state, without sockets: each line of the contracts is a test.

mod ask;
mod document;
mod fake;
mod frame;
mod heartbeats;
mod keyspaces;
mod limits;
mod looks;
mod nodes;
mod original;
mod probes;
mod reads;
mod registry;
mod serving;
mod snapshot;
mod unavailable;
mod v2_heartbeat;
mod visible;
mod watching;
mod workers;
