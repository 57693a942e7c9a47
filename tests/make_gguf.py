# SPDX-License-Identifier: MIT
"""Writes a small GGUF file, good or bad, for tests of the planner.

Usage: make_gguf.py FILE [key=value...] [name:type:dim[,dim...]...]

A value that is a whole number is stored as an unsigned one, anything else as text. Tensors are F32
(0), F16 (1), Q8_0 (8) or BF16 (30) and filled with zeros. \\xNN in names and values is that byte.
"""
import re
import struct
import sys

BLOCKS = {0: (1, 4), 1: (1, 2), 8: (32, 34), 30: (1, 2)}
ALIGNMENT = 32


def raw(text):
    return re.sub(rb"\\x([0-9a-f]{2})", lambda m: bytes([int(m.group(1), 16)]), text.encode())


def string(data):
    return struct.pack("<Q", len(data)) + data


def entry(argument):
    key, value = argument.split("=", 1)
    if value.isdigit():
        return string(raw(key)) + struct.pack("<II", 4, int(value))
    return string(raw(key)) + struct.pack("<I", 8) + string(raw(value))


def tensor(argument, offset):
    """The record and the size of the data."""
    name, kind, dims = argument.split(":")
    dims = [int(dim) for dim in dims.split(",")]
    elements, size = BLOCKS[int(kind)]
    for dim in dims:
        size *= dim
    record = string(raw(name)) + struct.pack("<I", len(dims))
    record += b"".join(struct.pack("<Q", dim) for dim in dims)
    return record + struct.pack("<IQ", int(kind), offset), size // elements


def main():
    entries = [entry(argument) for argument in sys.argv[2:] if "=" in argument]
    records = []
    data = b""
    for argument in sys.argv[2:]:
        if "=" not in argument:
            record, size = tensor(argument, len(data))
            records.append(record)
            data += bytes(size + -size % ALIGNMENT)
    head = b"GGUF" + struct.pack("<IQQ", 3, len(records), len(entries))
    head += b"".join(entries + records)
    with open(sys.argv[1], "wb") as out:
        out.write(head + bytes(-len(head) % ALIGNMENT) + data)


if __name__ == "__main__":
    main()
