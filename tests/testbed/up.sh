#!/usr/bin/env bash
# up.sh DIRECTORY: start a real, empty Kubernetes control plane (etcd, kube-apiserver, kube-controller-manager) that
# keeps everything in DIRECTORY, and print the admin's kubeconfig. Takes 3 to 5 seconds; needs no root.
# down.sh DIRECTORY stops it, up.sh starts it again with what it held: all of it, or what of it does not run. Several
# live side by side.
#
# ClusterIPs are loopback addresses: there is no node to forward them, so a test lets a real server listen at the very
# address of its Service. (Kubernetes gives the first 256 addresses only to who asks for one of them.)
#
# Environment:
#   BIN              directory of the programs (needed)
#   SERVICE_CIDR     default 127.96.0.0/16
#   APISERVER_ARGS   further flags of kube-apiserver, split at blanks
#   ADDRESS          where the API server listens; default 127.0.0.1. At another one nodes can join (node/up.sh): then
#                    kube-scheduler runs, too, and POD_CIDR says where pods live
set -euo pipefail
unset HTTP_PROXY HTTPS_PROXY ALL_PROXY http_proxy https_proxy all_proxy # all of it is on this machine
[ $# = 1 ] || { echo "usage: BIN=PROGRAMS up.sh DIRECTORY" >&2 && exit 2; }
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
BIN=$(cd "${BIN:?set BIN to the directory of etcd, kube-apiserver and kube-controller-manager}" && pwd)
SERVICE_CIDR=${SERVICE_CIDR:-127.96.0.0/16} ADDRESS=${ADDRESS:-127.0.0.1}
mkdir -p "$1"
D=$(cd "$1" && pwd)
umask 077

# (A zombie has no exe: `kill -0` would call it alive until it is reaped.)
alive() { readlink "/proc/$(cat "$D/$1.pid" 2>/dev/null)/exe" >/dev/null 2>&1; }
fail() { # REASON PROGRAM
  echo "up.sh: $1; last lines of $D/$2.log:" >&2
  tail -n 15 "$D/$2.log" >&2
  "$here/down.sh" "$D" >&2 || true
  exit 1
}
runs() { alive "$1" && grep -qz "/$1\$" "/proc/$(cat "$D/$1.pid")/cmdline"; } # (a number of long ago may be another's by now)
start() { # PROGRAM FLAG…: in a session of its own, so that a Ctrl-C in the tests leaves stopping it to down.sh
  if runs "$1"; then return; fi
  (cd "$D" && exec setsid "$BIN/$1" "${@:2}") >"$D/$1.log" 2>&1 </dev/null &
  echo $! >"$D/$1.pid"
  disown $!
}
free_port() { # below the ephemeral range; who loses a race for it is started again on another
  local port
  while :; do
    port=$((20000 + RANDOM % 12000))
    (exec 3<>"/dev/tcp/$ADDRESS/$port") 2>/dev/null || { echo "$port" && return; }
  done
}
new_token() { od -An -N16 -tx1 /dev/urandom | tr -d ' \n'; }
token() { sed -n "s/^\([0-9a-f]*\),$1,.*/\1/p" "$D/tokens.csv"; } # USER
kubeconfig() { # FILE USER
  cat >"$D/$1" <<EOF
{"apiVersion": "v1", "kind": "Config", "current-context": "testbed",
 "clusters": [{"name": "testbed", "cluster": {"server": "https://$ADDRESS:$port", "certificate-authority-data": "$(base64 -w0 "$D/ca.crt")"}}],
 "users": [{"name": "$2", "user": {"token": "$(token "$2")"}}],
 "contexts": [{"name": "testbed", "context": {"cluster": "testbed", "user": "$2"}}]}
EOF
}
get() { curl -sf --max-time 5 --noproxy '*' --cacert "$D/ca.crt" -H "Authorization: Bearer $(token admin)" "https://$ADDRESS:$port$1" >/dev/null 2>&1; }

if runs etcd && runs kube-apiserver && runs kube-controller-manager; then
  echo "up.sh: a control plane already runs in $D" >&2
  exit 1
fi

if [ ! -s "$D/tokens.csv" ]; then # the first start here: keys, certificates, identities
  {
    openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 3650 -subj /CN=testbed-ca \
      -addext keyUsage=critical,keyCertSign,digitalSignature -keyout "$D/ca.key" -out "$D/ca.crt"
    openssl req -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -subj /CN=kube-apiserver \
      -keyout "$D/apiserver.key" -out "$D/apiserver.csr"
    openssl x509 -req -in "$D/apiserver.csr" -CA "$D/ca.crt" -CAkey "$D/ca.key" -CAcreateserial -days 3650 \
      -extfile <(printf '%s\n' extendedKeyUsage=serverAuth \
        "subjectAltName=IP:127.0.0.1,IP:$ADDRESS,IP:${SERVICE_CIDR%.*}.1,DNS:localhost,DNS:kubernetes.default.svc") -out "$D/apiserver.crt"
    openssl req -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -subj /O=system:masters/CN=kube-apiserver-kubelet-client \
      -keyout "$D/kubelet-client.key" -out "$D/kubelet-client.csr"
    openssl x509 -req -in "$D/kubelet-client.csr" -CA "$D/ca.crt" -CAkey "$D/ca.key" -CAcreateserial -days 3650 \
      -extfile <(echo extendedKeyUsage=clientAuth) -out "$D/kubelet-client.crt"
    openssl genpkey -algorithm RSA -pkeyopt rsa_keygen_bits:2048 -out "$D/sa.key"
    openssl pkey -in "$D/sa.key" -pubout -out "$D/sa.pub"
  } >"$D/openssl.log" 2>&1 || { cat "$D/openssl.log" >&2 && exit 1; }
  printf '%s\n' "$(new_token),admin,admin,system:masters" "$(new_token),system:kube-controller-manager,kcm," \
    "$(new_token),system:kube-scheduler,scheduler," "$(new_token),system:kube-proxy,proxy," \
    "$(new_token),system:node:node,node,system:nodes" >"$D/tokens.csv"
fi

# On unix sockets in the directory: no port to race for. The data is thrown away, so nothing waits for the disk.
start etcd --name testbed --data-dir "$D/etcd" --unsafe-no-fsync --log-level warn \
  --listen-client-urls unix://etcd.sock:0 --advertise-client-urls unix://etcd.sock:0 \
  --listen-peer-urls unix://peer.sock:0 --initial-advertise-peer-urls unix://peer.sock:0 \
  --initial-cluster testbed=unix://peer.sock:0

# A restart comes back on the port it had, as an API server does: its clients must be able to find it again.
port=$(cat "$D/port" 2>/dev/null || free_port)
nodes=
# The endpoint of the Service "kubernetes" may not be a loopback address: there it has none.
case $ADDRESS in 127.*) endpoint=(--endpoint-reconciler-type=none) ;; *) endpoint=() nodes=yes ;; esac
for try in 1 2 3 4 5; do
  # shellcheck disable=SC2086
  start kube-apiserver --etcd-servers=unix://etcd.sock:0 --bind-address="$ADDRESS" --secure-port="$port" \
    --advertise-address="$ADDRESS" "${endpoint[@]}" --service-cluster-ip-range="$SERVICE_CIDR" \
    --tls-cert-file="$D/apiserver.crt" --tls-private-key-file="$D/apiserver.key" --client-ca-file="$D/ca.crt" \
    --token-auth-file="$D/tokens.csv" --authorization-mode=Node,RBAC --enable-admission-plugins=NodeRestriction \
    --kubelet-client-certificate="$D/kubelet-client.crt" --kubelet-client-key="$D/kubelet-client.key" \
    --kubelet-preferred-address-types=InternalIP \
    --service-account-issuer=https://kubernetes.default.svc.cluster.local \
    --service-account-key-file="$D/sa.pub" --service-account-signing-key-file="$D/sa.key" \
    --allow-privileged=true --profiling=false ${APISERVER_ARGS:-}
  for ((i = 0; ; i++)); do
    if get /readyz; then break 2; fi
    alive kube-apiserver || break
    alive etcd || fail "etcd ended" etcd
    [ $i -lt 1200 ] || fail "kube-apiserver is not ready after two minutes" kube-apiserver
    sleep 0.1
  done
  if [ $try = 5 ] || ! grep -q 'address already in use' "$D/kube-apiserver.log"; then fail "kube-apiserver ended" kube-apiserver; fi
  port=$(free_port)
done
echo "$port" >"$D/port"
kubeconfig kubeconfig admin

# One identity a controller, as real clusters have it: the program's own user may not do the controllers' work. The
# raised rate makes its 40 token requests take 0.7 s instead of 5 s.
kubeconfig kcm.kubeconfig system:kube-controller-manager
start kube-controller-manager --kubeconfig="$D/kcm.kubeconfig" --secure-port=0 --leader-elect=false --profiling=false \
  --use-service-account-credentials=true --kube-api-qps=500 --kube-api-burst=1000 \
  --service-account-private-key-file="$D/sa.key" --root-ca-file="$D/ca.crt" \
  --cluster-signing-cert-file="$D/ca.crt" --cluster-signing-key-file="$D/ca.key" --service-cluster-ip-range="$SERVICE_CIDR" \
  ${nodes:+--allocate-node-cidrs=true --cluster-cidr="$POD_CIDR"}
if [ -n "$nodes" ]; then
  kubeconfig scheduler.kubeconfig system:kube-scheduler
  start kube-scheduler --kubeconfig="$D/scheduler.kubeconfig" --secure-port=0 --leader-elect=false
fi
# Pods are refused until their namespace has its service account.
for ((i = 0; ; i++)); do
  if get /api/v1/namespaces/default/serviceaccounts/default; then break; fi
  alive kube-controller-manager || fail "kube-controller-manager ended" kube-controller-manager
  [ $i -lt 600 ] || fail "no default service account after a minute" kube-controller-manager
  sleep 0.1
done
echo "$D/kubeconfig"
