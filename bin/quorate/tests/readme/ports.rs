//! The README's ports, moved to where nobody else is.

use std::{
    collections::BTreeSet,
    net::{Ipv4Addr, TcpListener},
};

const HOST: &str = "127.0.0.1:";
/// Below the range from which the kernel takes ports for outgoing connections, and beside those of other tests.
const FIRST: u16 = 22_900;
const LAST: u16 = 23_550;
/// Larger than the distance of ports that belong together: no port of one offset is a port of another.
const STEP: usize = 130;

/// All ports of loopback addresses, moved by `by`.
pub fn shift(text: &str, by: i32) -> String {
    let mut parts = text.split(HOST);
    let mut shifted = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let (port, rest) = port(part);
        shifted += HOST;
        match port {
            Some(port) => shifted += &(i32::from(port) + by).to_string(),
            None => shifted += &part[..part.len() - rest.len()],
        }
        shifted += rest;
    }
    shifted
}

fn port(text: &str) -> (Option<u16>, &str) {
    let end = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    (text[..end].parse().ok(), &text[end..])
}

/// By how much the page's ports can be moved so that all of them are free, and nobody else is told so: whoever listens at
/// the port that has the offset's number has the offset. He keeps the listener.
pub fn free_offset(page: &str) -> (u16, TcpListener) {
    let used: BTreeSet<u16> = page.split(HOST).skip(1).filter_map(|part| port(part).0).collect();
    assert!(!used.is_empty(), "the page names no port");
    // Peers and workers of `dev` are not named there.
    let all: Vec<u16> = used.into_iter().chain(7_071..=7_073).chain(8_101..=8_103).collect();
    let bind = |port: u16| TcpListener::bind((Ipv4Addr::LOCALHOST, port)).ok();
    let claim = |offset: u16| {
        let claim = bind(offset)?;
        all.iter().all(|port| bind(port + offset).is_some()).then_some((offset, claim))
    };
    (FIRST..=LAST).step_by(STEP).find_map(claim).expect("some ports are free")
}

#[test]
fn ports_of_loopback_are_moved_and_nothing_else() {
    assert_eq!(
        shift("http://127.0.0.1:80/81 n1=127.0.0.1:90,82", 5),
        "http://127.0.0.1:85/81 n1=127.0.0.1:95,82"
    );
    assert_eq!(shift(&shift("127.0.0.1:9091\n", 23_000), -23_000), "127.0.0.1:9091\n");
}
