#!/bin/sh
# Installs what the simulator is held against: the provider's own client library with its types, and localstripe, a
# simulator that others wrote. Safe to run again: it installs only what is missing.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
tools=$(cd "$here/../../.." && pwd)/.tools/stripe-sim
mkdir -p "$tools"

if ! cmp -s "$here/package-lock.json" "$tools/package-lock.json" || [ ! -d "$tools/node_modules/stripe" ]; then
    cp "$here/package.json" "$here/package-lock.json" "$tools/"
    (cd "$tools" && npm ci --ignore-scripts --no-audit --no-fund)
fi

# It is run as a program and never linked: its licence is the GPL.
if ! cmp -s "$here/requirements.txt" "$tools/requirements.txt"; then
    python3 -m venv --clear "$tools/localstripe"
    "$tools/localstripe/bin/pip" install --quiet --disable-pip-version-check --requirement "$here/requirements.txt"
    cp "$here/requirements.txt" "$tools/requirements.txt"
fi
