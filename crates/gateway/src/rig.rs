//! Gateways in one process, over a cluster that is a table.
