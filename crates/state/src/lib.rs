//! The replicated state machine.
//!
//! [`State::apply`] is a pure, total, synchronous function: the same state and entry give the same state on
//! every node. It reads no clock (log time comes in the entry), no randomness and no unordered map. The state is
//! made of persistent maps, so a clone costs O(1): the published [`View`], a snapshot in the background and a
//! dry run are clones.
//!
//! | module | what |
//! |---|---|
//! | [`state`] | the state, its reads |
//! | [`apply`] | one entry → replies and events; one file per kind of command |
//! | [`keyspace`] | a keyspace with its derived table: partition → worker |
//! | [`loads`] | what workers say of themselves, which no log entry holds |
//! | [`service`] | a service with its derived list of endpoints |
//! | [`routes`] | the routes, and the index that a request finds its own by |
//! | [`sandboxes`] | the sandboxes, and what their rules are made into |
//! | [`presence`] | which gateway holds which connection |
//! | [`objects`] | the objects of the sandbox API, and the rules that they come to |
//! | `text` | what requests find both by: persistent tables by short texts |
//! | [`config_history`] | what operators declared before |
//! | [`window`] | answers to repeated proposals |
//! | [`changes`], [`history`] | what watchers are told of an entry; the last of it |
//! | [`ramps`] | whose ramp goes on when |
//! | [`parts`] | the state taken apart for a snapshot, and put together again |
//! | [`invariant`] | what must hold after every entry, by name |

pub mod apply;
pub mod changes;
pub mod config_history;
pub mod history;
pub mod invariant;
pub mod keyspace;
pub mod loads;
pub mod objects;
pub mod parts;
pub mod presence;
pub mod ramps;
pub mod routes;
pub mod sandboxes;
pub mod service;
pub mod state;
mod text;
pub mod window;

pub use apply::Applied;
pub use config_history::{ConfigHistory, Earlier};
pub use history::{Forgotten, History, Since};
pub use keyspace::KeyspaceView;
pub use loads::Loads;
pub use objects::{KeyRules, ObjectTable};
pub use parts::{Builder, HistoryParts, Parts, PartsError, RestoringParts, WindowParts};
pub use presence::{PresenceParts, PresenceTable, SessionTable, StoredTunnel};
pub use ramps::RampIndex;
pub use routes::RouteTable;
pub use sandboxes::{CompiledRule, CompiledSandbox, SandboxTable};
pub use service::{Endpoint, ServiceView};
pub use state::State;

/// The picture of the state that requests read: an O(1) clone, published after each apply.
pub type View = State;
