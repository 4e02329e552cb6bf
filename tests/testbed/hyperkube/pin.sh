#!/usr/bin/env bash
# pin.sh KUBERNETES ETCD (such as: pin.sh 1.35.8 3.6.5): write go.mod and go.sum anew for these versions.
# etcd's is the one that Kubernetes itself pins.
#
# No `replace` is needed: Kubernetes' go.mod asks for its staging modules at v0.0.0, and the published
# v0.<minor>.<patch> required here is higher, so minimal version selection takes that one.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")"
kubernetes=${1#v} etcd=${2#v}
directory=$(go mod download -json "k8s.io/kubernetes@v$kubernetes" | sed -n 's/^\t"Dir": "\(.*\)",/\1/p')
{
  echo "module testbed.invalid/hyperkube"
  echo
  sed -n '/^go /p;/^godebug /p' "$directory/go.mod"
  echo
  echo "require ("
  echo "	go.etcd.io/etcd/server/v3 v$etcd"
  echo "	k8s.io/kubernetes v$kubernetes"
  # Only what it requires, which is less than what it replaces: not every staging module is published.
  sed -n "s#^\t\(k8s.io/[a-z0-9-]*\) v0.0.0\$#\t\1 v0.${kubernetes#1.}#p" "$directory/go.mod"
  echo ")"
} >go.mod
rm -f go.sum
go mod tidy
