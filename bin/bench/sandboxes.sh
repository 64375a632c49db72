#!/bin/bash
# ./sandboxes.sh [sandboxes.py options]    how soon a change of a sandbox is served on all nodes, and the goals of the original proxy; see README.md
cd "$(dirname "$0")" || exit 1
. ./setup.sh; setup_raft; setup_proxy
exec python3 "$KIT/sandboxes.py" "$@"
