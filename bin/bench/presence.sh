#!/bin/bash
# ./presence.sh [presence.py options]    users who come and go on three whole nodes, in a second; see README.md
cd "$(dirname "$0")" || exit 1
. ./setup.sh; setup_raft
(cd ../.. && cargo build --release -p quorate-node --example presence) || exit 1
export PRESENCE_BIN="${PRESENCE_BIN:-$(cd ../.. && pwd)/target/release/examples/presence}"
exec python3 "$KIT/presence.py" "$@"
