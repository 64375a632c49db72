//! Through a real listener, with the cluster a table.

mod admission;
mod abuse;
mod contract;
mod defects;
mod ending;
mod second_login;
