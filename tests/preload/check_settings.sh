#!/bin/sh
# SPDX-License-Identifier: MIT
#
# What the shim says, it says once and not on standard output: a warning for a bad setting however
# many threads are first, the settings, the summary at exit, each where VRAMSHIM_LOG_FILE sends it.
#
#   check_settings.sh <libvramshim.so> <folder of the driver> <races> <leaving> <constructor library>

set -eu

shim=$1
LD_LIBRARY_PATH=$2
export LD_LIBRARY_PATH
export ASAN_OPTIONS=verify_asan_link_order=0:detect_leaks=0
races=$3
leaving=$4
constructor=$5
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
failed=0

complain() {
    echo "$1"
    cat "$work/out" "$work/err" "$work/log" 2>/dev/null || true
    failed=1
}

# Runs "$@" (settings, then a program) under the preload, keeping what it writes.
watch() {
    rm -f "$work/log"
    env LD_PRELOAD="$shim" "$@" >"$work/out" 2>"$work/err" || complain "fails: $*"
}

for round in 1 2 3 4 5 6 7 8; do
    watch VRAMSHIM_CHUNKS=4MiB "$races"
    [ "$(grep -c VRAMSHIM_CHUNKS "$work/err")" = 1 ] ||
        complain "a setting that does not exist is not answered exactly once (round $round)"
done

watch "$races"
[ ! -s "$work/err" ] || complain "something is written though nothing was asked for"

watch VRAMSHIM_SUMMARY=1 "$leaving" "$constructor"
[ "$(grep -c '^vramshim: launches\|^vramshim: paged_bytes' "$work/err")" -ge 1 ] ||
    complain "no summary on standard error"
[ ! -s "$work/out" ] || complain "something is written to standard output"

watch VRAMSHIM_SUMMARY=1 VRAMSHIM_VERBOSE=1 VRAMSHIM_LOG_FILE="$work/log" "$leaving" "$constructor"
grep -q '^vramshim: paged_bytes' "$work/log" || complain "no summary in the log file"
grep -q VRAMSHIM_CHUNK "$work/log" || complain "no settings in the log file"
[ ! -s "$work/err" ] || complain "something is written beside the log file"

exit $failed
