#!/usr/bin/env bash
# down.sh DIRECTORY: stop the node that up.sh DIRECTORY started, and its control plane; the directory stays. Safe to repeat.
set -euo pipefail
[ $# = 1 ] || { echo "usage: down.sh DIRECTORY" >&2 && exit 2; }
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
D=$(cd "$1" && pwd)
"$here/../down.sh" "$D" unshare # its child is the first process of a pid namespace, and takes all of it along
"$here/../down.sh" "$D"
[ -s "$D/number" ] || exit 0
number=$(cat "$D/number")
ip link del "tb-$number" 2>/dev/null || true
for ((i = 0; i < 100; i++)); do
  for group in /sys/fs/cgroup/*/testbed-node-"$number"; do
    [ ! -d "$group" ] || find "$group" -depth -type d -exec rmdir {} \; 2>/dev/null || true
  done
  compgen -G "/sys/fs/cgroup/*/testbed-node-$number" >/dev/null || break
  sleep 0.1
done
rm -f "$D/number"
