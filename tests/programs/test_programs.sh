#!/bin/sh
# SPDX-License-Identifier: MIT
# The programs of this folder on the simulated driver: alone on an ample card, then under the shim on
# a card with a quarter of the memory they use, with every engine, as launches and as graphs, in several
# orders of what may run in any order. Whatever the way, the line they print has to be the same: it has
# a checksum of all they computed.
#
#   test_programs.sh [--short] [--way launches|graph] FOLDER NAME... -- NAME...  by clang; by nvcc
#   PROGRAM_SEEDS=100                                       how many orders to try
#
# --short: with one engine and in one order, where running one takes long.
. "$(dirname "$0")/../tap.sh"

seeds=${PROGRAM_SEEDS:-3}
engines='stream lru none'
ways='launches graph'
if [ "$1" = --short ]; then
    seeds=1
    engines=stream
    shift
fi
if [ "$1" = --way ]; then
    ways=$2
    shift 2
fi
folder=$1
shift
libraries=$MESON_BUILD_ROOT/tests/sim:$MESON_BUILD_ROOT/tests/cudart:$MESON_BUILD_ROOT/tests/cublas
shim=$MESON_BUILD_ROOT/interpose/libvramshim.so

# on CARD ORDER SEED PROGRAM [--graph]
on() {
    on_card=$1 on_order=$2 on_seed=$3
    shift 3
    env LD_LIBRARY_PATH="$libraries${LD_LIBRARY_PATH:+:$LD_LIBRARY_PATH}" SIM_VRAM="$on_card" \
        SIM_ORDER="$on_order" SIM_SEED="$on_seed" SIM_STATS="$scratch/stats" "$@"
}
# under_shim ENGINE CARD ORDER SEED PROGRAM [--graph]
under_shim() {
    VRAMSHIM_ENGINE=$1
    export VRAMSHIM_ENGINE
    shift
    LD_PRELOAD="$shim${LD_PRELOAD:+:$LD_PRELOAD}" on "$@"
}
same_line() { "$status_right" && [ "$out" = "$line" ]; }
refused() { "$status_right" && has "$err" cudaErrorMemoryAllocation; }

# The value of a counter of the simulated driver.
counter() { sed -n "s/^$1 //p" "$scratch/stats"; }
# Kernels read in place, or blocks were moved for them.
was_away() { [ "$(counter kernel_bytes_host)" -gt 0 ] || [ "$(counter bytes_to_device)" -gt "$used" ]; }

# What the line says was used, and a quarter of it in whole pages of 2 MiB.
set_card() {
    used=$(printf '%s\n' "$line" | sed 's/.* \([0-9]*\) bytes used.*/\1/')
    card=$((used / 4 / 2097152 * 2))MiB
}

# Every order with the next engine: all_orders WAY CARD PROGRAM [--graph]
all_orders() {
    sentence="$1, $seeds orders of what may be reordered give the same"
    shift
    wrong=
    seed=0
    while [ "$seed" -lt "$seeds" ]; do
        for engine in $engines; do
            [ "$seed" -lt "$seeds" ] || break
            seed=$((seed + 1))
            expect 0 under_shim "$engine" "$1" restless "$seed" "$2" ${3:+"$3"}
            same_line || wrong="$wrong $engine:$seed"
        done
    done
    err="$wrong"
    ok "$sentence" [ -z "$wrong" ]
}

check() {
    name=$(basename "$1")
    expect 0 on 1GiB lazy 1 "$1"
    line=$out
    if [ "$status" -eq 77 ]; then
        skip "$name is right" "${err% (status*}"
        return
    fi
    ok "$name is right" "$status_right"
    "$status_right" || return
    set_card
    expect 1 on "$card" lazy 1 "$1"
    ok "$name does not fit into a quarter, $card" refused
    if [ ! -e "$shim" ]; then
        skip "$name under the shim" "interpose/libvramshim.so is not built"
        return
    fi
    for way in $ways; do
        set -- "$1"
        [ "$way" = graph ] && set -- "$1" --graph
        expect 0 on 1GiB timed 1 "$@"
        ok "$name as $way gives the same on a large card, in the order of virtual time" same_line
        for engine in $engines; do
            expect 0 under_shim "$engine" "$card" lazy 1 "$@"
            ok "$name as $way gives the same in a quarter under the shim, engine $engine" same_line
            ok "$name as $way, engine $engine, had memory that was not on the card" was_away
        done
        all_orders "$name as $way" "$card" "$@"
    done
}

compiler=clang
for name; do
    if [ "$name" = -- ]; then
        [ "$tap_count" -gt 0 ] || skip "programs built by clang" "there is no clang"
        clang_count=$tap_count
        compiler=nvcc
    else
        check "$folder/$name.$compiler"
    fi
done
[ "$tap_count" -gt "$clang_count" ] || skip "programs built by nvcc" "there is no nvcc, or not here"
finish
