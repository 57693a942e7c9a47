#!/bin/sh
# SPDX-License-Identifier: MIT
# Every header compiles by itself: it includes what it uses. Arguments: the compiler. Left out are
# the pieces of runtime/cuda/cuda.h and of cuda_runtime_api.h, which only these include.
. "$(dirname "$0")/tap.sh"

cd "$MESON_SOURCE_ROOT" || exit 1
flags='-std=gnu11 -D_GNU_SOURCE -D__CUDA_API_VERSION_INTERNAL -I. -Itests/cudart/include
    -Itests/cublas/include -fsyntax-only -Wall -Wextra -Wno-unused-parameter -Wno-unused-function
    -Werror'

for header in $(find runtime interpose planner tools tests -name '*.h' |
    grep -v -x -e runtime/cuda/layouts.h -e runtime/cuda/names.h -e runtime/cuda/values.h \
        -e tests/cudart/include/cudart_layouts.h -e tests/cudart/include/cudart_values.h | sort); do
    echo "#include \"$header\"" >"$scratch/alone.c"
    # shellcheck disable=SC2086
    expect 0 "$@" $flags "$scratch/alone.c"
    ok "$header compiles alone" "$status_right"
done
finish
