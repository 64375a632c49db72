#!/bin/bash
# Installs what is missing (Debian 12) and builds the tools and the hyper contestant. Sourced by the run-*.sh scripts.
# WORK: working folder (default: a new mktemp folder). Set it to keep the builds between runs. Needs cargo on PATH (Rust >= 1.95).
KIT="$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)"; export KIT
export WORK="${WORK:-$(mktemp -d -t benchkit.XXXXXX)}"
mkdir -p "$WORK/bin" "$WORK/target"
need() { # command package...
  local c=$1; shift
  command -v "$c" >/dev/null 2>&1 && return
  [ -n "$APT_DONE" ] || { apt-get update >/dev/null; APT_DONE=1; }
  # no service may start by itself
  printf '#!/bin/sh\nexit 101\n' > "$WORK/policy"; if [ ! -e /usr/sbin/policy-rc.d ]; then cp "$WORK/policy" /usr/sbin/policy-rc.d; chmod +x /usr/sbin/policy-rc.d; P=1; fi
  DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends "$@" >/dev/null || echo "could not install $*" >&2
  [ -n "$P" ] && rm -f /usr/sbin/policy-rc.d; P=
}
build() { # crate binary
  [ -x "$WORK/bin/$2" ] && return
  (cd "$KIT/src/$1" && CARGO_TARGET_DIR="$WORK/target" cargo build --release --locked -q) && cp "$WORK/target/release/$2" "$WORK/bin/$2"
}
setup_proxy() { # contestants...
  need python3 python3; need openssl openssl; need strace strace
  need wrk wrk; need h2load nghttp2-client; need nghttpd nghttp2-server
  build bk bk; export BK_BIN="$WORK/bin/bk"
  for c in "$@"; do case $c in
    nginx) need nginx nginx-light;; haproxy) need haproxy haproxy;;
    hyper) [ -n "$HYPER_BIN" ] || { build hyper-proxy hyper-bench-proxy; export HYPER_BIN="$WORK/bin/hyper-bench-proxy"; };;
    esac; done
}
setup_raft() {
  need python3 python3; need protoc protobuf-compiler; need etcd etcd-server
  [ -n "$ETCDLOAD_BIN" ] || { build etcdload etcdload; export ETCDLOAD_BIN="$WORK/bin/etcdload"; }
}
setup_redis() { need python3 python3; need redis-server redis-server; need redis-benchmark redis-tools; build bk bk; export BK_BIN="$WORK/bin/bk"; }
