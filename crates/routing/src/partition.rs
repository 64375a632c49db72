//! The partition of a key, exactly as Kafka's clients compute it.
//!
//! Workers own the partitions that they consume from Kafka, so a request must land on the same number as the
//! workspace's events do. Kafka's default partitioner is `(murmur2(key) & 0x7fffffff) % count`: a mask. `abs`
//! differs for every negative hash, and a remainder of the unsigned hash for half of all keys, which would send
//! half of all workspaces to a worker that knows nothing of them.

use quorate_model::PartitionCount;

/// The partition of `key` among `count`. Never call it for a request without a key: an absent key has no
/// partition, while the empty one has.
pub fn partition_of(key: &[u8], count: PartitionCount) -> u32 {
    (murmur2::murmur2(key, murmur2::KAFKA_SEED) & 0x7fff_ffff) % count.get()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(key: &str, hash: i32, partitions: [u32; 6]) {
        let computed = murmur2::murmur2(key.as_bytes(), murmur2::KAFKA_SEED).cast_signed();
        assert_eq!(computed, hash, "{key}");
        let counts = [1, 3, 6, 10, 12, 64].map(|n| PartitionCount::new(n).expect("in range"));
        assert_eq!(counts.map(|n| partition_of(key.as_bytes(), n)), partitions, "{key}");
    }

    #[test]
    fn kafkas_published_vectors_hold() {
        for (key, hash) in [
            ("21", -973_932_308),
            ("foobar", -790_332_482),
            ("a-little-bit-long-string", -985_981_536),
            ("a-little-bit-longer-string", -1_486_304_829),
            ("lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8", -58_897_971),
            ("abc", 479_470_107),
        ] {
            let computed = murmur2::murmur2(key.as_bytes(), murmur2::KAFKA_SEED).cast_signed();
            assert_eq!(computed, hash, "{key}");
        }
    }

    #[test]
    fn the_contracts_vectors_hold() {
        check("", 275_646_681, [0, 0, 3, 1, 9, 25]);
        check("my-workspace", -1_806_693_119, [0, 0, 3, 9, 9, 1]);
        check("test-workspace", 1_117_501_997, [0, 2, 5, 7, 5, 45]);
        check("test-workspace-123", -949_194_115, [0, 1, 1, 3, 1, 61]);
        check("workspace-123", 2_020_300_901, [0, 2, 5, 1, 5, 37]);
        check("workspace-1", 1_195_032_962, [0, 2, 2, 2, 2, 2]);
        check("prod-workspace-123", -411_893_412, [0, 2, 2, 6, 8, 28]);
        check("clzj8r5ck000008l7h9gm3k3v", -1_514_465_059, [0, 1, 1, 9, 1, 29]);
        check("clzj8r5ck000108l7d2we8h4a", -771_803_929, [0, 1, 1, 9, 7, 39]);
        check("日本", -700_811_021, [0, 0, 3, 7, 3, 51]);
        check("550e8400-e29b-41d4-a716-446655440000", 2_143_099_391, [0, 2, 5, 1, 11, 63]);
    }
}
