# SPDX-License-Identifier: MIT
"""Counts the single tests of a meson test run.

Usage: summary.py testlog.json

Prints what failed, with what it said, and what was skipped, by name, and last the line
"N passed, N failed, N skipped". The exit status is 1 when anything failed.
"""
import json
import re
import sys

TAP_LINE = re.compile(r"^(not )?ok\b\s*\d*\s*-?\s*(.*?)(?:\s*#\s*(SKIP)\b\s*(.*))?$", re.I)
NO_TESTS = re.compile(r"^1\.\.0\s*#\s*SKIP\S*\s*(.*)$", re.I | re.M)
DURATION = re.compile(r"\s+\(\d+\.\d+s\)$")
DETAIL_LINES = 40


class Run:
    """What all suites together came to."""

    def __init__(self):
        self.passed = 0
        self.failed = []
        self.skipped = []


def read_tap(name, record, run):
    """Counts the tests of one TAP suite; true when there was at least one."""
    counted = False
    failures = 0
    whole = NO_TESTS.search(record.get("stdout", ""))
    if whole and record["result"] == "SKIP":
        run.skipped.append((name, whole.group(1)))
        return True
    detail = None
    for line in record.get("stdout", "").splitlines():
        match = TAP_LINE.match(line)
        if not match:
            if detail is not None and len(detail) < DETAIL_LINES:
                detail.append(line)
            continue
        counted = True
        detail = None
        sentence = DURATION.sub("", match.group(2))
        if match.group(3):
            run.skipped.append((f"{name}: {sentence}", match.group(4)))
        elif match.group(1):
            detail = []
            failures += 1
            run.failed.append((f"{name}: {sentence}", detail))
        else:
            run.passed += 1
    if failures:
        # Sanitizers and Criterion speak there; which test it was, they say themselves.
        run.failed[-1][1].extend(record.get("stderr", "").splitlines()[-DETAIL_LINES:])
    # A suite that dies has no line for the test it died in.
    if record["result"] not in ("OK", "SKIP") and not failures:
        run.failed.append((f"{name}: {describe(record)}", tail(record)))
        counted = True
    return counted


def describe(record):
    if record["result"] == "TIMEOUT":
        return f"ran out of time after {record['duration']:.0f} s"
    return f"ended with status {record['returncode']}"


def tail(record):
    text = record.get("stdout", "") + record.get("stderr", "")
    return text.splitlines()[-DETAIL_LINES:]


def read_plain(name, record, run):
    """Counts a test that answers by its exit status."""
    if record["result"] == "OK":
        run.passed += 1
    elif record["result"] == "SKIP":
        lines = tail(record)
        run.skipped.append((name, lines[-1] if lines else ""))
    else:
        run.failed.append((f"{name}: {describe(record)}", tail(record)))


def is_tap(record):
    return re.search(r"^(TAP version|1\.\.\d|(not )?ok\b)", record.get("stdout", ""), re.M)


def main():
    run = Run()
    with open(sys.argv[1], encoding="utf-8") as log:
        records = sorted(map(json.loads, log), key=lambda record: record["name"])
    for record in records:
        name = record["name"].rsplit(" / ", 1)[-1]
        if not is_tap(record):
            read_plain(name, record, run)
        elif not read_tap(name, record, run):
            run.failed.append((f"{name}: ran no test", tail(record)))

    for name, detail in run.failed:
        print(f"failed: {name}")
        for line in detail:
            print(f"    {line}")
    for name, why in run.skipped:
        print(f"skipped: {name}" + (f" ({why})" if why else ""))
    if run.failed or run.skipped:
        print()
    print(f"{run.passed} passed, {len(run.failed)} failed, {len(run.skipped)} skipped")
    return 1 if run.failed else 0


if __name__ == "__main__":
    sys.exit(main())
