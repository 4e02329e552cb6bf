#!/usr/bin/env bash
# down.sh DIRECTORY [PROGRAM…]: stop what up.sh DIRECTORY started, or only these of it; the directory stays. Safe to
# repeat.
set -euo pipefail
[ $# != 0 ] || { echo "usage: down.sh DIRECTORY [PROGRAM…]" >&2 && exit 2; }
D=$(cd "$1" && pwd)
shift
[ $# != 0 ] || set -- kube-scheduler kube-controller-manager kube-apiserver etcd
# KILL, not TERM: the API server takes seconds to drain and etcd waits for it. What was written survives even so,
# because the kernel holds the pages.
for program; do
  [ -s "$D/$program.pid" ] || continue
  pid=$(cat "$D/$program.pid")
  # A pid file is believed only while that process still is the program it names.
  if [[ $(tr '\0' '\n' <"/proc/$pid/cmdline" 2>/dev/null | head -n 1) == ?(*/)$program ]]; then
    kill -KILL "$pid" 2>/dev/null || true
    # (Not `kill -0`: that calls a zombie alive until it is reaped.)
    for ((i = 0; i < 250; i++)); do
      readlink "/proc/$pid/exe" >/dev/null 2>&1 || break
      sleep 0.02
    done
  fi
  rm -f "$D/$program.pid"
done
