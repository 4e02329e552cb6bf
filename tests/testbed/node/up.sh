#!/usr/bin/env bash
# up.sh DIRECTORY: a control plane as ../up.sh makes it, and a real node for it, so that pods run: containerd, runc, kubelet,
# kube-proxy (nftables) and CoreDNS. Takes about 10 seconds, and root. Prints the admin's kubeconfig.
#
# The node lives in network, mount, pid, uts and ipc namespaces of its own, joined to this machine by a pair of virtual
# interfaces: down.sh ends its first process, and with it every process, mount and network rule of the node. Pods reach
# this machine and nothing beyond it. Several live side by side, each with a number of its own.
#
# Environment:
#   BIN      directory of Kubernetes' programs
#   ENGINE   directory of the unpacked container engine
#   IMAGES   directory of image archives; pause and coredns must be among them
set -euo pipefail
[ $# = 1 ] || { echo "usage: BIN=… ENGINE=… IMAGES=… up.sh DIRECTORY" >&2 && exit 2; }
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
mkdir -p "$1"
D=$(cd "$1" && pwd)
export D BIN ENGINE IMAGES NUMBER
for ((NUMBER = 0; ; NUMBER++)); do # its networks: 10.250.N.0/30 to the node, 10.244.N.0/24 pods, 10.96.N.0/24 Services
  if ip link add "tb-$NUMBER" type veth peer name "tb-$NUMBER-node" 2>/dev/null; then break; fi
  [ $NUMBER -lt 200 ] || { echo "up.sh: no interface can be made: $(ip link add tb-x type veth 2>&1)" >&2 && exit 1; }
done
echo "$NUMBER" >"$D/number"
export ADDRESS=10.250.$NUMBER.1 POD_CIDR=10.244.$NUMBER.0/24 SERVICE_CIDR=10.96.$NUMBER.0/24 NODE_ADDRESS=10.250.$NUMBER.2
ip addr add "$ADDRESS/30" dev "tb-$NUMBER"
ip link set "tb-$NUMBER" up
trap '[ $? = 0 ] || "$here/down.sh" "$D"' EXIT
"$here/../up.sh" "$D" >/dev/null
kubectl() { "$BIN/kubectl" --kubeconfig "$D/kubeconfig" "$@"; }

for pair in kubelet=system:node:node kube-proxy=system:kube-proxy; do
  token=$(sed -n "s/^\([0-9a-f]*\),${pair#*=},.*/\1/p" "$D/tokens.csv")
  (umask 077 && sed "s/\"token\": \"[0-9a-f]*\"/\"token\": \"$token\"/" "$D/kubeconfig" >"$D/${pair%%=*}.kubeconfig")
done
for file in containerd.toml cni.conflist kubelet.yaml; do
  mkdir -p "$D/config"
  sed "s#@D@#$D#g; s#@ENGINE@#$ENGINE#g; s#@NUMBER@#$NUMBER#g; s#@POD_CIDR@#$POD_CIDR#g; s#@NODE_ADDRESS@#$NODE_ADDRESS#g" \
    "$here/config/$file" >"$D/config/$file"
done
: >"$D/resolv.conf"
setsid unshare --net --mount --pid --uts --ipc --fork --kill-child /bin/bash "$here/init.sh" >"$D/node.log" 2>&1 </dev/null &
echo $! >"$D/unshare.pid"
disown $!
until init=$(pgrep -P "$(cat "$D/unshare.pid")"); do
  [ $((tries = ${tries:-0} + 1)) -lt 500 ] || { cat "$D/node.log" >&2 && exit 1; }
  sleep 0.02
done
echo "$init" >"$D/init.pid"
ip link set "tb-$NUMBER-node" netns "$init"
ip route replace "$POD_CIDR" via "$NODE_ADDRESS"
ip route replace "$SERVICE_CIDR" via "$NODE_ADDRESS"
for ((i = 0; ; i++)); do
  if kubectl wait --for=condition=Ready node/node --timeout=60s >/dev/null 2>&1; then break; fi
  if [ $i = 600 ] || ! readlink "/proc/$init/exe" >/dev/null 2>&1; then
    tail -n 20 "$D"/{node,containerd,kubelet}.log >&2
    exit 1
  fi
  sleep 0.2
done
sed "s#@NUMBER@#$NUMBER#g" "$here/coredns.yaml" | kubectl apply -f - >/dev/null
kubectl -n kube-system rollout status deployment/coredns --timeout=120s >/dev/null
echo "$D/kubeconfig"
