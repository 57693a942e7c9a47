#!/bin/sh
# SPDX-License-Identifier: MIT
# The differential test under random failures for as many operations as are asked for: 8 threads, a
# seed for every 20,000 operations, engines, orders and default streams in turn. Too long to be a
# test; by hand, on a build with sanitizers:
#
#   tests/stress/long.sh BUILD OPERATIONS [FIRST-SEED]
#
# One line a run. Ends with 1 when one of them failed, with what it said.
set -u

programs=$1/tests/stress
all=$2
seed=${3:-1}
each=20000
done=0
failed=0
said=$(mktemp)
trap 'rm -f "$said"' EXIT

export SIM_VRAM=12MiB VRAMSHIM_RAM=2GiB VRAMSHIM_LOG=error
export UBSAN_OPTIONS=halt_on_error=1:print_stacktrace=1 TSAN_OPTIONS=halt_on_error=1
while [ "$done" -lt "$all" ]; do
    for engine in stream lru none; do
        for order in restless lazy eager; do
            [ "$done" -lt "$all" ] || break 2
            program=churn_inside
            [ $((seed % 2)) -eq 0 ] && program=churn_per_thread_inside
            if VRAMSHIM_ENGINE=$engine SIM_ORDER=$order "$programs/$program" --seed "$seed" \
                --operations "$each" --threads 8 --live 4 --big 8 --faults 60 >"$said" 2>&1; then
                result=$(tail -n 1 "$said")
            else
                result="FAILED with $?: $(cat "$said")"
                failed=1
            fi
            echo "$engine $order $program: $result"
            seed=$((seed + 1))
            done=$((done + each))
        done
    done
done
exit $failed
