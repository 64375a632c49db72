//! Through a real listener, with the cluster a table.

mod abuse;
mod admission;
mod conformance;
mod contract;
mod defects;
mod ending;
mod second_login;
mod tls;
