#!/bin/sh
# SPDX-License-Identifier: MIT
# The figures of a dense model half as large again as the card, against what is promised of them.
#
#   test_bench.sh [--short] BENCH
#
# --short: the library alone, where a run takes long.
. "$(dirname "$0")/../tap.sh"

short=
if [ "$1" = --short ]; then
    short=yes
    shift
fi
bench=$1
if [ "$short" ]; then
    expect 0 "$bench" --json --profile rtx3060 --program decode --form eager --ratio 2 \
        --policy planned
    ok "the bench runs" "$status_right"
    skip "the figures" "they take long here, and are those of the gcc build"
    finish
fi
expect 0 "$bench" --json --profile rtx3060 --program decode --form eager --ratio 1.5
cp "$scratch/out" "$scratch/json"
ok "the bench runs" "$status_right"

# The value of FIGURE for POLICY.
value() {
    sed -n "s/.*\"policy\": \"$1\", \"figure\": \"$2\", \"value\": \([-+.e0-9]*\)}.*/\1/p" \
        "$scratch/json"
}
holds() { awk "BEGIN { exit !($1) }" </dev/null; }

ok "passes take at most a tenth longer than the link needs" \
    holds "$(value engine time_over_roofline) <= 1.10"
ok "what is copied is little more than what has to be" \
    holds "$(value engine bytes_over_min) <= 1.10"
ok "the link is busy" holds "$(value engine link_fraction) >= 0.90"
ok "two passes after the first it is steady" holds "$(value engine passes_to_steady) <= 2"
ok "nothing clean is written back" holds "$(value engine clean_bytes_written) == 0"
ok "it is faster than a split that stays as it is" \
    holds "$(value first-n time_over_roofline) >= 1.3 * $(value engine time_over_roofline)"
ok "it is faster than paging by age" \
    holds "$(value lru time_over_roofline) >= 2.5 * $(value engine time_over_roofline)"
ok "neither reading all in place nor copying all of it would have been faster" \
    holds "$(value engine regret) <= 1.03"

ok "with a plan the first pass is copied, too, but not beside the computing" \
    holds "$(value planned first_over_roofline) <= 1.24 &&
        $(value planned passes_to_steady) <= 1"
ok "with one that knows the functions of an earlier run it is, and the first takes hardly longer" \
    holds "$(value planned-again first_over_roofline) <= 1.08 &&
        $(value planned-again time_over_roofline) <= 1.06"
ok "and these take hardly longer than what was learned" \
    holds "$(value planned time_over_roofline) <= 1.06"

# Stacks of experts, of which the device chooses a few.
expect 0 "$bench" --json --profile rtx3060 --program experts --form eager --ratio 2 --policy engine
cp "$scratch/out" "$scratch/json"
ok "the bench runs with experts" "$status_right"
ok "what is read most of experts is on the card" \
    holds "$(value engine bytes_over_min) <= 2.1"
ok "and reading them in place is faster than copying" \
    holds "$(value engine time_over_roofline) <= 0.3"
expect 2 "$bench" --speed
ok "an option that is none is said" has "$err" "usage: bench"
finish
