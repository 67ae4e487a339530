#!/usr/bin/env bash
# The test server of Temporal's Java SDK on this machine: it keeps everything in memory and skips time while nothing happens. For tests only.
#
#   ops/time-skipping/server.sh PORT [OPTION...]    run it, until Ctrl-C; the option --enable-time-skipping lets it skip
#   ops/time-skipping/server.sh --fetch             only get what it needs
#
# Needs Java 17 or newer. Its jars (38 MB) come once from Maven Central by curl, as ops/time-skipping/jars.sha256 names them, or from a mirror of it
# that MAVEN_CENTRAL names, and are kept in ~/.cache/audience-triggers.
set -euo pipefail

VERSION=1.38.0
HERE=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
# shellcheck source=../jars.sh
. "$HERE/../jars.sh"

fetch_jars "time-skipping-$VERSION" "$HERE/jars.sha256" "Temporal's time-skipping test server $VERSION (38 MB)"
[ "${1:-}" = --fetch ] && exit
exec java -Xms64m -Xmx1g -XX:+UseSerialGC -XX:TieredStopAtLevel=1 -cp "$JARS/*" io.temporal.testserver.TestServer "$@"
