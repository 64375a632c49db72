//! What must hold in every run, whatever the faults.

pub mod agreement;
pub mod history;
pub mod operation;
mod oracle;

pub use oracle::Oracle;
