#!/bin/sh
# A throw-away primary with a synchronous standby, to be killed: says a URL that leads to whichever of them takes
# writes, and lives until its standard input ends. It is told `kill` and `promote`, a line each.
set -eu

finish() {
    trap - EXIT INT TERM HUP
    for one in primary standby; do
        "$bin/pg_ctl" --pgdata "$place/$one" --mode immediate --silent stop >/dev/null 2>&1 || true
    done
    rm -rf "$place"
}
. "$(dirname "$0")/begin.sh"

# start DIRECTORY PORT [SETTING]
start() {
    "$bin/pg_ctl" --pgdata "$place/$1" --wait --silent --log "$place/$1.log" \
        --options "-c listen_addresses= -c unix_socket_directories=$place -c port=$2 -c max_connections=60 ${3:-}" \
        start >/dev/null </dev/null || { cat "$place/$1.log" >&2; exit 1; }
}

made primary
start primary 5432
"$bin/pg_basebackup" --pgdata "$place/standby" --host "$place" --port 5432 --username scrip --checkpoint fast \
    --write-recovery-conf --no-sync
start standby 5433
# A commit is answered when the standby has it on its disk.
"$bin/psql" --quiet --host "$place" --port 5432 --username scrip postgres \
    -c "alter system set synchronous_standby_names = '*'" -c "select pg_reload_conf()" >/dev/null

host=$(echo "$place" | sed 's,/,%2F,g')
echo "postgres://scrip@$host:5432,$host:5433/postgres?target_session_attrs=read-write"
while read -r word; do
    case $word in
        kill) "$bin/pg_ctl" --pgdata "$place/primary" --mode immediate --silent stop >/dev/null ;;
        promote) "$bin/pg_ctl" --pgdata "$place/standby" --wait --silent promote >/dev/null ;;
    esac
done
