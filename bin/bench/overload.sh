#!/bin/bash
# ./overload.sh [overload.py options]    twice what a service can do is asked of the leader of three nodes; see README.md
cd "$(dirname "$0")" || exit 1
. ./setup.sh; setup_proxy
exec python3 "$KIT/overload.py" "$@"
