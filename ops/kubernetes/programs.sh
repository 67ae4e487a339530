#!/usr/bin/env bash
# Says where the programs of a Kubernetes cluster are on this machine: prints the folder that has them all.
#
#   ops/kubernetes/programs.sh            fails where one is missing, and says which
#   ops/kubernetes/programs.sh --build    builds the missing ones with Go from their published modules (half an hour beside other work, once)
#
# They are in ~/.cache/audience-triggers/kubernetes-VERSION. Where they differ from the released ones:
#
# - k8s.io/kubernetes takes its parts (k8s.io/api and others) from a folder that its module leaves out. They come from the modules published with it.
# - etcd finds its own other modules beside itself; here, they are those of the same version.
# - coredns has only the plugins that a cluster needs.
#
# Of KEDA, only the definitions of its kinds are there, in the folder keda: an API server judges what is made of them.
#
# From packages (Debian: containerd, runc, containernetworking-plugins, iptables, conntrack): what runs containers, and connects them.
set -euo pipefail

KUBERNETES_VERSION=1.34.4
ETCD_VERSION=3.6.16
COREDNS_VERSION=1.15.0
POLICIES_VERSION=0.8.0
KEDA_VERSION=2.21.0
HERE=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
FOLDER=${XDG_CACHE_HOME:-$HOME/.cache}/audience-triggers/kubernetes-$KUBERNETES_VERSION
KUBERNETES=(kube-apiserver kube-controller-manager kube-scheduler kubelet kube-proxy kubectl)
PLUGINS=(bind cache errors forward health kubernetes loadbalance log metrics ready)

fail() {
  echo "$1" >&2
  exit 1
}

missing() {
  for name in "${KUBERNETES[@]}" etcd coredns kube-network-policies keda; do [ -x "$FOLDER/$name" ] || echo "$name"; done
}

# source_of MODULE@VERSION: the folder of its source.
source_of() {
  go mod download -json "$1" | sed -n 's/^\t"Dir": "\(.*\)",$/\1/p'
}

# build MODULE PATH NAME [FLAGS…]
build() {
  "$HERE/../containers/go-program.sh" "$1" "$2" "$FOLDER/$3" "${@:4}" >/dev/null
}

# with_siblings NAME MODULE EXPRESSION: its go.mod with other replacements, as NAME.mod.
with_siblings() {
  local source
  source=$(source_of "$2")
  sed "$3" "$source/go.mod" >"$WORKSHOP/$1.mod"
  cp "$source/go.sum" "$WORKSHOP/$1.sum"
  chmod u+w "$WORKSHOP/$1.sum"
}

build_kubernetes() {
  local module=k8s.io/kubernetes@v$KUBERNETES_VERSION version=k8s.io/component-base/version
  with_siblings kubernetes "$module" "s|=> ./staging/src/\(.*\)|=> \1 v0.${KUBERNETES_VERSION#1.}|"
  # Its parts refuse one another without a version.
  local flags="-s -w -X $version.gitMajor=1 -X $version.gitMinor=34 -X $version.gitVersion=v$KUBERNETES_VERSION"
  for name in "${KUBERNETES[@]}"; do
    build "$module" "cmd/$name" "$name" -mod=mod -modfile="$WORKSHOP/kubernetes.mod" -ldflags="$flags"
  done
}

build_etcd() {
  local module=go.etcd.io/etcd/server/v3@v$ETCD_VERSION
  with_siblings etcd "$module" "s|^\t\(go.etcd.io/etcd/.*\) => \.\./.*|\t\1 => \1 v$ETCD_VERSION|"
  build "$module" . etcd -mod=mod -modfile="$WORKSHOP/etcd.mod" -ldflags='-s -w'
}

# Its own main program has the plugins of many clouds.
build_coredns() {
  if [ -x "$FOLDER/coredns" ]; then return; fi
  echo "Building CoreDNS $COREDNS_VERSION with Go (some minutes, once)" >&2
  mkdir "$WORKSHOP/coredns"
  {
    echo 'package main'
    printf 'import _ "github.com/coredns/coredns/plugin/%s"\n' "${PLUGINS[@]}"
    echo 'import "github.com/coredns/coredns/coremain"'
    echo 'func main() { coremain.Run() }'
  } >"$WORKSHOP/coredns/main.go"
  (
    cd "$WORKSHOP/coredns"
    go mod init coredns
    go get "github.com/coredns/coredns@v$COREDNS_VERSION"
    nice go build -mod=mod -trimpath -ldflags='-s -w' -o coredns
  ) >&2
  mv "$WORKSHOP/coredns/coredns" "$FOLDER/"
}

copy_keda() {
  local source
  source=$(source_of "github.com/kedacore/keda/v2@v$KEDA_VERSION")
  mkdir "$WORKSHOP/keda"
  cp "$source"/config/crd/bases/keda.sh_{scaledobjects,triggerauthentications}.yaml "$WORKSHOP/keda/"
  mv "$WORKSHOP/keda" "$FOLDER/"
}

MISSING=$(missing)
if [ -n "$MISSING" ]; then
  [ "${1:-}" = --build ] || fail "not built by ops/kubernetes/programs.sh --build: ${MISSING//$'\n'/, }"
  export GOWORK=off
  mkdir -p "$FOLDER"
  WORKSHOP=$(mktemp -d "${FOLDER%/*}/building-XXXXXX")
  trap 'rm -rf "$WORKSHOP"' EXIT
  build_kubernetes
  build_etcd
  build_coredns
  build "sigs.k8s.io/kube-network-policies@v$POLICIES_VERSION" cmd kube-network-policies -ldflags='-s -w'
  if [ ! -d "$FOLDER/keda" ]; then copy_keda; fi
fi
echo "$FOLDER"
