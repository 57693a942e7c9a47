#!/bin/sh
# SPDX-License-Identifier: MIT
# No file includes something from above itself: arrows between folders, and layers inside runtime/.
# The table also is the map of runtime/: a file that is not in it fails the check.
. "$(dirname "$0")/tap.sh"

cd "$MESON_SOURCE_ROOT" || exit 1

# Lowest first. A file may include its own header, those of its own parts (config, config_types) and
# lower layers. The files of a layer marked + are parts of one thing and see each other.
layers='
0 cut file nvml_abi quiet table util
1 card_name checksum fields gate heat host_memory indices log nearest nvinfo pass profile spread stats
2 config config_types disk driver fatbin roll watch
3 account costs image planfile spill story vmm
3 backing
4 ahead company digest graph_order guard guard_kernel layout peek pool repute space transfer
5 redirect residency ring trust
6 chain evict move origin replay replay_read window
7+ blame capture card cold cold_in cold_launch cold_out cold_parts cold_plan escape experts experts_learn experts_swap extents fetch gather gone group memory_info pager peer pieces planned prepare proof reach recognise residents room serve side streaming tally trial turns weigh
'

find runtime interpose planner tools tests/sim -path runtime/cuda -prune -o -name '*.[ch]' -print |
    sort >"$scratch/files"
# shellcheck disable=SC2046
grep -n '^ *# *include "' $(cat "$scratch/files") /dev/null |
    sed 's/^\([^:]*\):\([0-9]*\):.*"\(.*\)".*/\1 \2 \3/' >"$scratch/includes"

out=$(awk '
    BEGIN {
        may["runtime"] = " runtime "
        may["interpose"] = " interpose runtime "
        may["planner"] = " planner runtime "
        may["tools"] = " tools planner runtime "
        may["tests"] = " tests "
        driver["runtime/profile.h"] = driver["runtime/driver.h"] = driver["runtime/driver_calls.def"] = driver["runtime/util.h"] = 1
    }
    $1 ~ /^tests\/sim\// && $3 in driver { next }
    {
        split($1, from, "/"); split($3, to, "/")
        if (index(may[from[1]], " " to[1] " ") == 0)
            print $1 ":" $2 ": " from[1] " may not include " $3
    }' "$scratch/includes")
ok "includes between folders point downwards (the simulator sees only the driver table and profiles)" \
    test -z "$out"

printf '%s' "$layers" | awk 'NF { for (i = 2; i <= NF; i++) print $i, $1 }' >"$scratch/layers"
out=$(sed -n 's,^runtime/\([a-z_]*\)\.[ch]$,\1,p' "$scratch/files" | sort -u |
    while read -r name; do
        grep -q "^$name " "$scratch/layers" || echo "runtime/$name has no layer in $0"
    done)
ok "every file of runtime has a layer" test -z "$out"

out=$(awk '
    function is_part(a, b) { return index(a, b "_") == 1 || index(b, a "_") == 1 }
    NR == FNR { layer[$1] = $2; next }
    $1 ~ /^runtime\/[a-z_]*\.[ch]$/ && $3 ~ /^runtime\/[a-z_]*\.h$/ {
        from = $1; sub(/.*\//, "", from); sub(/\..*/, "", from)
        to = $3; sub(/.*\//, "", to); sub(/\..*/, "", to)
        if (from != to && !is_part(from, to) && layer[to] >= layer[from] &&
            !(layer[from] ~ /\+/ && layer[to] == layer[from]))
            print $1 ":" $2 ": layer " layer[from] " may not include " $3 " of layer " layer[to]
    }' "$scratch/layers" "$scratch/includes")
ok "includes inside runtime point downwards" test -z "$out"

finish
