#!/bin/sh
# SPDX-License-Identifier: MIT
#
# Programs that never touch CUDA are the same under the preload: same output, same status, nothing on
# standard error, no driver loaded, whatever the settings.
#
#   check_unchanged.sh <libvramshim.so> <folder of the driver>

set -eu

shim=$1
LD_LIBRARY_PATH=$2
export LD_LIBRARY_PATH
# For builds with AddressSanitizer: the programs here are not.
export ASAN_OPTIONS=verify_asan_link_order=0:detect_leaks=0
export VRAMSHIM_VERBOSE=1 VRAMSHIM_SUMMARY=1 VRAMSHIM_LOG=debug VRAMSHIM_NONSENSE=1
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
failed=0

same() {
    rc_plain=0
    rc_shim=0
    "$@" >"$work/plain.out" 2>"$work/plain.err" || rc_plain=$?
    LD_PRELOAD=$shim "$@" >"$work/shim.out" 2>"$work/shim.err" || rc_shim=$?
    if [ $rc_plain != $rc_shim ] || ! cmp -s "$work/plain.out" "$work/shim.out" ||
        ! cmp -s "$work/plain.err" "$work/shim.err"; then
        echo "under the preload, another result of: $*"
        diff "$work/plain.out" "$work/shim.out" || true
        diff "$work/plain.err" "$work/shim.err" || true
        failed=1
    fi
}

same ls -l /usr
same ls /no/such/folder
same bash -c 'echo "$((6 * 7))"; exit 3'
if command -v python3 >/dev/null; then
    same python3 -c 'import ctypes; print(ctypes.CDLL(None).abs(-5))'
    same python3 -c 'import json, sqlite3, socket; print(json.dumps({"a": 1}))'
    same python3 -c 'import multiprocessing as m
with m.get_context("fork").Pool(2) as pool: print(pool.map(abs, [-1, 2]))'
fi

LD_PRELOAD=$shim cat /proc/self/maps >"$work/maps"
if ! grep -q libvramshim "$work/maps"; then
    echo "the preload did not take"
    failed=1
fi
if grep -q 'libcuda\|libnvidia' "$work/maps"; then
    echo "a driver is loaded in a program that did not ask for one"
    failed=1
fi
exit $failed
