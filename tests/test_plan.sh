#!/bin/sh
# SPDX-License-Identifier: MIT
# vramshim-plan from the outside: what it prints, its exit status, and files that are no models.
. "$(dirname "$0")/tap.sh"

plan=$1
make=$MESON_SOURCE_ROOT/tests/make_gguf.py
model=$scratch/model.gguf
unset VRAMSHIM_RAM

says() { "$status_right" && has "$err" "$1" && [ "$(printf '%s\n' "$err" | wc -l)" -eq 1 ]; }
prints() { "$status_right" && has "$out" "$1"; }
# A value of the JSON report, by a Python expression on it.
gives() {
    "$status_right" && got=$(printf '%s' "$out" |
        python3 -c "import json, sys; r = json.load(sys.stdin); print($1)") && [ "$got" = "$2" ]
}

# 2 MiB of F16, 1 MiB of F32, 34 KiB of Q8_0.
python3 "$make" "$model" general.architecture=llama 'general.name=red \x1b[31mname' \
    token_embd.weight:1:1024,1024 blk.0.attn_q.weight:0:512,512 blk.0.ffn_up.weight:8:32,1024

expect 0 "$plan" "$model"
ok "a model without a budget is described, not judged" prints "fit             not judged"
ok "the architecture is named" prints "architecture  llama"
ok "types are added up" prints "F16                 1      2.0 MiB   65.9%"
ok "roles are added up" prints "attention           1      1.0 MiB   33.0%"
ok "the largest tensor is named" prints "token_embd.weight  F16  [1024, 1024]  2.0 MiB"
ok "control characters of the file are escaped" prints 'red \x1b[31mname'
ok "what is not predicted is said" prints "predicts no speed"

expect 0 "$plan" "$model" --vram 4MiB
ok "weights that fit the device say so" prints "yes, in device memory alone"

expect 0 "$plan" "$model" --vram=2MiB --ram=1GiB
ok "weights that need host memory say how much" prints "1.0 MiB of 1.0 GiB in host memory"
ok "the settings to use are printed" prints "VRAMSHIM_VRAM=2MiB VRAMSHIM_RAM=1GiB"
ok "the command to use is printed" prints "vramshim run --vram 2MiB --ram 1GiB --"

expect 1 "$plan" "$model" --vram 1MiB --ram 1MiB
ok "weights that do not fit say by how much" prints "are 1.0 MiB too few"
ok "no settings are advised that would not help" test "${out#*VRAMSHIM_VRAM}" = "$out"

expect 0 env VRAMSHIM_RAM=2MiB "$plan" "$model" --vram 2MiB
ok "without --ram the shim's own setting counts" prints "1.0 MiB of 2.0 MiB in host memory"

expect 0 "$plan" --json -- "$model"
ok "sizes in JSON are exact" gives "r['bytes']" 3180544
ok "JSON lists the types" gives "[t['bytes'] for t in r['types']]" "[2097152, 1048576, 34816]"
ok "JSON does not judge without a budget" gives "r['fit']['verdict']" "not judged"

expect 1 "$plan" "$model" --json --vram 1MiB --ram 1MiB
ok "JSON gives the shortage" gives "r['fit']['short_bytes']" 1083392

cp "$model" "$scratch/$(printf 'a\033[31mb')"
expect 0 "$plan" "$scratch/$(printf 'a\033[31mb')"
ok "control characters of the path are escaped" prints 'a\x1b[31mb'

# Mistakes of the person.
expect 2 "$plan"
ok "no model is a mistake" says "no model; usage:"
expect 2 "$plan" "$model" "$model"
ok "two models are a mistake" says "one model at a time"
expect 2 "$plan" "$model" --vrma 1
ok "a mistyped option is answered with the nearest" says "did you mean --vram?"
expect 2 "$plan" "$model" --vram
ok "a missing size is a mistake" says "--vram needs a size such as 8GiB"
expect 2 "$plan" "$model" --vram 50%
ok "a share is refused: there is no card to take it of" says '"50%" is no size'
expect 2 "$plan" "$model" --ram=-1GiB
ok "a negative size is refused" says '"-1GiB" is no size'
expect 2 "$plan" "$model" --json=yes
ok "a value for a switch is refused" says "--json takes no value"
expect 3 sh -c '"$1" "$2" >/dev/full' sh "$plan" "$model"
ok "a report that cannot be written is an error" says "cannot write the report"
expect 3 sh -c '"$1" --json "$2" >/dev/full' sh "$plan" "$model"
ok "so is one in JSON" says "cannot write the report"
expect 0 "$plan" --help
ok "help has examples" prints "vramshim-plan model.gguf --vram 8GiB"
expect 0 "$plan" --version
ok "the version is printed" prints "vramshim-plan 0."

# Files that are no models.
bad() {
    expect 4 timeout 10 "$plan" "$2" --vram 1GiB
    ok "$1 is refused in one line" says "$3"
}
bad "a missing file" "$scratch/none.gguf" "No such file"
bad "a folder" "$scratch" "$scratch"
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
ok "one part of several is not judged" says "is one of several parts"
expect 0 "$plan" "$scratch/part"
ok "one part of several is described" prints "one of 3 parts"

python3 "$make" "$scratch/nothing"
expect 0 "$plan" "$scratch/nothing" --vram 1GiB
ok "a model without tensors fits" prints "0 tensors, 0 B"

finish
