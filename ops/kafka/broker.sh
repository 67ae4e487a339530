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
# shellcheck source=../jars.sh
. "$HERE/../jars.sh"

fetch_jars "kafka-$VERSION" "$HERE/jars.sha256" "Apache Kafka $VERSION (43 MB)"
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
