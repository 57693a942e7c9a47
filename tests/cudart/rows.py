#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Lists what the headers of a stand-in state, as rows for abi_table.c.

    rows.py <output> <header>...

CONSTANT(name), TYPE(type) and MEMBER(type, path). A line of a structure that this cannot read is an
error, not left out.
"""

import pathlib
import re
import sys


def read(header):
    text = pathlib.Path(header).read_text()
    return re.sub(r"/\*.*?\*/", lambda m: "\n" * m[0].count("\n"), text, flags=re.S)


def constants(text):
    yield from re.findall(r"^    ((?:cuda|CUDA|CUBLAS)\w+) = -?\d", text, flags=re.M)
    yield from re.findall(r"^#define (cuda\w+) +[0-9(]", text, flags=re.M)
    yield from re.findall(r"^(?:PLAIN|STICKY)\(\d+, (cuda\w+)\)", text, flags=re.M)


def body(lines, number):
    """Reads members up to the closing brace; gives their paths, what follows it, and where."""
    paths = []
    while True:
        line = lines[number].strip()
        number += 1
        if line == "#ifdef __cplusplus":
            number = lines.index("#endif", number) + 1
        elif re.match(r"(struct|union) \{$", line):
            inner, name, number = body(lines, number)
            paths += [name] + [f"{name}.{path}" for path in inner]
        elif match := re.match(r"\} ?(\w*);$", line):
            return paths, match[1], number
        elif match := re.match(r"[\w ]+[ *]+((?:\w+, )*\w+)(\[\w+\])?;$", line):
            paths += match[1].split(", ")
        elif line:
            sys.exit(f"{number}: cannot read \"{line}\"")


def structures(text):
    lines = text.split("\n")
    for number, line in enumerate(lines):
        if match := re.match(r"(typedef )?(struct|union) ?(\w*) \{$", line):
            paths, name, _ = body(lines, number + 1)
            yield name or f"{match[2]} {match[3]}", paths


def main():
    rows = []
    for header in sys.argv[2:]:
        text = read(header)
        rows += [f"CONSTANT({name})" for name in constants(text)]
        rows += [f"TYPE(enum {name})" for name in re.findall(r"^enum (cuda\w+) \{", text, flags=re.M)]
        rows += [f"TYPE({name})" for name in re.findall(r"^} (cu\w+);", text, flags=re.M)]
        for name, paths in structures(text):
            rows += [f"TYPE({name})"] + [f"MEMBER({name}, {path})" for path in paths]
    pathlib.Path(sys.argv[1]).write_text("\n".join(rows) + "\n")


main()
