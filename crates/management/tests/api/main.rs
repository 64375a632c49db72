//! The HTTP APIs against a real replicated state, without sockets: each line of the contracts is a test.

mod ask;
mod coordinator;
mod coordinator_defects;
mod coordinator_wrong;
mod delegates;
mod document;
mod fake;
mod frame;
mod heartbeats;
mod intents;
mod keyspaces;
mod limits;
mod looks;
mod nodes;
mod original;
mod probes;
mod reads;
mod registry;
mod services;
mod serving;
mod settings;
mod snapshot;
mod unavailable;
mod v2_heartbeat;
mod workers;
