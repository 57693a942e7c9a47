#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Packs PTX into the container that a program carries its device code in.

    pack.py <file.ptx> <output>
"""

import pathlib
import re
import struct
import sys


def main():
    source, output = map(pathlib.Path, sys.argv[1:])
    text = source.read_bytes()
    architecture = int(re.search(rb"^\.target sm_(\d+)", text, flags=re.M)[1])
    major, minor = map(int, re.search(rb"^\.version (\d+)\.(\d+)", text, flags=re.M).groups())
    # Ends in a NUL, and the next entry, if there were one, would begin at a multiple of 8.
    text += b"\0" * (8 - len(text) % 8)
    kind_ptx, entry_bytes, is_64_bit, is_linux = 1, 64, 0x1, 0x10
    entry = struct.pack(
        "<HHIQIIHHIIIQQQ", kind_ptx, 0x0101, entry_bytes, len(text), 0, entry_bytes, minor, major,
        architecture, 0, 0, is_64_bit | is_linux, 0, 0,
    )
    header = struct.pack("<IHHQ", 0xBA55ED50, 1, 16, len(entry) + len(text))
    output.write_bytes(header + entry + text)


main()
