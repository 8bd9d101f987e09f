#!/bin/bash
# Make a database cluster at the first start, then become the server.
#
# Knows what the named image documents: POSTGRES_USER, POSTGRES_PASSWORD, POSTGRES_DB and
# POSTGRES_INITDB_ARGS (each also as NAME_FILE), POSTGRES_INITDB_WALDIR, POSTGRES_HOST_AUTH_METHOD
# and the scripts in /docker-entrypoint-initdb.d.
set -euo pipefail

main() {
    case ${1:-} in
        -*) set -- postgres "$@" ;;
    esac
    if [ "${1:-}" = postgres ] && ! asks_for_help "$@"; then
        if [ "$(id -u)" = 0 ]; then
            own_folders
            export HOME=/var/lib/postgresql
            exec setpriv --reuid=postgres --regid=postgres --init-groups "$0" "$@"
        fi
        if [ ! -s "$PGDATA/PG_VERSION" ]; then
            initialise "${@:2}"
        fi
    fi
    exec "$@"
}

asks_for_help() {
    local argument
    for argument; do
        case $argument in
            -'?' | --help | --describe-config | -V | --version) return 0 ;;
        esac
    done
    return 1
}

own_folders() {
    mkdir -p "$PGDATA" /run/postgresql ${POSTGRES_INITDB_WALDIR:+"$POSTGRES_INITDB_WALDIR"}
    chmod 700 "$PGDATA"
    chmod 3777 /run/postgresql
    find "$PGDATA" /run/postgresql ${POSTGRES_INITDB_WALDIR:+"$POSTGRES_INITDB_WALDIR"} \
        \! -user postgres -exec chown postgres: {} +
}

initialise() {
    local user password database arguments
    user=$(setting POSTGRES_USER postgres)
    password=$(setting POSTGRES_PASSWORD)
    database=$(setting POSTGRES_DB "$user")
    arguments=$(setting POSTGRES_INITDB_ARGS)
    if [ -z "$password" ] && [ "${POSTGRES_HOST_AUTH_METHOD:-}" != trust ]; then
        fail "no password for $user: set POSTGRES_PASSWORD, or POSTGRES_HOST_AUTH_METHOD=trust"
    fi

    make_cluster
    allow_network "$@"

    # Only a socket for now: who waits for the port must not meet a server that stops again.
    export PGUSER=$user PGPASSWORD=$password PGDATABASE=$database
    pg_ctl --wait -o "$(printf '%q ' "$@" -c listen_addresses=)" start
    if [ "$database" != postgres ]; then
        psql -v ON_ERROR_STOP=1 --no-psqlrc --quiet --dbname=postgres -v name="$database" \
            <<<'CREATE DATABASE :"name";'
    fi
    run_scripts
    pg_ctl --wait --mode=fast stop
    unset PGUSER PGPASSWORD PGDATABASE
}

# setting NAME [DEFAULT]: the value of NAME, or what the file in NAME_FILE holds, or DEFAULT.
setting() {
    local name=$1 file_name=$1_FILE
    if [ -n "${!name:-}" ] && [ -n "${!file_name:-}" ]; then
        fail "set $name or $file_name, not both"
    fi
    if [ -n "${!file_name:-}" ]; then
        cat -- "${!file_name}"
    else
        printf '%s' "${!name:-${2:-}}"
    fi
}

make_cluster() {
    local -a options=(--username="$user" --pgdata="$PGDATA")
    if [ -n "$password" ]; then
        options+=(--pwfile=/dev/fd/3)
    fi
    if [ -n "${POSTGRES_INITDB_WALDIR:-}" ]; then
        options+=(--waldir="$POSTGRES_INITDB_WALDIR")
    fi
    # POSTGRES_INITDB_ARGS is one string, quoted for a shell.
    eval 'initdb "${options[@]}" '"$arguments" 3<<<"$password"
}

# Without a line of its own the network would be refused: initdb lets in this container alone.
allow_network() {
    local method=${POSTGRES_HOST_AUTH_METHOD:-$(postgres -C password_encryption "$@")}
    printf '\nhost all all all %s\n' "$method" >>"$PGDATA/pg_hba.conf"
}

run_scripts() {
    local script
    for script in /docker-entrypoint-initdb.d/*; do
        case $script in
            *.sh)
                if [ -x "$script" ]; then "$script"; else . "$script"; fi
                ;;
            *.sql) psql -v ON_ERROR_STOP=1 --no-psqlrc --file "$script" ;;
            *.sql.gz) gunzip -c "$script" | psql -v ON_ERROR_STOP=1 --no-psqlrc ;;
        esac
    done
}

fail() {
    printf 'docker-entrypoint: %s\n' "$*" >&2
    exit 1
}

main "$@"
