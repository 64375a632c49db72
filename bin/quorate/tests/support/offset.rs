//! Where a `quorate dev` of a test may run: all its ports are moved by an offset that no other test has.

use std::{
    net::{Ipv4Addr, TcpListener},
    sync::{Mutex, PoisonError},
};

/// Offsets so far apart that no port of one is a port of another. With the largest of them all ports are below the range
/// from which the kernel takes some for outgoing connections.
const OFFSETS: std::ops::Range<u16> = 20_000..20_800;
const APART: usize = 20;
/// The ports that `dev` listens at, but for those of its workers, which the kernel chooses.
const PORTS: [u16; 4] = [7_071, 8_081, 8_091, 9_091];
const NODES: u16 = 3;

/// Whoever listens at the port that has the offset's number has the offset, for as long as its process lives.
static CLAIMS: Mutex<Vec<TcpListener>> = Mutex::new(Vec::new());

/// An offset that nobody else is given, with which all ports are free.
pub fn free_offset() -> u16 {
    let bind = |port: u16| TcpListener::bind((Ipv4Addr::LOCALHOST, port)).ok();
    let is_free =
        |offset: u16| PORTS.iter().all(|port| (0..NODES).all(|nth| bind(port + nth + offset).is_some()));
    for offset in OFFSETS.step_by(APART) {
        if let Some(claim) = bind(offset)
            && is_free(offset)
        {
            CLAIMS.lock().unwrap_or_else(PoisonError::into_inner).push(claim);
            return offset;
        }
    }
    panic!("no offset is free");
}
