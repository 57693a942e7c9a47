#!/bin/sh
# SPDX-License-Identifier: MIT
# The README's settings table is what the program prints, and what it promises exists.
. "$(dirname "$0")/tap.sh"

vramshim=$1
readme=$MESON_SOURCE_ROOT/README.md

sed -n '/^<!-- settings -->$/,/^<!-- end of settings -->$/p' "$readme" | grep '^|' >"$scratch/there"
"$vramshim" settings >"$scratch/right"
ok "the settings table equals vramshim settings (copy its output when it does not)" \
    diff "$scratch/there" "$scratch/right"

for name in $(grep -o 'VRAMSHIM_[A-Z_]*[A-Z]' "$readme" | sort -u); do
    ok "$name is a setting" grep -q "\`$name\`" "$scratch/right"
done

for path in $(sed -n 's/^| `\([^`]*\)` |.*/\1/p' "$readme" | grep -v VRAMSHIM_); do
    ok "$path of the map exists" test -e "$MESON_SOURCE_ROOT/$path"
done

for path in $(grep -o '](\([^)#:]*\))' "$readme" | sed 's/^](\(.*\))$/\1/'); do
    ok "the link to $path leads somewhere" test -e "$MESON_SOURCE_ROOT/$path"
done

finish
