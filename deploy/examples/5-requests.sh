#!/bin/sh
# Requests from this machine, through one node. Inside the cluster, clients use http://quorate-routing:8080.
set -eu

kubectl port-forward --namespace quorate service/quorate-routing 8080:8080 >/dev/null &
forward=$!
trap 'kill "$forward"' EXIT

# Until the port is forwarded.
curl --silent --show-error --retry 10 --retry-connrefused --retry-delay 1 \
  http://127.0.0.1:8080/v1/workspaces/test-workspace/hello
curl --silent --show-error -H 'X-Workspace-ID: my-workspace' http://127.0.0.1:8080/hello
curl --silent --show-error --include -d 'some text' http://127.0.0.1:8080/v1/workspaces/my-workspace/orders
