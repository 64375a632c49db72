#!/usr/bin/env python3
"""A service with a limit, asked for more than it can do through the leader of three nodes of the product. See README.md."""
import argparse, asyncio, json, os, shutil, subprocess, tempfile, threading
from cluster import ask, live, nodes, ports, stop, until_routed

ap = argparse.ArgumentParser()
ap.add_argument("--at-once", type=int, default=32, help="in_flight_max of the service's one worker")
ap.add_argument("--work-ms", type=float, default=20, help="how long the worker takes for a request")
ap.add_argument("--conns", type=int, default=256, help="connections of the clients")
ap.add_argument("--loads", default="0.5,0.8,1,1.5,2,4", help="offered, as shares of what the worker can do")
ap.add_argument("--dur", type=float, default=5, help="seconds for each load")
A = ap.parse_args()
BK = os.environ["BK_BIN"]


async def work(reader, writer):
    """A worker that is slow, and not busy."""
    try:
        while True:
            await reader.readuntil(b"\r\n\r\n")
            await asyncio.sleep(A.work_ms / 1000)
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nok\n")
    except (asyncio.IncompleteReadError, ConnectionError):
        writer.close()


async def worker(port):
    async with await asyncio.start_server(work, "127.0.0.1", port) as server:
        await server.serve_forever()


def load(routing, rate):
    """An open loop."""
    command = [BK, "load", "--addr", f"127.0.0.1:{routing}", "--path", "/api/service/slow/x", "--conns", str(A.conns), "--dur", str(A.dur), "--rate", str(rate)]
    said = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True).stdout
    return json.loads(said.strip().splitlines()[-1])


def main():
    folder = tempfile.mkdtemp(prefix="overload.", dir=os.environ.get("RAFT_DIR", "/var/tmp"))
    try:
        _, managements, routings = nodes(folder, threads=2, level=4)
        leader = int(ask(managements[0], "/v1/cluster")["leader"][1:]) - 1
        management, routing = managements[leader], routings[leader]
        (port,) = ports(1)
        threading.Thread(target=lambda: asyncio.run(worker(port)), daemon=True).start()
        ask(management, "/v1/services/slow", "PUT", {"limits": {"in_flight_max": A.at_once}})
        ask(management, "/v1/workers/w1", "PUT", {"address": f"http://127.0.0.1:{port}", "services": [{"name": "slow"}], "ttl": "3600s"})
        until_routed(routing, "slow")
        term, capacity = ask(management, "/v1/cluster")["term"], A.at_once / A.work_ms * 1000
        print(f"the worker can do {capacity:.0f} requests a second")
        goodput = {}
        for share in map(float, A.loads.split(",")):
            said = load(routing, share * capacity)
            good, refused = (said["done"] - said["non2xx"]) / A.dur, said["non2xx"] / A.dur
            goodput[share] = good
            print(f"offered {share:.1f} x: {good:.0f} good/s, {refused:.0f} refused/s, {said['errors']} errors, p50 {said['lat_us']['p50']} us, p99 {said['lat_us']['p99']} us")
        best = max(goodput.values())
        print("goodput, of the best:", ", ".join(f"{share:.1f} x: {good / best:.0%}" for share, good in goodput.items()))
        now = ask(management, "/v1/cluster")
        print(f"term {term} before, {now['term']} after, leader {now['leader']}")
    finally:
        stop(live)
        shutil.rmtree(folder, ignore_errors=True)


main()
