#!/bin/bash
# ./storm.sh [storm.py options]    10,000 workers register at once while requests are routed; see README.md
cd "$(dirname "$0")" || exit 1
. ./setup.sh; setup_raft; setup_proxy
exec python3 "$KIT/storm.py" "$@"
