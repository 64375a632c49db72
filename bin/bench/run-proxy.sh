#!/bin/bash
# ./run-proxy.sh CONTESTANT... [-- bench.py options]      e.g.  OURS_BIN=/path/ours ./run-proxy.sh ours nginx haproxy hyper -- --tests sat64,map --rounds 7
cd "$(dirname "$0")" || exit 1
C=(); while [ $# -gt 0 ] && [ "$1" != -- ]; do C+=("$1"); shift; done; [ "$1" = -- ] && shift
[ ${#C[@]} -gt 0 ] || C=(nginx haproxy hyper)
. ./setup.sh; setup_proxy "${C[@]}"
exec python3 "$KIT/bench.py" direct "${C[@]}" --work "$WORK/run.$$" "$@"
