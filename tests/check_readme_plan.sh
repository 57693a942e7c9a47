#!/bin/sh
# SPDX-License-Identifier: MIT
# What the README shows of vramshim-plan is what it prints: each command is run, with the header of the
# model that it names.
#
#   check_readme_plan.sh PLANNER [FILE]    FILE: receives the README as it should be
. "$(dirname "$0")/tap.sh"

plan=$(realpath "$1")
right=${2:-$scratch/right}
readme=$MESON_SOURCE_ROOT/README.md
unset VRAMSHIM_RAM VRAMSHIM_CHUNK

cd "$scratch" || exit 1
PATH=$scratch:$PATH
ln -s "$plan" vramshim-plan
# A line "$ vramshim-plan ..." in a block is kept, what follows it up to the end is replaced.
replacing=false
while IFS= read -r line; do
    case $line in
    '$ vramshim-plan '*)
        printf '%s\n' "$line"
        command=${line#\$ }
        model=$(printf '%s\n' "$command" | sed -n 's/.* \([^ ]*\)\.gguf.*/\1/p')
        [ -z "$model" ] || [ -e "$model.gguf" ] ||
            python3 "$MESON_SOURCE_ROOT/tests/make_model.py" "$model" "$model.gguf"
        folder=$(printf '%s\n' "$command" | sed -n 's|^vramshim-plan \([^ ]*\)/ .*|\1|p')
        [ -z "$folder" ] || [ -e "$folder" ] ||
            python3 "$MESON_SOURCE_ROOT/tests/make_model.py" "$folder" "$folder"
        sh -c "$command" 2>&1
        replacing=true
        ;;
    '```')
        printf '%s\n' "$line"
        replacing=false
        ;;
    *) $replacing || printf '%s\n' "$line" ;;
    esac
done <"$readme" >"$right"
ok "the README shows what vramshim-plan prints" diff "$readme" "$right"
ok "it shows something" test "$(grep -c '^\$ vramshim-plan' "$readme")" -ge 5
finish
