#!/usr/bin/env python3
"""Users who come and go on three whole nodes of the product, each a process with a disk of its own. See README.md."""
import argparse, json, os, shutil, socket, statistics, subprocess, tempfile

ap = argparse.ArgumentParser()
ap.add_argument("--rounds", type=int, default=5)
ap.add_argument("--users", type=int, default=4_000, help="of each node, that come and go at once")
ap.add_argument("--names", type=int, default=100_000)
ap.add_argument("--dur", type=int, default=5)
A = ap.parse_args()
BIN = os.environ["PRESENCE_BIN"]


def ports(n):
    sockets = [socket.socket() for _ in range(n)]
    for s in sockets:
        s.bind(("127.0.0.1", 0))
    numbers = [s.getsockname()[1] for s in sockets]
    for s in sockets:
        s.close()
    return numbers


def cpu(process):
    fields = open(f"/proc/{process.pid}/stat").read().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def rss(process):
    return int(open(f"/proc/{process.pid}/statm").read().split()[1]) * os.sysconf("SC_PAGE_SIZE") >> 20


def one_round():
    work = tempfile.mkdtemp(prefix="presence.", dir=os.environ.get("RAFT_DIR", "/var/tmp"))
    peer, management, routing = ports(3), ports(3), ports(3)
    peers = ",".join(f"n{i + 1}=127.0.0.1:{peer[i]}" for i in range(3))
    nodes = []
    try:
        for i in range(3):
            flags = {"node-name": f"n{i + 1}", "data-dir": f"{work}/{i}", "peers": peers, "threads": 1, "log-level": "warn"}
            flags |= {"peer": f"127.0.0.1:{peer[i]}", "management": f"127.0.0.1:{management[i]}", "routing": f"127.0.0.1:{routing[i]}"}
            flags |= {"users": A.users, "names": A.names, "seconds": A.dur}
            command = [BIN] + [f"--{name}={value}" for name, value in flags.items()]
            nodes.append(subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True))
        for node in nodes:
            assert node.stdout.readline() == "ready\n"
        before = [cpu(node) for node in nodes]
        for node in nodes:
            node.stdin.write("go\n")
            node.stdin.flush()
        said = [json.loads(node.stdout.readline()) for node in nodes]
        return said, sum(cpu(node) for node in nodes) - sum(before), max(map(rss, nodes))
    finally:
        for node in nodes:
            node.kill()
            node.wait()
        shutil.rmtree(work, ignore_errors=True)


def main():
    rates = []
    print("| changes/s | coming p50 ms | p99 ms | entries/s | cpu s/100k | failed | standing | most memory MiB |\n|---|---|---|---|---|---|---|---|")
    for _ in range(A.rounds):
        said, spent, memory = one_round()
        changes, seconds = sum(one["changes"] for one in said), max(one["seconds"] for one in said)
        rates.append(changes / seconds)
        p50, p99 = (statistics.median(one[q] for one in said) / 1_000 for q in ("p50_us", "p99_us"))
        entries, failed, standing = max(one["index"] for one in said) / seconds, sum(one["failed"] for one in said), max(one["standing"] for one in said)
        print(f"| {rates[-1]:.0f} | {p50:.1f} | {p99:.1f} | {entries:.0f} | {spent / changes * 100_000:.2f} | {failed} | {standing} | {memory} |", flush=True)
    print(f"median {statistics.median(rates):.0f} changes/s; load average: {open('/proc/loadavg').read().split()[0]}")


main()
