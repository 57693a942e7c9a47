#!/bin/sh
# SPDX-License-Identifier: MIT
# The experiments on the simulated driver: each comes to its end, what is believed of a driver holds
# of that one, and what they measure is what its profile says that things cost.
#
#   test_experiments.sh EXPERIMENTS
. "$(dirname "$0")/../tap.sh"

experiments=$1
unset LD_PRELOAD VRAMSHIM_DISABLE
export SIM_PROFILE=rtx3060 SIM_ORDER=timed SIM_HOST_RAM=8GiB
LD_LIBRARY_PATH=$MESON_BUILD_ROOT/tests/sim${LD_LIBRARY_PATH:+:$LD_LIBRARY_PATH}
export LD_LIBRARY_PATH

expect 0 "$experiments" --json
cp "$scratch/out" "$scratch/json"
ok "every experiment comes to its end, and nothing believed is refuted" "$status_right"

verdict() { awk -v name="\"$1\"," '$2 == name { at = 1 } at && /"verdict"/ {
    print substr($2, 2, length($2) - 3); exit }' "$scratch/json"; }
figure() { sed -n "s/^ *{\"name\": \"$1\", \"value\": \([-+.e0-9]*\),.*/\1/p" "$scratch/json" | head -n 1; }
holds() { awk "BEGIN { exit !($1) }" </dev/null; }

for name in $("$experiments" --list | awk '{ print $1 }'); do
    case $name in
    prices_busy | threads | launch_under | gate | launch) expected='confirmed|measured' ;;
    *) expected=confirmed ;;
    esac
    found=$(verdict "$name")
    ok "$name is answered: $found" holds "\"$found\" ~ /^($expected)\$/"
done

# tests/sim/profiles/rtx3060.profile; a call also costs 0.2 us as any does.
for price in 'device, map:3.2:0' 'device, create:40.2:1' 'device, access:45.2:2' \
    'device, unmap:32.2:1' 'host, create:80.2:700'; do
    IFS=: read -r what call mib <<END
$price
END
    ok "the price found for $what is the profile's" holds \
        "$(figure "$what, for a call") - $call < 0.01 && $(figure "$what, for each MiB") - $mib < 0.01"
done
ok "the rate found for copies to the card is the profile's" holds \
    "$(figure 'pinned: to the card') > 12 && $(figure 'pinned: to the card') <= 12.3"
ok "of a range that crosses the border, every copy is refused" holds \
    "$(grep -c '"across: .*"value": 0,' "$scratch/json") == 16"

beliefs=$(cat "$MESON_SOURCE_ROOT/docs/beliefs.md")
for name in $("$experiments" --list | awk '{ print $1 }'); do
    ok "$name decides something that is believed" has "$beliefs" "\`$name\`"
done

expect 1 env SIM_HOST_VMM=none "$experiments" --only mixed
ok "without host-located memory, what needs it is refuted" has "$out" "refuted"
expect 0 env SIM_HOST_VMM=none "$experiments" --only alias
ok "and what cannot be asked is skipped" has "$out" "skipped: the driver makes no host-located"
expect 1 env SIM_FAIL=cuMemSetAccess:2:CUDA_ERROR_UNKNOWN "$experiments" --only alias
ok "an experiment that cannot go on stays open, with the call that failed" \
    has "$out" "open: cuMemSetAccess: ERROR_UNKNOWN"
expect 0 env LD_LIBRARY_PATH= "$experiments" --only alias
ok "without a driver everything is skipped" has "$out" "skipped: no NVIDIA driver"
expect 2 "$experiments" --speed
ok "an option that is none is said" has "$err" "usage: experiments"
finish
