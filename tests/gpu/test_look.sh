#!/bin/sh
# SPDX-License-Identifier: MIT
# What looks at launches sees it when one goes where nobody foresaw, and when one leaves the address
# behind that it was given: `decoder --form hides` does both.
. "$(dirname "$0")/../tap.sh"

build=$MESON_BUILD_ROOT/tests/gpu
unset VRAMSHIM_DISABLE VRAMSHIM_VRAM
export SIM_ORDER=timed SIM_PROFILE=rtx3060 VRAMSHIM_PROFILE=none VRAMSHIM_CHUNK=2MiB
export LD_LIBRARY_PATH=$MESON_BUILD_ROOT/tests/sim
# look STATUS WHAT FORM [NAME=VALUE...]
look() {
    what=$2 form=$3 status=$1
    shift 3
    expect "$status" env "$@" LOOK_FOR="$what" LOOK_FILE="$scratch/$what.$form" \
        LD_PRELOAD="${LD_PRELOAD:-} $build/libvramshim-look.so" \
        "$build/decoder" --form "$form" --weights 16777216 --passes 6
    found=$(tail -n 1 "$scratch/$what.$form")
}

look 86 touched hides VRAMSHIM_ENGINE=none VRAMSHIM_SMALL=4KiB
ok "a launch that touches what was not foreseen ends the program" "$status_right"
ok "which says whose it was" has "$err" "look: CUDA_ERROR_ILLEGAL_ADDRESS in launch 16 of follow"
ok "so does the file" has "$found" '"guilty": ["follow"]'
look 0 touched hides VRAMSHIM_ENGINE=none VRAMSHIM_SMALL=4KiB
ok "when it is run again that is known, and nothing else is found" "$status_right"
ok "how often it was launched is counted" has "$found" '"excused": 384'
with=$out
look 0 named hides VRAMSHIM_ENGINE=none VRAMSHIM_SMALL=4KiB
ok "what is looked at computes what it always does" test "$(echo "$out" | sed 's/"passes.*//')" = \
    "$(echo "$with" | sed 's/"passes.*//')"
ok "every launch is counted by how many allocations it names" has "$found" \
    '"words": 2322, "ranges": [0, 6, 774, 0,'
look 0 escapes hides VRAMSHIM_VRAM=12MiB VRAMSHIM_IN_PLACE=never
ok "an address of a window that stays in memory is found, and who left it" has "$found" \
    '"guilty": ["follow"]'
ok "others were searched for some, and left none" test "$(echo "$found" |
    sed 's/.*"searched": \([0-9]*\).*/\1/')" -ge 3
finish
