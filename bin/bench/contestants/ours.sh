#!/bin/bash
# The product: a single node, configured through its own management API; nothing here is special to the benchmark.
# The four backends are workers that share the partitions of the default keyspace; each request carries a workspace id.
# See contestants/README for the environment that is given.
[ -x "$OURS_BIN" ] || exit 65
[ "$MODE" = plain ] || exit 64
free() { python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])'; }
m=$(free)
BACKENDS=$BACKENDS python3 - "$m" <<'P' &
import json, os, sys, time, urllib.request
port, backends = sys.argv[1], os.environ["BACKENDS"].split(",")
def put(path, body):
    r = urllib.request.Request(f"http://127.0.0.1:{port}{path}", data=json.dumps(body).encode(), method="PUT", headers={"Content-Type": "application/json"})
    urllib.request.urlopen(r, timeout=30).read()
for _ in range(600):
    try:
        if urllib.request.urlopen(f"http://127.0.0.1:{port}/readyz", timeout=1).status == 200: break
    except OSError: time.sleep(0.05)
for i, b in enumerate(backends):
    put(f"/v1/workers/b{i}", {"address": f"http://{b}", "partitions": list(range(i, 12, len(backends))), "ttl": "3600s"})
P
exec "$OURS_BIN" serve --node-name n1 --data-dir "$DIR/data" --management "127.0.0.1:$m" --peer "127.0.0.1:$(free)" --gateway "127.0.0.1:$(free)" --threads "$THREADS" --routing "127.0.0.1:$LISTEN_PORT"
