#!/usr/bin/env bash
# Apache Kafka on this machine: one broker (KRaft) on loopback, for tests and for trying things out. Not for anything that must last.
#
#   ops/kafka/broker.sh FOLDER [PORT [CONTROLLER_PORT [PROPERTIES]]]    run it, until Ctrl-C; what it keeps is in FOLDER, which is made
#   ops/kafka/broker.sh --fetch                                         only get what it needs
#
# Needs Java 17 or newer. Its jars (43 MB) come once from Maven Central by curl, as ops/kafka/jars.sha256 names them, or from a mirror of it that
# MAVEN_CENTRAL names, and are kept in ~/.cache/audience-triggers. PROPERTIES is a file of further settings, which override these here;
# KAFKA_FORMAT has further options for "kafka-storage format", such as --add-scram.
set -euo pipefail

VERSION=4.1.0
HERE=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
FROM=${MAVEN_CENTRAL:-https://repo1.maven.org/maven2}
CACHE=${XDG_CACHE_HOME:-$HOME/.cache}/audience-triggers
JARS=$CACHE/kafka-$VERSION
LEAST_JAVA=17

fail() {
  echo "$1" >&2
  exit 1
}

java_version() { java -version 2>&1 | sed -n 's/.* version "\([0-9]*\).*/\1/p'; }

check_sums() {
  if command -v sha256sum >/dev/null; then sha256sum --check --quiet; else shasum --algorithm 256 --check --quiet; fi
}

# In a folder of its own, which is moved to its place when all is there and right.
fetch() {
  [ -d "$JARS" ] && return
  command -v curl >/dev/null || fail 'curl is not installed'
  mkdir -p "$CACHE"
  WORKSHOP=$(mktemp -d "$CACHE/fetching-XXXXXX")
  trap 'rm -rf "$WORKSHOP"' EXIT
  echo "Fetching Apache Kafka $VERSION (43 MB, once)" >&2
  mkdir "$WORKSHOP/jars"
  while read -r sum path; do
    printf 'url = "%s/%s"\noutput = "%s/jars/%s"\n' "$FROM" "$path" "$WORKSHOP" "${path##*/}" >>"$WORKSHOP/urls"
    echo "$sum  ${path##*/}" >>"$WORKSHOP/sums"
  done <"$HERE/jars.sha256"
  curl --fail-early --fail --silent --show-error --location --retry 2 --connect-timeout 10 --max-time 300 --config "$WORKSHOP/urls" ||
    fail "the jars of Apache Kafka cannot be had from $FROM"
  (cd "$WORKSHOP/jars" && check_sums <"$WORKSHOP/sums") >&2 || fail 'a jar that came is not the one that is expected'
  # Of two that fetch at once, the later one finds them there.
  [ -d "$JARS" ] || mv "$WORKSHOP/jars" "$JARS"
  rm -rf "$WORKSHOP"
}

command -v java >/dev/null || fail "Java $LEAST_JAVA is not installed"
[ "$(java_version)" -ge "$LEAST_JAVA" ] 2>/dev/null || fail "Java $LEAST_JAVA or newer is needed"
fetch
[ "${1:-}" = --fetch ] && exit
FOLDER=${1:?Say which folder it may keep its data in.}
PORT=${2:-9092}
CONTROLLER_PORT=${3:-$((PORT + 1))}

mkdir -p "$FOLDER"
cat >"$FOLDER/server.properties" <<END
process.roles=broker,controller
node.id=1
controller.quorum.voters=1@127.0.0.1:$CONTROLLER_PORT
controller.listener.names=CONTROLLER
listeners=PLAINTEXT://127.0.0.1:$PORT,CONTROLLER://127.0.0.1:$CONTROLLER_PORT
log.dirs=$FOLDER/data
auto.create.topics.enable=false
offsets.topic.replication.factor=1
offsets.topic.num.partitions=1
transaction.state.log.replication.factor=1
transaction.state.log.min.isr=1
transaction.state.log.num.partitions=1
group.initial.rebalance.delay.ms=0
group.min.session.timeout.ms=1000
END
[ -z "${4:-}" ] || cat "$4" >>"$FOLDER/server.properties"
# SLF4J without an implementation says so on each start, and logs nothing.
JAVA=(java -Xms128m -Xmx512m -XX:TieredStopAtLevel=1 -cp "$JARS/*")
if [ ! -d "$FOLDER/data" ]; then
  "${JAVA[@]}" kafka.tools.StorageTool format --cluster-id MkU3OEVBNTcwNTJENDM2Qk --config "$FOLDER/server.properties" \
    ${KAFKA_FORMAT:+"$KAFKA_FORMAT"} >&2
fi
exec "${JAVA[@]}" kafka.Kafka "$FOLDER/server.properties"
