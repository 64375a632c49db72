//! Where a `quorate dev` of a test may run: all its ports are moved by an offset that no other test has.

use std::{
    net::{Ipv4Addr, TcpListener},
    sync::{Mutex, PoisonError},
};

/// Offsets so far apart that no port of one is a port of another. With the largest of them all ports are below the range
/// from which the kernel takes some for outgoing connections.
const OFFSETS: std::ops::Range<u16> = 20_000..22_000;
const APART: usize = 35;
/// The first ports that `dev` listens at, of its nodes and of its workers.
const PORTS: [u16; 5] = [7_071, 8_081, 8_091, 8_101, 9_091];
const EACH: u16 = 3;

/// Whoever listens at the port that has the offset's number has the offset, for as long as its process lives.
static CLAIMS: Mutex<Vec<TcpListener>> = Mutex::new(Vec::new());

/// An offset that nobody else is given, with which all ports are free.
pub fn free_offset() -> u16 {
    let bind = |port: u16| TcpListener::bind((Ipv4Addr::LOCALHOST, port)).ok();
    let is_free =
        |offset: u16| PORTS.iter().all(|port| (0..EACH).all(|nth| bind(port + nth + offset).is_some()));
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
