#!/usr/bin/env bash
# Says how to reach a Docker engine and Compose on this machine, as variables for a shell: eval "$(ops/containers/engine.sh)"
#
#   ops/containers/engine.sh            fails where there is no engine or no Compose
#   ops/containers/engine.sh --start    starts an engine of its own where none runs (as root, with Debian's docker.io or the like), and builds Compose
#                                       with Go where there is none (some minutes, once)
#
# What it starts and builds is in ~/.cache/audience-triggers. The engine runs until somebody ends it: kill "$(cat ~/.cache/audience-triggers/docker/pid)".
set -euo pipefail

COMPOSE_VERSION=2.40.3
HERE=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
CACHE=${XDG_CACHE_HOME:-$HOME/.cache}/audience-triggers
ENGINE=$CACHE/docker
PLUGINS=$CACHE/docker-compose-$COMPOSE_VERSION/cli-plugins

fail() {
  echo "$1" >&2
  exit 1
}

start_engine() {
  command -v dockerd >/dev/null || fail 'neither a Docker engine nor dockerd is there'
  [ "$(id -u)" = 0 ] || fail 'no Docker engine runs, and only root can start one'
  mkdir -p "$ENGINE"
  echo 'Starting a Docker engine' >&2
  nohup dockerd --data-root "$ENGINE/data" --exec-root "$ENGINE/exec" --pidfile "$ENGINE/pid" --host "unix://$ENGINE/socket" >"$ENGINE/log" 2>&1 &
  for ((waited = 0; waited < 60; waited++)); do
    if docker version >/dev/null 2>&1; then return; fi
    sleep 1
  done
  fail "the Docker engine does not answer after $waited s: $ENGINE/log"
}

command -v docker >/dev/null || fail 'the docker command is not there'
if ! docker version >/dev/null 2>&1; then
  export DOCKER_HOST=unix://$ENGINE/socket
  if ! docker version >/dev/null 2>&1; then
    [ "${1:-}" = --start ] || fail 'no Docker engine runs, and none was started by: ops/containers/engine.sh --start'
    start_engine
  fi
fi
if ! docker compose version >/dev/null 2>&1; then
  # Instead of this user's own folder, which has no such plugin.
  export DOCKER_CONFIG=${PLUGINS%/*}
  if [ ! -x "$PLUGINS/docker-compose" ]; then
    [ "${1:-}" = --start ] || fail 'Compose is not installed, and was not built by: ops/containers/engine.sh --start'
    version=github.com/docker/compose/v2/internal.Version=v$COMPOSE_VERSION
    "$HERE/go-program.sh" "github.com/docker/compose/v2@v$COMPOSE_VERSION" cmd "$PLUGINS/docker-compose" -tags fsnotify -ldflags="-s -w -X $version" >/dev/null
  fi
fi

for name in DOCKER_HOST DOCKER_CONFIG; do
  if [ -n "${!name:-}" ]; then printf 'export %s=%q\n' "$name" "${!name}"; fi
done
