"""The worker agent of the original coordinator, written from its contract alone.

Standard library only. Environment: COORDINATOR_URL; SERVICES as name=host:port,... in the place of the usual containers;
IP_ADDRESS; WORKER_ID, where the worker brings an id; REGISTER_PAUSE and HEARTBEAT_INTERVAL in seconds, so that a test
need not wait.
"""

import json
import os
import shutil
import signal
import sys
import threading
import urllib.error
import urllib.request

COORDINATOR = os.environ.get("COORDINATOR_URL", "http://localhost:8080").rstrip("/")
CONTAINERS = {"upload": 8103, "rag": 8102, "notes": 8100, "ner": 8108, "doc-processor": 8104, "client-rag": 8101,
              "vllm": 8000, "ocr": 8105}
TRIES, PAUSE = 5, float(os.environ.get("REGISTER_PAUSE", "5"))


def ask(method, path, body=None, timeout=10):
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(COORDINATOR + path, data, {"Content-Type": "application/json"}, method=method)
    with urllib.request.urlopen(request, timeout=timeout) as answer:
        return json.load(answer)


def candidates():
    given = os.environ.get("SERVICES")
    if given is None:
        return [(name, name, port) for name, port in CONTAINERS.items()]
    pairs = [pair.split("=") for pair in given.split(",")]
    return [(name, *place.rsplit(":", 1)) for name, place in pairs]


def detect_services():
    found = []
    for name, container, port in candidates():
        try:
            with urllib.request.urlopen(f"http://{container}:{port}/health", timeout=2) as answer:
                if answer.status == 200:
                    found.append({"name": name, "container": container, "port": int(port), "health": "healthy",
                                  "version": "1.0"})
        except OSError:
            pass
    return found


def memory():
    with open("/proc/meminfo") as file:
        facts = dict(line.split(":") for line in file)
    return [f"{int(facts[name].split()[0]) / 2**20:.1f}GB" for name in ("MemTotal", "MemAvailable")]


def registration(services):
    address = os.environ.get("IP_ADDRESS", "127.0.0.1")
    capabilities = {"cpu_cores": os.cpu_count(), "ram": memory()[0], "containerized": os.path.exists("/.dockerenv"),
                    "storage": f"{shutil.disk_usage('/').total / 2**30:.1f}GB", "worker_type": "cpu",
                    "ip_address": address}
    body = {"capabilities": capabilities, "services": services, "ip_address": address, "tunnel_url": None,
            "wants_heartbeat_leadership": len(services) > 0}
    if "WORKER_ID" in os.environ:
        body["worker_id"] = os.environ["WORKER_ID"]
    return body


def register():
    body = registration(detect_services())
    for attempt in range(TRIES):
        try:
            answer = ask("POST", "/api/worker/register", body, timeout=30)
            print("registered", answer["worker_id"], "tier", answer["tier"], "leader", answer["is_heartbeat_leader"],
                  "services", answer["services_registered"])
            return answer
        except OSError as error:
            print("registration failed:", error)
        if attempt + 1 < TRIES:
            ended.wait(PAUSE)
    sys.exit("giving up")


def heartbeats(worker, interval):
    while not ended.wait(interval):
        load = min(os.getloadavg()[0] / os.cpu_count(), 1.0)
        body = {"worker_id": worker, "status": "healthy", "current_load": load, "available_memory": memory()[1]}
        try:
            print("heartbeat", ask("POST", "/api/worker/heartbeat", body)["status"])
        except OSError as error:
            print("heartbeat failed:", error)


ended = threading.Event()
for number in (signal.SIGTERM, signal.SIGINT):
    signal.signal(number, lambda *_: ended.set())
granted = register()
heartbeats(granted["worker_id"], float(os.environ.get("HEARTBEAT_INTERVAL", granted["heartbeat_interval"])))
print("unregistered", ask("DELETE", f"/api/worker/unregister/{granted['worker_id']}")["status"])
