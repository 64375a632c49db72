#!/bin/bash
# The product: a single node, configured through its own management API (ours.py); nothing in it is special to the benchmark.
# See contestants/README for the environment that is given.
[ -x "$OURS_BIN" ] || exit 65
case $MODE in plain|routes|map|hash|h2c|h2h2|tls|ws) ;; *) exit 64;; esac
free() { python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])'; }
management=$(free)
if [ "$MODE" = tls ]; then LISTEN=(--routing "127.0.0.1:$(free)" --https "127.0.0.1:$LISTEN_PORT" --tls-cert "$CERT" --tls-key "$KEY")
else LISTEN=(--routing "127.0.0.1:$LISTEN_PORT"); fi
# As the image and the unit of systemd have it.
export MIMALLOC_PURGE_DELAY=0
touch "$DIR/pending"
# Without its configuration it is no contestant; $$ is the node, once it runs in this shell's place.
{ python3 "$(dirname "$0")/ours.py" "$management" || kill $$; } &
exec "$OURS_BIN" serve --node-name n1 --data-dir "$DIR/data" --management "127.0.0.1:$management" --peer "127.0.0.1:$(free)" --gateway "127.0.0.1:$(free)" --threads "$THREADS" "${LISTEN[@]}"
