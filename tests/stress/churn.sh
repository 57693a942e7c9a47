#!/bin/sh
# SPDX-License-Identifier: MIT
# Runs a program and looks at what the shim says of it when it exits: that every gauge is back at
# zero, that homes moved, that nothing was complained of.
#
#   churn.sh must|may|cannot SHIM PROGRAM [ARGUMENT...]
#
# SHIM is preloaded; empty for none. The first word says whether homes move.
set -u

moves=$1
shim=$2
shift 2
: "${MESON_SOURCE_ROOT:=$(cd "$(dirname "$0")/../.." && pwd)}"
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT

# What the shim said, its counters in one line.
fail() {
    echo "churn.sh: $1" >&2
    sed -n 's/^vramshim: \([a-z_]* [1-9][0-9]*\)$/\1,/p' "$scratch/log" | tr '\n' ' ' >&2
    echo >&2
    grep -vE '^vramshim: [a-z_]+ [0-9]+$' "$scratch/log" >&2
    exit 1
}

: >"$scratch/log"
LD_PRELOAD="$shim" ASAN_OPTIONS=verify_asan_link_order=0:detect_leaks=0 \
    VRAMSHIM_SUMMARY=1 VRAMSHIM_LOG_FILE="$scratch/log" "$@" || fail "the program ended with $?"
[ -s "$scratch/log" ] || {
    [ "$moves" = cannot ] && [ -z "$shim" ] && exit 0
    fail 'the shim says nothing: it was not there'
}

counter() {
    sed -n "s/^vramshim: $1 \([0-9]*\)$/\1/p" "$scratch/log" | tail -n 1
}

for gauge in $(sed -n 's/^COUNTER(\([a-z_]*\), GAUGE,.*/\1/p' "$MESON_SOURCE_ROOT/runtime/counters.def"); do
    [ "$(counter "$gauge")" = 0 ] || fail "$gauge is $(counter "$gauge") at the end"
done
grep -qvE '^vramshim: [a-z_]+ [0-9]+$' "$scratch/log" && fail 'the shim complains'
to_device=$(counter chunks_to_device)
to_host=$(counter chunks_to_host)
echo "chunks moved to device ${to_device:-0}, to host ${to_host:-0}"
case $moves in
must) [ "${to_device:-0}" -gt 0 ] && [ "${to_host:-0}" -gt 0 ] || fail 'no homes moved' ;;
cannot) [ "${to_device:-0}" -eq 0 ] && [ "${to_host:-0}" -eq 0 ] || fail 'homes moved' ;;
esac
