//! Every bound of the replicated state, by name. What happens when one is reached is said beside it.

/// Longest worker id, in bytes. Longer: the registration is refused.
pub const WORKER_ID_BYTES_MAX: usize = 253;
/// Longest node, keyspace or service name, in bytes. Longer: refused.
pub const NAME_BYTES_MAX: usize = 128;
/// Longest address, in bytes. Longer: refused.
pub const ADDRESS_BYTES_MAX: usize = 2_048;
/// Most partitions that one registration may list. More: refused.
pub const PARTITIONS_PER_WORKER_MAX: usize = 100_000;
/// Largest partition count of a keyspace. Larger: refused.
pub const PARTITION_COUNT_MAX: u32 = 100_000;
/// Most services that one registration may offer. More: refused.
pub const SERVICES_PER_WORKER_MAX: usize = 256;
/// Most labels of one registration. More: refused.
pub const LABELS_PER_WORKER_MAX: usize = 64;
/// Most capabilities of one registration. More: refused.
pub const CAPABILITIES_PER_WORKER_MAX: usize = 64;
/// Most models that a worker may say it has in memory. More: the heartbeat is refused.
pub const MODELS_PER_WORKER_MAX: usize = 64;
/// Longest label or capability key or value, in bytes. Longer: refused.
pub const LABEL_BYTES_MAX: usize = 256;
/// Largest share of the traffic. Larger: refused.
pub const WEIGHT_MAX: u32 = 1_000_000;
/// Most worker records, expired ones included. When full: a new id is refused, known ones go on.
pub const WORKERS_MAX: usize = 1_000_000;
/// Most keyspaces. When full: a new name is refused.
pub const KEYSPACES_MAX: usize = 1_000;
/// Most services with a policy of their own. When full: another one's policy is refused, known ones can be changed.
pub const SERVICE_POLICIES_MAX: usize = 10_000;
/// Shortest and longest time that a request waits for the next owner of a service or partition, in milliseconds.
pub const HOLD_MS_MIN: u32 = 1_000;
/// See [`HOLD_MS_MIN`].
pub const HOLD_MS_MAX: u32 = 10_000;
/// Most requests that a policy may let wait on one node. One beyond the policy's own number fails at once.
pub const HOLD_WAITING_MAX: u32 = 100_000;
/// Shortest and longest timeout of a service's policy, in milliseconds.
pub const TIMEOUT_MS_MIN: u32 = 10;
/// See [`TIMEOUT_MS_MIN`].
pub const TIMEOUT_MS_MAX: u32 = 3_600_000;
/// Most routes. When full: a new name is refused, known ones can be changed.
pub const ROUTES_MAX: usize = 200_000;
/// Most regular expressions in all routes together, for paths, headers and query parameters. When full: a route that
/// brings another one is refused.
pub const PATTERNS_MAX: usize = 2_000;
/// Most memory of all routes together, about, as `Route::weight` counts it, in bytes. When full: a route that would
/// take more is refused.
pub const ROUTES_BYTES_MAX: usize = 512 << 20;
/// Longest routing key, in bytes. Longer: refused; in a request it counts as none.
pub const ROUTING_KEY_BYTES_MAX: usize = 256;
/// Most sandboxes. When full: a new key is refused, known ones can be changed.
pub const SANDBOXES_MAX: usize = 200_000;
/// Most memory of all sandboxes together, about, as `Sandbox::weight` counts it, in bytes; those whose key objects make
/// rules for count once more, with these rules. When full: one that would take more is refused, and so is such an object.
pub const SANDBOXES_BYTES_MAX: usize = 640 << 20;
/// Most rules of one sandbox. More: refused.
pub const RULES_PER_SANDBOX_MAX: usize = 100;
/// Shortest and longest time that a sandbox with a TTL is given at once, in milliseconds.
pub const SANDBOX_TTL_MS_MIN: u64 = 300_000;
/// See [`SANDBOX_TTL_MS_MIN`].
pub const SANDBOX_TTL_MS_MAX: u64 = 604_800_000;
/// Most sandboxes that one command ends; the next tick of the leader ends the rest.
pub const SANDBOX_ENDS_MAX: usize = 1_000;
/// Most leases of gateways. A node has one; when full, another one holds no connections until one of them ends.
pub const GATEWAYS_MAX: usize = 2 * NODES_MAX;
/// Longest name of a tunnel, in bytes. Longer: refused.
pub const TUNNEL_NAME_BYTES_MAX: usize = 128;
/// Longest id of a user of the WebSocket gateway, in bytes. Longer: refused.
pub const USER_ID_BYTES_MAX: usize = 256;
/// Most sessions at WebSocket gateways. When full: a user who has none is turned away.
pub const SESSIONS_MAX: usize = 1_000_000;
/// Most sessions of one user, where a user may have many. When full: another one is turned away.
pub const SESSIONS_PER_USER_MAX: usize = 64;
/// Most changes of sessions in one command; the rest waits for the next one.
pub const SESSION_CHANGES_MAX: usize = 4_096;
/// Answers to commands about sessions that are kept for each boot id with all that they say. A node has far fewer such
/// commands in flight, and an answer may be as long as [`SESSION_CHANGES_MAX`].
pub const SESSION_REPLIES_KEPT: usize = 32;
/// Most tunnels. When full: a new name is refused, known ones may come anew.
pub const TUNNELS_MAX: usize = 100_000;
/// Most steps of a ramp. More: refused.
pub const RAMP_STEPS_MAX: usize = 20;
/// Longest ramp, from its beginning to its last step, in milliseconds. Longer: refused.
pub const RAMP_MS_MAX: u64 = 30 * 24 * 3_600 * 1_000;
/// Most requests that a ramp may wait for before it counts errors. More: refused.
pub const RAMP_REQUESTS_MAX: u32 = 1_000_000_000;
/// Shortest and longest time of which a ramp's errors are counted, in milliseconds.
pub const RAMP_WINDOW_MS_MIN: u32 = 10_000;
/// See [`RAMP_WINDOW_MS_MIN`].
pub const RAMP_WINDOW_MS_MAX: u32 = 3_600_000;
/// Most steps that one command begins; the next tick of the leader begins the rest.
pub const RAMP_ADVANCES_MAX: usize = 1_000;
/// Longest namespace or name of an object of the sandbox API, in bytes. Longer: refused.
pub const DNS_LABEL_BYTES_MAX: usize = 63;
/// Most objects of the sandbox API. When full: another one is refused, known ones can be changed.
pub const OBJECTS_MAX: usize = 100_000;
/// Longest spec or status of an object, in bytes of JSON. Longer: refused.
pub const OBJECT_BYTES_MAX: usize = 256 << 10;
/// Most memory of all objects together, about, as `StoredObject::weight` counts it, in bytes. When full: a change that
/// would take more is refused.
pub const OBJECTS_BYTES_MAX: usize = 512 << 20;
/// Most memory of all rules that objects are made into, about, as `Sandbox::weight` counts it, in bytes. When full: a
/// change that would take more is refused.
pub const OBJECT_RULES_BYTES_MAX: usize = 512 << 20;
/// Most rules that objects make for one routing key. More: what would make them is refused.
pub const OBJECT_RULES_PER_KEY_MAX: usize = 500;
/// Most routing keys that route groups lead to one sandbox by: a change of it makes the rules of all of them anew.
/// More: what would make them is refused.
pub const OBJECT_KEYS_PER_SANDBOX_MAX: usize = 500;
/// Most local workloads of one sandbox of the sandbox API. More: refused.
pub const LOCAL_WORKLOADS_PER_SANDBOX_MAX: usize = 64;
/// Most objects that one command ends; the next tick of the leader ends the rest.
pub const OBJECT_ENDS_MAX: usize = 1_000;
/// Most services of a sandbox of the sandbox API. More: refused.
pub const SERVICES_PER_OBJECT_MAX: usize = 16;
/// Most routes of a route group. More: refused.
pub const ROUTES_PER_GROUP_MAX: usize = 100;
/// Most labels, or annotations, of an object. More: refused.
pub const LABELS_PER_OBJECT_MAX: usize = 64;
/// Most destinations of one route. More: refused.
pub const DESTINATIONS_MAX: usize = 64;
/// Most headers, query parameters, methods, header changes or origins of one route. More: refused.
pub const MATCH_VALUES_MAX: usize = 32;
/// Longest path of a route or health check, in bytes. Longer: refused.
pub const PATH_BYTES_MAX: usize = 1_024;
/// Longest value that a route compares with or sets, in bytes. Longer: refused.
pub const VALUE_BYTES_MAX: usize = 1_024;
/// Longest regular expression, in bytes. Longer: refused.
pub const PATTERN_BYTES_MAX: usize = 1_024;
/// Most memory of a compiled regular expression, in bytes. More: refused.
pub const PATTERN_COMPILED_BYTES_MAX: usize = 256 << 10;
/// Largest number of a path segment that a key is taken from.
pub const PATH_SEGMENT_MAX: u16 = 64;
/// Most attempts after the first one. More: refused.
pub const RETRIES_MAX: u8 = 10;
/// Largest number of retries per second that a budget always allows. Larger: refused.
pub const RETRIES_PER_SECOND_MAX: u32 = 100_000;
/// Longest time between two attempts, in milliseconds.
pub const BACKOFF_MS_MAX: u32 = 60_000;
/// Longest time that a health check waits for its answer, in milliseconds: a probe that hangs takes a place.
pub const HEALTH_TIMEOUT_MS_MAX: u32 = 60_000;
/// Longest slow start, in milliseconds.
pub const SLOW_START_MS_MAX: u32 = 3_600_000;
/// Largest number of connections or requests that a policy may allow one node for one endpoint.
pub const PER_ENDPOINT_MAX: u32 = 1_000_000;
/// Most workers of a service about whom a node is asked at once what it makes of them. More: refused.
pub const OBSERVED_MAX: usize = 1_000;
/// Most objects that one document may change at once. More: refused; they fit one log entry.
pub const CONFIG_OBJECTS_MAX: usize = 20_000;
/// Most nodes of a cluster, learners included. When full: another one can't join.
pub const NODES_MAX: usize = 15;
/// Most commands in one log entry; the rest waits for the next one.
pub const PROPOSALS_PER_ENTRY_MAX: usize = 1_000;
/// Replies kept for each boot id, so that a repeat is answered and not applied again.
/// A node has at most half of this many commands in flight, so a window never forgets one that may be repeated.
pub const REPLY_WINDOW: u64 = 4_096;
/// Boot ids whose windows are kept; the one that was silent for longest goes first.
pub const REPLY_WINDOWS_MAX: usize = 16;
/// How long an expired worker stays revivable, and a displaced one is remembered, in milliseconds of log time. A
/// displaced worker that goes on beating must not take its partitions back just because it was forgotten.
pub const EXPIRED_KEPT_MS: u64 = 24 * 3_600 * 1_000;
/// How long an unregistered worker is remembered, in milliseconds of log time: long enough that
/// a delayed heartbeat of its last life meets the memory and not an empty place.
pub const DEPARTED_KEPT_MS: u64 = 60_000;
/// How long the unfinished restore of a backup waits for its next step, in milliseconds of log time; then it is
/// thrown away.
pub const RESTORE_RESTS_MS: u64 = 10 * 60_000;
/// After a restore, fencing tokens go on this far above the backup's largest: the cluster that the backup is from
/// may have granted as many since the backup was made, and none of them may be granted a second time.
pub const RESTORE_EPOCH_GAP: u64 = 1_000_000_000;
/// Largest fencing token of a backup; one with a larger one is refused. Below 2^53, so that every JSON reader sees
/// the same number, and far above what a log can have granted.
pub const RESTORE_EPOCH_MAX: u64 = 1 << 52;
/// Changes that a node keeps for those who watch it, of presence and of all else each. When full: the oldest goes, and
/// who has not been told it yet is told to read anew.
pub const HISTORY_CHANGES_MAX: usize = 16_384;
/// The same in bytes of memory, about; whichever comes first. Of all but presence.
pub const HISTORY_BYTES_MAX: usize = 64 << 20;
/// The same of presence: some hundred thousand comings and goings.
pub const HISTORY_PRESENCE_BYTES_MAX: usize = 32 << 20;
/// Log entries whose changes of what operators declare are kept with what stood before. When full: the oldest goes, and
/// nobody can go back behind it any more.
pub const CONFIG_HISTORY_ENTRIES_MAX: usize = 1_000;
/// The same in bytes of memory, about; whichever comes first. About as much as 20,000 usual routes take, so that the
/// largest document can be undone.
pub const CONFIG_HISTORY_BYTES_MAX: usize = 64 << 20;
/// Shortest and longest lease, in milliseconds.
pub const TTL_MS_MIN: u64 = 1_000;
/// See [`TTL_MS_MIN`].
pub const TTL_MS_MAX: u64 = 24 * 3_600 * 1_000;

const _: () =
    assert!(GATEWAYS_MAX > NODES_MAX, "leases of nodes that are gone leave room for those that came");
const _: () =
    assert!(PROPOSALS_PER_ENTRY_MAX as u64 * 4 <= REPLY_WINDOW, "a batch in flight fits its window");
