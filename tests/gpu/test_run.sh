#!/bin/sh
# SPDX-License-Identifier: MIT
# tests/gpu/run on the simulated card: what it runs, what it skips and why, what it writes, and that a
# call that was cut short can be gone on with. With --short, of the programs only the first: where
# kernels take their time.
. "$(dirname "$0")/../tap.sh"

gpu=$MESON_SOURCE_ROOT/tests/gpu
short=${1-}
unset VRAMSHIM_DISABLE VRAMSHIM_VRAM SIM_PROFILE
export PYTHONDONTWRITEBYTECODE=1
run() {
    expected=$1
    shift
    expect "$expected" "$gpu/run" --sim --build "$MESON_BUILD_ROOT" --out "$scratch" "$@"
}
json() { python3 -c "import json, sys; r = json.load(open(sys.argv[1])); s = r['steps']
sys.exit(not ($1))" "$scratch"/simulated-*.json; }

only=tool,link,lookup,decoder,decoder-graph,llm-dense,"named decoder","touched decoder"
others=$(cd "$gpu" && python3 -c 'import apps; print(*apps.PROGRAMS)')
for name in $others; do
    [ "$short" ] || only="$only,$name stream 2"
done
run 0 --only "$only" --seconds 0
ok "what there is no time for is not run, and said" json \
    "set((step['state'], step['why']) for step in s.values()) == {('not run', 'time')}"
ok "by name, in the table too" has "$(cat "$scratch"/simulated-*.md)" '`program:decoder stream 2`'
run 0 --only "$only" --ratios 2 --pairs 1 --resume "$(echo "$scratch"/simulated-*.json)"
ok "a later call goes on with it" "$status_right"
ok "doctor's checks and the machine's profile are in the results" json \
    "s['tool:doctor']['checks'] and s['tool:bench']['points']"
expect 0 env SIM_PROFILE="$(echo "$scratch"/simulated-*.profile)" "$gpu/run" --sim \
    --build "$MESON_BUILD_ROOT" --out "$scratch/again" --only link
ok "a simulated card of that profile is measured as this one was" test \
    "$(sed -n 's/^h2d \([0-9]*\).*/\1/p' "$scratch"/simulated-*.profile)" = \
    "$(grep -A1 '"name": "pinned: to the card"' "$scratch"/again/simulated-*.json | sed -n \
        's/.*"value": \([0-9]*\).*/\1/p')"
ok "on the simulated card no GPU program of others is run, by name" json \
    "s['program:llm-dense ample']['state'] == 'skipped'"
ok "the driver is asked, and again under the library" json \
    "s['experiment:lookup']['verdict'] == s['shimmed:lookup']['verdict'] == 'confirmed'"
ok "a program on half the memory computes the same" json \
    "s['program:decoder stream 2']['same'] and s['program:decoder-graph stream 2']['same']"
if [ "$short" ]; then
    skip "so do all others, or are skipped by name" "--short"
else
    ok "so do all others, or are skipped by name" json \
        "all(s[f'program:{n} stream 2']['same'] if s[f'program:{n} ample']['state'] == 'done' else \
         s[f'program:{n} ample']['state'] == 'skipped' for n in '$others'.split())"
fi
if [ "$short" ] || ! [ -x "$MESON_BUILD_ROOT/tests/gpu/gemms" ]; then
    skip "one that hides its pointers in device memory too" "--short, or no clang"
else
    ok "one that hides its pointers in device memory too" json \
        "s['program:cublas-pointers stream 2']['same']"
fi
ok "its memory was away: bytes were streamed, and little more than the least" json \
    "1 <= s['program:decoder stream 2']['bytes_over_least'] < 1.6"
ok "its time is near the limit, of which the link is measured in the same call" json \
    "0.9 < s['program:decoder stream 2']['time_over_limit'] < 1.6"
ok "a split that stays as it is takes longer" json \
    "s['program:decoder split 2']['pass_seconds'] > 1.2 * s['program:decoder stream 2']['pass_seconds']"
ok "with everything on the card the library costs next to nothing" json \
    "all(0.95 < ratio < 1.05 for ratio in s['overhead:decoder']['ratios'])"
ok "its launches name the weights and the sums, all but one" json \
    "s['look:named decoder']['found']['ranges'][1:3] == [8, 520]"
ok "and touch nothing else" json "s['look:touched decoder']['verdict'] == 'confirmed' and \
    s['look:touched decoder']['found']['chunks'] > 0"
table=$(cat "$scratch"/simulated-*.md)
ok "each belief has a row, with what says so" test "$(printf '%s\n' "$table" |
    sed -n '/^## What it says of/,/^## The same/p' | grep -c '^| .* | \(open\|confirmed\|refuted\) | .')" \
    -eq "$(grep -c '^| .* | \(open\|confirmed\|refuted\)[^|]* |$' "$MESON_SOURCE_ROOT/docs/beliefs.md")"
ok "one that experiments alone decide is decided" has "$table" \
    "every row and both stream modes: routing goes by address | confirmed | lookup: confirmed; under the"
ok "the table says that nothing was measured on a card" has "$table" "Nothing here was measured"
ok "the table has a row for each experiment" has "$table" '| `lookup` | is what cuGetProcAddress'
ok "and for what is foreseen of launches" has "$table" '| `decoder` | do launches touch only what'
ok "and for each program, with what was skipped" has "$table" '| `llm-dense` |  | ample | skipped: its'
ok "the plot is drawn" has "$(cat "$scratch"/simulated-*.svg)" '<polyline points='
before=$(json "print(s)" || :)
run 0 --only "$only" --ratios 2 --pairs 1 --resume "$(echo "$scratch"/simulated-*.json)"
ok "what is done is not done again" test "$before" = "$(json "print(s)" || :)"

# A call that is ended from outside, and one that has little time.
"$gpu/run" --sim --build "$MESON_BUILD_ROOT" --out "$scratch/ended" --only experiment >"$scratch/said" &
ended=$!
until grep -q shim_kernels "$scratch/said" || ! kill -0 "$ended"; do sleep 0.1; done
kill "$ended"
expect 143 wait "$ended"
ok "a call that is ended from outside ends" "$status_right"
ok "what it had found is there" python3 -c "import json, sys
assert json.load(open(sys.argv[1]))['steps']['experiment:lookup']['verdict'] == 'confirmed'" \
    "$(echo "$scratch"/ended/simulated-*.json)"
states() {
    python3 -c "import json, sys
print(' '.join(step['state'].replace(' ', '-')
               for step in json.load(open(sys.argv[1]))['steps'].values()))" \
        "$(echo "$scratch"/short/simulated-*.json)"
}
# Some seconds are kept for writing: how many are enough for the first question depends on the machine.
for seconds in 5 6 7 8 10 13 17; do
    rm -rf "$scratch/short"
    begun=$(date +%s)
    run 0 --only experiment --seconds $seconds --out "$scratch/short"
    took=$(($(date +%s) - begun))
    case $(states) in done*) break ;; esac
done
ok "a call ends by its deadline" test $took -le $((seconds + 1))
out=$(states)
ok "with the first questions answered" has "$out" "done"
ok "and the last ones named" test "${out##* }" = not-run

# The README's table.
printf '%s\n' before '<!-- measured: tests/gpu/run --readme -->' old '<!-- end of measured -->' after \
    >"$scratch/README.md"
json=$(echo "$scratch"/simulated-*.json)
expect 0 "$gpu/run" --readme "$json" --into "$scratch/README.md"
table=$(cat "$scratch/README.md")
ok "the README's table is written" has "$table" "| \`decoder\` | 0.0312 GiB | 2 | "
ok "with where it comes from" has "$table" "[$(basename "$json" .json).md]"
ok "and that a simulated card is none" has "$table" "promises nothing about a card"
ok "the rest of the README stays" test "$(sed -n '1p;$p' "$scratch/README.md" | tr '\n' ' ')" = \
    "before after "
ok "what stood there does not" test "$(grep -c '^old$' "$scratch/README.md")" -eq 0
expect 1 "$gpu/run" --readme "$json" --into "$gpu/README.md"
ok "a file without marks is left alone" has "$err" "has no line <!-- measured"
ok "the project's README has them" grep -q '^<!-- measured: tests/gpu/run --readme -->$' \
    "$MESON_SOURCE_ROOT/README.md"

# For a machine that can build nothing.
expect 0 "$gpu/run" --build "$MESON_BUILD_ROOT" --pack "$scratch/pack"
ok "what has been built can be packed" test -x "$scratch/pack/experiments"
mkdir "$scratch/bin"
ln -s "$(python3 -c 'import sys; print(sys.executable)')" "$scratch/bin/python3"
for name in env sh bash cat; do ln -s "$(command -v $name)" "$scratch/bin/$name"; done
printf '%s\n' '#!/bin/sh' 'case "$*" in *vramshim.so*) echo "libelf.so.1 => not found" ;; esac' >"$scratch/bin/ldd"
chmod +x "$scratch/bin/ldd"
if [ -n "${ASAN_OPTIONS:-}" ]; then
    skip "a machine without a compiler runs that" "the sanitizer is a library more"
else
    expect 0 env PATH="$scratch/bin" LD_LIBRARY_PATH="$MESON_BUILD_ROOT/tests/sim" "$gpu/run" --sim \
        --build "$scratch/pack" --out "$scratch/packed" --only link,doctor,decoder --ratios 2
    ok "a machine without a compiler runs that" grep -q '"program:decoder stream 2"' \
        "$(echo "$scratch"/packed/simulated-*.json)"
    ok "with those of the packed libraries that it lacks" test "$(ls "$scratch/pack/gpu/lib")" = libelf.so.1
fi
expect 1 env PATH="$scratch/bin" "$gpu/run" --sim --build "$scratch/empty"
ok "one without that is told what it lacks" has "$err" "they cannot be built here: there is no meson; --pack"

expect 0 python3 - "$gpu" <<'END'
import sys
sys.path.insert(0, sys.argv[1])
import beliefs
def step(verdict):
    return {"state": "done", "verdict": verdict, "kind": "experiment"}
def states(**verdicts):
    steps = {f"experiment:{name}": step(verdict) for name, verdict in verdicts.items()}
    return [state for _, state, says in beliefs.judged({"steps": steps})
            if says.startswith("prices: ") and "busy" in says]
assert states(prices="confirmed", prices_busy="confirmed") == ["confirmed"]
assert states(prices="confirmed", prices_busy="refuted") == ["refuted"]
assert states(prices="confirmed", prices_busy="measured") == ["open"]
assert states(prices="confirmed") == ["open"]
END
ok "a belief is confirmed by all that decide it, and refuted by any" "$status_right"

expect 0 python3 - "$gpu" <<'END'
import sys
sys.path.insert(0, sys.argv[1])
import apps
ample = {"weights": 1000, "other": 0, "passes": [9, 2, 2, 2], "digest": "a"}
found = apps.figures(ample, {"passes": [30, 30, 5, 5, 5, 5], "digest": "a"}, 2, 100,
                     {"bytes_streamed": 1650})
assert found["limit_seconds"] == 5 and found["time_over_limit"] == 1 and found["same"], found
assert found["passes_to_steady"] == 1 and found["bytes_over_least"] == 1650 / 4 / 500, found
assert apps.figures(ample, {"passes": [4, 4], "digest": "a"}, 2, 1000, {})["time_over_limit"] == 2
itself = apps.figures(ample, {"passes": [4, 4], "digest": "a"}, 2, 100, {"vmm_allocations": 3})
assert "time_over_limit" not in itself and itself["same"], itself
assert apps.same(ample, {"digest": "b"}) is False
some = {"exact": False, "digest": "a", "tokens": [1, 2]}
assert apps.same(some, {"digest": "b", "tokens": [1, 2]})
assert apps.same(some, {"digest": "a", "tokens": [1, 3]}) is False
assert apps.same({"exact": False, "digest": "a"}, {"digest": "b"}) is None
END
ok "limits, times and sameness are what they are said to be" "$status_right"
expect 0 python3 - "$gpu" "$MESON_BUILD_ROOT/tests/gpu/experiments" <<'END'
import re, subprocess, sys
sys.path.insert(0, sys.argv[1])
import apps
listed = subprocess.run([sys.argv[2], "--list"], text=True, capture_output=True).stdout
known = {line.split()[0] for line in listed.splitlines()} | set(apps.PROGRAMS)
known |= {"program", "overhead", "shimmed", "split", "offload", "named", "escapes", "touched"}
with open(sys.argv[1] + "/../../docs/beliefs.md", encoding="utf-8") as file:
    rows = [line.split(" | ") for line in file if line.startswith("| ") and line.count(" | ") == 3]
deciders = [set(re.findall("`([a-z_-]+)`", row[2])) for row in rows[1:] if row[2] != "decided by"]
assert len(deciders) > 30, len(deciders)
for row, names in zip(rows[1:], deciders):
    assert row[2] == "decided by" or names - {"faults"}, row
    assert names - {"--faults"} <= known, names - known
assert all(row[3].split()[0] in ("open", "confirmed", "refuted", "state") for row in rows)
END
ok "every belief names what decides it, and its state" "$status_right"

# Without the packages of the machine.
for program in layers:eager:torch llm:dense:torch diffusion:eager:torch kernels:triton:torch \
    arrays:cupy:cupy arrays:jax:jax; do
    IFS=: read -r file form package <<END
$program
END
    expect 77 python3 -S "$gpu/apps/$file.py" --form "$form" --weights 1000000 --passes 1
    ok "without $package, $file.py $form is skipped, and says so" has "$err" "$file.py: no $package"
done
expect 2 "$gpu/run" --speed
ok "an option that is none is said" has "$err" "unrecognized arguments: --speed"
finish
