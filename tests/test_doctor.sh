#!/bin/sh
# SPDX-License-Identifier: MIT
# vramshim doctor, bench and detect: without a card, and on a simulated one. Arguments: the program,
# the folder of the simulated driver, the library, a program that looks its calls up and one that is
# linked.
. "$(dirname "$0")/tap.sh"
. "$(dirname "$0")/doctor.sh"

vramshim=$1
sim=$2
shim=$3
opened=$4
linked=$5

prints() { "$status_right" && has "$out" "$1"; }
says() { "$status_right" && has "$err" "$1"; }
# The line of one check begins with its verdict.
verdict() { "$status_right" && printf '%s\n' "$out" | grep -q "^$1 $2 .*$3"; }
on_card() { LD_LIBRARY_PATH=$sim${LD_LIBRARY_PATH:+:$LD_LIBRARY_PATH} "$@"; }
doctor() { on_card "$vramshim" doctor --lib "$library" "$@"; }

# Without a driver.
if env -u LD_LIBRARY_PATH "$vramshim" detect 2>/dev/null | grep -q "^no card: no NVIDIA driver"; then
    expect 3 env -u LD_LIBRARY_PATH "$vramshim" doctor --lib "$library"
    ok "without a driver the doctor says so" verdict FAIL driver "no NVIDIA driver here"
    ok "what needs a card is skipped" verdict SKIP host_vmm "no card"
    ok "what needs none is asked all the same" verdict PASS libc glibc
    expect 3 env -u LD_LIBRARY_PATH "$vramshim" bench
    ok "there is nothing to measure" says "nothing to measure: no NVIDIA driver here"
    expect 3 env -u LD_LIBRARY_PATH "$vramshim" detect --json
    ok "detect says why there is no card" prints '"why_not": "no NVIDIA driver here'
else
    skip "what is said without a driver" "there is one here"
fi

# Every row of checks.def has a line, in its order, and a way out where it is not well.
expect 0 doctor
printf '%s\n' "$out" | sed -n 's/^[A-Z]\{4\} \([a-z_]*\) .*/\1/p' >"$scratch/said"
sed -n 's/^CHECK(\([a-z_]*\),.*/\1/p' "$MESON_SOURCE_ROOT/tools/checks.def" >"$scratch/rows"
ok "on the simulated card every check has a line" diff "$scratch/rows" "$scratch/said"
ok "warnings and failures say what to do" test \
    "$(printf '%s\n' "$out" | grep -c '^WARN\|^FAIL')" -eq \
    "$(printf '%s\n' "$out" | grep -c '^     Fix: .')"
ok "a kernel reads host memory beside the card's" verdict PASS host_vmm "HOST_NUMA"
ok "without a program what it would tell is skipped" verdict SKIP program "no program was named"
ok "memory can be pinned" verdict PASS pin "MiB can be"
ok "a machine that was not measured is told how" verdict WARN profile "is not there"

expect 1 env SIM_HOST_VMM=none LD_LIBRARY_PATH="$sim" "$vramshim" doctor --lib "$library"
ok "a driver that maps no host memory fails" verdict FAIL host_vmm "refuses to make or map"
expect 0 env SIM_HOST_VMM=host LD_LIBRARY_PATH="$sim" "$vramshim" doctor --lib "$library"
ok "one that knows no nodes will do" verdict PASS host_vmm "(HOST)"
expect 1 env SIM_HIDE=cuMemMap,cuMemCreate LD_LIBRARY_PATH="$sim" "$vramshim" doctor --lib "$library"
ok "a card that cannot map fails" verdict FAIL vmm "no virtual memory management"
expect 1 env SIM_FAIL=cuMemHostAlloc:2:2 LD_LIBRARY_PATH="$sim" "$vramshim" doctor --lib "$library"
ok "what cannot be pinned fails, with how far it came" verdict FAIL pin \
    "after 64 MiB the driver says CUDA_ERROR_OUT_OF_MEMORY"
expect 1 env SIM_FAIL=cuLaunchKernel:1:700 LD_LIBRARY_PATH="$sim" "$vramshim" doctor --lib "$library"
ok "a kernel that fails breaks nothing else" verdict PASS pin "MiB can be"
expect 3 doctor --device 1
ok "a card that is not there is a failure" verdict FAIL card "there is no card 1"

# A program that is named is run.
program() { on_card "$vramshim" doctor --lib "$shim" -- "$@"; }
expect 0 program "$opened"
ok "a program runs with the library" verdict PASS program "has nothing to say"
ok "its calls are counted" verdict PASS calls "of those it asks for, [1-9][0-9]* are stood in for"
ok "its memory is paged" verdict PASS paging "yes"
expect 0 program "$linked"
ok "of a program that is linked no call is seen" verdict PASS calls "it is linked with the driver"
expect 0 program true
ok "a program without CUDA is told to be one" verdict WARN calls "it looked up no call"
ok "and that nothing was paged" verdict WARN paging "no memory of it"
expect 0 program sh -c 'echo said; exit 3'
ok "a program's status is told" verdict WARN program "it ended with status 3"
ok "its output is not mixed with the answer" has "$err" said
expect 1 program sh -c 'kill -9 $$'
ok "so is the signal that ends it" verdict FAIL program "signal 9"
expect 1 program "$scratch/nothing"
ok "one that is not there is a failure" verdict FAIL program "cannot be run"
ok "of which there is no more to say" verdict SKIP calls "it did not run"
ok "no messages are left behind" test -z "$(find "$scratch" -name 'vramshim-*')"

# Traps.
mkdir "$scratch/bin"
printf '#!/bin/sh\n' >"$scratch/bin/llama-cli"
chmod +x "$scratch/bin"/*
cat >"$scratch/bin/says" <<'END'
#!/bin/sh
echo "ValueError: Some modules are dispatched on the CPU or the disk. Make sure you have enough"
END
chmod +x "$scratch/bin/says"
seen() { "$status_right" && test "$(printf '%s\n' "$out" | sed -n 's/^WARN \(KB[0-9]*\) .*/\1/p' | tr '\n' ' ')" = "$1"; }
expect 0 env LLAMA_ARG_N_CPU_MOE=20 PATH="$scratch/bin:$PATH" LD_LIBRARY_PATH="$sim" "$vramshim" doctor \
    --lib "$library" -- llama-cli -ngl 20
ok "traps are seen in the environment and on the command line" seen "KB10 KB11 "
expect 0 env PATH="$scratch/bin:$PATH" LD_LIBRARY_PATH="$sim" "$vramshim" doctor --lib "$library" -- says
ok "and in what is printed" seen "KB03 "
ok "a trap is told with what shows it" verdict WARN KB03 "(it printed: Some modules are dispatched"
ok "and what to do" prints 'Fix: device_map="cuda"'
ok "what a program says is passed on" has "$err" "Make sure you have enough"
printf '%s\n' 'pipe.enable_attention_slicing()' 'pipe.enable_sequential_cpu_offload()' >"$scratch/slices.py"
expect 0 on_card "$vramshim" doctor --lib "$library" -- true "$scratch/slices.py"
ok "a script is read" verdict WARN KB05 "(the script has enable_attention_slicing)"
expect 0 on_card "$vramshim" doctor --lib "$library" -- true -c 'm(device_map="auto")'
ok "so is one that stands on the command line" verdict WARN KB03 "the script has device_map"
expect 0 on_card "$vramshim" doctor --lib "$library" -- true "$scratch/none.py"
ok "one that is not there says nothing" seen ""
expect 0 on_card timeout 20 "$vramshim" doctor --lib "$library" -- sh -c 'sleep 60 & echo gone'
ok "what a program leaves running is not waited for" has "$err" gone
on_card timeout 20 "$vramshim" doctor --lib "$library" -- sh -c 'yes & sleep 0.1' >"$scratch/out" 2>/dev/null
ok "even if it never stops talking" grep -q "^PASS program " "$scratch/out"
# Programs that do not load it: their files are looked at.
cat >"$scratch/elf.py" <<'END'
import struct, sys
loader = sys.argv[2].encode() + b"\0" if len(sys.argv) > 2 else b""
segments = [(3, 64 + 56, len(loader))] if loader else [(4, 0, 0)]
head = b"\x7fELF\2\1\1" + bytes(9) + struct.pack("<HHIQQQIHHHHHH", 2, 62, 1, 0, 64, 0, 0, 64, 56, 1, 0, 0, 0)
with open(sys.argv[1], "wb") as out:
    out.write(head + struct.pack("<IIQQQQQQ", segments[0][0], 4, segments[0][1], 0, 0, segments[0][2], 0, 1) + loader)
END
if command -v python3 >/dev/null; then
    python3 "$scratch/elf.py" "$scratch/bin/static"
    python3 "$scratch/elf.py" "$scratch/bin/alpine" /lib/ld-musl-x86_64.so.1
    python3 "$scratch/elf.py" "$scratch/bin/usual" /lib64/ld-linux-x86-64.so.2
    chmod +x "$scratch/bin"/*
    expect 1 env PATH="$scratch/bin:$PATH" LD_LIBRARY_PATH="$sim" "$vramshim" doctor --lib "$library" -- static
    ok "a program that is linked statically is told" verdict WARN KB21 "loads no library"
    expect 1 on_card "$vramshim" doctor --lib "$library" -- "$scratch/bin/alpine"
    ok "one of musl too, by the check for it" verdict FAIL libc "is linked with musl (KB19)"
    expect 1 on_card "$vramshim" doctor --lib "$library" -- "$scratch/bin/usual"
    ok "others are not" verdict PASS libc glibc
    ok "nor are they static" test "$(printf '%s\n' "$out" | grep -c KB21)" -eq 0
else
    skip "a program's file is looked at" "no python3 here"
fi
cp /bin/true "$scratch/bin/more"
if chown 65534 "$scratch/bin/more" 2>/dev/null && chmod u+s "$scratch/bin/more"; then
    expect 1 on_card "$vramshim" doctor --lib "$library" -- "$scratch/bin/more"
    ok "a program that gains privileges is told" verdict FAIL privileges "gains privileges as it starts (KB20)"
else
    skip "a program that gains privileges is told" "nobody here may make one"
fi
expect 0 on_card sh -c 'ulimit -l 64 && exec "$@"' sh "$vramshim" doctor --lib "$library" -- true --mlock
ok "a limit is one where memory is to be locked" verdict WARN memlock "to lock its model (--mlock) (KB15)"

# Where a check answers, its line names the trap: a small WSL, unified memory, an MPS server and a
# rotating disk.
mkdir -p "$scratch/mps" "$scratch/wsl/proc/sys/kernel"
: >"$scratch/mps/control"
echo "6.6.87-microsoft-standard-WSL2" >"$scratch/wsl/proc/sys/kernel/osrelease"
printf 'MemTotal: 8388608 kB\nMemAvailable: 524288 kB\n' >"$scratch/wsl/proc/meminfo"
device=$((0x$(stat -c %D "$scratch")))
disk=$scratch/wsl/sys/dev/block/$((device >> 8 & 0xfff)):$((device & 0xff | device >> 12 & 0xfff00))/queue
mkdir -p "$disk"
echo 1 >"$disk/rotational"
expect 1 env SIM_MEMORY=unified SIM_FAIL=cuMemHostAlloc:2:2 CUDA_MPS_PIPE_DIRECTORY="$scratch/mps" LD_LIBRARY_PATH="$sim" \
    "$vramshim" doctor --lib "$library" --root "$scratch/wsl"
ok "pinning that fails under WSL is a trap" verdict FAIL pin "(KB16)$"
ok "so is memory that is the host's" verdict WARN unified "(KB24)$"
ok "and an MPS server" verdict WARN mps "(KB25)$"
if [ "$(stat -f -c %T "$scratch")" != tmpfs ]; then
    ok "and a rotating disk" verdict WARN spill "is on a rotating disk (KB29)$"
else
    skip "and a rotating disk" "temporary files are in memory"
fi
# Every row that names a check is named there.
expect 0 sed -n 's/^TRAP(\(KB[0-9]*\), "\([a-z_]\{1,\}\)".*/\1 \2/p' "$MESON_SOURCE_ROOT/planner/traps.def"
out=$(printf '%s\n' "$out" | while read -r id check; do
    grep -h -A40 "^void check_$check(" "$MESON_SOURCE_ROOT"/tools/check_*.c | sed '/^}/q' |
        grep -q "TRAP_$id)" || echo "$check does not name $id"
done)
ok "checks name the traps that name them" test -z "$out"

# What is set and preloaded.
expect 0 env VRAMSHIM_VRM=8GiB LD_LIBRARY_PATH="$sim" "$vramshim" doctor --lib "$library"
ok "a setting that is none is named" verdict WARN settings "no setting is called VRAMSHIM_VRM"
expect 0 env VRAMSHIM_VRAM=much LD_LIBRARY_PATH="$sim" "$vramshim" doctor --lib "$library"
ok "so is a bad value" verdict WARN settings 'VRAMSHIM_VRAM "much" is not a size'
cp "$library" "$scratch/libvgpu.so"
expect 0 env LD_PRELOAD="$scratch/libvgpu.so" LD_LIBRARY_PATH="$sim" "$vramshim" doctor \
    --lib "$library"
ok "another library for the same calls is named" verdict WARN preload HAMi
expect 1 on_card "$vramshim" doctor --lib "$scratch/none.so"
ok "a library that is not there is a failure" verdict FAIL library "No such file"
echo text >"$scratch/text.so"
expect 1 on_card "$vramshim" doctor --lib "$scratch/text.so"
ok "so is one that is none" verdict FAIL library "another kind of processor"
expect 0 doctor --spill "$scratch/nowhere"
ok "a spill directory that is not there is named" verdict WARN spill "nowhere: No such file"
expect 0 env VRAMSHIM_SPILL_DIR="$scratch/elsewhere" LD_LIBRARY_PATH="$sim" "$vramshim" doctor \
    --lib "$library"
ok "the setting names it too" verdict WARN spill "elsewhere: No such file"
if [ -d /dev/shm ] && [ "$(stat -f -c %T /dev/shm)" = tmpfs ]; then
    expect 0 doctor --spill /dev/shm
    ok "one in memory is no disk" verdict WARN spill "is in memory itself$"
else
    skip "one in memory is no disk" "no tmpfs here"
fi

# The slot, from a tree of its own: the simulated card's is 0000:01:00.0.
bus=$(on_card "$vramshim" detect --json | sed -n 's/.*"slot": "\(.*\)".*/\1/p')
slot=$scratch/tree/sys/bus/pci/devices/$bus
mkdir -p "$slot" "$scratch/tree/proc/pressure"
put() { echo "$2" >"$slot/$1"; }
put current_link_speed "8.0 GT/s PCIe"
put max_link_speed "16.0 GT/s PCIe"
put current_link_width 4
put max_link_width 16
put numa_node -1
printf '%s\n' "0x0 0x1 0x0" "0x10000000 0x1fffffff 0x0" >"$slot/resource"
printf 'MemTotal: 8388608 kB\nMemAvailable: 1048576 kB\nSwapTotal: 1048576 kB\nSwapFree: 0 kB\n' \
    >"$scratch/tree/proc/meminfo"
expect 0 doctor --root "$scratch/tree"
ok "a narrow slot is told" verdict WARN link "4 lanes of 16: copies take 4 times as long"
ok "all of a small card's memory can be reached" verdict PASS rebar "all of it"
ok "one node is no reason to worry" verdict PASS numa "there is one node"
ok "little memory is told" verdict WARN memory "1.0 GiB of 8.0 GiB .*(KB17)"
ok "memory that is swapped out is told" verdict WARN swap "1.0 GiB is swapped out"
put current_link_width 16
put numa_node 1
put local_cpulist 4000-4001
echo "some avg10=17.00 avg60=1.00" >"$scratch/tree/proc/pressure/memory"
printf '%s\n' "0x0 0x1 0x0" "0x10000000 0x10ffffff 0x0" >"$slot/resource"
expect 0 doctor --root "$scratch/tree"
ok "a link at rest is none to worry about" verdict PASS link "gen3 x16 at rest, gen4 when it is used"
ok "a small window is told" verdict WARN rebar "16.0 MiB of 64.0 MiB"
ok "processors far from the card are told" verdict WARN numa "0 of the"
ok "with how to get near" prints "Fix: numactl --cpunodebind=1 --membind=1, or taskset -c 4000-4001"
ok "pressure is told" verdict WARN swap "17 % of the last ten seconds"
other=$scratch/other/sys/bus/pci/devices/0000:03:00.0
mkdir -p "$other"
echo 0x030000 >"$other/class"
for row in "0x1002 the card here is AMD's, which this is not for" "0x8086 the card here is Intel's" \
    "0x10de but there is an NVIDIA card" "0x1b36 no card: no NVIDIA driver here (libcuda.so.1 is not found)"; do
    echo "${row%% *}" >"$other/vendor"
    expect 3 env LD_LIBRARY_PATH="$scratch" "$vramshim" detect --root "$scratch/other"
    ok "without a driver: ${row#* }" prints "${row#* }"
done
echo 0x020000 >"$other/class"
echo 0x10de >"$other/vendor"
expect 3 env LD_LIBRARY_PATH="$scratch" "$vramshim" detect --root "$scratch/other"
ok "what is no card is none" sh -c '! grep -q "there is an NVIDIA" "$1"' sh "$scratch/out"
expect 0 on_card "$vramshim" detect --root "$scratch/tree"
ok "detect says what the card computes in" prints "(fp16, bf16), "
ok "detect prints the link" prints "gen3 x16 now, gen4 x16 at most"

# Measuring, and what is kept.
expect 2 on_card env -u XDG_CONFIG_HOME -u HOME "$vramshim" bench --bytes 1MiB
ok "without a place the profile is asked to be given one" says "name a file with --output"
expect 2 on_card "$vramshim" bench --bytes few
ok "a size that is none is refused" says '--bytes "few" is no size'
expect 0 on_card "$vramshim" bench --bytes 8MiB
ok "bench prints what it measures" prints "pinned memory to card"
ok "and where it is kept" prints "written to $scratch/config/vramshim/profile"
profile=$scratch/config/vramshim/profile
ok "only its owner may write it" test "$(stat -c %a "$profile")" = 644
ok "nothing else is left there" test "$(ls "$scratch/config/vramshim")" = profile
expect 0 doctor
ok "the doctor finds the profile" verdict PASS profile "GB/s to the card"
expect 0 env -u SIM_VRAM SIM_PROFILE="$profile" LD_LIBRARY_PATH="$sim" "$vramshim" bench --bytes 8MiB --output -
ok "a card simulated by the profile measures the same" sh -c \
    'test "$(grep "^device_memory" "$1" | cut -c -17)" = "$(grep "^device_memory" "$2" | cut -c -17)"' \
    sh "$profile" "$scratch/out"
ok "the profile alone goes to standard output" test "$(printf '%s\n' "$out" | grep -vc '^[a-z0-9_]* .')" -eq 0
expect 0 env SIM_PROFILE=rtx3060 LD_LIBRARY_PATH="$sim" "$vramshim" doctor --lib "$library"
ok "a profile of another card is told" verdict WARN profile "is of another card (Simulated GPU)"
chmod o+w "$profile"
expect 0 doctor
ok "a profile that anybody may write to is not believed" verdict WARN profile "chmod o-w"
expect 3 on_card "$vramshim" bench --bytes 8MiB --output "$scratch/text.so/profile"
ok "a place that cannot be written is told" says "cannot write $scratch/text.so/profile"

# JSON.
if command -v python3 >/dev/null; then
    for command in "doctor --lib $library" "detect" "bench --bytes 1MiB --output $scratch/p"; do
        # shellcheck disable=SC2086
        expect 0 on_card "$vramshim" $command --json
        ok "${command%% *} --json is JSON" sh -c 'python3 -m json.tool "$1" >/dev/null' sh \
            "$scratch/out"
    done
else
    skip "answers in JSON" "no python3 here"
fi
expect 3 sh -c '"$1" detect >/dev/full' sh "$vramshim"
ok "an answer that cannot be written is an error" says "cannot write the answer"

finish
