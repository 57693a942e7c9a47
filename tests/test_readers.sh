#!/bin/sh
# SPDX-License-Identifier: MIT
# Runs test_readers.py with the packages of tools/venv, where they are.
#
#   test_readers.sh LIST_TENSORS
. "$(dirname "$0")/tap.sh"

# Whoever ran tools/venv has it in one of these.
for build in "$MESON_BUILD_ROOT" "$MESON_SOURCE_ROOT/build"; do
    python=$build/venv/bin/python
    if [ -x "$python" ] && "$python" -c 'import gguf, numpy, safetensors' 2>/dev/null; then
        exec "$python" "$MESON_SOURCE_ROOT/tests/test_readers.py" "$1"
    fi
done
skip "files of the packages gguf and safetensors are read as they read them" \
    "the packages are not installed; run tools/venv"
finish
