# What the scripts beside this one begin with; they read it in. Afterwards this is no longer root, `$bin` has
# PostgreSQL's programs, and `$place` is a directory that whoever reads this takes away in `finish`, which it defines.

bin=$(ls -d /usr/lib/postgresql/*/bin 2>/dev/null | sort -V | tail -n 1)
[ -n "$bin" ] || bin=$(pg_config --bindir 2>/dev/null) || true
if [ ! -x "${bin:-}/postgres" ]; then
    echo "PostgreSQL is not installed: run 'cargo xtask setup', or as root 'apt-get install postgresql'" >&2
    exit 1
fi

# PostgreSQL refuses to be run by root, and whoever runs it instead may not look into root's own directories: it gets
# these scripts in one that is its own, and takes it away once they are read.
if [ "$(id -u)" = 0 ]; then
    scripts=$(mktemp -d "${TMPDIR:-/tmp}/scrip-scripts-XXXXXX")
    cp "$(dirname "$0")"/*.sh "$scripts"
    chown -R postgres "$scripts"
    cd /
    SCRIP_SCRIPTS=$scripts exec setpriv --reuid=postgres --regid=postgres --clear-groups \
        sh "$scripts/$(basename "$0")" "$@"
fi
[ -z "${SCRIP_SCRIPTS:-}" ] || rm -rf "$SCRIP_SCRIPTS"
unset SCRIP_SCRIPTS

place=$(mktemp -d "${TMPDIR:-/tmp}/scrip-postgres-XXXXXX")
chmod 755 "$place"
trap finish EXIT
trap 'exit 1' INT TERM HUP

# made DIRECTORY: an empty database cluster in it.
made() {
    "$bin/initdb" --pgdata "$place/$1" --auth trust --username scrip --encoding UTF8 --locale C.UTF-8 --no-sync \
        >"$place/initdb.log" 2>&1 || { cat "$place/initdb.log" >&2; exit 1; }
}
