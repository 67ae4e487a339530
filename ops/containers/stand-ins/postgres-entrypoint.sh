#!/usr/bin/env bash
# As the real image does with POSTGRES_USER, POSTGRES_PASSWORD and POSTGRES_DB: makes the cluster in an empty PGDATA, then runs it as the user postgres.
set -euo pipefail

[ "$1" = postgres ] || exec "$@"
if [ "$(id -u)" = 0 ]; then
  mkdir -p "$PGDATA"
  chown -R postgres "$PGDATA" /var/run/postgresql
  chmod 700 "$PGDATA"
  exec gosu postgres "$0" "$@"
fi
if [ ! -s "$PGDATA/PG_VERSION" ]; then
  user=${POSTGRES_USER:-postgres} database=${POSTGRES_DB:-${POSTGRES_USER:-postgres}}
  initdb --username "$user" --pwfile <(echo "${POSTGRES_PASSWORD:?set it to the password of the superuser}")
  echo 'host all all all scram-sha-256' >>"$PGDATA/pg_hba.conf"
  echo "listen_addresses = '*'" >>"$PGDATA/postgresql.conf"
  # The real image, too, has the server up once, on its socket alone, before it really starts.
  pg_ctl --pgdata "$PGDATA" --options "-c listen_addresses= -c unix_socket_directories=/var/run/postgresql" --wait start
  if [ "$database" != postgres ]; then psql --username "$user" --dbname postgres --command "CREATE DATABASE \"$database\""; fi
  pg_ctl --pgdata "$PGDATA" --mode fast --wait stop
fi
exec postgres -c unix_socket_directories=/var/run/postgresql "${@:2}"
