#!/usr/bin/env python3
"""A registration storm against three nodes of the product, while requests are routed, of another service and of the same one. See README.md."""
import argparse, json, os, shutil, statistics, subprocess, tempfile, time
from cluster import ask, live, nodes, ports, start, stop, until, until_routed

ap = argparse.ArgumentParser()
ap.add_argument("--workers", type=int, default=10_000)
ap.add_argument("--clients", type=int, default=256)
ap.add_argument("--rate", type=float, default=500, help="routed requests a second, of each of both services")
ap.add_argument("--rounds", type=int, default=5)
A = ap.parse_args()
BK, LOAD = os.environ["BK_BIN"], os.environ["ETCDLOAD_BIN"]
# The one that is asked for only, and the one that all who register anew offer.
SERVICES = ("steady", "storm")


def load(routing, service, seconds):
    """An open loop: latencies count from the time at which a request was due."""
    command = [BK, "load", "--addr", f"127.0.0.1:{routing}", "--path", f"/api/service/{service}/x", "--conns", "32", "--dur", str(seconds), "--rate", str(A.rate)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True)


def figures(process):
    said = json.loads(process.communicate()[0].strip().splitlines()[-1])
    if said["errors"] or said["non2xx"]:
        print("some requests failed:", said)
    return said


def round_of(number, work, backend):
    folder = os.path.join(work, str(number))
    os.makedirs(folder)
    three, management, routing = nodes(folder, threads=1, level=1)
    address = f"http://127.0.0.1:{backend}"
    until("registered", lambda: ask(management[0], "/v1/workers/steady", "PUT", {"address": address, "services": [{"name": "steady"}], "ttl": "3600s"}))
    until_routed(routing[0], "steady")

    def storm():
        endpoints = ",".join(f"http://127.0.0.1:{m}" for m in management)
        began = time.monotonic()
        subprocess.run([LOAD, "fill", "--driver", "http", "--endpoints", endpoints, "--clients", str(A.clients), "--keys", str(A.workers), "--service", "storm", "--address", address], check=True, stdout=subprocess.DEVNULL)
        last = max(ask(m, "/v1/cluster")["applied_index"] for m in management)
        for m in management:
            until("routable", lambda: ask(m, "/v1/cluster")["applied_index"] >= last)
        return time.monotonic() - began

    # They are known before: this is about all of them coming back at once.
    storm()
    time.sleep(2)

    def loads(meanwhile):
        """Requests of a service that nobody touches, and of the one that all of them offer; at once."""
        running = {service: load(routing[0], service, 5) for service in SERVICES}
        meanwhile()
        return {service: figures(process) for service, process in running.items()}

    def stormed():
        time.sleep(0.5)
        took.append(storm())

    took = []
    before, during = loads(lambda: None), loads(stormed)
    stop(three)
    return took[0], before, during


def main():
    work = tempfile.mkdtemp(prefix="storm.", dir=os.environ.get("RAFT_DIR", "/var/tmp"))
    try:
        (backend,) = ports(1)
        start([BK, "backend", "--listen", f"127.0.0.1:{backend}"], os.path.join(work, "backend.log"))
        rounds = [round_of(n, work, backend) for n in range(A.rounds)]
        took = sorted(r[0] for r in rounds)
        print(f"{A.workers} workers registered again and routable on all nodes: median {statistics.median(took):.2f} s, worst {took[-1]:.2f} s of {A.rounds}")
        cases = [(service, when, quantile) for service in SERVICES for when in ((1, "before"), (2, "meanwhile")) for quantile in ("p50", "p99")]
        for service, (at, name), quantile in cases:
            values = sorted(r[at][service]["lat_us"][quantile] for r in rounds)
            print(f"requests of the service {service} {name}, {quantile}: median {statistics.median(values)} us, {values[0]} to {values[-1]}")
    finally:
        stop(live)
        shutil.rmtree(work, ignore_errors=True)


main()
