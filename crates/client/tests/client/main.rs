//! The library against routers that answer, fail, forget, and fall silent.

mod contract;
mod delegate;
mod delegate_endpoint;
mod detect;
mod group;
mod operator;
mod services;
mod support;
mod tunnel_rule;
mod watch;
mod worker;
