#!/usr/bin/env bash
# Builds a program of a Go module, unless it is there, and prints the folder of the module's source: go-program.sh MODULE@VERSION PATH FILE [FLAGS…]
# "go install" refuses modules that replace or exclude others; within its own folder each builds.
set -euo pipefail

MODULE=$1 PROGRAM=$2 FILE=$3
shift 3
command -v go >/dev/null || {
  echo "Go is not installed, and builds $MODULE" >&2
  exit 1
}
SOURCE=$(go mod download -json "$MODULE" | sed -n 's/^\t"Dir": "\(.*\)",$/\1/p')
if [ ! -x "$FILE" ]; then
  echo "Building $MODULE with Go (some minutes, once)" >&2
  mkdir -p "${FILE%/*}"
  # Moved to its place when it is whole.
  (cd "$SOURCE" && nice go build -trimpath "$@" -o "$FILE.part" "./$PROGRAM") >&2
  mv "$FILE.part" "$FILE"
fi
echo "$SOURCE"
