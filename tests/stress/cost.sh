#!/bin/sh
# SPDX-License-Identifier: MIT
#
# What the shim adds to a call, in instructions counted by callgrind on a driver that does nothing:
# the difference between many calls and twice as many, with the preload and without.
#
#   cost.sh PROGRAM SHIM FOLDER_OF_THE_DRIVER            against the limits
#   cost.sh --count CALL PROGRAM SHIM FOLDER_OF_THE_DRIVER    prints the number alone
. "$(dirname "$0")/../tap.sh"

only=
if [ "$1" = --count ]; then
    only=$2
    shift 2
fi

# What clang writes for debuggers, valgrind cannot read.
stripped() {
    strip --strip-debug -o "$scratch/${1##*/}" "$1" && echo "$scratch/${1##*/}"
}

program=$(stripped "$1")
shim=$(stripped "$2")
stripped "$3/libcuda.so.1" >/dev/null
LD_LIBRARY_PATH=$scratch
VRAMSHIM_VRAM=100%
VRAMSHIM_RAM=1GiB
VRAMSHIM_SUMMARY=1
export LD_LIBRARY_PATH VRAMSHIM_VRAM VRAMSHIM_RAM VRAMSHIM_SUMMARY
times=2000

# Prints the instructions of call $2, made $3 times, under the preload $1.
count() {
    LD_PRELOAD=$1 valgrind --tool=callgrind --callgrind-out-file="$scratch/counted" \
        "$program" "$2" "$3" >"$scratch/log" 2>&1 || cat "$scratch/log" >&2
    sed -n 's/^\(summary\|totals\): //p' "$scratch/counted" | head -n 1
}

cost() {
    with=$(($(count "$shim" "$1" $((2 * times))) - $(count "$shim" "$1" "$times")))
    without=$(($(count '' "$1" $((2 * times))) - $(count '' "$1" "$times")))
    echo $(((with - without) / times))
}

why=
command -v valgrind >/dev/null || why='valgrind is not installed'
nm "$program" "$shim" 2>/dev/null | grep -qE '__(a|t)san_init' &&
    why='valgrind cannot run what a sanitizer is built into'

if [ -n "$only" ]; then
    [ -z "$why" ] || { echo "$why" >&2; exit 77; }
    cost "$only"
    exit
fi

limit() {
    sentence="$2 costs at most $3 instructions"
    if [ -n "$why" ]; then
        skip "$sentence" "$why"
        return
    fi
    each=$(cost "$1")
    out="counted: $each"
    echo "# $1: $each instructions"
    ok "$sentence" test "$each" -le "$3"
}

limit launch 'a launch of 16 pointers among 400 paged allocations' 400
if [ -z "$why" ]; then
    LD_PRELOAD=$shim "$program" launch 1 >"$scratch/log" 2>&1
    out=$(cat "$scratch/log")
    ok 'the counted launch did name paged memory' has "$out" 'paged_ranges 400'
fi
limit download 'a download of memory that is not paged' 40
limit upload 'an upload to memory that is not paged' 30
limit table 'an upload that may be a table of addresses' 250
limit attribute 'a question about memory that is not paged' 30
limit fill 'a memset of memory that is not paged' 30
finish
