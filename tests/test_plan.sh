#!/bin/sh
# SPDX-License-Identifier: MIT
# vramshim-plan from the outside: what it prints, its exit status, and files that are no models.
. "$(dirname "$0")/tap.sh"

plan=$1
make=$MESON_SOURCE_ROOT/tests/make_gguf.py
model=$scratch/model.gguf
unset VRAMSHIM_RAM VRAMSHIM_CHUNK
export VRAMSHIM_PROFILE=none

says() { "$status_right" && has "$err" "$1" && [ "$(printf '%s\n' "$err" | wc -l)" -eq 1 ]; }
prints() { "$status_right" && has "$out" "$1"; }
# A value of the JSON report, by a Python expression on it.
gives() {
    "$status_right" && got=$(printf '%s' "$out" |
        python3 -c "import json, sys; r = json.load(sys.stdin); print($1)") && [ "$got" = "$2" ]
}


# 32 MiB of F16, 16 MiB of F32, 34 KiB of Q8_0; an architecture that is not known, so that no cache is
# counted. A link and a driver of its own: nothing of this machine is looked at.
python3 "$make" "$model" general.architecture=perceptron 'general.name=red \x1b[31mname' \
    token_embd.weight:1:4096,4096 blk.0.attn_q.weight:0:2048,2048 blk.0.ffn_up.weight:8:32,1024
# The planner with 100 KiB of buffers on a card of SIZE: on SIZE ARGUMENT...
on_layers() {
    model=$layers on "$@"
}
on() {
    vram=$1
    shift
    "$plan" "$model" --vram "$vram" --link gen4x16 --driver 0 --buffers 100KiB "$@"
}

expect 0 env LD_LIBRARY_PATH="$scratch" "$plan" "$model"
ok "a model without a budget is described, not judged" prints "fit             not judged"
ok "the architecture is named" prints "architecture  perceptron"
ok "an architecture that is not known is said" prints '"perceptron" is not among those known'
ok "control characters of the file are escaped" prints 'red \x1b[31mname'
ok "a card that is not there is said" prints "say what it is with --vram SIZE or --gpu CARD"

expect 0 "$plan" "$model" --explain
ok "types are added up" prints "F16                 1     32.0 MiB   66.6%"
ok "roles are added up" prints "attention           1     16.0 MiB   33.3%"
ok "the largest tensor is named" prints "token_embd.weight  F16  [4096, 4096]  32.0 MiB"

expect 0 on 64MiB
ok "weights that fit the device say so" prints " > resident "
ok "nothing is to be done then" prints "the library would bring nothing"

expect 0 on 32MiB --ram 1GiB
ok "a tensor that is too long for any ring is read in place" prints " > in-place "
ok "what does not fit says how much it lacks" prints "of device memory too few; fits with --vram"
ok "and how that is asked for" prints "vramshim run --vram 32MiB --engine none -- program"
# 24 tensors of 2 MiB.
layers=$scratch/layers.gguf
# shellcheck disable=SC2046
python3 "$make" "$layers" general.architecture=perceptron \
    $(seq -f blk.%g.ffn_up.weight:0:1024,512 0 23)
expect 0 on_layers 32MiB --ram 1GiB
ok "weights that need host memory are streamed" prints " > stream "
ok "the command to use is printed" prints "vramshim run --vram 32MiB -- program"
expect 0 on_layers 32MiB --pinned 40MiB
ok "and what may be pinned" prints "vramshim run --vram 32MiB --ram 40MiB -- program"

expect 1 on 1MiB --ram 1MiB
ok "a model that does not fit anywhere is said" prints "Nothing fits"
expect 1 on 1MiB --ram 1MiB --check
ok "a check says it in one line" test "$out" = "no: nothing fits; --compare says what is missing"
expect 0 on 64MiB --check
ok "and when it fits" test "$out" = "yes: resident"
expect 3 env LD_LIBRARY_PATH="$scratch" "$plan" "$model" --check
ok "a check without a card cannot be made" says "with --gpu or --vram"

expect 0 env VRAMSHIM_RAM=3MiB "$plan" "$model" --json --vram 64MiB --link gen4x16 --buffers 1
ok "without --pinned the shim's own setting counts" gives "r['budget']['pinned_bytes']" 3145728

expect 0 "$plan" "$model" --gpu "RTX 3060" --vram -1GiB --driver 0 --json
ok "memory may be what is left free" gives "r['budget']['device_bytes'] < 11 << 30 and r['budget']['device_bytes'] > 9 << 30" True
expect 0 "$plan" "$model" --gpu "RTX 3060" --vram 25% --json
ok "or a share of the card" gives "r['budget']['device_bytes'] == 3 << 30" True
expect 2 env LD_LIBRARY_PATH="$scratch" "$plan" "$model" --vram 25%
ok "of one that is known" says "of which card? name one with --gpu"
expect 2 "$plan" "$model" --vram 8Gib!
ok "what is none of these is said" says 'is no size such as 8GiB, share such as 80%, or -1GiB'

expect 0 on 64MiB --json --
ok "sizes in JSON are exact" gives "r['model']['bytes']" 50366464
ok "JSON counts parameters" gives "r['model']['parameters']" 21004288
ok "JSON lists the types" gives "[t['bytes'] for t in r['model']['types']]" \
    "[33554432, 16777216, 34816]"
ok "JSON does not count a cache that is not known" gives "r['model']['demand']['cache']" None

# What other programs read is kept.
ok "JSON has these keys" gives "list(r)" "['model', 'budget', 'recommended', 'strategies']"
ok "strategies have these" gives "sorted({k for s in r['strategies'] for k in s})" \
    "['bound', 'disk_bytes', 'fits', 'host_bytes', 'name', 'pass_seconds', 'peak_device_bytes', \
'pinned_bytes', 'quality', 'why']"
ok "times have these" gives "sorted(r['strategies'][0]['pass_seconds'])" "['high', 'low']"
expect 1 on 1MiB --ram 1MiB --json
ok "JSON recommends nothing that does not fit" gives "r['recommended']" None
ok "JSON gives the shortage, and a change" gives "r['strategies'][0]['why']" \
    "short of 49420288 bytes of device memory; fits with --vram 49MiB"
ok "no time is given for what does not fit" gives "r['strategies'][0]['pass_seconds']['low']" None
expect 0 "$plan" --json "$model" --gpu "RTX 3060" --ram 32GiB --link gen3x16 --compare
cp "$scratch/out" "$scratch/first"
expect 0 env LC_ALL=de_DE.UTF-8 "$plan" --json "$model" --gpu "RTX 3060" --ram 32GiB \
    --link gen3x16 --compare
ok "a what-if says the same twice, whatever the language" cmp "$scratch/first" "$scratch/out"

cp "$model" "$scratch/$(printf 'a\033[31mb')"
expect 0 "$plan" "$scratch/$(printf 'a\033[31mb')"
ok "control characters of the path are escaped" prints 'a\x1b[31mb'

# For programs.
expect 0 on 64MiB --for llama.cpp --ctx 4096
ok "flags for a program have their numbers" prints "-fit off -ngl 999 -c 4096"
ok "and the memory story that goes with them" prints "VRAMSHIM_STORY=virtual"
expect 2 on 64MiB --for llama.cp
ok "a mistyped program is answered with the nearest" says "did you mean llama.cpp?"
expect 0 on 64MiB --max batch
ok "the most that fits is a number" test "$out" -gt 0
expect 2 on 64MiB --max ctx
ok "what is not known of a token is not guessed" says "what this model keeps of a token is not known"
expect 2 on 64MiB --max resolution
ok "only what makes images has a resolution" says "is for models that make images"
expect 2 on 64MiB --max speed
ok "what there is no most of is said" says "is neither ctx, batch nor resolution"

# Traps.
expect 0 on_layers 32MiB --ram 1GiB --ram-rate 1GB/s --for llama.cpp
ok "a trap that applies is named, with what to do" prints "  KB10         llama.cpp leaves layers"
ok "and no other" test "$(printf '%s\n' "$out" | grep -c '^  KB')" -eq 1
expect 0 env LLAMA_ARG_FIT=off "$plan" "$layers" --vram 32MiB --ram 1GiB --link gen4x16 --driver 0 \
    --buffers 100KiB --ram-rate 1GB/s --for llama.cpp
ok "the environment can put it right" test "$(printf '%s\n' "$out" | grep -c KB10)" -eq 0
expect 0 env PYTORCH_CUDA_ALLOC_CONF=expandable_segments:True "$plan" "$layers" --vram 32MiB \
    --ram 1GiB --link gen4x16 --driver 0 --buffers 100KiB
ok "or wrong" prints "never pages (PYTORCH_CUDA_ALLOC_CONF is"
expect 0 env PYTORCH_CUDA_ALLOC_CONF=expandable_segments:True "$plan" "$layers" --gpu "RTX 3060" \
    --vram 32MiB --ram 1GiB
ok "of another machine only what was given counts" test "$(printf '%s\n' "$out" | grep -c KB)" -eq 0
expect 0 on_layers 32MiB --ram 1GiB --for vllm --explain
ok "what may be a trap is explained" prints "  KB18         Ray's workers"
expect 0 on 64MiB --for vllm --explain
ok "what has room for all meets none" test "$(printf '%s\n' "$out" | grep -c '^  KB')" -eq 0
expect 0 on_layers 32MiB --ram 1GiB --pinned 1MiB --disk 1GiB --disk-rate 100MB/s
ok "a slow disk is a trap with the time it takes" prints "  KB29 "
# 32 layers with two heads of keys, and no tensor for the output.
# shellcheck disable=SC2046
python3 "$make" "$scratch/tied.gguf" general.architecture=llama llama.block_count=24 \
    llama.embedding_length=1024 llama.attention.head_count=8 llama.context_length=8192 \
    token_embd.weight:0:1024,2048 $(seq -f blk.%g.ffn_up.weight:0:1024,512 0 23)
model=$scratch/tied.gguf on 1GiB --for llama.cpp --kv q8_0 >"$scratch/out"
out=$(cat "$scratch/out")
ok "an embedding that is the output too is kept twice" has "$out" "(8.0 MiB more of host memory)"
ok "keys and values in fewer bits need flash attention" has "$out" "  KB12 "
ok "by so much more memory" has "$out" "(180.0 MiB more then)"
model=$scratch/tied.gguf on 1GiB --for vllm --kv q8_0 >"$scratch/out"
ok "in llama.cpp alone" test "$(grep -c 'KB27\|KB12' "$scratch/out")" -eq 0
expect 0 "$plan" "$layers" --gpu GB10
ok "memory that is the host's too is said once" test "$(printf '%s\n' "$out" | grep -c 'gains nothing')" -eq 1

# What a model was made for.
python3 "$make" "$scratch/llama.gguf" general.architecture=llama llama.block_count=1 llama.embedding_length=64 \
    llama.context_length=128 llama.attention.head_count=1 blk.0.attn_q.weight:1:64,64
expect 0 "$plan" "$scratch/llama.gguf" --vram 1GiB --link gen4x16 --ctx 129
ok "more tokens than a model was made for are said" prints "129 tokens, f16; the model was made for 128"
expect 0 "$plan" "$scratch/llama.gguf" --vram 1GiB --link gen4x16 --ctx 128
expect 0 "$plan" "$scratch/llama.gguf" --vram 1GiB --link gen4x16 --max ctx
ok "no more than it was made for are looked for, and no less" test "$out" = 128
expect 0 "$plan" "$scratch/llama.gguf" --vram 1GiB --link gen4x16 --ctx 128
ok "as many are not" sh -c '! grep -q "was made for" "$1"' sh "$scratch/out"

# Advice that changes numbers, and what has no part in it.
expect 0 "$plan" 40GB --vram 8GiB --link gen4x16 --ram 64GiB --compare
ok "a size has no bits to advise on" sh -c '! grep -qE "^ . (fp8|int4)" "$1"' sh "$scratch/out"
expect 0 "$plan" 20Bparams@bf16 --gpu h200 --vram 8GiB --ram 64GiB --compare
ok "8 bits are half the file" prints "a file of 20.00 GB instead of 40.00 GB"
ok "and 4.5 that much of it" prints "a file of 11.25 GB instead of 40.00 GB"
cp "$scratch/out" "$scratch/advised"
expect 0 "$plan" 20Bparams@bf16 --gpu h200 --vram 8GiB --ram 64GiB --compare --no-quantize
cp "$scratch/out" "$scratch/out2"
ok "without such advice nothing else is different" sh -c \
    'grep -vE "^ *(. )?(fp8|int4|kv-q8_0) " "$1" | cmp - "$2"' sh "$scratch/advised" "$scratch/out"
expect 0 env LC_ALL=de_DE.UTF-8 "$plan" 20Bparams@bf16 --gpu h200 --vram 8GiB --ram 64GiB --compare --no-quantize
ok "it says the same twice, whatever the language" cmp "$scratch/out" "$scratch/out2"

# What neither memory has room for.
expect 0 "$plan" 20Bparams@bf16 --vram 8GiB --link gen4x16 --ram 16GiB --disk 40GB --disk-rate 2GB/s
ok "a disk takes it" prints " > spill "
ok "and how much it may take is said" prints "disk             37.3 GiB  for what fits neither"
expect 1 "$plan" 20Bparams@bf16 --vram 8GiB --link gen4x16 --ram 16GiB --disk 1GB --compare
ok "one that is too small says what would do" prints "GiB of disk space too few; fits with --disk"

# A mixture of experts of which there is no file.
expect 0 "$plan" --moe 120.67B 12.77B 512 22 --gpu h200 --ram 512GiB --json
ok "parameters are counted, not weighed" gives "r['model']['bytes']" 241340000000
ok "experts are what their share of active parameters says" \
    gives "round(r['model']['expert_bytes'] / r['model']['bytes'], 3)" 0.934
expect 2 "$plan" --moe 120 12 128 8 --gpu h200
ok "bare numbers are refused: parameters or bytes?" says "no number of parameters such as 120B"
expect 2 "$plan" --moe 120B 1B 128 8 --gpu h200
ok "impossible shares are refused" says "at least 7.5B are active"
expect 2 "$plan" --moe 120B 12B 128
ok "all four numbers are needed" says "--moe needs T A E K"

# shellcheck disable=SC2046
python3 "$make" "$scratch/bf16.gguf" general.architecture=perceptron \
    $(seq -f blk.%g.ffn_up.weight:30:1024,1024 0 23)
# The tables say of cards what the simulated ones are made of.
expect 0 python3 - "$MESON_SOURCE_ROOT" <<'END'
import pathlib, re, sys

def number(text):
    value, unit = re.match(r"([\d.]+)(\D*)", text).groups()
    units = {"us": 1e3, "%": 1, "GB/s": 1e9, "TB/s": 1e12, "GiB": 1024}
    return round(float(value) * units[unit])

root = pathlib.Path(sys.argv[1])
cards = re.findall(r'^CARD\("(.*?)", (.*?), (.*?), .*?, (.*?), (.*?), "',
                   (root / "planner/cards.def").read_text(), re.M)
capabilities = dict(re.findall(r'^CARD\("(.*?)",.*, (\d+), ".*?"\)', (root / "planner/cards.def").read_text(), re.M))
links = {float(rate) for rate in
         re.findall(r'^LINK\(".*?", .*?, .*?, (.*?),', (root / "planner/links.def").read_text(), re.M)}
for path in (root / "tests/sim/profiles").glob("*.profile"):
    lines = [line.split("#")[0].split(None, 1) for line in path.read_text().splitlines()]
    profile = dict(line for line in lines if len(line) == 2)
    named = [c for c in cards if c[0] in profile["name"]]
    if not named:
        continue
    card = max(named, key=lambda c: len(c[0]))
    there = [float(value) for value in card[2:]]
    right = [number(profile[k].strip()) for k in ("device_memory", "launch_call", "zero_copy")]
    there.append(int(capabilities[card[0]]))
    right.append(int(profile["compute_major"]) * 10 + int(profile["compute_minor"]))
    if there != right or number(profile["h2d"].strip()) not in links:
        sys.exit(f"{path.name}: {right}, {card}")
END
ok "rates of the simulated cards are those of the tables" "$status_right"
# NVIDIA's names tell the generation, and its table what each can compute.
out=$(sed -n 's/^CARD("\([^"]*\)".*, \([0-9]*\), "[^"]*")$/\1|\2/p' "$MESON_SOURCE_ROOT/planner/cards.def" |
    while IFS='|' read -r name capability; do
        case $name in
        *V100*) right=70 ;;
        *T4* | *"RTX 20"*) right=75 ;;
        *A100*) right=80 ;;
        *A10* | *"RTX 30"*) right=86 ;;
        *L4 | *L40S | *"RTX 40"*) right=89 ;;
        *H100 | *H200) right=90 ;;
        *"RTX 50"*) right=120 ;;
        *GB10) right=121 ;;
        *) right=unknown ;;
        esac
        [ "$capability" = $right ] || echo "$name: $capability, not $right"
    done)
ok "cards have the compute capability of their generation" test -z "$out"
ok "every card has one" test "$(grep -c '^CARD(' "$MESON_SOURCE_ROOT/planner/cards.def")" -eq \
    "$(grep -c '^CARD(.*, [0-9]*, "[^"]*")$' "$MESON_SOURCE_ROOT/planner/cards.def")"
# What the card computes in decides, however much memory it has.
for row in "Tesla T4|torch.float16|1" "RTX 2060|torch.float16|1" "RTX 4060|torch.bfloat16|0" "h200|torch.bfloat16|0"; do
    card=${row%%|*} type=${row#*|}
    expect 0 "$plan" "$scratch/bf16.gguf" --gpu "$card" --vram 32MiB --ram 8GiB --ram-rate 1GB/s --for transformers
    ok "on $card ${type%|*} is advised" prints "torch_dtype=${type%|*}"
    ok "bf16 weights on it: ${type#*|} traps" test "$(printf '%s\n' "$out" | grep -c KB31)" -eq "${type#*|}"
done
expect 0 "$plan" "$scratch/bf16.gguf" --gpu "RTX 4090" --explain
ok "what a card computes in is explained" prints "computes in     fp16, bf16, fp8 (compute capability 8.9)"
expect 0 "$plan" "$scratch/bf16.gguf" --vram 32MiB --ram 8GiB --ram-rate 1GB/s --link gen4x16 --for transformers
ok "of a card that is not known, both" prints "torch.bfloat16 (float16 below compute capability 8.0)"

# A machine as vramshim bench has measured it.
cat >"$scratch/measured.profile" <<'END'
name NVIDIA GeForce RTX 3060
memory 12288MiB
h2d 6.5GB/s
pageable 2.5GB/s
zero_copy 50%
device_memory 300GB/s
launch_call 5us
host_memory_all 20GB/s
spill_read 1.5GB/s
compute_major 8
compute_minor 7
END
expect 0 "$plan" "$model" --profile "$scratch/measured.profile" --ram 32GiB --explain
ok "the card is the profile's" prints "NVIDIA GeForce RTX 3060, rates measured"
ok "so is its memory" prints "of 12.0 GiB"
ok "rates are those that were measured" prints \
    "device memory 300 GB/s, link 6.5 (read in place 3.2, not pinned 2.5)"
ok "and what it computes in" prints "(compute capability 8.7)"
ok "of host and disk too" prints "host memory 20, disk 1.5 GB/s"
ok "what bench does not measure is the table's" prints "25 TFLOP/s; 5.0 us a launch"
expect 0 "$plan" "$model" --profile "$scratch/measured.profile" --link gen4x16 --explain
ok "a link that is given counts for more" prints "link 25.0 (read in place 12.5, not pinned 2.5)"
expect 0 "$plan" "$model" --profile "$scratch/measured.profile" --json
ok "so says the JSON" gives "r['budget']['profiled'], r['budget']['link_bytes_per_second']" \
    "True 6500000000"
expect 2 "$plan" "$model" --profile "$scratch/measured.profile" --gpu h200
ok "two cards are a mistake" says "--gpu and --profile name two cards"
expect 2 "$plan" "$model" --profile "$scratch/none.profile"
ok "a profile that is not there is a mistake" says "none.profile: No such file"
echo "speed 3" >"$scratch/bad.profile"
expect 2 "$plan" "$model" --profile "$scratch/bad.profile"
ok "a profile's bad line is named" says 'line 1: "speed 3" is not a key'
if [ -e "$MESON_BUILD_ROOT/tests/sim/libcuda.so.1" ]; then
    expect 0 env LD_LIBRARY_PATH="$MESON_BUILD_ROOT/tests/sim" SIM_PROFILE=rtx3060 \
        VRAMSHIM_PROFILE="$scratch/measured.profile" "$plan" "$model" --explain
    ok "this machine's own is found, when it is of the card" prints "link 6.5"
    expect 0 env LD_LIBRARY_PATH="$MESON_BUILD_ROOT/tests/sim" SIM_PROFILE=rtx4090 SIM_MEMORY=unified \
        VRAMSHIM_PROFILE="$scratch/measured.profile" "$plan" "$model" --explain
    ok "another card's is not" prints "link 25.0"
    ok "and whether its memory is the host's" prints "  KB24 "
    ok "the driver says what a card computes in" prints "(compute capability 8.9)"
    expect 0 env LD_LIBRARY_PATH="$MESON_BUILD_ROOT/tests/sim" SIM_DEVICES=2 "$plan" "$model"
    ok "of several cards the first is taken, and that is said" prints "the first of 2; CUDA_VISIBLE_DEVICES=1"
    expect 0 env LD_LIBRARY_PATH="$MESON_BUILD_ROOT/tests/sim" SIM_PROFILE=rtx3060 "$plan" "$model" --json
    ok "times of a card that is in the table are as sure when it is here" gives \
        "round(r['strategies'][0]['pass_seconds']['high'] / r['strategies'][0]['pass_seconds']['low'], 2)" 2.08
    sed 's/^name.*/name NVIDIA GeForce RTX 3060 Ti/' "$MESON_SOURCE_ROOT/tests/sim/profiles/rtx3060.profile" \
        >"$scratch/other.profile"
    expect 0 env LD_LIBRARY_PATH="$MESON_BUILD_ROOT/tests/sim" SIM_PROFILE="$scratch/other.profile" "$plan" "$model" \
        --explain
    ok "a card that is not in the table has no other one's rates" prints "device memory 500 GB/s"
else
    skip "this machine's own profile" "the simulated driver is not built"
fi
# The plan for the library.
expect 0 on_layers 32MiB --ram 1GiB -o "$scratch/plan" --check
ok "a plan is written beside the answer" test "$out" = "yes: stream"
out=$(cat "$scratch/plan")
ok "a plan has every tensor" has "$out" "end 24"
ok "of each as much stays as of the others" \
    test "$(printf '%s\n' "$out" | sed -n 's/.* stream \([0-9]*\) .*/\1/p' | sort -u | wc -l)" -le 2
ok "and together what has room beside a ring" test "$(printf '%s\n' "$out" |
    awk '/^tensor/ { bytes += $7 } END { print (bytes >= 20 * 2 ^ 20 && bytes <= 30 * 2 ^ 20) }')" = 1
cp "$scratch/plan" "$scratch/before"
expect 0 on_layers 32MiB --ram 1GiB -o "$scratch/plan"
ok "the same plan is written twice" cmp "$scratch/plan" "$scratch/before"
expect 1 on 1MiB --ram 1MiB -o "$scratch/none"
ok "no plan is written when nothing fits" says "is not written: nothing fits"
ok "what is missing is said all the same" prints "does not fit: "
expect 1 on 1MiB --ram 1MiB -o "$scratch/none" --json
ok "in JSON, too" gives "r['strategies'][0]['fits']" False
ok "and none is left half-written" test "$(ls "$scratch" | grep -c '^none')" = 0
expect 3 on 32MiB --ram 1GiB -o "$scratch/no/where"
ok "a plan that cannot be written is said" says "No such file"
mkfifo "$scratch/reader"
timeout 10 cat "$scratch/reader" >"$scratch/read" &
expect 0 on_layers 32MiB --ram 1GiB -o "$scratch/reader"
[ -p "$scratch/reader" ] && wait
ok "a plan can go into a pipe, which stays one" test -p "$scratch/reader"
ok "and arrives there" cmp "$scratch/read" "$scratch/plan"
ln -s before "$scratch/link"
echo old >"$scratch/before"
expect 0 on_layers 32MiB --ram 1GiB -o "$scratch/link"
ok "a link stays one, and leads to the plan" test -L "$scratch/link" -a "$(wc -l <"$scratch/before")" -gt 24
mkdir -m 1777 "$scratch/shared"
echo mine >"$scratch/mine"
ln -s "$scratch/mine" "$scratch/shared/trap"
if chown -h 65534 "$scratch/shared/trap" 2>/dev/null; then
    expect 3 on_layers 32MiB --ram 1GiB -o "$scratch/shared/trap"
    ok "a link that somebody else has laid is not followed" says "Permission denied"
    ok "and what it leads to stays" test "$(cat "$scratch/mine")" = mine
else
    skip "a link that somebody else has laid is not followed" "only root can lay one"
fi
expect 3 on_layers 32MiB --ram 1GiB -o "$scratch"
ok "a folder is no place for a plan" says "Is a directory"
expect 4 "$plan" --moe 120B 12B 128 8 --gpu h200 --ram 512GiB -o "$scratch/none"
ok "of a model without a file there is no plan" says "there is no file to make a plan of"

# A way other than the recommended one, and names that other programs have for ways.
expect 0 on_layers 32MiB --ram 1GiB --strategy sequential --check
ok "a way may be asked for, by another program's name" test "$out" = "yes: stream-all"
expect 0 on_layers 32MiB --ram 1GiB --strategy group
ok "what is asked for is marked beside what is recommended" \
    test "$(printf '%s\n' "$out" | sed -n 's/^ \([*>]\) \([a-z-]*\) .*/\1\2/p' | xargs)" = \
    ">stream *stream-blocks"
ok "the library is told of it by a plan" prints "with -o FILE here and --plan FILE"
expect 0 on_layers 32MiB --ram 1GiB --strategy group -o "$scratch/asked"
ok "and what to run with is said" prints "--plan $scratch/asked"
ok "the plan is of what was asked for: nothing stays" test "$(awk '/^tensor/ { bytes += $7 }
    END { print bytes + 0 }' "$scratch/asked")" = 0
expect 0 on_layers 32MiB --ram 1GiB --strategy group --json
ok "JSON says what was asked for" gives "[s['name'] for s in r['strategies'] if
    s['why'].startswith('asked for; ')]" "['stream-blocks']"
ok "and recommends what it would" gives "r['recommended']" stream
expect 1 on_layers 32MiB --ram 1GiB --strategy resident
ok "what is asked for and does not fit has its shortage, and a change" \
    prints "does not fit: 16.1 MiB of device memory too few; fits with --vram 49MiB"
ok "and what does fit is named" prints "resident does not fit, but stream does"
expect 1 on_layers 32MiB --ram 1GiB --strategy resident --check
ok "so says the check" test "$out" = \
    "no: resident is short of 16.1 MiB of device memory; it fits with --vram 49MiB"
expect 1 on_layers 32MiB --ram 1GiB --strategy resident -o "$scratch/none"
ok "there is no plan of it" says "resident is short of 16.1 MiB of device memory; it fits with"
expect 0 on_layers 64MiB --ram 1GiB --strategy none
ok "none is no plan" prints "run the program as it is, without the library: none is no plan"
expect 1 on_layers 32MiB --ram 1GiB --strategy none
ok "without the library it has to fit as it is" prints "Without the library it does not fit"
expect 2 on_layers 64MiB --strategy none -o "$scratch/none"
ok "so no plan is written" says "none is the program as it is, without the library, and no plan"
expect 2 on_layers 32MiB --ram 1GiB --strategy int4 -o "$scratch/none"
ok "nor of what another file would be for" says "is not written: this needs another file"
expect 2 on_layers 32MiB --strategy cond_only
ok "what is nothing for the model is said, with what is" \
    says "cond_only says nothing about this model; those that do: resident, stream,"
expect 2 on_layers 32MiB --strategy layer_steaming
ok "a mistyped way is answered with the nearest, and with all" \
    says "did you mean layer_streaming? There are resident, swap-encoder,"
names=$(sed -n 's/^\(STRATEGY\|PRESET\)("\([^"]*\)".*/\2/p' \
    "$MESON_SOURCE_ROOT/planner/strategies.def" "$MESON_SOURCE_ROOT/planner/presets.def")
missing=$(for name in $names; do
    ! on_layers 64MiB --ram 1GiB --strategy "$name" --check 2>&1 | grep -q "did you mean" ||
        echo "$name"
done)
ok "every way has its name ($missing)" test -z "$missing"
expect 0 on_layers 64MiB --max batch --strategy stream
ok "the most that fits is of what was asked for" test "$out" -gt 0

# Tensors that were allocated by themselves: the smallest is the driver's, in a page of its own.
expect 0 on 64MiB
ok "in large buffers tensors take what they are" prints "resident           48.1 MiB"
expect 0 on 64MiB --apart
ok "apart they take whole pages" prints "resident           50.1 MiB"

# What would do nothing is said.
expect 0 "$plan" 40GB --vram 1GiB --apart
ok "a size has no tensors that could be apart" says "--apart does nothing here: a size has no tensors"
expect 0 on 64MiB --image 512x512 --steps 4
ok "options for images mean nothing to text" has "$err" \
    "vramshim-plan: --steps does nothing here: this model makes no images"
ok "each is said" test "$(printf '%s\n' "$err" | wc -l)" -eq 2
python3 "$make" "$scratch/image.gguf" general.architecture=z_image x:0:1024,512
for option in "--ctx 4096" "--kv q8_0" --split-cache "--ubatch 64"; do
    # shellcheck disable=SC2086
    expect 0 "$plan" "$scratch/image.gguf" --vram 64MiB --buffers 1 --link gen4x16 --json $option
    ok "${option%% *} means nothing to images" says "${option%% *} does nothing here: this model makes images"
done
expect 0 on 64MiB --ctx 4096 --kv q8_0 --split-cache --ubatch 64
ok "what means something is not said" test -z "$err"
expect 1 on 1MiB --ram 1MiB --check --json
ok "a check may be JSON" gives "r['recommended']" None
for options in "--check --compare" "--check --explain" "--max ctx --json" "--max ctx --compare" \
    "--max ctx --explain" "--max ctx --check"; do
    # shellcheck disable=SC2086
    expect 2 on 64MiB $options
    ok "of $options one would do nothing" says " one"
done
expect 2 on 64MiB --bits 4
ok "bits are of what has no file" says "--bits is for --moe"
# Words for times.
expect 0 on_layers 32MiB --ram 1GiB --compare
ok "with --compare every time has a word" test "$(printf '%s\n' "$out" |
    grep -cE '^ [ >] [a-z0-9_-]+ .*[mu]?s +(fastest|fast|medium|slow|slowest) ')" = \
    "$(printf '%s\n' "$out" | grep -c ' \.\. ')"
ok "and no line of the table is longer than 100 characters" test -z "$(printf '%s\n' "$out" |
    sed -n '/^   strategy/,/^$/p' | grep -E '.{101}')"

# The map of layers.
# The cells of the stack called NAME.
cells() { printf '%s\n' "$out" | awk -v name="$1" '$1 == name { found = 1; next } found { print $1; exit }'; }
expect 0 on_layers 32MiB --ram 1GiB --explain
ok "a map has a sign for each layer: $(cells blk)" \
    test "$(cells blk | grep -cE '^([0-9])\1{23}$')" = 1
ok "and bytes, by where they are" test "$(printf '%s\n' "$out" | grep -cE '^  blk +[0-9.]+ MiB stay, [0-9.]+ MiB streamed$')" = 1
expect 0 on_layers 64MiB --ram 1GiB --explain --pin blk.0-3=host
ok "what stays whole is told from what does not" test "$(cells blk)" = "0000####################"
expect 0 on_layers 32MiB --ram 1GiB --explain --strategy in-place
ok "so is what is read in place" test "$(cells blk | tr -d '#' | tr -d .)" = ""
ok "and lies between what stays" has "$(cells blk)" ".#"
expect 0 on_layers 32MiB --ram 1GiB --pinned 8MiB --disk 1GiB --explain --strategy spill
ok "what lies on the disk is said" prints "MiB lie on the disk"
expect 0 on_layers 64MiB --explain
ok "what fits stays" test "$(cells blk)" = "########################"

# A machine without a card.
expect 0 "$plan" "$model" --gpu none --ram 1GiB
ok "without a card there is nothing to do" prints "without a card there is nothing to do: the program computes on"
expect 0 "$plan" "$model" --gpu none --check
ok "so says the check" test "$out" = "yes: without a card there is nothing to do"
expect 0 "$plan" "$model" --gpu none --json
ok "and JSON has no budget" gives "r['budget'], r['strategies']" "None []"
expect 2 "$plan" "$model" --gpu none --vram 1GiB
ok "no card has no memory" says "leave --vram out, or --gpu"
expect 3 "$plan" "$model" --gpu none -o "$scratch/none"
ok "nor has it a plan" says "--gpu none is a machine without a card"
expect 0 env LD_LIBRARY_PATH="$scratch" "$plan" "$model"
ok "where there is no driver the same is said" prints "without a card there is nothing to do"

# Parts that somebody wants on the device, or in host memory.
expect 0 on_layers 64MiB --ram 1GiB --pin blk.0-3=host --pin 'blk.5.*=host,blk.7=device' \
    -o "$scratch/pinned"
ok "layers can be pinned, by ranges and patterns" \
    prints "Pinned           blk.0-3 (8.0 MiB) to host memory, as asked for"
ok "and more than once" prints "blk.7 (2.0 MiB) to the device, as asked for"
ok "what is pinned to the host is away, though there would be room" \
    test "$(sed -n 's/.* stream 0 "blk\.\([0-9]*\).*" pinned$/\1/p' "$scratch/pinned" | xargs)" = \
    "0 1 2 3 5"
ok "what is pinned to the device is there" grep -q 'device 2097152 "blk.7.ffn_up.weight" pinned' \
    "$scratch/pinned"
ok "and the rest where it would be" test "$(grep -c ' device 2097152 .*weight"$' "$scratch/pinned")" = 18
expect 0 on_layers 16MiB --ram 1GiB --pin blk.0-3=device -o "$scratch/pinned" --check
ok "what is pinned to the device is not spread" \
    test "$(grep -c ' device 2097152 .* pinned$' "$scratch/pinned")" = 4
expect 1 on_layers 16MiB --ram 1GiB --pin blk=device
ok "what does not fit so has its shortage, and a change" \
    prints "Pinned so nothing fits; stream is short of 32.0 MiB"
ok "and is told that it fits otherwise" prints "and fits with --vram 48MiB, or without --pin"
expect 1 on_layers 16MiB --ram 1GiB --pin blk=device --check
ok "so says the check" has "$out" "no: stream is short of"
expect 0 on_layers 16MiB --ram 1GiB --pin blk.2=host --json
ok "JSON says what is pinned" gives "r['strategies'][0]['why'].startswith('blk.2 pinned to the host; ')" \
    True
expect 2 on_layers 16MiB --pin blk.24=host
ok "what is not there is refused, with what there is" \
    says 'no such part; it has decode, model, feed-forward, blk; of layers also a range'
expect 2 on_layers 16MiB --pin blk.2=host --strategy none
ok "without the library nothing is pinned" says "without the library nothing is pinned"
expect 2 on_layers 16MiB --pin blk.2
ok "a part without a place is explained" says "say what is to be where, as in text_encoder=host"
expect 2 on_layers 16MiB --pin blk.2=disk
ok "so is a place that there is not" says 'text_encoder=host or experts=device'
# shellcheck disable=SC2046
python3 "$make" "$scratch/flux.gguf" general.architecture=flux \
    $(seq -f double_blocks.%g.img_mlp.0.weight:0:1024,512 0 7) \
    $(seq -f single_blocks.%g.linear1.weight:0:1024,512 0 7)
for name in encode encoder text_encoder layers.gguf; do
    expect 0 "$plan" "$scratch/flux.gguf" --encoder "$layers" --vram 64MiB --link gen4x16 --driver 0 \
        --buffers 100KiB --pin "$name=host" -o "$scratch/pinned" --check
    ok "a component is called $name" test "$(grep -c ' stream 0 "blk.* pinned$' "$scratch/pinned")" = 24
done
for name in transformer denoise model; do
    expect 0 "$plan" "$scratch/flux.gguf" --encoder "$layers" --vram 64MiB --link gen4x16 --driver 0 \
        --buffers 100KiB --pin "$name=device" -o "$scratch/pinned" --check
    ok "the model is called $name" \
        test "$(grep -c ' device 2097152 ".*_blocks.* pinned$' "$scratch/pinned")" = 16
done
expect 0 "$plan" --moe 120B 12B 512 22 --gpu "RTX 4090" --ram 128GiB --for llama.cpp --bits 4.5 --check
ok "a program's own offload may be faster" test "$out" = "yes: engine"
expect 0 "$plan" --moe 120B 12B 512 22 --gpu "RTX 4090" --ram 128GiB --for llama.cpp --bits 4.5 \
    --pin experts=host --check
ok "but who pins something wants the library" test "$out" = "yes: experts-cached"
expect 0 "$plan" --moe 120B 12B 512 22 --gpu "RTX 4090" --ram 512GiB --pin experts=host
ok "experts of a model without a file can be pinned too" prints "experts (210.2 GiB) to host memory"

# Mistakes of the person.
expect 2 "$plan"
ok "no model is a mistake" says "no model; usage:"
expect 2 "$plan" "" --vram 8GiB
ok "a name without letters is explained" says "a model without a name; is a variable of the shell empty?"
expect 2 "$plan" "$model" --vram 8GiB "$model"
ok "a model is no draft of itself" says "model.gguf is named twice"
expect 2 "$plan" 40
ok "a number without a unit is explained" says "as a size it lacks its unit: 40GB of weights, or"
for size in 64EB 0GB 1e400GB 40XB; do
    expect 2 "$plan" "$size"
    ok "$size is no size" says "there is no file \"$size\", and it is no size such as 40GB"
done
expect 2 "$plan" 7Bparams@q9
ok "a type of weights that does not exist is refused" says '"q9" is no type of weights'
expect 2 "$plan" "$model" --vrma 1
ok "a mistyped option is answered with the nearest" says "did you mean --vram?"
expect 2 "$plan" "$model" --vram
ok "a missing size is a mistake" says "--vram needs a size such as 8GiB"
expect 2 "$plan" "$model" --gpu "RTX 9999"
ok "a card that is not in the table is answered with the nearest" says "did you mean"
for card in 0 60 Ti "RTX 3060 Ti" "GeForce RTX 3060 Laptop GPU" "NVIDIA L40" ""; do
    expect 2 "$plan" "$model" --gpu "$card"
    ok "$card is none of them" says "no card \"$card\" in the table"
done
for card in 3060 rtx3060 "NVIDIA GeForce RTX 3060" h100 "NVIDIA H100 80GB HBM3"; do
    expect 0 "$plan" "$model" --gpu "$card" --ram 1GiB
    ok "$card is one" prints ", as in the table"
done
expect 2 "$plan" "$model" --gpu "$(printf '%05000d' 0)"
ok "a name that is far too long does not hide what to do" says "(or give --vram and --link)"
expect 2 "$plan" "$model" --link gen9x16
ok "so is a link" says "did you mean gen"
expect 2 "$plan" "$model" --kv q9_0
ok "so is a type of the cache" says "did you mean q"
expect 2 "$plan" "$model" --ctx -5
ok "a negative context is refused" says '--ctx "-5" is no number from 1 to'
expect 2 "$plan" "$model" --image 0x5
ok "an image without width is refused" says "no size such as 1024x768"
expect 2 "$plan" "$model" --ram=-1GiB
ok "a negative size is refused" says '"-1GiB" is no size'
expect 2 "$plan" "$model" --json=yes
ok "a value for a switch is refused" says "--json takes no value"
expect 3 sh -c '"$1" "$2" >/dev/full' sh "$plan" "$model"
ok "a report that cannot be written is an error" says "cannot write the report"
expect 3 sh -c '"$1" --json "$2" >/dev/full' sh "$plan" "$model"
ok "so is one in JSON" says "cannot write the report"
expect 3 sh -c '"$1" --help >/dev/full' sh "$plan"
ok "so is help" says "cannot write the report"
expect 0 env VRAMSHIM_SPILL=much VRAMSHIM_PROFILE=none "$plan" "$model" --vram 64MiB --check
ok "a setting that is wrong is told once" test "$(printf '%s\n' "$err" | wc -l)" -eq 1
expect 2 "$plan" "$model" --link "$(printf '%05000d' 0)"
ok "what is far too long hides nothing" says "; did you mean"
(ulimit -f 1 && on_layers 32MiB --ram 1GiB -o "$scratch/long" --check) >"$scratch/out" 2>"$scratch/err"
ok "a plan that grows too long is an error" grep -q "long: File too large" "$scratch/err"
ok "and nothing of it stays" test "$(ls "$scratch" | grep -c '^long')" = 0
expect 0 "$plan" "$layers" --gpu "RTX 3060" --ram 1GiB --vram -15% --compare
whole=$out
expect 0 "$plan" "$layers" --gpu "RTX 3060" --ram 1GiB --headroom 15% --compare
ok "headroom is what is left of the card" test "$out" = "$whole"
expect 2 "$plan" "$layers" --headroom 15% --vram 8GiB
ok "there is one of it" says "both say how much of the card may be used"
expect 2 "$plan" "$layers" --headroom much
ok "it is a size" says 'give a size such as 1GiB or 15%'
expect 0 "$plan" --help
ok "help has examples" prints "vramshim-plan model.gguf --vram 8GiB"
man=$MESON_SOURCE_ROOT/docs/vramshim-plan.1
missing=$(printf '%s\n' "$out" | sed -n 's/^  \(--[a-z-]*\).*/\1/p' | while read -r option; do
    sed 's/\\//g' "$man" | grep -q -e "$option" || echo "$option"
done)
ok "the manual has every option ($missing)" test -z "$missing"
missing=$(for name in $names; do
    sed 's/\\//g' "$man" | grep -q -e "$name" || echo "$name"
done)
ok "the manual has every strategy ($missing)" test -z "$missing"
missing=$(for name in $names; do
    printf '%s\n' "$out" | grep -q "^  $name  " || echo "$name"
done)
ok "so has the help ($missing)" test -z "$missing"
expect 0 "$plan" --version
ok "the version is printed" prints "vramshim-plan 0."

# Files that are no models.
bad() {
    expect 4 timeout 10 "$plan" "$2" --vram 1GiB
    ok "$1 is refused in one line" says "$3"
}
bad "a missing file" "$scratch/none.gguf" "No such file"
mkdir "$scratch/folder"
bad "an empty folder" "$scratch/folder" "there is no model in this folder"
: >"$scratch/empty"
bad "an empty file" "$scratch/empty" "$scratch/empty"
echo "version https://git-lfs.github.com/spec/v1" >"$scratch/pointer"
bad "a pointer to a file" "$scratch/pointer" "$scratch/pointer"
mkfifo "$scratch/pipe"
bad "a pipe" "$scratch/pipe" "$scratch/pipe"
bad "a device" /dev/zero /dev/zero
head -c 100 "$model" >"$scratch/short"
bad "a truncated header" "$scratch/short" "offset"
head -c 2000000 "$model" >"$scratch/short"
bad "truncated data" "$scratch/short" "$scratch/short"
python3 "$make" "$scratch/bad" 'blk\x1b[31m:0:4'
bad "a name with control characters" "$scratch/bad" '\x1b'
python3 "$make" "$scratch/bad" same:0:4 same:0:4
bad "a name given twice" "$scratch/bad" same

python3 "$make" "$scratch/part" split.count=3 split.no=0 token_embd.weight:0:64
expect 4 "$plan" "$scratch/part" --vram 1GiB
ok "one part of several is refused" says "this is the first of 3 parts, but its name"

python3 "$make" "$scratch/nothing"
expect 0 "$plan" "$scratch/nothing" --vram 1GiB
ok "a model without tensors fits" prints "0 tensors, 0 B"

finish
