#!/bin/bash
# The node's first process, started by up.sh in namespaces of its own: everything of the node is its child, and ends with it.
set -eu
# The engine is unpacked beside the system, so its programs look for each other and for libraries there.
export PATH=$ENGINE/usr/sbin:$ENGINE/usr/bin:/usr/sbin:/usr/bin:/sbin:/bin
machine=$(uname -m)-linux-gnu
export LD_LIBRARY_PATH=$ENGINE/usr/lib/$machine:$ENGINE/lib/$machine
mount --make-rshared /
mount -t proc proc /proc
mkdir -p /var/log/containers /var/lib/cni "$D"/{logs,pki,sysctl}
for directory in /run /var/log/containers /var/lib/cni; do mount -t tmpfs -o mode=755 tmpfs $directory; done
mkdir -p /run/netns
hostname node
# The kubelet sets these for the whole machine: it is shown files that say what it wants to see.
for setting in vm/overcommit_memory=1 kernel/panic=10 kernel/panic_on_oops=1; do
  file=$D/sysctl/$(basename "${setting%=*}")
  echo "${setting#*=}" >"$file"
  mount --bind "$file" "/proc/sys/${setting%=*}"
done
echo 1 >/proc/sys/net/ipv4/ip_forward
ip link set lo up
until ip link show "tb-$NUMBER-node" >/dev/null 2>&1; do sleep 0.02; done
ip addr add "$NODE_ADDRESS/30" dev "tb-$NUMBER-node"
ip link set "tb-$NUMBER-node" up
ip route add default via "$ADDRESS"
for hierarchy in /sys/fs/cgroup/*/; do
  [ ! -e "$hierarchy/cgroup.procs" ] || mkdir -p "$hierarchy/testbed-node-$NUMBER"
done

containerd --config "$D/config/containerd.toml" --log-level warn >"$D/containerd.log" 2>&1 &
until ctr -a /run/containerd.sock version >/dev/null 2>&1; do sleep 0.05; done
for archive in "$IMAGES"/*.tar; do ctr -a /run/containerd.sock -n k8s.io images import "$archive"; done
# Without CAP_SYS_RESOURCE, which a container may lack, nobody may lower an oom_score_adj: it stays 0.
"$BIN/kubelet" --config="$D/config/kubelet.yaml" --kubeconfig="$D/kubelet.kubeconfig" --hostname-override=node \
  --node-ip="$NODE_ADDRESS" --root-dir="$D/kubelet" --cert-dir="$D/pki" >"$D/kubelet.log" 2>&1 &
# In a network namespace it must not set limits of connection tracking.
"$BIN/kube-proxy" --kubeconfig="$D/kube-proxy.kubeconfig" --proxy-mode=nftables --hostname-override=node \
  --cluster-cidr="$POD_CIDR" --bind-address="$NODE_ADDRESS" --healthz-bind-address= --conntrack-max-per-core=0 \
  --oom-score-adj=0 >"$D/kube-proxy.log" 2>&1 &
while :; do wait -n || sleep 0.1; done # also reaps what is left to the first process
