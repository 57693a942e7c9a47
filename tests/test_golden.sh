#!/bin/sh
# SPDX-License-Identifier: MIT
# Well-known models, by headers that have their names, shapes and types: sizes exact to the byte.
#
#   test_golden.sh PLANNER
. "$(dirname "$0")/tap.sh"

plan=$1
make=$MESON_SOURCE_ROOT/tests/make_model.py
model=$scratch/model.gguf

# A value of the JSON report, by a Python expression on it.
gives() {
    got=$(printf '%s' "$out" |
        python3 -c "import json, sys; r = json.load(sys.stdin); print($1)") && [ "$got" = "$2" ]
}
demand() { gives "r['model']['demand']['$1']['bytes']" "$2"; }
strategy() { gives "next(s for s in r['strategies'] if s['name'] == '$1')$2" "$3"; }

# is NAME PARAMETERS BYTES CONTEXT CACHE STATE
is() {
    python3 "$make" "$1" "$model"
    expect 0 "$plan" "$model" --json --gpu h200 --ram 1TB --ctx "$4" --for llama.cpp
    ok "$1 has $2 parameters" gives "r['model']['parameters']" "$2"
    ok "$1 has $3 bytes" gives "r['model']['bytes']" "$3"
    ok "$1 keeps $5 bytes of $4 tokens" demand cache "$5"
    ok "$1 has $6 bytes of state" demand state "$6"
    rm "$model"
}

is Llama-3-8B        8030261248   16060522496  8192   1073741824 0
is Llama-3-70B       70553706496  141107412992 8192   2684354560 0
is Llama-3.1-405B    405853388800 811706777600 8192   4227858432 0
is Mixtral-8x7B      46702792704  93405585408  8192   1073741824 0
is Mixtral-8x22B     140630071296 281260142592 8192   1879048192 0
is Qwen3-4B          4022468096   8044936192   8192   1207959552 0
is Qwen3-8B          8190735360   16381470720  8192   1207959552 0
is Qwen3-30B-A3B     30532122624  61064245248  4096   402653184  0
is Qwen3-235B-A22B   235093634560 470187269120 8192   1577058304 0
is gpt-oss-20b       20914757184  13761264768  131072 3240099840 0
is gpt-oss-120b      116829156672 65248815744  131072 4860149760 0
is Nemotron-3-Nano   31577940288  63155880576  8192   50331648   49930240
is FLUX.1-schnell    11891178560  23782357120  8192   0          0
is FLUX.1-dev        11901408320  23802816640  8192   0          0
is Qwen-Image        20430401088  40860802176  8192   0          0
is Z-Image-Turbo     6154908736   12309817472  8192   0          0

is DeepSeek-V3 0 0 4096 287834112 0

# What planners have said of these models, and is not so.
is Mistral-7B-v0.3   7248023552   14496047104  8192   1073741824 0
ok "seed 002: Mistral 7B in 16 bits is 14.5 GB, not 28" gives "round(r['model']['bytes'] / 1e9, 1)" 14.5
ok "seed 002: in 4 bits it is 4.1 GB, not 12" \
    strategy int4 "['why']" "a file of 4.08 GB instead of 14.50 GB"

is Nemotron-3-Super 120668707840 241337415680 8192 67108864 172687360
ok "seed 000: 120 billion parameters are 241 GB, not 120" \
    gives "round(r['model']['bytes'] / 1e9)" 241
ok "seed 000: experts are 93 % of it, not 70" \
    gives "round(100 * r['model']['expert_bytes'] / r['model']['bytes'])" 93
ok "seed 000: the state is 165 MiB, and not what sets the least size" \
    gives "round(r['model']['demand']['state']['bytes'] / 2**20)" 165
ok "seed 000: a token keeps 8 KiB" gives "r['model']['demand']['cache']['bytes'] // 8192" 8192
ok "seed 000: experts that the CPU computes are bound by host memory, not by the link" \
    strategy engine "['bound']" "host memory"

python3 "$make" FLUX.1-dev "$model"
expect 0 "$plan" "$model" --json --gpu "RTX 3060" --ram 64GiB --driver 0
least=$(printf '%s' "$out" | python3 -c "import json, sys
for s in json.load(sys.stdin)['strategies']:
    if s['name'] == 'stream-blocks': print(s['peak_device_bytes'])")
ok "seed 000: two blocks of FLUX take their own size, not 3 GB" test "$least" -lt 2400000000

# A picture's three components: the seeds' example of a pipeline.
python3 "$make" Z-Image-Turbo "$model"
python3 "$make" Qwen3-4B "$scratch/encoder.gguf"
python3 "$MESON_SOURCE_ROOT/tests/make_gguf.py" "$scratch/decoder.gguf" conv.weight:1:8192,10240
expect 0 "$plan" "$model" --json --gpu "RTX 3060" --link gen3x16 --ram 32GiB --vram 13GiB \
    --encoder "$scratch/encoder.gguf" --decoder "$scratch/decoder.gguf"
ok "components change places where each fits alone" strategy swap "['fits']" True
ok "and do not where two have to stay together" strategy swap-encoder "['fits']" False
ok "tiles make decoding smaller" strategy vae-tiling "['fits']" True
expect 0 "$plan" "$model" --json --gpu "RTX 3060" --link gen3x16 --ram 32GiB --vram 13GiB
ok "a model of one part does not change places" \
    gives "[s for s in r['strategies'] if s['name'].startswith('swap')]" "[]"
expect 2 "$plan" "$scratch/encoder.gguf" --encoder "$model" --vram 1GiB
ok "a language model has no encoder" has "$err" "only image models have an encoder"

# Size and speed of the planner itself.
python3 "$make" many "$model"
expect 0 python3 -c 'import resource, subprocess, sys
code = subprocess.call(sys.argv[1:])
print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss, file=sys.stderr)
sys.exit(code)' timeout 10 "$plan" "$model" --json --gpu rtx4090 --ram 1TB --link gen4x16
ok "2,000 tensors of 500 GB are judged in 64 MiB" test "$err" -lt 65536
ok "and none is lost" gives "r['model']['tensors'], r['model']['bytes'] > 5e11" "2001 True"
finish
