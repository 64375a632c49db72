#!/usr/bin/env python3
"""Writes partitions.txt: checksums of the partitions that kafka-python gives to 100,000 keys.

Run once, by hand: `pip install kafka-python && python3 partitions.py > partitions.txt`. The test in
tests/kafka.rs makes the same keys and must come to the same checksums.

Key i is the first i % 41 bytes of splitmix64's little-endian output from seed i. The checksum is FNV-1a (64 bit)
over all partitions as little-endian u32, in the order of the keys.
"""
from importlib.metadata import version
from kafka.partitioner.default import murmur2

KEYS, COUNTS, M = 100_000, (1, 3, 7, 12, 50, 1000), (1 << 64) - 1


def key(i):
    out, state = b"", i
    while len(out) < i % 41:
        state = (state + 0x9E3779B97F4A7C15) & M
        z = state
        z = ((z ^ (z >> 30)) * 0xBF58476D1CE4E5B9) & M
        z = ((z ^ (z >> 27)) * 0x94D049BB133111EB) & M
        out += (z ^ (z >> 31)).to_bytes(8, "little")
    return out[: i % 41]


def fnv(data, h=0xCBF29CE484222325):
    for b in data:
        h = ((h ^ b) * 0x100000001B3) & M
    return h


hashes = [murmur2(key(i)) & 0x7FFFFFFF for i in range(KEYS)]
print(f"# kafka-python {version('kafka-python')}, {KEYS} keys: partition count, FNV-1a of all partitions, first ten")
for n in COUNTS:
    parts = [h % n for h in hashes]
    print(n, f"{fnv(b''.join(p.to_bytes(4, 'little') for p in parts)):016x}", ",".join(map(str, parts[:10])))
