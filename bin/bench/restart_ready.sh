#!/bin/bash
# ./restart_ready.sh [RESTARTS]    How long a node with a million workers takes from its start until it is ready.
# WORKERS (default 1000000), RAFT_DIR (a folder on a real disk, default /var/tmp), PORT (the first of three,
# default 19090), SNAPSHOT (a file of an earlier run; made anew without it), OURS_BIN.
set -eu
top=$(realpath "$(dirname "$0")/../..")
restarts=${1:-10}
workers=${WORKERS:-1000000}
port=${PORT:-19090}
bin=${OURS_BIN:-$top/target/release/quorate}
[ -x "$bin" ] || { echo "no program at $bin: cargo build --release --bin quorate, or set OURS_BIN" >&2; exit 1; }
folder=$(mktemp -d "${RAFT_DIR:-/var/tmp}/restart-ready.XXXXXX")
node=
finish() {
    if [ -n "$node" ]; then kill "$node" 2>/dev/null || true; wait "$node" || true; fi
    rm -rf "$folder"
}
trap finish EXIT

start() {
    "$bin" serve --node-name bench --data-dir "$folder/data" --management "127.0.0.1:$port" \
        --routing "127.0.0.1:$((port + 1))" --peer "127.0.0.1:$((port + 2))" >"$folder/log" 2>&1 &
    node=$!
}

# By the shell alone: a program for each look would take the time that is measured.
ready() {
    { exec 3<>"/dev/tcp/127.0.0.1/$port"; } 2>/dev/null || return 1
    local status=
    printf 'GET /readyz HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n' >&3 2>/dev/null || true
    read -r -t 5 _ status _ <&3 || true
    exec 3>&- 3<&-
    [ "$status" = 200 ]
}

wait_ready() {
    until ready; do
        kill -0 "$node" 2>/dev/null || { echo "the node ended:" >&2; tail -n 5 "$folder/log" >&2; exit 1; }
        sleep 0.01
    done
}

stop() {
    kill "$node"
    wait "$node" || true
    node=
}

snapshot=$(realpath -m "${SNAPSHOT:-$folder/snapshot}")
if [ ! -e "$snapshot" ]; then
    (cd "$top" && cargo run --release --quiet -p quorate-storage --example snapshot_size -- "$workers" "$snapshot") >&2
fi
start
wait_ready
"$bin" snapshot restore "$snapshot" --server "http://127.0.0.1:$port"
stop

times=()
for _ in $(seq "$restarts"); do
    begun=$(date +%s%N)
    start
    wait_ready
    ms=$((($(date +%s%N) - begun) / 1000000))
    resident=$(awk '/^VmHWM/ { print int($2 / 1024) }' "/proc/$node/status")
    # Fields behind the name, which may hold spaces: user and system time are the 12th and 13th.
    cpu=$(sed 's/.*) //' "/proc/$node/stat" | awk -v hz="$(getconf CLK_TCK)" '{ printf "user %.1f s, system %.1f s", $12 / hz, $13 / hz }')
    echo "ready in $ms ms; $cpu; at most $resident MiB"
    times+=("$ms")
    stop
done
printf '%s\n' "${times[@]}" | sort -n | awk '{ t[NR] = $1 } END {
    m = NR % 2 ? t[(NR + 1) / 2] : (t[NR / 2] + t[NR / 2 + 1]) / 2
    printf "%d starts: median %.1f s, %.1f to %.1f s\n", NR, m / 1000, t[1] / 1000, t[NR] / 1000 }'
