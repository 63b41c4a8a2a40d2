#!/bin/sh
# A throw-away PostgreSQL cluster for tests: says its URL on standard output, and lives until its standard input ends.
# So it goes when whoever started it goes, however that happens. It listens on a socket of its own and on no port.
#
# Usage: cluster.sh [SETTING=VALUE ...]    settings for postgresql.conf
set -eu

server=
finish() {
    trap - EXIT INT TERM HUP
    # Nothing in it is wanted any more: no checkpoint.
    if [ -n "$server" ]; then
        kill -QUIT "$server" 2>/dev/null || true
        wait "$server" 2>/dev/null || true
    fi
    rm -rf "$place"
}
. "$(dirname "$0")/begin.sh"

made data
{
    echo "listen_addresses = ''"
    echo "unix_socket_directories = '$place'"
    echo "max_connections = 400"
    echo "shared_buffers = 128MB"
    for setting in "$@"; do echo "$setting"; done
} >>"$place/data/postgresql.conf"
"$bin/postgres" -D "$place/data" >"$place/server.log" 2>&1 </dev/null &
server=$!

tries=0
until "$bin/pg_isready" --quiet --host "$place" --username scrip --dbname postgres; do
    tries=$((tries + 1))
    if [ "$tries" -gt 300 ] || ! kill -0 "$server" 2>/dev/null; then
        cat "$place/server.log" >&2
        exit 1
    fi
    sleep 0.1
done

echo "postgres://scrip@$(echo "$place" | sed 's,/,%2F,g')/postgres"
# The end of the input is the signal: nothing is ever written there.
read -r _ || true
