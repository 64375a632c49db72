#!/bin/sh
# What nodes prove to each other. Made once, by the program or by its image, and kept nowhere but in the cluster:
# nothing here prints it.
set -eu

if command -v quorate >/dev/null; then
  new() { quorate cluster secret new; }
else
  new() { docker run --rm "${QUORATE_IMAGE:-quorate:0.1.0}" cluster secret new; }
fi

new | kubectl create secret generic quorate-cluster --namespace quorate --from-file=secret=/dev/stdin
