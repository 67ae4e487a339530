#!/bin/sh
# Registers our search attributes (src/domain/names.ts) in the namespace, as `triggers setup` does. Running it again
# changes nothing.
#
# TEMPORAL_ADDRESS (localhost:7233), TEMPORAL_NAMESPACE (default); TEMPORAL_CLI (temporal) for use without Docker.
set -eu

cli=${TEMPORAL_CLI:-temporal}
namespace=${TEMPORAL_NAMESPACE:-default}
known=$("$cli" operator search-attribute list --namespace "$namespace")

register() { # name, type
  if printf '%s\n' "$known" | grep -qw "$1"; then
    echo "Search attribute $1 is there."
  else
    "$cli" operator search-attribute create --namespace "$namespace" --name "$1" --type "$2"
  fi
}

register ExportJobId Keyword
register ExportJobStatus Keyword
register ExportAudiences KeywordList
register ExportPerson Keyword
register ExportFailure Keyword
