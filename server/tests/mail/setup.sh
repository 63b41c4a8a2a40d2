#!/bin/sh
# Installs the mail server that e-mails are tested with. Safe to run again: it installs only what is missing.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
tools=$(cd "$here/../../.." && pwd)/.tools/mail
mkdir -p "$tools"
if ! cmp -s "$here/requirements.txt" "$tools/requirements.txt"; then
    python3 -m venv --clear "$tools/venv"
    "$tools/venv/bin/pip" install -q --disable-pip-version-check --requirement "$here/requirements.txt"
    cp "$here/requirements.txt" "$tools/requirements.txt"
fi

# An authority of our own and a certificate of localhost: the kind that a mail server in a company has.
if [ ! -s "$tools/server.pem" ]; then
    cd "$tools"
    # It says much, of which only the end of what failed is of use.
    trap '[ $? = 0 ] || tail -n 5 openssl.log >&2' EXIT
    openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 3650 -subj "/CN=Scrip test authority" \
        -addext basicConstraints=critical,CA:TRUE -keyout authority.key -out authority.pem 2>openssl.log
    openssl req -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -subj "/CN=localhost" \
        -keyout server.key -out server.csr 2>openssl.log
    printf 'subjectAltName=DNS:localhost,IP:127.0.0.1\nbasicConstraints=CA:FALSE\n' > server.ext
    openssl x509 -req -in server.csr -CA authority.pem -CAkey authority.key -CAcreateserial -days 3650 \
        -extfile server.ext -out server.pem 2>openssl.log
fi
