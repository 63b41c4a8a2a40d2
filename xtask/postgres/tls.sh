#!/bin/sh
# A throw-away PostgreSQL that takes nothing but TLS, with an authority of its own: says its URL (a port on loopback)
# and then the directory of the certificates, a line each, and lives until its standard input ends. The certificate is
# for `localhost`, signed by `ca.pem`; `other.pem` is an authority that has signed nothing.
#
# Usage: tls.sh PORT
set -eu

finish() {
    trap - EXIT INT TERM HUP
    "$bin/pg_ctl" --pgdata "$place/data" --mode immediate --silent stop >/dev/null 2>&1 || true
    rm -rf "$place"
}
. "$(dirname "$0")/begin.sh"

# authority NAME
authority() {
    openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 30 -subj "/CN=$1" \
        -addext "basicConstraints=critical,CA:TRUE" -addext "keyUsage=critical,keyCertSign" \
        -keyout "$place/$1.key" -out "$place/$1.pem" 2>/dev/null
}
authority ca
authority other
openssl req -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -subj "/CN=localhost" \
    -keyout "$place/server.key" -out "$place/server.csr" 2>/dev/null
echo "subjectAltName=DNS:localhost" >"$place/names"
openssl x509 -req -in "$place/server.csr" -CA "$place/ca.pem" -CAkey "$place/ca.key" -CAcreateserial -days 30 \
    -extfile "$place/names" -out "$place/server.pem" 2>/dev/null
chmod 600 "$place/server.key"
chmod 644 "$place"/*.pem

made data
{
    echo "listen_addresses = 'localhost'"
    echo "port = $1"
    echo "unix_socket_directories = '$place'"
    echo "ssl = on"
    echo "ssl_cert_file = '$place/server.pem'"
    echo "ssl_key_file = '$place/server.key'"
} >>"$place/data/postgresql.conf"
printf 'local all all trust\nhostssl all all all trust\n' >"$place/data/pg_hba.conf"
"$bin/pg_ctl" --pgdata "$place/data" --wait --silent --log "$place/server.log" start >/dev/null </dev/null \
    || { cat "$place/server.log" >&2; exit 1; }

echo "postgres://scrip@localhost:$1/postgres"
echo "$place"
# The end of the input is the signal: nothing is ever written there.
read -r _ || true
