#!/usr/bin/env bash
# Says where Helm is on this machine; where there is none, Go builds it from its module into ~/.cache/audience-triggers, once (some minutes).
set -euo pipefail

VERSION=3.22.0
HOME_OF_HELM=${XDG_CACHE_HOME:-$HOME/.cache}/audience-triggers/helm-$VERSION

fail() {
  echo "$1" >&2
  exit 1
}

if command -v helm; then exit; fi
if [ ! -x "$HOME_OF_HELM/helm" ]; then
  [ "${1:-}" = --build ] || fail "Helm is not installed, and was not built by: ops/helm/get-helm.sh --build"
  command -v go >/dev/null || fail 'neither Helm nor Go is installed'
  mkdir -p "${HOME_OF_HELM%/*}"
  # In a folder of its own, which is moved to its place when all is there.
  WORKSHOP=$(mktemp -d "${HOME_OF_HELM%/*}/building-XXXXXX")
  trap 'rm -rf "$WORKSHOP"' EXIT
  echo "Building Helm $VERSION with Go (some minutes, once)" >&2
  (cd "$WORKSHOP" && GOBIN=$WORKSHOP go install -ldflags='-s -w' "helm.sh/helm/v3/cmd/helm@v$VERSION") >&2 ||
    fail 'Go cannot build Helm here'
  mkdir -p "$HOME_OF_HELM"
  mv "$WORKSHOP/helm" "$HOME_OF_HELM/helm"
fi
echo "$HOME_OF_HELM/helm"
