#!/usr/bin/env python3
"""Sandboxes on three nodes of the product: how soon a change is served everywhere, and the goals that the original proxy set itself. See README.md."""
import argparse, http.client, json, os, shutil, statistics, subprocess, tempfile, threading, time
from cluster import ask, live, nodes, ports, start, stop, until

ap = argparse.ArgumentParser()
ap.add_argument("--sandboxes", type=int, default=1_000)
ap.add_argument("--changes", type=int, default=300)
ap.add_argument("--connections", default="10,100,1000")
ap.add_argument("--dur", type=float, default=3)
ap.add_argument("--rate", type=int, default=5_000, help="requests a second, shared by all connections, where they pause")
A = ap.parse_args()
BK = os.environ["BK_BIN"]


def quantile(values, share):
    return sorted(values)[min(len(values) - 1, int(share * len(values)))]


def declare(management, backend):
    keys = [f"dev-{n}" for n in range(A.sandboxes)]
    rule = {"path_prefixes": ["/api"], "headers": {"accept": "*/*"}, "target": f"127.0.0.1:{backend}", "add_headers": {"X-Environment": "sandbox"}}
    for at in range(0, len(keys), 1_000):
        ask(management, "/v1/config", "PATCH", {"sandboxes": {key: {"rules": [rule]} for key in keys[at : at + 1_000]}})
    return keys


def served(routing, wanted, found, at):
    """Notes when this node answers so, on one connection that is asked again and again."""
    connection = http.client.HTTPConnection("127.0.0.1", routing)
    while True:
        connection.request("GET", "/api/x", headers={"X-Route-Key": "live"})
        answer = connection.getresponse()
        answer.read()
        if (answer.status == 200) == wanted:
            found[at] = time.monotonic()
            return


def change_of(management, routing, backend, is_put):
    found = [0.0] * 3
    asking = [threading.Thread(target=served, args=(routing[at], is_put, found, at)) for at in range(3)]
    for thread in asking:
        thread.start()
    began = time.monotonic()
    body = {"rules": [{"target": f"127.0.0.1:{backend}"}]} if is_put else None
    ask(management, "/v1/sandboxes/live", "PUT" if is_put else "DELETE", body)
    acknowledged = time.monotonic()
    for thread in asking:
        thread.join()
    return max(found) - began, max(0.0, max(found) - acknowledged)


def load(port, connections, *more):
    command = [BK, "load", "--addr", f"127.0.0.1:{port}", "--path", "/api/x", "--conns", str(connections), "--warm", "1", "--dur", str(A.dur), *more]
    said = json.loads(subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True).stdout.strip().splitlines()[-1])
    if said["errors"] or said["non2xx"]:
        print("some requests failed:", said)
    return said["lat_us"]


def calls_of_api(management, connections, keys):
    """Reads and writes of single sandboxes, so many at once: how long each took, in ms."""
    took, each = [], max(1, 2_000 // connections)

    def client(number):
        connection = http.client.HTTPConnection("127.0.0.1", management[number % 3], timeout=60)
        connection.connect()
        for n in range(each):
            path = f"/v1/sandboxes/{keys[(number * each + n) % len(keys)]}"
            began = time.monotonic()
            if n % 2 == 0:
                connection.request("GET", path)
            else:
                connection.request("POST", f"{path}/extend", json.dumps({"ttl": f"{3_600 + number}s"}), {"Content-Type": "application/json"})
            answer = connection.getresponse()
            answer.read()
            took.append((time.monotonic() - began) * 1_000)
            assert answer.status == 200, answer.status

    clients = [threading.Thread(target=client, args=(number,)) for number in range(connections)]
    for thread in clients:
        thread.start()
    for thread in clients:
        thread.join()
    return took


def main():
    work = tempfile.mkdtemp(prefix="sandboxes.", dir=os.environ.get("RAFT_DIR", "/var/tmp"))
    try:
        (backend,) = ports(1)
        start([BK, "backend", "--listen", f"127.0.0.1:{backend}"], os.path.join(work, "backend.log"))
        _, management, routing = nodes(work, threads=1, level=6)
        keys = declare(management[0], backend)
        last = ask(management[0], "/v1/cluster")["applied_index"]
        for port in management:
            until("applied", lambda: ask(port, "/v1/cluster")["applied_index"] >= last)
        changes = [change_of(management[n % 3], routing, backend, n % 2 == 0) for n in range(A.changes)]
        for name, at in (("the request to change it", 0), ("the acknowledgement", 1)):
            values = [one[at] * 1_000 for one in changes]
            print(f"a change among {A.sandboxes} sandboxes is served on all three nodes after {name}: median {statistics.median(values):.2f} ms, p99 {quantile(values, 0.99):.2f} ms of {A.changes}")
        listed = os.path.join(work, "keys")
        with open(listed, "w") as file:
            file.writelines(f"{key} 0\n" for key in keys)
        accept = ("--header", "Accept: */*")
        for connections in map(int, A.connections.split(",")):
            direct = load(backend, connections, *accept)
            routed = load(routing[0], connections, "--keys", listed, *accept)
            added = {q: (routed[q] - direct[q]) / 1_000 for q in ("p50", "p99")}
            print(f"{connections} connections without a pause: {direct['p50'] / 1_000:.2f} ms (p99 {direct['p99'] / 1_000:.2f}) without the node, {routed['p50'] / 1_000:.2f} ms ({routed['p99'] / 1_000:.2f}) through it by key: {added['p50']:.2f} ms ({added['p99']:.2f}) more")
            paced = ("--rate", str(A.rate))
            direct, routed = load(backend, connections, *accept, *paced), load(routing[0], connections, "--keys", listed, *accept, *paced)
            added = {q: (routed[q] - direct[q]) / 1_000 for q in ("p50", "p99")}
            print(f"{connections} connections with {A.rate} requests a second: {added['p50']:.2f} ms ({added['p99']:.2f}) more")
            took = calls_of_api(management, connections, keys)
            print(f"{connections} clients of the API at once: median {statistics.median(took):.1f} ms, p99 {quantile(took, 0.99):.1f} ms")
    finally:
        stop(live)
        shutil.rmtree(work, ignore_errors=True)


main()
