#!/bin/sh
# Makes the two databases of a Temporal server in PostgreSQL, or brings them to the schema of this server's version. Running it
# again changes nothing. PostgreSQL must be up; the server must not run yet (an older one may).
#
# POSTGRES_SEEDS (host), DB_PORT (5432), POSTGRES_USER, SQL_PASSWORD; DBNAME (temporal), VISIBILITY_DBNAME (temporal_visibility);
# TEMPORAL_SQL_TOOL (temporal-sql-tool) and TEMPORAL_SCHEMA_DIR (where the admin-tools image has it) for use without Docker.
set -eu

: "${POSTGRES_SEEDS:?set it to the host of PostgreSQL}"
: "${POSTGRES_USER:?set it to a user that may create databases}"
: "${SQL_PASSWORD:?set it to the password of POSTGRES_USER}"
export SQL_PASSWORD
schemas=${TEMPORAL_SCHEMA_DIR:-/etc/temporal/schema/postgresql/v12}

bring_up_to_date() { # database, folder of its schema
  set -- "$1" "$schemas/$2/versioned" \
    "${TEMPORAL_SQL_TOOL:-temporal-sql-tool}" --plugin postgres12 --ep "$POSTGRES_SEEDS" --port "${DB_PORT:-5432}" --user "$POSTGRES_USER" --database "$1"
  database=$1 folder=$2
  shift 2
  "$@" create
  # Only starts the book of versions: a database that is further on stays as it is.
  "$@" setup-schema --version 0.0
  "$@" update-schema --schema-dir "$folder"
  echo "Database $database is up to date."
}

bring_up_to_date "${DBNAME:-temporal}" temporal
bring_up_to_date "${VISIBILITY_DBNAME:-temporal_visibility}" visibility
