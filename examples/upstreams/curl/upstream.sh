#!/bin/sh
# An upstream with curl alone: signals one job over Temporal's HTTP API, and asks again until it is accepted.
#
#   echo '{"audience":"vip","user":"7076","at":"2026-11-25T08:30:00.000000001Z"}' | ./upstream.sh JOB enter      (or exit)
#   ./upstream.sh JOB triggers < batch.json      an array of triggers that say their "event", of at most 64 KiB
#
# TEMPORAL_HTTP        where the API is, default http://127.0.0.1:7243 (triggers up --http-port 7243)
# TEMPORAL_NAMESPACE   default "default"
# TEMPORAL_TOKEN       sent as a bearer, if it is set
# PATIENCE             longest wait, in seconds, default 300
set -eu

if [ $# -ne 2 ]; then
  sed -n '2,11s/^# \{0,1\}//p' "$0" >&2
  exit 2
fi
job=$1
signal=$2
base=${TEMPORAL_HTTP:-http://127.0.0.1:7243}
url=$base/api/v1/namespaces/${TEMPORAL_NAMESPACE:-default}/workflows/export-job-$job/signal/$signal
patience=${PATIENCE:-300}

# In files that nobody else may read: a command line is seen by everybody on the machine.
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
# A repeat under the same request id changes nothing, so that it is safe to ask again after a lost answer.
request_id=$(od -An -N16 -tx1 /dev/urandom | tr -d ' \n')
{
  printf '{"requestId":"%s","input":[' "$request_id"
  cat
  printf ']}'
} >"$folder/body"
{
  echo 'content-type: application/json'
  if [ -n "${TEMPORAL_TOKEN:-}" ]; then echo "authorization: Bearer $TEMPORAL_TOKEN"; fi
} >"$folder/headers"

pause=1
waited=0
while :; do
  status=$(curl -sS --max-time 30 -o "$folder/answer" -w '%{http_code}' -H "@$folder/headers" \
    --data-binary "@$folder/body" "$url") || status=000
  case $status in
    200) exit 0 ;;
    # 400 is also said for a run that has had all the signals it may have: the next one takes them.
    000 | 400 | 408 | 409 | 429 | 5??) ;;
    *) waited=$patience ;;
  esac
  if [ "$waited" -ge "$patience" ]; then
    echo "not accepted by export-job-$job: $status $(cat "$folder/answer" 2>/dev/null)" >&2
    exit 1
  fi
  echo "waiting for Temporal: $status $(cat "$folder/answer" 2>/dev/null)" >&2
  sleep "$pause"
  waited=$((waited + pause))
  pause=$((pause < 8 ? pause * 2 : 10))
done
