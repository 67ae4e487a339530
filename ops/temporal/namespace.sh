#!/bin/sh
# Waits for the Temporal server and makes the namespace if it is not there. Running it again changes nothing.
#
# TEMPORAL_ADDRESS (localhost:7233), TEMPORAL_NAMESPACE (default), NAMESPACE_RETENTION (how long closed workflows can be looked at;
# 72h), TEMPORAL_WAIT_S (longest wait for the server, 120); TEMPORAL_CLI (temporal) for use without Docker.
set -eu

cli=${TEMPORAL_CLI:-temporal}
namespace=${TEMPORAL_NAMESPACE:-default}

waited=0
until_it_works() { # what for, command…
  what=$1
  shift
  until "$@" >/dev/null 2>&1; do
    if [ "$waited" -ge "${TEMPORAL_WAIT_S:-120}" ]; then
      echo "Temporal at ${TEMPORAL_ADDRESS:-localhost:7233}: $what after $waited s. Look at the server's log." >&2
      exit 1
    fi
    sleep 1
    waited=$((waited + 1))
  done
}

until_it_works 'not healthy' "$cli" operator cluster health

if "$cli" operator namespace describe --namespace "$namespace" >/dev/null 2>&1; then
  echo "Namespace $namespace is there."
else
  "$cli" operator namespace create --namespace "$namespace" --retention "${NAMESPACE_RETENTION:-72h}"
  # The server's own services hear of a new namespace some seconds later.
  until_it_works "the new namespace $namespace is not known" "$cli" operator search-attribute list --namespace "$namespace"
fi
