#!/bin/sh
# SPDX-License-Identifier: MIT
# A set-uid program is left alone: nothing is loaded into it, and the library, were it there all the
# same, would read no setting and write no file.
#
#   check_privileged.sh PROGRAM SHIM
. "$(dirname "$0")/../tap.sh"

program=$1
shim=$2
chmod 777 "$scratch"
cp "$program" "$scratch/privileged"
chown 65534 "$scratch/privileged" 2>/dev/null && chmod u+s "$scratch/privileged"
export VRAMSHIM_VERBOSE=1 VRAMSHIM_SUMMARY=1 VRAMSHIM_LOG=debug VRAMSHIM_LOG_FILE="$scratch/log"
export ASAN_OPTIONS=verify_asan_link_order=0:detect_leaks=0

expect 0 "$program"
ok "a program of one's own has the library at work" test "$out" = "own on"
ok "and the settings are printed where they should be" test -s "$scratch/log"
rm -f "$scratch/log"

expect 0 "$scratch/privileged"
case $out in
more*)
    ok "in a program with more rights it is off" test "$out" = "more off"
    ok "and writes no file" test ! -e "$scratch/log"
    expect 0 env LD_PRELOAD="$shim" "$scratch/privileged" libvramshim.so
    ok "into such a program it is not loaded" test "$out" = "more absent"
    ;;
*)
    skip "in a program with more rights it is off" "nobody here may make one"
    ;;
esac
expect 0 env LD_PRELOAD="$shim" "$program" libvramshim.so
ok "into others it is" test "$out" = "own mapped"
finish
