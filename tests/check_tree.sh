#!/bin/sh
# SPDX-License-Identifier: MIT
# Rules that hold for every file of the tree.
. "$(dirname "$0")/tap.sh"

cd "$MESON_SOURCE_ROOT" || exit 1

# What is tracked, or everything that is not built where there is no git.
files() {
    git ls-files --cached --others --exclude-standard 2>/dev/null ||
        find . -name .git -prune -o -path './build*' -prune -o -type f -printf '%P\n'
}
files | while read -r file; do [ -f "$file" ] && echo "$file"; done >"$scratch/files"

grep -E '\.(c|h|S|def|cu|py|sh|build)$|^tools/[a-z]+$|^\.ci/' "$scratch/files" |
    while read -r file; do
        head -n 2 "$file" | grep -q 'SPDX-License-Identifier: MIT' || echo "$file"
    done >"$scratch/unlicensed"
out=$(cat "$scratch/unlicensed")
ok "every source names its licence" test ! -s "$scratch/unlicensed"

# Places of the machine it was written on, and left-overs. Written so as not to find itself.
out=$(grep -v '^tests/check_tree\.sh$' "$scratch/files" |
    xargs -d '\n' grep -InE '/(root|home|work)/[a-z]|/tmp/build-|[T]ODO|[F]IXME')
ok "no file names a place of one machine or holds a note to oneself" test -z "$out"

out=$(grep -E '\.(c|h)$' "$scratch/files" | xargs -d '\n' awk '
    length($0) > 100 { print FILENAME ": " FNR ": longer than 100 columns" }
    /[ \t]$/ { print FILENAME ": " FNR ": space at the end" }
    /\t/ { print FILENAME ": " FNR ": tab" }')
ok "lines are at most 100 wide, without tabs or spaces at the end" test -z "$out"

# One without a first line that says by what is sourced.
out=$(grep -E '^tools/[a-z]+$|^\.ci/run$|\.sh$' "$scratch/files" | while read -r file; do
    wanted=no
    ! head -c 2 "$file" | grep -q '#!' || wanted=yes
    found=no
    [ ! -x "$file" ] || found=yes
    [ $wanted = $found ] || echo "$file"
done)
ok "every script can be run, and no other file" test -z "$out"

out=$(find . -path './build*' -prune -o -path ./.git -prune -o -type l -print)
ok "there are no links" test -z "$out"

finish
