#!/bin/sh
# SPDX-License-Identifier: MIT
# What vramshim-plan predicts, against what programs then take on the simulated card: memory within a
# fiftieth, time of a pass within 15 in a hundred.
#
#   test_accuracy.sh [--short] APPS PLANNER BENCH [all]
#
# --short: without the programs, where running one takes long. all: the whole pipeline of tests/bench
# at every ratio, which takes minutes, and not only a sketch of it.
#
# One run on a card that is large enough gives the planner the time of a pass; the first one under the
# library what the program has beside that is not paged. Everything else is predicted.
. "$(dirname "$0")/tap.sh"

short=
if [ "$1" = --short ]; then
    short=yes
    shift
fi
apps=$1
plan=$2
bench=$3
all=${4:-}
sim=$MESON_BUILD_ROOT/tests/sim
shim=$MESON_BUILD_ROOT/interpose/libvramshim.so
unset VRAMSHIM_RAM VRAMSHIM_CHUNK VRAMSHIM_DISABLE VRAMSHIM_ENGINE

# run PASSES [BUDGET]: the program for so many passes, under the library if there is a budget.
run() {
    passes=$1 budget=${2:-1GiB}
    case $program in
    generate) set -- --prompt-tokens 5,250 --n "$passes" ;;
    encoder)
        yes "the quick brown fox jumps over the lazy dog and runs away" | head -n "$passes" \
            >"$scratch/lines"
        set -- --batch 1 --in "$scratch/lines" --out "$scratch/answer"
        ;;
    esac
    [ "$budget" = 1GiB ] || set -- "$@" --shim
    preload=
    case $* in *--shim) preload=$shim ;; esac
    # shellcheck disable=SC2086
    env LD_LIBRARY_PATH="$sim" LD_PRELOAD="${LD_PRELOAD:-}${preload:+ $preload}" \
        VRAMSHIM_VRAM="$budget" SIM_VRAM=1GiB SIM_PROFILE=rtx3060 SIM_ORDER=timed \
        SIM_HOST_RAM=4GiB SIM_STATS="$scratch/stats" VRAMSHIM_LOG=info "$apps/$program" --model "$model" \
        $(printf '%s\n' "$@" | sed '/^--shim$/d') >"$scratch/said" 2>&1
}
stat() { sed -n "s/^$1 //p" "$scratch/stats"; }

# Nanoseconds of a pass, between FEW and MANY of them.
pass() {
    run "$1" "$3" || return 1
    before=$(stat clock_ns)
    run "$2" "$3" || return 1
    echo $((($(stat clock_ns) - before) / ($2 - $1)))
}
# answer EXPRESSION: of the last answer, in which s is streaming.
answer() {
    python3 -c "import json, sys
r = json.load(sys.stdin)
s = next(s for s in r['strategies'] if s['name'] == 'stream')
print($1)" <"$scratch/predicted"
}
predict() {
    apart=
    [ "$program" != encoder ] || apart=--apart
    # shellcheck disable=SC2086
    "$plan" "$model" $apart --json --gpu "RTX 3060" --link gen3x16 --ram 4GiB --vram "$budget" \
        --driver "$beside" --cache 16KiB --buffers 64KiB --ubatch 64 --pass "$alone" \
        >"$scratch/predicted"
    answer "$1"
}
near() { awk "BEGIN { d = $1 / $2 - 1; exit !(d <= $3 && d >= -$3) }" </dev/null; }

# judge PROGRAM MODEL FEW MANY TENTHS...: W/B, of which a run with the first is learned from: what the
# program has beside what is predicted.
judge() {
    program=$1 model=$scratch/$1.gguf few=$3 many=$4
    python3 "$MESON_SOURCE_ROOT/tests/reference/make_random_gguf.py" "$2" "$model"
    bytes=$("$plan" "$model" --json --vram 1GiB --link gen3x16 |
        python3 -c "import json, sys; print(json.load(sys.stdin)['model']['bytes'])")
    ns=$(pass "$((few / 2))" "$((few / 2 + 2))" 1GiB)
    alone=$(awk "BEGIN { printf \"%.9f\", $ns / 1e9 }" </dev/null)
    beside=
    shift 4
    for ratio; do
        budget=$(((bytes * 10 / ratio) >> 20))MiB
        ns=$(pass "$few" "$many" "$budget")
        took=$(awk "BEGIN { printf \"%.9f\", $ns / 1e9 }" </dev/null)
        peak=$(stat device_most)
        [ "$beside" ] || beside=$(beside=0 && predict "max(0, $peak - s['peak_device_bytes'])")
        p=$(predict "s['peak_device_bytes']")
        t=$(predict "(s['pass_seconds']['low'] + s['pass_seconds']['high']) / 2")
        ok "$program, W/B $ratio tenths: peak $p of $peak" near "$p" "$peak" 0.02
        ok "$program, W/B $ratio tenths: a pass $t of $took s" near "$t" "$took" 0.15
    done
}

# A component of tests/bench/programs.c: COMPONENT ARCHITECTURE PREFIX LAYERS, with headers alone, and
# of units of $unit KiB.
component() {
    python3 - "$MESON_SOURCE_ROOT/tests" "$scratch/$1.gguf" "$2" "$3" "$4" "$unit" <<'END'
import sys

sys.path.insert(0, sys.argv[1])
from formats import gguf, string, tensor

tensors, at, unit = [], 0, int(sys.argv[6])
for layer in range(int(sys.argv[5])):
    for i, share in enumerate((9, 2, 2, 9, 24, 24, 24)):
        tensors.append(tensor(f"{sys.argv[4]}.{layer}.part{i}.weight", (unit * share, 256), offset=at))
        at += unit * 1024 * share
with open(sys.argv[2], "wb") as out:
    out.write(gguf([string("general.architecture", sys.argv[3])], tensors, b""))
    out.truncate(out.tell() + at)
END
}

# measure FIGURE: by the last run of the bench.
measure() { sed -n "s/.*\"policy\": \"engine\", \"figure\": \"$1\", \"value\": \([-+.e0-9]*\)}.*/\1/p" "$scratch/json"; }

# judge_pipeline PROGRAM UNIT RATIO...: the mean of a round of twelve steps, in which the encoder and the
# decoder run once. Beside what is paged there are the library's digests, in a page of the driver's.
judge_pipeline() {
    form=$1 unit=$2
    shift 2
    component pipeline flux double_blocks 16
    component text t5encoder blk 6
    component pixels vae decoder.up 2
    for ratio; do
        "$bench" --json --profile rtx3060 --program "$form" --form eager --policy engine \
            --ratio "$ratio" >"$scratch/json"
        took=$(measure pass_seconds)
        peak=$(measure device_bytes)
        alone=$(awk "BEGIN { printf \"%.9f\", $(measure pass_seconds_alone) * 64 / (64 + 6 / 12 + 4 / 12) }" </dev/null)
        vram=$(awk "BEGIN { printf \"%d\", 24 * 94 * $unit * 1024 / $ratio + 4 * 1048576 }" </dev/null)
        VRAMSHIM_CHUNK=2MiB "$plan" "$scratch/pipeline.gguf" --encoder "$scratch/text.gguf" \
            --decoder "$scratch/pixels.gguf" --json --gpu "RTX 3060" --link gen3x16 --ram 16GiB \
            --vram "$vram" --driver 2MiB --buffers 4MiB --cache 1 --steps 12 --image 16x16 \
            --pass "$alone" >"$scratch/predicted"
        p=$(answer "s['peak_device_bytes']")
        t=$(answer "(s['pass_seconds']['low'] + s['pass_seconds']['high']) / 2")
        ok "$form, W/B $ratio: peak $p of $peak" near "$p" "$peak" 0.02
        ok "$form, W/B $ratio: a step $t of $took s" near "$t" "$took" 0.15
        ok "$form, W/B $ratio: streaming is recommended" \
            test "$(answer "r['recommended']")" = stream
    done
}

# The card that is here is asked.
python3 "$MESON_SOURCE_ROOT/tests/reference/make_random_gguf.py" llama "$scratch/any.gguf"
out=$(env LD_LIBRARY_PATH="$sim" SIM_VRAM=2GiB SIM_PROFILE=rtx3060 "$plan" "$scratch/any.gguf" --json)
ok "free memory is measured: 2 GiB less the driver's share, and what is left free" \
    has "$out" '"device_bytes": 1542035865'
ok "the card is known by its name" has "$out" '"card": "NVIDIA GeForce RTX 3060"'

if [ "$short" ]; then
    skip "generate, encoder and a pipeline" "they take long here, and their figures are those of the gcc build"
else
    judge generate llama 16 28 15 11 20 40
    judge encoder bert 5 6 20 11 15 40
    judge_pipeline sketch 160 2
fi
[ -z "$all" ] || judge_pipeline pipeline 640 1.5 1.1 2 4
finish
