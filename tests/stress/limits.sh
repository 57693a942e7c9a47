#!/bin/sh
# SPDX-License-Identifier: MIT
# A program on a driver that lacks what paging needs, under limits, ended in every way, killed, and in
# company: it is as it would be alone, or is told that there is no memory; and nothing is left behind.
#
#   limits.sh HOARD SHIM FOLDER
#
# FOLDER can hold a file without a name.
. "$(dirname "$0")/../tap.sh"

hoard=$1
shim=$2
folder=$(mktemp -d "$3/limits-XXXXXX")
trap 'rm -rf "$scratch" "$folder"' EXIT
export ASAN_OPTIONS=verify_asan_link_order=0:detect_leaks=0 TMPDIR="$scratch"
export SIM_VRAM=16MiB VRAMSHIM_VRAM=100% VRAMSHIM_RAM=16MiB VRAMSHIM_CHUNK=2MiB VRAMSHIM_SMALL=64KiB
: >"$scratch/empty"

run() { LD_PRELOAD=$shim "$hoard" "$@" 2>&1; }
alone() { VRAMSHIM_RAM=0 "$hoard" "$@" 2>&1; }
spilling() { VRAMSHIM_SPILL_DIR=$folder VRAMSHIM_SPILL_FORCE=1 VRAMSHIM_SUMMARY=1 run "$@"; }
got() { echo "$out" | sed -n 's/^hoard: \([0-9]*\) MiB were right$/\1/p'; }
counter() { echo "$out" | sed -n "s/^vramshim: $1 //p"; }
is() { [ "$status" -eq 0 ] && [ "$(got)" = "$1" ]; }
at_most() { [ "$status" -eq 0 ] && [ "$(got)" -le "$1" ]; }
right_or_refused() { at_most "$1" || has "$out" "gives CUDA_ERROR_OUT_OF_MEMORY"; }
# Either all that it wanted, or one line says why not.
is_limited() {
    [ "$status" -eq 0 ] && { [ "$(got)" = 24 ] || { [ "$(got)" -ge 16 ] && has "$out" "ulimit -v"; }; }
}
is_empty() { [ -z "$(ls -A "$1")" ]; }

expect 0 run 24
ok "without limits it has more than the card" is 24
expect 0 spilling 48
ok "and with a disk more than both memories" is 48

expect 0 env VRAMSHIM_DISABLE=1 LD_PRELOAD="$shim" "$hoard" 24
ok "switched off it has what the card has, and nothing is said" test "$out$err" = "hoard: 16 MiB were right"
for missing in SIM_HIDE=cuMemCreate SIM_HIDE=cuMemMap SIM_HIDE=cuMemSetAccess \
    SIM_HIDE=cuMemAddressReserve SIM_HIDE=cuMemGetAllocationGranularity SIM_HOST_VMM=none; do
    expect 0 env "$missing" LD_PRELOAD="$shim" "$hoard" 24
    ok "with $missing it has what the card has" test "$out" = "hoard: 16 MiB were right"
    ok "and one line says why" test "$(printf '%s\n' "$err" | grep -c "^vramshim: warning.*left to the driver")" = 1
done

for n in 8 12 16 24 40; do
    expect 0 sh -c "ulimit -n $n; exec \"\$@\"" - env SIM_VRAM=64MiB "$hoard" 24
    "$status_right" || continue
    expect 0 sh -c "ulimit -n $n; LD_PRELOAD=$shim exec \"\$@\"" - "$hoard" 24
    ok "with $n descriptors it is right, in as much memory as there is" at_most 24
done

# The least address space in KiB with which the program runs at all, found by halving. The simulated
# driver takes 32 GiB of it; sanitizers need far more than any limit.
addresses=$(
    least=33554432
    most=$((least + 2097152))
    (ulimit -v $most && alone 24 >/dev/null 2>&1) || exit 0
    while [ $((most - least)) -gt 1024 ]; do
        middle=$(((least + most) / 2))
        if (ulimit -v $middle && alone 24 >/dev/null 2>&1); then most=$middle; else least=$middle; fi
    done
    echo $most
)
for more in 4 32 96 128 1024; do
    name="with address space for $more MiB more than the program needs it is as alone, or has more"
    [ -n "$addresses" ] || { skip "$name" "the program does not run under a limit"; continue; }
    status=0
    out=$(ulimit -v $((addresses + more * 1024)); run 24) || status=$?
    ok "$name" is_limited $more
done

status=0
out=$(ulimit -l 0; spilling 48) || status=$?
ok "without memory to lock it is right" is 48
ok "and the disk is used" test "$(counter chunks_to_disk)" -gt 0

# What is simulated has files of its own, of up to 16 MiB.
status=0
out=$(ulimit -f 32768; spilling 64) || status=$?
ok "a limit on the size of files is one on memory, and ends nothing" right_or_refused 46
ok "and the disk is used up to it" test "$(counter chunks_to_disk)" -gt 0

truncate -s 16M "$scratch/log"
status=0
out=$(ulimit -f 32768; VRAMSHIM_LOG=debug VRAMSHIM_LOG_FILE=$scratch/log run 24) || status=$?
ok "a log that must not grow ends nothing" is 24

{
    sleep 0.1
    VRAMSHIM_VERBOSE=1 LD_PRELOAD=$shim "$hoard" 24 2>&1 >"$scratch/said" && echo fine >>"$scratch/said"
} | :
ok "messages that nobody reads end nothing" grep -q fine "$scratch/said"

for how in return exit quick exec fork; do
    expect 0 alone 6 1 $how
    plain=$status$out
    expect 0 run 6 1 $how
    ok "it ends by $how, with work in flight, as it does alone" test "$status$out" = "$plain"
done
expect 0 run 24 1 exec
ok "what it becomes by exec begins afresh" has "$out" "4 MiB"

export SIM_SHARED="$scratch/card"
for moment in 1 2 3 4 5 6 7 8; do
    env LD_PRELOAD="$shim" VRAMSHIM_SPILL_DIR="$folder" VRAMSHIM_SPILL_FORCE=1 "$hoard" 48 1 stay \
        >/dev/null 2>&1 &
    stays=$!
    sleep "0.0$((moment * 3))"
    named=$(ls -l "/proc/$stays/fd" 2>/dev/null | grep "$folder" | grep -v deleted)
    kill -KILL $stays
    wait $stays 2>/dev/null
    [ -z "$named" ] && is_empty "$folder" || break
done
ok "a process that is killed leaves no file behind, and had none with a name" is_empty "$folder"
ok "whenever that is" test "$moment$named" = 8
expect 0 run 24
ok "and the card is free again" is 24

for name in a b c; do
    (
        SIM_STATS=$scratch/stats.$name VRAMSHIM_VRAM=30% VRAMSHIM_RAM=64MiB run 24 12 >"$scratch/said.$name"
    ) &
done
env LD_PRELOAD="$shim" VRAMSHIM_VRAM=30% VRAMSHIM_RAM=64MiB "$hoard" 24 1 stay >/dev/null 2>&1 &
stays=$!
sleep 0.2
kill -KILL $stays
wait
for name in a b c; do
    ok "one of four processes on a card, one of which is killed, is right" \
        grep -q "24 MiB were right" "$scratch/said.$name"
    ok "and has its share of the card" \
        test "$(sed -n 's/^device_most //p' "$scratch/stats.$name")" -ge 4194304
done

# Nobody has said who may have how much. The first one has all of it before the others come, and
# does nothing for which it would have to ask for memory.
rm -f "$SIM_SHARED"
unset VRAMSHIM_VRAM
export VRAMSHIM_ENGINE=lru VRAMSHIM_RAM=64MiB
started=
begin() {
    env LD_PRELOAD="$shim" "$hoard" "$1" 0 >"$scratch/said.$2" 2>&1 &
    started="$started $!"
}
# How many have so many bytes of the card: a row of nine numbers for each, after one for all.
have() {
    od -v -A n -t u8 -w72 -j 8 "$SIM_SHARED" | awk -v least="$1" '$1 >= least { n++ } END { print n + 0 }'
}
wait_for() {
    for _ in $(seq 200); do
        [ "$(have "$2")" -ge "$1" ] && return
        sleep 0.1
    done
    return 1
}
begin 14 first
wait_for 1 14680064
begin 24 second
begin 24 third
ok "those who find a card full soon have a share of it, without being told to" wait_for 3 4194304
# shellcheck disable=SC2086
kill $started
wait
for name in first second third; do
    ok "and what they have is right" grep -q "MiB were right" "$scratch/said.$name"
done

finish
