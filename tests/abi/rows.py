#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Lists what the project's own driver header states, as rows for tests/abi/table.c.

    rows.py <runtime/cuda> <output>

CONSTANT(name), TYPE(name), MEMBER(type, path) and NAME(plain name). The header is written in a plain
form on purpose; a line of a structure that this cannot read is an error, not left out.
"""

import pathlib
import re
import sys


def read(folder, name):
    text = (folder / name).read_text()
    return re.sub(r"/\*.*?\*/", lambda m: "\n" * m[0].count("\n"), text, flags=re.S)


def constants(values):
    yield from re.findall(r"^    (CU\w+) = ", values, flags=re.M)
    yield from re.findall(r"^#define (CU_\w+) ", values, flags=re.M)


def types(*texts):
    for text in texts:
        yield from re.findall(r"^} (CU\w+);", text, flags=re.M)
        yield from re.findall(r"^typedef [\w ]+[ *](CU\w+|cuuint\w+);", text, flags=re.M)


def body(lines, number):
    """Reads members up to the closing brace; gives their paths, what follows it, and where."""
    paths = []
    while True:
        line = lines[number].strip()
        number += 1
        if re.match(r"(struct|union) \{$", line):
            inner, name, number = body(lines, number)
            paths += [f"{name}.{path}" if name else path for path in inner]
            if name:
                paths.append(name)
        elif match := re.match(r"\} ?(\w*);$", line):
            return paths, match[1], number
        elif match := re.match(r"[\w ]+[ *]+(\w+)(\[\w+\])?;$", line):
            paths.append(match[1])
        elif line:
            sys.exit(f"layouts.h:{number}: cannot read \"{line}\"")


def members(layouts):
    lines = layouts.split("\n")
    for number, line in enumerate(lines):
        if re.match(r"typedef (struct|union) \{$", line):
            paths, name, _ = body(lines, number + 1)
            yield from ((name, path) for path in paths)


def main():
    folder, output = map(pathlib.Path, sys.argv[1:])
    header, values, layouts, names = (
        read(folder, name) for name in ("cuda.h", "values.h", "layouts.h", "names.h")
    )
    rows = [f"CONSTANT({name})" for name in constants(values)]
    rows += [f"TYPE({name})" for name in types(header, values, layouts)]
    rows += [f"MEMBER({name}, {path})" for name, path in members(layouts)]
    rows += [f"NAME({name})" for name in re.findall(r"^#define (cu[A-Z]\w+) ", names, flags=re.M)]
    output.write_text("\n".join(rows) + "\n")


main()
