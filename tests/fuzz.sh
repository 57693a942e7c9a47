#!/bin/sh
# SPDX-License-Identifier: MIT
# Builds a libFuzzer target with AddressSanitizer and UBSan, and searches for a short while.
#
#   tests/fuzz.sh NAME RUNS SOURCE...      sources are relative to the top of the tree
#
# The search begins with what tests/fuzz_seeds.py has for NAME.
#
# RUNS inputs are tried; FUZZ_SECONDS=600 in the environment searches that long instead. What is
# found stays in <build>/fuzz/NAME.corpus and is where the next search begins.
set -u
name=$1 runs=$2
shift 2
top=${MESON_SOURCE_ROOT:-$(cd "$(dirname "$0")/.." && pwd)}
out=${MESON_BUILD_ROOT:-$top/build}/fuzz
flags='-std=gnu11 -D_GNU_SOURCE -g -O1 -fsanitize=fuzzer,address,undefined
    -fno-sanitize-recover=all -DFUZZING_BUILD_MODE_UNSAFE_FOR_PRODUCTION'

mkdir -p "$out/$name.corpus" && cd "$top" || exit 1
command -v clang >/dev/null || { echo "skipped: clang is not installed"; exit 77; }
printf '#include <stddef.h>\n#include <stdint.h>\n%s\n' \
    'int LLVMFuzzerTestOneInput(const uint8_t *d, size_t n) { return d && n > 9; }' >"$out/$name.probe.c"
# shellcheck disable=SC2086
clang $flags "$out/$name.probe.c" -o "$out/$name.probe" 2>/dev/null ||
    { echo "skipped: this clang has no libFuzzer (Debian: libclang-rt-14-dev)"; exit 77; }

# shellcheck disable=SC2086
clang $flags -I. "$@" -ljansson -lm -o "$out/$name" || exit 1
command -v python3 >/dev/null && python3 -B tests/fuzz_seeds.py "$name" "$out/$name.corpus"
if [ -n "${FUZZ_SECONDS:-}" ]; then
    set -- "-max_total_time=$FUZZ_SECONDS"
else
    set -- "-runs=$runs" -seed=1
fi
exec "$out/$name" -rss_limit_mb=512 -malloc_limit_mb=64 -max_len=4096 -timeout=10 \
    -artifact_prefix="$out/" -print_final_stats=1 "$@" "$out/$name.corpus"
