"""The WebSocket gateway of three nodes: logins a second, latency of messages across nodes, memory of idle connections. Called by sockets.sh."""
import json, os, statistics, subprocess, sys, tempfile, time
import cluster

BK, ROUNDS, DUR = os.environ["BK_BIN"], int(os.environ.get("ROUNDS", "5")), os.environ.get("DUR", "3")


def bk(*args):
    return json.loads(subprocess.run([BK, *map(str, args)], check=True, stdout=subprocess.PIPE, timeout=300).stdout)


def median(runs, *path):
    def get(run):
        for part in path:
            run = run[part]
        return run
    return statistics.median(get(run) for run in runs)


def rss_kib(pid):
    with open(f"/proc/{pid}/status") as status:
        return next(int(line.split()[1]) for line in status if line.startswith("VmRSS"))


def main():
    folder = tempfile.mkdtemp(dir=os.environ.get("RAFT_DIR", "/var/tmp"))
    processes, management, _, gateways = cluster.nodes(folder, threads=1, level=7, more=["--gateway-accept-rate", "100000:100000", "--gateway-frame-rate", "1000000:1000000", "--gateway-register-rate", "1000000:1000000"], with_gateways=True)
    addrs = ",".join(f"127.0.0.1:{port}" for port in gateways)
    try:
        print("| logins by way of | connections | a second (median of %d) | p50 ms | p99 ms |\n|---|---|---|---|---|" % ROUNDS)
        for conns in (64, 1024):
            runs = [bk("registers", "--addrs", addrs, "--conns", conns, "--dur", DUR) for _ in range(ROUNDS)]
            print(f"| three nodes | {conns} | {median(runs, 'per_s'):.0f} | {median(runs, 'lat_us', 'p50') / 1000:.2f} | {median(runs, 'lat_us', 'p99') / 1000:.2f} |")
        print("\n| messages a second | received | p50 us | p99 us | p99.9 us |\n|---|---|---|---|---|")
        two = addrs.rsplit(",", 1)[0]
        for rate in (1000, 5000):
            runs = [bk("messages", "--addrs", two, "--rate", rate, "--dur", DUR) for _ in range(ROUNDS)]
            received = f"{sum(r['received'] for r in runs)} of {sum(r['sent'] for r in runs)}"
            print(f"| {rate} | {received} | {median(runs, 'lat_us', 'p50'):.0f} | {median(runs, 'lat_us', 'p99'):.0f} | {median(runs, 'lat_us', 'p999'):.0f} |")
        idle(processes[0].pid, gateways[0])
    finally:
        cluster.stop(cluster.live)


def idle(pid, port, conns=10_000):
    before = rss_kib(pid)
    clients = subprocess.Popen([BK, "idle-users", "--addrs", f"127.0.0.1:{port}", "--conns", str(conns)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    ready = clients.stdout.readline()
    if not ready.startswith("READY"):
        sys.exit("they could not connect")
    time.sleep(4)
    print(f"\n{conns} idle users on one node: {(rss_kib(pid) - before) / conns:.1f} KiB each")
    clients.stdin.close()
    clients.wait()


main()
