#!/usr/bin/env python3
"""Configures the product for a MODE through its management API, as any operator would. See contestants/README for the environment.

plain   The backends are workers that share the partitions of the default keyspace; the request's workspace id decides.
routes  The same, with 10,000 routes beside it, none of which is for the requests.
map     A route for each key of MAPFILE, by the header's value, to a service with one worker.
hash    A route by path prefix to a service of all backends, by consistent hash of the path's second segment.
others  A route for every request to a service of all backends, by turns. For h2h2 its policy says that they speak h2c.
"""
import json, os, sys, time, urllib.error, urllib.request

management, mode, backends = sys.argv[1], os.environ["MODE"], os.environ["BACKENDS"].split(",")
PENDING = os.path.join(os.environ["DIR"], "pending")
PARTITIONS = 12
ROUTES = 10_000
# A document of declarations has at most 4 MiB.
AT_ONCE = 5_000


def ask(method, path, body=None):
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(f"http://127.0.0.1:{management}{path}", data=data, method=method, headers={"Content-Type": "application/json"})
    for _ in range(600):
        try:
            return urllib.request.urlopen(request, timeout=60).read()
        except urllib.error.HTTPError as refused:
            said = refused.read()
            # A cluster that has just begun finds out within a moment what all of its nodes can do.
            if b"urn:quorate:error:feature_level" not in said:
                sys.exit(f"{method} {path}: {refused.code} {said[:500]}")
            time.sleep(0.05)
    sys.exit(f"{method} {path}: the feature level was not raised within 30 s")


def wait_ready():
    for _ in range(600):
        try:
            if urllib.request.urlopen(f"http://127.0.0.1:{management}/readyz", timeout=1).status == 200:
                return
        except OSError:
            time.sleep(0.05)
    sys.exit("not ready within 30 s")


def workers(of):
    for nth, backend in enumerate(backends):
        ask("PUT", f"/v1/workers/b{nth}", {"address": f"http://{backend}", "ttl": "3600s", **of(nth)})


def declare(routes, services=None):
    """All of them, in as many documents as it takes."""
    if services:
        ask("PATCH", "/v1/config", {"services": services})
    names = sorted(routes)
    for at in range(0, len(names), AT_ONCE):
        ask("PATCH", "/v1/config", {"routes": {name: routes[name] for name in names[at : at + AT_ONCE]}})


def to(service, **more):
    return {"destinations": [{"service": service}], **more}


def by_partition(nth):
    return {"partitions": list(range(nth, PARTITIONS, len(backends)))}


def other_routes():
    """Routes of every kind that are for other requests than those of the benchmark, which ask for `/` of `localhost`."""
    kinds = [
        lambda n: {"host": f"tenant-{n}.example.com"},
        lambda n: {"host": f"*.region-{n}.example.com", "path_prefix": "/api"},
        lambda n: {"path_prefix": f"/api/service-{n}"},
        lambda n: {"path_exact": f"/v1/{n % 100}/item-{n}"},
        lambda n: {"path_prefix": f"/team-{n % 500}", "headers": {"x-plan": f"plan-{n}"}, "methods": ["GET", "PUT"]},
    ]
    return {f"other-{n}": {"match": kinds[n % len(kinds)](n), **to("elsewhere")} for n in range(ROUTES)}


def configure():
    if mode in ("plain", "routes"):
        workers(by_partition)
        declare(other_routes() if mode == "routes" else {})
    elif mode == "map":
        workers(lambda nth: {"services": [{"name": f"b{nth}"}]})
        keys = [line.split() for line in open(os.environ["MAPFILE"])]
        declare({f"key-{key}": {"match": {"headers": {"x-route-key": key}}, **to(f"b{index}")} for key, index in keys})
    else:
        workers(lambda nth: {"services": [{"name": "all"}]})
        policy = {"all": {"protocol": "h2c"}} if mode == "h2h2" else None
        if mode == "hash":
            route = {"match": {"path_prefix": "/w"}, **to("all", balancing="consistent-hash", hash_on={"path_segment": 2})}
        else:
            route = {"match": {}, **to("all", balancing="round-robin")}
        declare({"all": route}, policy)


wait_ready()
configure()
os.remove(PENDING)
