#!/bin/sh
# SPDX-License-Identifier: MIT
#
# The shared object exports the rows of the call tables and dlsym, nothing else, and needs only the C
# library and libelf.
#
#   check_exports.sh <rows program> <libvramshim.so>

set -eu

rows=$1
shim=$2
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

"$rows" list | sort >"$work/expected"
nm -D --defined-only "$shim" | awk '{print $3}' | grep -v '^__asan_\|^__ubsan_\|^__odr_asan' |
    sort >"$work/exported"
if ! diff "$work/expected" "$work/exported"; then
    echo "exported names (>) differ from the rows of the tables (<)"
    exit 1
fi

readelf -dW "$shim" | sed -n 's/.*(NEEDED).*\[\(.*\)\]/\1/p' |
    grep -v '^libc\.so\|^libelf\.so\|^ld-linux\|^libasan\.so\|^libubsan\.so\|^libdl\.so\|^libpthread\.so' \
        >"$work/needed" || true
if [ -s "$work/needed" ]; then
    echo "needs more than the C library and libelf:"
    cat "$work/needed"
    exit 1
fi
if readelf -lW "$shim" | grep -q 'GNU_STACK.*RWE'; then
    echo "asks for an executable stack"
    exit 1
fi
