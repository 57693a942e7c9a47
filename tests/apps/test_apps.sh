#!/bin/sh
# SPDX-License-Identifier: MIT
# The programs of this folder on the simulated driver, with small models, against NumPy.
#
#   test_apps.sh FOLDER      where encoder and generate are
. "$(dirname "$0")/../tap.sh"

apps=$1
reference=$MESON_SOURCE_ROOT/tests/reference
sim=$MESON_BUILD_ROOT/tests/sim
shim=$MESON_BUILD_ROOT/interpose/libvramshim.so

python=
for candidate in "$MESON_BUILD_ROOT/venv/bin/python" "$MESON_SOURCE_ROOT/build/venv/bin/python" \
    python3; do
    if "$candidate" -c 'import numpy, gguf' 2>/dev/null; then
        python=$candidate
        break
    fi
done
if [ -z "$python" ]; then
    skip "the programs agree with NumPy" "no numpy and gguf; tools/venv installs them"
    finish
fi

# A program on a simulated card: on VRAM PROGRAM ARGUMENT...
on() {
    vram=$1 program=$2
    shift 2
    env LD_LIBRARY_PATH="$sim${LD_LIBRARY_PATH:+:$LD_LIBRARY_PATH}" SIM_VRAM="$vram" \
        "$apps/$program" "$@"
}
says() { "$status_right" && has "$err" "$1" && [ "$(printf '%s\n' "$err" | wc -l)" -eq 1 ]; }
prints() { "$status_right" && has "$out" "$1"; }

# The encoder.
bert=$scratch/bert.gguf
expect 0 "$python" "$reference/make_bert_gguf.py" "$bert" --random --layers 2 --width 64 \
    --hidden 128 --heads 4 --context 64 --vocabulary 1500
ok "the reference package writes a BERT model" "$status_right"
for text in sentences words; do
    expect 0 on 64MiB encoder --model "$bert" --in "$reference/$text.txt" --tokens
    cp "$scratch/out" "$scratch/$text.tokens"
    expect 0 on 64MiB encoder --model "$bert" --in "$reference/$text.txt" --out "$scratch/$text"
    ok "the encoder runs on $text.txt" "$status_right"
    expect 0 "$python" "$reference/bert_reference.py" "$bert" "$reference/$text.txt" \
        "$scratch/$text" --tokens "$scratch/$text.tokens"
    ok "tokens of $text.txt are the reference's" prints "tokens: all"
    ok "embeddings of $text.txt are the reference's" prints "within 1e-04"
done
expect 0 on 64MiB encoder --model "$bert" --in "$reference/words.txt" --out "$scratch/one" --batch 1
ok "the batch size does not change a bit" cmp "$scratch/one" "$scratch/words"
expect 0 on 64MiB encoder --model "$bert" "one sentence"
ok "embeddings can be printed" prints "0x1."

expect 0 "$python" "$reference/make_bert_gguf.py" "$scratch/wordy.gguf" --random --layers 1 \
    --width 64 --hidden 128 --heads 4 --context 64 --vocabulary 20000
expect 1 on 2MiB encoder --model "$scratch/wordy.gguf" text
ok "a card that is too small is said in one line" says "failed: CUDA_ERROR_OUT_OF_MEMORY"
expect 1 on 64MiB encoder --model /nowhere.gguf text
ok "a missing model is said in one line" says "encoder: /nowhere.gguf: No such file or directory"
expect 1 on 64MiB encoder --model "$reference/words.txt" text
ok "a file that is no model is said in one line" says "this is not a GGUF file"
expect 2 on 64MiB encoder --model "$bert"
ok "no sentences are a wrong use" has "$err" "usage: encoder"

# generate, with every type of weights.
make_llama() {
    "$python" "$reference/make_llama_gguf.py" "$@" --layers 2 --width 128 --hidden 352 --heads 4 \
        --kv-heads 2 --vocabulary 256
}
compare_llama() {
    "$python" "$reference/llama_reference.py" "$llama" "$scratch/logits" --prompt-tokens 5,250,17 \
        --generated "$scratch/generated" "$@"
}
run_llama() {
    on 64MiB generate --model "$llama" --prompt-tokens 5,250,17 --n 6 --logits "$scratch/logits" "$@"
}
for type in F32 F16 Q8_0 Q4_0; do
    llama=$scratch/$type.gguf
    tied=
    [ "$type" = F16 ] && tied=--tied
    # shellcheck disable=SC2086
    expect 0 make_llama "$llama" --type "$type" $tied
    expect 0 run_llama
    cp "$scratch/out" "$scratch/generated"
    ok "generate runs $type weights" "$status_right"
    expect 0 compare_llama
    ok "logits with $type weights are the reference's" prints "within 1e-04"
    ok "tokens with $type weights are the likeliest" prints "tokens: all 6"
done
cp "$scratch/logits" "$scratch/slab"
expect 0 run_llama --alloc tensor
ok "allocating tensor by tensor does not change a bit" cmp "$scratch/logits" "$scratch/slab"
expect 0 run_llama --temperature 0.8 --seed 7
first=$out
cp "$scratch/out" "$scratch/generated"
expect 0 compare_llama --sampled
ok "logits of sampled tokens are the reference's" prints "within 1e-04"
expect 0 run_llama --temperature 0.8 --seed 7
ok "equal seeds sample equal tokens" test "$out" = "$first"
expect 0 run_llama --temperature 0.8 --seed 8
ok "another seed samples other tokens" test "$out" != "$first"

expect 1 on 64MiB generate --model "$llama" --prompt-tokens 256
ok "a token beyond the vocabulary is said in one line" says "not in the vocabulary of 256"
expect 1 on 64MiB generate --model "$bert"
ok "a model of another kind is said in one line" says 'general.architecture is "bert"'
expect 2 on 64MiB generate --model "$llama" --prompt-tokens 1,,2
ok "a prompt that is no list is a wrong use" has "$err" "usage: generate"

# With the weights four times as large as the card, under the shim.
if [ ! -e "$shim" ]; then
    skip "the shim runs a model larger than the card" "interpose/libvramshim.so is not built"
    finish
fi
llama=$scratch/large.gguf
expect 0 "$python" "$reference/make_llama_gguf.py" "$llama" --type F32 --layers 8 --width 256 \
    --hidden 1024 --heads 4 --kv-heads 2 --vocabulary 1024
for layout in slab tensor; do
    set -- generate --model "$llama" --prompt-tokens 5,250,17 --n 4 --alloc "$layout"
    expect 0 on 128MiB "$@" --logits "$scratch/ample"
    ok "generate runs on a large card ($layout)" "$status_right"
    tokens=$out
    expect 1 on 8MiB "$@" --logits "$scratch/none"
    ok "alone on a small card it runs out of memory ($layout)" says "CUDA_ERROR_OUT_OF_MEMORY"
    expect 0 env LD_PRELOAD="$shim${LD_PRELOAD:+:$LD_PRELOAD}" \
        LD_LIBRARY_PATH="$sim${LD_LIBRARY_PATH:+:$LD_LIBRARY_PATH}" SIM_VRAM=8MiB \
        "$apps/$1" --model "$llama" --prompt-tokens 5,250,17 --n 4 --alloc "$layout" \
        --logits "$scratch/shimmed"
    ok "under the shim on a small card it gives the same tokens ($layout)" test "$out" = "$tokens"
    ok "and the same logits, bit for bit ($layout)" cmp "$scratch/shimmed" "$scratch/ample"
    # Of the weights 40 % fit on the card, and 20 % into host memory.
    bytes=$(wc -c <"$llama")
    expect 0 env LD_PRELOAD="$shim${LD_PRELOAD:+:$LD_PRELOAD}" \
        LD_LIBRARY_PATH="$sim${LD_LIBRARY_PATH:+:$LD_LIBRARY_PATH}" SIM_VRAM=128MiB \
        VRAMSHIM_VRAM=$((bytes * 2 / 5)) VRAMSHIM_RAM=$((bytes / 5)) \
        VRAMSHIM_SPILL_DIR="$scratch" VRAMSHIM_SPILL_FORCE=1 VRAMSHIM_SUMMARY=1 \
        "$apps/$1" --model "$llama" --prompt-tokens 5,250,17 --n 4 --alloc "$layout" \
        --logits "$scratch/spilled"
    ok "with memory for 60 % and a disk it gives the same tokens ($layout)" test "$out" = "$tokens"
    ok "and the same logits, bit for bit, with a disk ($layout)" \
        cmp "$scratch/spilled" "$scratch/ample"
    ok "some of it came from the disk ($layout)" \
        test "$(printf '%s\n' "$err" | sed -n 's/.*bytes_read //p')" -gt 0
done
finish
