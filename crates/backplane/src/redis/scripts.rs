//! What is done to a presence hash, each in one step on the server.
//!
//! The hash is the original's, `presence:{user}` with `gwId`, `connId` and `ts` in seconds, gone after 90 s without a
//! refresh. What the original does wrong with it is done right: an end deletes only the entry of its own connection, and
//! a refresh never touches that of another one, nor leaves half of one. `ts` never goes back, so that an original gateway
//! whose clock is behind refuses nobody for our sake more often than for its own.

use redis::Cmd;

/// A user is gone after this long without a refresh.
pub const TTL_S: u64 = 90;

/// A login: whoever it was before, it is this connection now.
const PUT: &str = "\
local old = redis.pcall('HGET', KEYS[1], 'ts')
local ts = ARGV[3]
if type(old) == 'string' and (tonumber(old) or 0) > tonumber(ts) then ts = old end
redis.call('DEL', KEYS[1])
redis.call('HSET', KEYS[1], 'gwId', ARGV[1], 'connId', ARGV[2], 'ts', ts)
redis.call('EXPIRE', KEYS[1], ARGV[4])
return 1";

/// A refresh: `''`, or the gateway whose entry it is by now, if not this connection's on this gateway: one that has moved
/// keeps its id. What has run out is written whole, and half of an entry is nobody's. A login of which Redis has not heard
/// yet takes the place of one elsewhere that is not later.
const KEEP: &str = "\
local entry = redis.pcall('HMGET', KEYS[1], 'gwId', 'connId', 'ts')
local gateway, connection, old = entry[1], entry[2], entry[3]
if type(gateway) == 'string' and gateway ~= '' then
  if gateway ~= ARGV[1] and (ARGV[5] == '' or (tonumber(old) or 0) > tonumber(ARGV[5])) then return gateway end
  if gateway == ARGV[1] and ARGV[5] == '' and type(connection) == 'string' and connection ~= '' and connection ~= ARGV[2] then return gateway end
end
local ts = ARGV[3]
if type(old) == 'string' and (tonumber(old) or 0) > tonumber(ts) then ts = old end
redis.call('DEL', KEYS[1])
redis.call('HSET', KEYS[1], 'gwId', ARGV[1], 'connId', ARGV[2], 'ts', ts)
redis.call('EXPIRE', KEYS[1], ARGV[4])
return ''";

/// An end: 1 if the entry was this connection's, on this gateway: one that has moved keeps its id.
const END: &str = "\
local entry = redis.pcall('HMGET', KEYS[1], 'gwId', 'connId')
if entry[1] == ARGV[2] and entry[2] == ARGV[1] then return redis.call('DEL', KEYS[1]) end
return 0";

/// A message to whoever holds the user: how many heard it, or -1 if nobody does, or one of those that follow.
const SEND: &str = "\
local gateway = redis.pcall('HGET', KEYS[1], 'gwId')
if type(gateway) ~= 'string' or gateway == '' then return -1 end
for nth = 2, #ARGV do if gateway == ARGV[nth] then return -1 end end
return redis.call('PUBLISH', 'gateway:' .. gateway, ARGV[1])";

/// Which gateway holds the user; `''`: none, or one of those that follow.
const WHERE: &str = "\
local gateway = redis.pcall('HGET', KEYS[1], 'gwId')
if type(gateway) ~= 'string' then return '' end
for nth = 1, #ARGV do if gateway == ARGV[nth] then return '' end end
return gateway";

fn eval(script: &str, user: &str) -> Cmd {
    let mut command = redis::cmd("EVAL");
    // By its text, not its digest: a server that has forgotten it would refuse.
    command.arg(script).arg(1).arg(format!("presence:{user}"));
    command
}

/// Of one connection of one user.
pub(super) struct Entry<'a> {
    pub user: &'a str,
    pub gateway: &'a str,
    pub connection: &'a str,
    pub now_s: u64,
    /// Since when, if Redis has not heard of it.
    pub unwritten: Option<u64>,
}

pub(super) fn put(entry: &Entry<'_>) -> Cmd {
    with_entry(PUT, entry)
}

pub(super) fn keep(entry: &Entry<'_>) -> Cmd {
    let mut command = with_entry(KEEP, entry);
    command.arg(entry.unwritten.map_or_else(String::new, |since| since.to_string()));
    command
}

fn with_entry(script: &str, Entry { user, gateway, connection, now_s, .. }: &Entry<'_>) -> Cmd {
    let mut command = eval(script, user);
    command.arg(gateway).arg(connection).arg(now_s).arg(TTL_S);
    command
}

pub(super) fn end(entry: &Entry<'_>) -> Cmd {
    let mut command = eval(END, entry.user);
    command.arg(entry.connection).arg(entry.gateway);
    command
}

pub(super) fn send(user: &str, message: &[u8], ours: &[String]) -> Cmd {
    let mut command = eval(SEND, user);
    command.arg(message).arg(ours);
    command
}

pub(crate) fn find(user: &str, ours: &[String]) -> Cmd {
    let mut command = eval(WHERE, user);
    command.arg(ours);
    command
}

pub(super) fn publish(channel: &str, message: &[u8]) -> Cmd {
    let mut command = redis::cmd("PUBLISH");
    command.arg(channel).arg(message);
    command
}
