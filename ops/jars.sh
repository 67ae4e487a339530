# Gets jars from Maven Central once, for scripts that run a Java program on this machine. They source this file.
#
# MAVEN_CENTRAL names a mirror. The jars are kept in ~/.cache/audience-triggers.

LEAST_JAVA=17

fail() {
  echo "$1" >&2
  exit 1
}

java_version() { java -version 2>&1 | sed -n 's/.* version "\([0-9]*\).*/\1/p'; }

check_sums() {
  if command -v sha256sum >/dev/null; then sha256sum --check --quiet; else shasum --algorithm 256 --check --quiet; fi
}

# fetch_jars NAME SUMS TITLE: sets JARS to the folder NAME of the cache, which has the jars that the file SUMS lists.
# They come into a folder of their own, which is moved to its place when all is there and right.
fetch_jars() {
  local name=$1 sums=$2 title=$3 from=${MAVEN_CENTRAL:-https://repo1.maven.org/maven2}
  local cache=${XDG_CACHE_HOME:-$HOME/.cache}/audience-triggers
  command -v java >/dev/null || fail "Java $LEAST_JAVA is not installed"
  [ "$(java_version)" -ge "$LEAST_JAVA" ] 2>/dev/null || fail "Java $LEAST_JAVA or newer is needed"
  JARS=$cache/$name
  [ -d "$JARS" ] && return
  command -v curl >/dev/null || fail 'curl is not installed'
  mkdir -p "$cache"
  WORKSHOP=$(mktemp -d "$cache/fetching-XXXXXX")
  trap 'rm -rf "$WORKSHOP"' EXIT
  echo "Fetching $title, once" >&2
  mkdir "$WORKSHOP/jars"
  while read -r sum path; do
    printf 'url = "%s/%s"\noutput = "%s/jars/%s"\n' "$from" "$path" "$WORKSHOP" "${path##*/}" >>"$WORKSHOP/urls"
    echo "$sum  ${path##*/}" >>"$WORKSHOP/sums"
  done <"$sums"
  curl --fail-early --fail --silent --show-error --location --retry 2 --connect-timeout 10 --max-time 300 --config "$WORKSHOP/urls" ||
    fail "the jars of $title cannot be had from $from"
  (cd "$WORKSHOP/jars" && check_sums <"$WORKSHOP/sums") >&2 || fail 'a jar that came is not the one that is expected'
  # Of two that fetch at once, the later one finds them there.
  [ -d "$JARS" ] || mv "$WORKSHOP/jars" "$JARS"
  rm -rf "$WORKSHOP"
}
