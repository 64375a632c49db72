//! P7: 100,000 keys have the partition that Kafka's clients give them.

use quorate_model::PartitionCount;
use quorate_routing::partition_of;

const KEYS: usize = 100_000;
const COUNTS: [u32; 6] = [1, 3, 7, 12, 50, 1000];

/// Key `i` of golden/partitions.py: the first `i % 41` bytes of splitmix64 from seed `i`.
fn key(i: usize) -> Vec<u8> {
    let (length, mut state, mut bytes) = (i % 41, i as u64, Vec::new());
    while bytes.len() < length {
        state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = state;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        bytes.extend((z ^ (z >> 31)).to_le_bytes());
    }
    bytes.truncate(length);
    bytes
}

/// Written from the contract's description, sharing nothing with the implementation under test.
fn murmur2_by_the_book(data: &[u8]) -> u32 {
    const M: u32 = 0x5bd1_e995;
    let mut h: u32 = 0x9747_b28c ^ u32::try_from(data.len()).expect("short keys");
    let mut rest = data;
    while let [a, b, c, d, tail @ ..] = rest {
        let mut k = u32::from(*a) | u32::from(*b) << 8 | u32::from(*c) << 16 | u32::from(*d) << 24;
        k = k.wrapping_mul(M);
        k ^= k >> 24;
        k = k.wrapping_mul(M);
        h = h.wrapping_mul(M);
        h ^= k;
        rest = tail;
    }
    if rest.len() == 3 {
        h ^= u32::from(rest[2]) << 16;
    }
    if rest.len() >= 2 {
        h ^= u32::from(rest[1]) << 8;
    }
    if !rest.is_empty() {
        h ^= u32::from(rest[0]);
        h = h.wrapping_mul(M);
    }
    h ^= h >> 13;
    h = h.wrapping_mul(M);
    h ^ (h >> 15)
}

fn fnv1a(hash: u64, bytes: &[u8]) -> u64 {
    bytes.iter().fold(hash, |h, b| (h ^ u64::from(*b)).wrapping_mul(0x100_0000_01b3))
}

#[test]
fn partitions_equal_an_independent_implementation() {
    for count in COUNTS {
        let n = PartitionCount::new(count).unwrap();
        for i in 0..KEYS {
            let key = key(i);
            let expected = (murmur2_by_the_book(&key) & 0x7fff_ffff) % count;
            assert_eq!(partition_of(&key, n), expected, "key {i}, {count} partitions");
        }
    }
}

#[test]
fn partitions_equal_kafka_python() {
    let golden = include_str!("../golden/partitions.txt");
    let lines: Vec<_> = golden.lines().filter(|l| !l.starts_with('#')).collect();
    assert_eq!(lines.len(), COUNTS.len());
    for (line, count) in lines.iter().zip(COUNTS) {
        let n = PartitionCount::new(count).unwrap();
        let partitions: Vec<u32> = (0..KEYS).map(|i| partition_of(&key(i), n)).collect();
        let sum = partitions.iter().fold(0xcbf2_9ce4_8422_2325, |h, p| fnv1a(h, &p.to_le_bytes()));
        let first: Vec<_> = partitions[..10].iter().map(u32::to_string).collect();
        assert_eq!(format!("{count} {sum:016x} {}", first.join(",")), **line);
    }
}
