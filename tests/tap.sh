# SPDX-License-Identifier: MIT
# shellcheck shell=sh disable=SC2034
# For shell tests: sourced, not run. Each test is a sentence; output is TAP.
#
#   expect STATUS command...     runs a command; its output is in $out (stdout) and $err (stderr)
#   ok "sentence" test...        passes when the test command succeeds
#   skip "sentence" "why"
#   has TEXT NEEDLE              true when the text contains the needle
#   finish                       the last line of every script
#
# $scratch is a folder of the test's own. Run by hand, a test looks at build/.

: "${MESON_SOURCE_ROOT:=$(cd "$(dirname "$0")/.." && pwd)}"
: "${MESON_BUILD_ROOT:=$MESON_SOURCE_ROOT/build}"
tap_count=0
tap_failed=0
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT

ok() {
    tap_sentence=$1
    shift
    tap_count=$((tap_count + 1))
    if "$@"; then
        echo "ok $tap_count - $tap_sentence"
    else
        echo "not ok $tap_count - $tap_sentence"
        printf '%s\n' "false: $*" "out: ${out-}" "err: ${err-}" | sed 's/^/# /'
        tap_failed=1
    fi
}

skip() {
    tap_count=$((tap_count + 1))
    echo "ok $tap_count - $1 # SKIP $2"
}

has() {
    case $1 in
    *"$2"*) return 0 ;;
    esac
    return 1
}

# Runs a command; remembers whether its status was the expected one, for the next `ok`.
expect() {
    tap_expected=$1
    shift
    status=0
    "$@" >"$scratch/out" 2>"$scratch/err" || status=$?
    out=$(cat "$scratch/out")
    err=$(cat "$scratch/err")
    if [ "$status" -ne "$tap_expected" ]; then
        err="$err (status $status instead of $tap_expected)"
        status_right=false
    else
        status_right=true
    fi
}

finish() {
    echo "1..$tap_count"
    exit $tap_failed
}
