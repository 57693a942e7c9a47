#!/bin/sh
# SPDX-License-Identifier: MIT
# The vramshim command: what `run` hands to the program, and what it says about mistakes.
. "$(dirname "$0")/tap.sh"

vramshim=$1
library=$(realpath "$(ldd /bin/sh | awk '/libc\.so/ { print $3 }')")
unset LD_PRELOAD
for name in $(env | sed -n 's/^\(VRAMSHIM_[A-Z_]*\)=.*/\1/p'); do
    unset "$name"
done

says() { "$status_right" && has "$err" "$1" && [ "$(printf '%s\n' "$err" | wc -l)" -eq 1 ]; }
prints() { "$status_right" && has "$out" "$1"; }
prints_exactly() { "$status_right" && [ "$out" = "$1" ]; }

run() { "$vramshim" run --lib "$library" "$@"; }

expect 0 run --vram 8GiB --ram=-1GiB --summary --log-file /tmp/x -- sh -c \
    'echo $VRAMSHIM_VRAM $VRAMSHIM_RAM $VRAMSHIM_SUMMARY $VRAMSHIM_LOG_FILE ${VRAMSHIM_STORY-unset}'
ok "run sets what its options say and nothing else" prints_exactly "8GiB -1GiB 1 /tmp/x unset"

expect 0 run --summary=no -- sh -c 'echo $VRAMSHIM_SUMMARY'
ok "a switch can be given a value" prints_exactly no

expect 0 run sh -c 'echo $LD_PRELOAD'
ok "run preloads the library" prints_exactly "$library"

expect 0 env LD_PRELOAD=libm.so.6 "$vramshim" run --lib "$library" -- sh -c 'echo $LD_PRELOAD'
ok "run keeps what was preloaded, behind the library" prints_exactly "$library:libm.so.6"

expect 0 run printf '%s\n' --vram 'a  b'
ok "arguments of the program are left alone" prints_exactly "--vram
a  b"

expect 7 run -- sh -c 'exit 7'
ok "the program's status is passed on" "$status_right"

expect 127 run -- ./no-such-program
ok "a program that is not found is 127" says "cannot run ./no-such-program: No such file"

expect 126 run -- "$scratch"
ok "a program that cannot be run is 126" says "Permission denied"

expect 125 run --vrm 8GiB -- true
ok "a mistyped option is answered with the nearest" says "did you mean --vram?"

expect 125 run --vram 8GX -- true
ok "a bad value is answered with the accepted forms" says '--vram "8GX" is not a size such as 8GiB'

expect 125 run --log wran -- true
ok "a bad word is answered with the words" says '"wran" is not error, warn, info or debug'

expect 125 run --vram
ok "a missing value is named" says "--vram needs a value: a size such as 8GiB"

expect 125 run --vram 8GiB --
ok "a missing program is named" says "no program to run; usage: vramshim run"

expect 125 "$vramshim" run --lib "$scratch/none.so" -- true
ok "a missing library is named" says "cannot read $scratch/none.so"

cp "$library" "$scratch/a library.so"
expect 125 "$vramshim" run --lib "$scratch/a library.so" -- true
ok "a library the loader could not name is refused" says "takes a space or colon"

mkdir "$scratch/bin"
cp "$vramshim" "$scratch/bin/"
expect 125 "$scratch/bin/vramshim" run -- true
ok "a library that is not there is asked for" says "libvramshim.so is not near $scratch/bin"

cp "$library" "$scratch/bin/libvramshim.so"
expect 0 "$scratch/bin/vramshim" run -- sh -c 'echo $LD_PRELOAD'
ok "a library beside the program is found" prints_exactly "$scratch/bin/libvramshim.so"

if [ -e "$MESON_BUILD_ROOT/interpose/libvramshim.so" ]; then
    expect 0 "$vramshim" run -- sh -c 'echo $LD_PRELOAD'
    ok "the library of the build is found" prints_exactly \
        "$(realpath "$MESON_BUILD_ROOT")/interpose/libvramshim.so"
else
    skip "the library of the build is found" "libvramshim.so is not built"
fi

expect 2 "$vramshim"
ok "no command at all is answered with where help is" says "try: vramshim help"

expect 2 "$vramshim" setings
ok "a mistyped command is answered with the nearest" says "did you mean settings?"

expect 2 "$vramshim" settings now
ok "settings takes no argument" says "settings takes no argument"

for command in bench detect doctor; do
    if [ $command != doctor ]; then
        expect 2 "$vramshim" $command now
        ok "$command takes no argument" says "$command takes no argument"
    fi
    expect 2 "$vramshim" $command --jsn
    ok "a mistyped option of $command is answered with the nearest" says "did you mean --json?"
done

expect 2 "$vramshim" bench --output
ok "an option without its value is told what it is" says "--output needs FILE: where the profile goes"

expect 2 "$vramshim" bench --json=yes
ok "a switch takes no value" says "--json takes no value"

expect 2 "$vramshim" bench --seconds 61
ok "a number out of range is told the range" says "is no number from 1 to 60"

expect 0 "$vramshim" settings
ok "settings prints a row for every setting" prints "| \`VRAMSHIM_STORY\` | \`virtual\` |"

expect 0 "$vramshim" --version
ok "the version is printed" prints "vramshim 0."

expect 0 "$vramshim" traps
sed -n 's/^TRAP(\(KB[0-9]*\),.*/\1/p' "$MESON_SOURCE_ROOT/planner/traps.def" >"$scratch/rows"
printf '%s\n' "$out" | sed -n 's/^  \(KB[0-9]*\) .*/\1/p' >"$scratch/said"
ok "traps prints a line for every row" diff "$scratch/rows" "$scratch/said"
ok "there are some" test "$(wc -l <"$scratch/rows")" -ge 30
ok "with what to do, and where it is known from" test \
    "$(printf '%s\n' "$out" | grep -c '^  *Fix: .')$(printf '%s\n' "$out" | grep -c '^  *From: .')" = \
    "$(wc -l <"$scratch/rows")$(wc -l <"$scratch/rows")"
expect 0 "$vramshim" traps kb10 KB15
ok "those that are named are printed" test "$(printf '%s\n' "$out" | grep -c '^  KB')" -eq 2
ok "with the doctor's check that answers" prints "Check: vramshim doctor, memlock"
expect 2 "$vramshim" traps KB99
ok "a trap that there is none of is answered with the nearest" says "no trap is called KB99; did you mean KB"
if command -v python3 >/dev/null; then
    expect 0 "$vramshim" traps --json
    ok "traps --json is JSON" sh -c 'python3 -m json.tool "$1" >/dev/null' sh "$scratch/out"
fi

for ask in help --help -h; do
    expect 0 "$vramshim" $ask
    ok "$ask explains itself with examples" prints "vramshim run --vram 8GiB --"
done

# The rows of commands.def: each command and option is in its help and in the manual.
defs=$MESON_SOURCE_ROOT/tools/commands.def
sed -n 's/^COMMAND(\([a-z]*\),.*/\1/p' "$defs" >"$scratch/commands"
sed -n 's/^OPTION(\([a-z]*\), [a-z]*, "\([^"]*\)".*/\1 \2/p' "$defs" >"$scratch/options"
ok "there are rows" test -s "$scratch/commands" -a -s "$scratch/options"
for command in $(cat "$scratch/commands"); do
    expect 0 "$vramshim" help "$command"
    ok "help $command says how it is used" prints "usage: vramshim $command"
done
while read -r command option; do
    expect 0 "$vramshim" "$command" --help
    ok "$command --help lists $option" prints "  $option "
done <"$scratch/options"
expect 0 "$vramshim" help --man
printf '%s\n' "$out" >"$scratch/man"
ok "the manual is what help --man prints (copy its output when it is not)" \
    diff "$scratch/man" "$MESON_SOURCE_ROOT/docs/vramshim.1"

for ask in "help run" "run --help" "run -h"; do
    expect 0 "$vramshim" $ask
    ok "$ask lists an option for every setting" prints "--log-file VALUE"
done

finish
