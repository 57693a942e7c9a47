#!/bin/sh
# SPDX-License-Identifier: MIT
# tests/summary.py, on made-up runs: the last line of tools/test is only as good as this.
. "$(dirname "$0")/tap.sh"

# One suite: name, result, status, output. All write the same to standard error.
suite() {
    python3 -c 'import json, sys
name, result, status, stdout = sys.argv[1:]
print(json.dumps({"name": "unit / " + name, "result": result, "returncode": int(status),
                  "duration": 60.0, "stdout": stdout.replace("|", "\n"), "stderr": "a race in x"}))' "$@" \
        >>"$scratch/log"
}

# Sums up what suite() wrote and forgets it.
sum_up() {
    expect "$1" python3 "$MESON_SOURCE_ROOT/tests/summary.py" "$scratch/log"
    last=$(printf '%s\n' "$out" | tail -n 1)
    rm -f "$scratch/log"
}
is() { "$status_right" && [ "$last" = "$1" ]; }
is_and_says() { is "$1" && has "$out" "$2"; }

suite a OK 0 'TAP version 13|1..2|ok - a::x  (0.01s)|ok - a::y  (0.00s)'
suite b OK 0 ''
sum_up 0
ok "single tests are counted" is '3 passed, 0 failed, 0 skipped'

suite a FAIL 1 'TAP version 13|1..2|ok - a::x|not ok - a::y|  no such luck'
sum_up 1
ok "a failed test is named" is_and_says '1 passed, 1 failed, 0 skipped' 'failed: a: a::y'
ok "a failed test is quoted" is_and_says '1 passed, 1 failed, 0 skipped' 'no such luck'

suite a FAIL 1 'TAP version 13|1..2|ok - a::x|not ok - a::y'
sum_up 1
ok "what a failed suite wrote to standard error is shown" \
    is_and_says '1 passed, 1 failed, 0 skipped' 'a race in x'

suite a OK 0 'TAP version 13|1..2|ok - a::x|ok - a::y  # SKIP no card'
sum_up 0
ok "a skipped test is named" is_and_says '1 passed, 0 failed, 1 skipped' \
    'skipped: a: a::y (no card)'

suite a SKIP 0 '1..0 # SKIP no compiler'
sum_up 0
ok "a skipped suite is named" is_and_says '0 passed, 0 failed, 1 skipped' 'a (no compiler)'

suite a SKIP 77 'skipped: no network'
sum_up 0
ok "a skipped program is named" is_and_says '0 passed, 0 failed, 1 skipped' 'no network'

suite a ERROR 139 'TAP version 13|1..9|ok - a::x'
sum_up 1
ok "a suite that dies is a failure" is_and_says '1 passed, 1 failed, 0 skipped' \
    'a: ended with status 139'

suite a TIMEOUT 0 'TAP version 13|1..9|ok - a::x'
sum_up 1
ok "a suite that hangs is a failure" is_and_says '1 passed, 1 failed, 0 skipped' 'ran out of time'

suite a OK 0 'TAP version 13|1..0'
sum_up 1
ok "a suite without tests is a failure" is_and_says '0 passed, 1 failed, 0 skipped' 'ran no test'

suite a FAIL 1 'it broke'
sum_up 1
ok "a failed program is quoted" is_and_says '0 passed, 1 failed, 0 skipped' 'it broke'

finish
