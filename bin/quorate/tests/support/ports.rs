//! Ports that no other test uses, whichever process it runs in.
//!
//! To bind port 0 and give the number on is a race: between the one who looked and the program that is to listen there,
//! anybody may be given the same number. To begin elsewhere in each process only makes a collision rarer. So a process
//! takes ports by the block: whoever listens at a block's first port has the block, for as long as the process lives.
//! The kernel hands it out once and takes it back however the process dies, so nothing is left behind and nothing has
//! to be tidied. All blocks lie below the range from which the kernel takes ports for outgoing connections: a node that
//! is down finds its port again.

use std::{
    net::{SocketAddr, TcpListener},
    sync::{Mutex, PoisonError},
};

const FIRST: u16 = 10_000;
const BLOCKS: u16 = 160;
/// Its first port is the claim; the others are given away.
const BLOCK: u16 = 50;

/// The blocks of this process, and what of them was given away.
struct Taken {
    /// Held for their ports only.
    claims: Vec<(u16, TcpListener)>,
    given: usize,
}

static TAKEN: Mutex<Taken> = Mutex::new(Taken { claims: Vec::new(), given: 0 });

/// A loopback address that nobody uses, and that nobody else is given.
pub fn free_address() -> SocketAddr {
    let mut taken = TAKEN.lock().unwrap_or_else(PoisonError::into_inner);
    let whole = usize::from(BLOCKS * BLOCK);
    let free = (0..whole).find_map(|_| taken.next().filter(|address| TcpListener::bind(address).is_ok()));
    free.expect("some port is free")
}

impl Taken {
    /// The next one of a block of ours. Where all blocks are taken, ours begin anew: their first tests are over.
    fn next(&mut self) -> Option<SocketAddr> {
        let each = usize::from(BLOCK - 1);
        if self.given == self.claims.len() * each {
            match claim(self.claims.last().map_or(0, |(nth, _)| nth + 1)) {
                Some(claim) => self.claims.push(claim),
                None => self.given = 0,
            }
        }
        let (nth, _) = self.claims.get(self.given / each)?;
        let within = u16::try_from(self.given % each).expect("less than a block");
        self.given += 1;
        Some(at(nth * BLOCK + 1 + within))
    }
}

/// The first block from `from` on that nobody has.
fn claim(from: u16) -> Option<(u16, TcpListener)> {
    (from..BLOCKS).find_map(|nth| Some((nth, TcpListener::bind(at(nth * BLOCK)).ok()?)))
}

fn at(offset: u16) -> SocketAddr {
    SocketAddr::from(([127, 0, 0, 1], FIRST + offset))
}
