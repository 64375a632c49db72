#!/bin/bash
# The WebSocket gateway of three nodes on a real disk (RAFT_DIR, default /var/tmp), and in the same run Redis with the original's
# script (run-redis.sh). OURS_BIN: the release build. ROUNDS, DUR: seconds a round.
cd "$(dirname "$0")" || exit 1
. ./setup.sh; setup_redis
ulimit -n "$(ulimit -H -n)"
python3 sockets.py
echo
exec "$KIT/run-redis.sh"
