//! The library against routers that answer, fail, forget, and fall silent.

mod contract;
mod operator;
mod support;
mod watch;
mod worker;
