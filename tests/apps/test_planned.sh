#!/bin/sh
# SPDX-License-Identifier: MIT
# A program whose model is larger than the card, with a plan: the same answers, recognised tensors, the
# first token as soon as the others, and a report of what was predicted.
#
#   test_planned.sh APPS PLANNER
. "$(dirname "$0")/../tap.sh"

apps=$1
plan=$2
sim=$MESON_BUILD_ROOT/tests/sim
shim=$MESON_BUILD_ROOT/interpose/libvramshim.so
model=$scratch/model.gguf
unset VRAMSHIM_RAM VRAMSHIM_CHUNK VRAMSHIM_DISABLE VRAMSHIM_ENGINE VRAMSHIM_PLAN VRAMSHIM_REPORT

python3 "$MESON_SOURCE_ROOT/tests/reference/make_random_gguf.py" llama "$model"

# generate TOKENS SETTING=VALUE... [-- ARGUMENT...]: on a card of which 48 MiB are for the model.
generate() {
    tokens=$1
    shift
    settings=
    while [ $# -gt 0 ] && [ "$1" != -- ]; do
        settings="$settings $1"
        shift
    done
    [ $# -eq 0 ] || shift
    # shellcheck disable=SC2086
    env LD_LIBRARY_PATH="$sim" LD_PRELOAD="${LD_PRELOAD:-}${LD_PRELOAD:+ }$shim" \
        VRAMSHIM_VRAM=48MiB SIM_VRAM=1GiB SIM_PROFILE=rtx3060 SIM_ORDER=timed SIM_HOST_RAM=4GiB \
        SIM_STATS="$scratch/stats" $settings "$apps/generate" --model "$model" \
        --prompt-tokens 5 --n "$tokens" --logits "$scratch/logits" "$@"
}
count() { sed -n "s/^$1 //p" "$scratch/stats"; }
plan_for() {
    size=$1
    shift
    "$plan" "$model" --vram "$size" "$@" --gpu "RTX 3060" --link gen3x16 --ram 4GiB --driver 2MiB \
        --cache 16KiB --buffers 64KiB -o "$scratch/plan" --check
}

expect 0 plan_for 48MiB
ok "a plan is written" test "$out" = "yes: stream"
for layout in slab tensor; do
    expect 0 generate 3 -- --alloc "$layout"
    cp "$scratch/logits" "$scratch/right"
    tokens_before=$out
    expect 0 generate 3 VRAMSHIM_PLAN="$scratch/plan" VRAMSHIM_SUMMARY=1 VRAMSHIM_LOG=info -- \
        --alloc "$layout"
    ok "with a plan it says the same ($layout)" test "$out" = "$tokens_before"
    ok "and has the same logits, bit for bit ($layout)" cmp "$scratch/logits" "$scratch/right"
    ok "its tensors are recognised ($layout)" has "$err" "by their size alone"
    ok "none by its size ($layout)" has "$err" " 0.0 % by their size alone"
done

# What kernels read over the link for the first token, because it was not there yet.
expect 0 generate 1
without=$(count kernel_bytes_host)
expect 0 generate 1 VRAMSHIM_PLAN="$scratch/plan"
ok "the first token finds its weights: $(count kernel_bytes_host) bytes in place, not $without" \
    test $((10 * $(count kernel_bytes_host))) -lt "$without"
ok "what is away goes straight to its home" test "$(count bytes_to_host)" -lt 12582912

expect 0 generate 3 VRAMSHIM_PLAN="$scratch/plan" VRAMSHIM_REPORT="$scratch/report"
ok "a run with a plan writes a report" test -s "$scratch/report"
taken=$(sed -n 's/^term unaccounted [0-9]* //p' "$scratch/report")
"$plan" report "$scratch/report" >"$scratch/told"
out=$(cat "$scratch/told")
ok "of the card all is accounted for" awk '$1 == "card" { total = $2; sum = $3 + $4 }
    $2 == "unaccounted" { sum += $4 } END { exit !(total && total == sum) }' "$scratch/report"
ok "the report tells what was predicted and what was taken" \
    has "$out" "weights          94.0 MiB     94.0 MiB  +0.0 %"
ok "and how much was recognised" has "$out" "Recognised       100.0 % of the plan's bytes"
ok "and the card's memory" has "$out" "the library's,"
expect 0 "$plan" "$model" --vram 48MiB --link gen3x16 --report "$scratch/report" --json
ok "the next prediction has the run's figures" test "$taken" = "$(python3 -c 'import json, sys
print(json.load(sys.stdin)["model"]["demand"]["driver"]["bytes"])' <"$scratch/out")"
ok "and what it has shown of functions" test "$(grep -c '^function ' "$scratch/report")" -ge 5
cp "$scratch/logits" "$scratch/right"
generate 1 VRAMSHIM_PLAN="$scratch/plan" >/dev/null 2>&1
unknown=$(count clock_ns)
expect 0 plan_for 48MiB --report "$scratch/report"
ok "so does a plan that is made with the report" \
    test "$(grep '^function ' "$scratch/plan")" = "$(grep '^function ' "$scratch/report")"
generate 1 VRAMSHIM_PLAN="$scratch/plan" >/dev/null 2>&1
ok "the first token comes sooner then" test "$(count clock_ns)" -lt "$unknown"
expect 0 generate 3 VRAMSHIM_PLAN="$scratch/plan" VRAMSHIM_REPORT="$scratch/report"
ok "and nothing else is different" cmp "$scratch/logits" "$scratch/right"
ok "what is known is known the next time, too" \
    test "$(grep '^function ' "$scratch/plan")" = "$(grep '^function ' "$scratch/report")"

# A program that has been run with another model.
sed 's/^\(term cache [0-9]*\) .*/\1 3145728/' "$scratch/report" >"$scratch/this"
sed 's/^model .*/model "Another"/' "$scratch/this" >"$scratch/another"
cache_of() {
    "$plan" "$model" --vram 48MiB --link gen3x16 --json "$@" 2>"$scratch/err" |
        python3 -c 'import json, sys; print(json.load(sys.stdin)["model"]["demand"]["cache"]["bytes"])'
}
estimated=$(cache_of)
ok "a report tells of the model's cache" \
    test "$estimated,$(cache_of --report "$scratch/this")" = 2097152,3145728
ok "one of another model does not" test "$(cache_of --report "$scratch/another")" = "$estimated"
ok "and is told" has "$(cat "$scratch/err")" \
    "another is of another model: its cache and buffers are not used"
expect 0 plan_for 48MiB --report "$scratch/another"
ok "but a plan that is made with it knows the functions" \
    test "$(grep '^function ' "$scratch/plan")" = "$(grep '^function ' "$scratch/report")"
expect 0 plan_for 48MiB
expect 4 "$plan" report "$scratch/plan"
ok "what is no report is said" has "$err" "not a report of VRAMSHIM_REPORT"
expect 2 "$plan" report
ok "a report has a name" has "$err" "usage: vramshim-plan report FILE"

# What cannot be used is said once, and the program runs as without.
refused() {
    expect 0 generate 1 VRAMSHIM_PLAN="$scratch/$2"
    ok "$1 is refused, with a reason" has "$err" "$3"
    ok "$1 does the program no harm" cmp "$scratch/logits" "$scratch/right"
}
expect 0 generate 1
cp "$scratch/logits" "$scratch/right"
echo "tensor" >"$scratch/garbage"
refused "what is no plan" garbage "not a plan of vramshim-plan"
sed '$d' "$scratch/plan" >"$scratch/short"
refused "half a plan" short "the end is missing"
cp "$scratch/plan" "$scratch/open" && chmod 666 "$scratch/open"
refused "a plan that everybody may write" open "everybody may write it"
refused "a plan that is not there" none "No such file"
sed 's/^file \([0-9]*\) ................/file \1 0123456789abcdef/' "$scratch/plan" >"$scratch/stale"
refused "a plan of a file that has changed" stale "the plan is stale"

# Parts pinned to host memory and to the device, which is more than would stay there otherwise.
expect 0 plan_for 48MiB --pin blk.0-1=host,blk.2=device
expect 0 generate 1 VRAMSHIM_PLAN="$scratch/plan" VRAMSHIM_SUMMARY=1
ok "what was pinned changes no answer" cmp "$scratch/logits" "$scratch/right"

sed 's/"GeForce RTX 3060"/"GeForce RTX 4090"/' "$scratch/plan" >"$scratch/other"
expect 0 generate 1 VRAMSHIM_PLAN="$scratch/other"
ok "a plan for another card is followed, and says so" has "$err" "made for another card (GeForce RTX 4090)"
ok "and does no harm" cmp "$scratch/logits" "$scratch/right"
expect 0 generate 1 VRAMSHIM_PLAN="$scratch/plan"
ok "one for this card says nothing" test -z "$err"

expect 0 plan_for 32MiB
expect 0 generate 1 VRAMSHIM_PLAN="$scratch/plan"
ok "a plan for another budget is scaled, and says so" has "$err" "what stays is scaled"
ok "and is followed" cmp "$scratch/logits" "$scratch/right"
finish
