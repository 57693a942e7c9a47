#!/bin/sh
# SPDX-License-Identifier: MIT
#
# A call that passes through costs at most 30 instructions in the shim: counted by callgrind, with and
# without the preload, as the difference between many calls and twice as many.
#
#   check_cost.sh <program> <libvramshim.so> <folder of the driver> <optimisation level>

set -eu

optimisation=$4
limit=30
calls=10000
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

if ! command -v valgrind >/dev/null; then
    echo "skipped: valgrind is not installed"
    exit 77
fi
if [ "$optimisation" = 0 ] || [ "$optimisation" = g ]; then
    echo "skipped: built without optimisation"
    exit 77
fi
if nm "$2" | grep -q '__asan_init\|__tsan_init\|__ubsan'; then
    echo "skipped: built with a sanitizer"
    exit 77
fi

# Without debug information, of which valgrind cannot read every compiler's.
program=$work/program
shim=$work/libvramshim.so
strip -g -o "$program" "$1"
strip -g -o "$shim" "$2"
strip -g -o "$work/libcuda.so.1" "$3/libcuda.so.1"
export LD_LIBRARY_PATH="$work"

# Prints the instructions that $2 calls take under the preload $1.
count() {
    LD_PRELOAD=$1 valgrind --tool=callgrind --callgrind-out-file="$work/out" "$program" "$2" \
        >"$work/log" 2>&1 || {
        cat "$work/log" >&2
        return 1
    }
    sed -n 's/^\(summary\|totals\): //p' "$work/out" | head -n 1
}

# Both counts have the first call in them, which binds the driver.
with=$(($(count "$shim" $((2 * calls))) - $(count "$shim" $calls)))
without=$(($(count "" $((2 * calls))) - $(count "" $calls)))
each=$(((with - without) / calls))
echo "instructions per pass-through call: $each (limit $limit)"
[ "$each" -le "$limit" ]
