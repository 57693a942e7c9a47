#!/bin/sh
# SPDX-License-Identifier: MIT
# What vramshim doctor reads elsewhere: the driver's management library, the kernel's log, a plan; and
# the bundle for bug reports. Arguments: the program, the folders of the simulated driver and of the
# stand-in for the management library, and the planner.
. "$(dirname "$0")/tap.sh"
. "$(dirname "$0")/doctor.sh"

sim=$2
plan=$4
doctor=$scratch/doctor
cat >"$doctor" <<END
#!/bin/sh
LD_LIBRARY_PATH=$3:$sim\${LD_LIBRARY_PATH:+:\$LD_LIBRARY_PATH} exec "$1" doctor --lib "$library" "\$@"
END
# No journal but this one.
printf '#!/bin/sh\n[ -n "$JOURNAL" ] && cat "$JOURNAL"\n' >"$scratch/journalctl"
chmod +x "$doctor" "$scratch/journalctl"
export PATH="$scratch:$PATH"
mkdir "$scratch/tree"
quick="--root $scratch/tree"
verdict() { "$status_right" && printf '%s\n' "$out" | grep -q "^$1 $2 .*$3"; }

# The management library, each check both ways.
# shellcheck disable=SC2086
while IFS='|' read -r status settings verdict check says; do
    expect "$status" env $settings "$doctor" $quick
    ok "$settings: $check is $verdict" verdict "$verdict" "$check" "$says"
done <<'END'
0|MANAGED_PERSISTENCE=1|PASS|persistence|yes
0|MANAGED_PERSISTENCE=0|WARN|persistence|persistence mode is off
0|MANAGED_DIVIDED=0|PASS|mig|yes
0|MANAGED_DIVIDED=1|WARN|mig|divided into instances (MIG) (KB23)
0|MANAGED_PROGRAMS=0|PASS|others|yes
0|MANAGED_PROGRAMS=3|WARN|others|3 compute on it.*(KB28)
0|MANAGED_FAILURES=0|PASS|errors|no error is known
1|MANAGED_FAILURES=2|FAIL|errors|2 errors of it could not be corrected
0|MANAGED_CARD=this|SKIP|persistence|the driver does not tell
0|MANAGED_CARD=this|PASS|mig|cannot be divided
0|MANAGED_CARD=this|SKIP|others|the driver does not tell
0|MANAGED_CARD=this|SKIP|errors|does not tell
0|MANAGED_CARD=other|SKIP|persistence|does not know this card
0|MANAGED_START=no|SKIP|errors|does not start
END

# The kernel's log.
log() { mkdir -p "$scratch/tree$(dirname "$1")" && cat >"$scratch/tree$1"; }
bus=$(LD_LIBRARY_PATH=$sim "$1" detect --json | sed -n 's/.*"slot": "\(.*\)\.0".*/\1/p')
# shellcheck disable=SC2086
expect 0 "$doctor" $quick
ok "a log that cannot be read is skipped by name" verdict SKIP xid "cannot be read: $scratch/tree/dev/kmsg"
while IFS='|' read -r status line verdict says; do
    echo "$line" | sed "s/BUS/$bus/" | log /dev/kmsg
    # shellcheck disable=SC2086
    expect "$status" "$doctor" $quick
    ok "$line: $verdict" verdict "$verdict" xid "$says"
done <<'END'
0|6,339,5140900,-;usb 1-1: new device|PASS|names no error
0|4,812,99,-;NVRM: Xid (PCI:BUS): 31, pid=17, name=app, Ch 00000008|WARN|1 errors of programs, the last Xid 31: a kernel touched
1|4,812,99,-;NVRM: Xid (PCI:BUS): 79, GPU has fallen off the bus.|FAIL|Xid 79: it could no longer be reached
0|4,812,99,-;NVRM: Xid (PCI:BUS): 4711, new|WARN|Xid 4711: not known here
0|4,812,99,-;NVRM: Xid (PCI:0000:42:00): 79, another card|PASS|names no error
0|4,812,99,-;NVRM: Xid (PCI:BUS): none|PASS|names no error
END
printf '%s\n' "NVRM: Xid (PCI:$bus): 48, DBE" "NVRM: Xid (PCI:$bus.0): 13, pid=3" | log /dev/kmsg
# shellcheck disable=SC2086
expect 1 "$doctor" $quick
ok "an error of the card outweighs one of a program" verdict FAIL xid "2 errors, the last of the card itself Xid 48"
rm "$scratch/tree/dev/kmsg"
echo "Jan  1 host kernel: [ 1.0] NVRM: Xid (PCI:$bus): 31, pid=17" | log /var/log/kern.log
# shellcheck disable=SC2086
expect 0 "$doctor" $quick
ok "a log daemon's file will do" verdict WARN xid "Xid 31"
rm "$scratch/tree/var/log/kern.log"
echo "NVRM: Xid (PCI:$bus): 43, pid=17" >"$scratch/journal"
# shellcheck disable=SC2086
expect 0 env JOURNAL="$scratch/journal" "$doctor" $quick
ok "so will the journal" verdict WARN xid "Xid 43: a program's work was stopped"

# A plan.
model=$scratch/model.gguf
python3 "$MESON_SOURCE_ROOT/tests/make_gguf.py" "$model" general.architecture=perceptron \
    token_embd.weight:1:1024,1024 blk.0.ffn_up.weight:8:32,1024
size=$(stat -c %s "$model")
seq 5000 | dd of="$model" bs=1 count=8192 seek=$((size - 34816)) conv=notrunc 2>/dev/null # the last tensor
planned() {
    "$plan" "$model" --vram "$1" --ram "$2" --link gen4x16 --driver 0 --buffers 100KiB -o "$scratch/plan" \
        >"$scratch/out" 2>&1
}
planned 32MiB 1GiB
# shellcheck disable=SC2086
plan_is() {
    expect "$1" "$doctor" $quick --plan "$scratch/plan"
    verdict "$2" plan "$3"
}
expect 0 "$doctor" --root "$scratch/tree"
ok "without a plan there is nothing to look at" verdict SKIP plan "no plan is named"
ok "a plan of this model and machine is right" plan_is 0 PASS "2 tensors of 1 files are as they were planned"
# shellcheck disable=SC2086
expect 0 env VRAMSHIM_PLAN="$scratch/plan" "$doctor" $quick
ok "the setting names it too" verdict PASS plan "as they were planned"
cp "$scratch/plan" "$scratch/kept"
sed 's/^\(machine .*\) "[^"]*"$/\1 "GeForce RTX 4090"/' "$scratch/kept" >"$scratch/plan"
ok "one for another card is told" plan_is 0 WARN 'it is for another card (GeForce RTX 4090)'
sed 's/^\(machine .*\) "[^"]*"$/\1 "NVIDIA Simulated GPU"/' "$scratch/kept" >"$scratch/plan"
ok "the maker's name makes no other card" plan_is 0 PASS "as they were planned"
sed 's/^machine [0-9]*/machine 137438953472/' "$scratch/kept" >"$scratch/plan"
ok "so is one for more memory than the card has" plan_is 0 WARN "128.0 GiB of the card's memory, of which there is 64.0 MiB"
mkdir -p "$scratch/tree/proc"
echo 'MemTotal: 1024 kB' >"$scratch/tree/proc/meminfo"
cp "$scratch/kept" "$scratch/plan"
ok "and for more host memory" plan_is 0 WARN "of host memory, of which there is 1.0 MiB"
rm -r "$scratch/tree/proc"
cp "$model" "$scratch/right.gguf"
printf x | dd of="$model" bs=1 seek=8 conv=notrunc 2>/dev/null
ok "a model that begins otherwise is another" plan_is 1 FAIL "begins otherwise than when it was planned"
cp "$scratch/right.gguf" "$model"
printf 'other weights of it' | dd of="$model" bs=1 seek=$((size - 34816)) conv=notrunc 2>/dev/null
ok "so is one with another tensor" plan_is 1 FAIL "blk.0.ffn_up.weight is not what was planned with"
echo >>"$model"
ok "and one of another size" plan_is 1 FAIL "another size than when it was planned"
rm "$model"
ok "a model that is gone is told" plan_is 1 FAIL "No such file"
echo nonsense >"$scratch/plan"
ok "a plan that is none is told" plan_is 1 FAIL "$scratch/plan"
cp "$scratch/right.gguf" "$model"

# The bundle.
mkdir "$scratch/house"
cp "$scratch/kept" "$scratch/house/a.plan"
echo 'name Simulated GPU' >"$scratch/house/profile"
{
    seq -f "line %.0f of the log" 9000
    echo "vramshim: warning: cannot read $scratch/house/secret of somebody, or somebodyelse"
} >"$scratch/house/log.17"
echo "NVRM: Xid (PCI:$bus): 31, pid=17" >"$scratch/journal"
# shellcheck disable=SC2086
expect 0 env HOME="$scratch/house" USER=somebody VRAMSHIM_LOG_FILE="$scratch/house/log.%p" \
    VRAMSHIM_PROFILE="$scratch/house/profile" JOURNAL="$scratch/journal" \
    "$doctor" $quick --bundle "$scratch/report.tar.gz"
ok "a bundle is written" "$status_right"
mkdir "$scratch/in"
tar -xzf "$scratch/report.tar.gz" -C "$scratch/in"
in=$scratch/in/vramshim-report
ok "what is printed of it is what is in it" test \
    "$(printf '%s\n' "$out" | sed -n 's/^  \([a-z.]*\)  *\([0-9]*\) bytes: .*/\1 \2/p' | sort)" = \
    "$(cd "$in" && stat -c '%n %s' -- * | sort)"
ok "it has all its parts" test "$(ls "$in" | tr '\n' ' ')" = \
    "detect.txt doctor.json doctor.txt kernel.txt log.txt profile settings.txt system.txt "
ok "what the doctor says is in it" grep -q "^WARN xid " "$in/doctor.txt"
ok "for programs too" python3 -m json.tool "$in/doctor.json" "$scratch/json"
ok "so are the hardware," grep -q "Simulated GPU" "$in/detect.txt"
ok "the kernel's line," grep -qx "NVRM: Xid (PCI:$bus): 31, pid=17" "$in/kernel.txt"
ok "the settings," grep -qx 'VRAMSHIM_LOG_FILE=~/log.%p' "$in/settings.txt"
ok "the versions" grep -q "^vramshim 0" "$in/system.txt"
ok "and of the log the end" sh -c 'tail -n 1 "$1" | grep -q secret && ! grep -qx "line 1 of the log" "$1"' \
    sh "$in/log.txt"
ok "which begins with a whole line" grep -qE "^line [0-9]+ of the log$" "$in/log.txt"
ok "a home folder and a name are replaced, where they are that" grep -qx \
    "vramshim: warning: cannot read ~/secret of USER, or somebodyelse" "$in/log.txt"
ok "no file names the home folder or the user" sh -c '! grep -rqE "$1|somebody( |$)" "$2"' sh \
    "$scratch/house" "$in"
ok "nor whose the files were" sh -c 'tar --numeric-owner -tvzf "$1" | grep -qv " 0/0 "; test $? -eq 1' sh \
    "$scratch/report.tar.gz"
ok "nothing else is left behind" test -z "$(find "$scratch" -maxdepth 1 -name 'vramshim-??????')"
# shellcheck disable=SC2086
expect 0 "$doctor" $quick --json --bundle "$scratch/second.tar.gz"
ok "with --json, what is in it goes to standard error" has "$err" "second.tar.gz holds:"
ok "and the answer stays JSON" python3 -m json.tool "$scratch/out" "$scratch/json"
rm -rf "$in"
tar -xzf "$scratch/second.tar.gz" -C "$scratch/in"
ok "what there is nothing of is left out" test ! -e "$in/log.txt"
# shellcheck disable=SC2086
expect 3 "$doctor" $quick --bundle "$scratch/nowhere/report.tar.gz"
ok "one that cannot be written is told" has "$err" "cannot write $scratch/nowhere/report.tar.gz"
finish
