# SPDX-License-Identifier: MIT
"""Writes model files, good or bad, byte by byte, and runs the planner on them; for tests in Python."""
import json
import os
import struct
import subprocess
import sys
import time

U8, I32, F32, BOOL, STRING, ARRAY, U64, U32 = 0, 5, 6, 7, 8, 9, 10, 4


def text(value):
    value = value.encode() if isinstance(value, str) else value
    return struct.pack("<Q", len(value)) + value


def entry(key, kind, payload=b""):
    return text(key) + struct.pack("<I", kind & 0xFFFFFFFF) + payload


def u32(key, value):
    return entry(key, U32, struct.pack("<I", value))


def u64(key, value):
    return entry(key, U64, struct.pack("<Q", value))


def string(key, value):
    return entry(key, STRING, text(value))


def numbers(key, values, kind=U32):
    size = {U32: "I", I32: "i", U8: "B"}[kind]
    return entry(key, ARRAY, struct.pack(f"<IQ{len(values)}{size}", kind, len(values), *values))


def tensor(name, dims=(8,), kind=0, offset=0, n_dims=None):
    n_dims = len(dims) if n_dims is None else n_dims
    dims = [dim & 0xFFFFFFFFFFFFFFFF for dim in dims]
    return text(name) + struct.pack(f"<I{len(dims)}QIQ", n_dims, *dims, kind & 0xFFFFFFFF, offset)


def gguf(entries=(), tensors=(), data=b"", version=3, n_tensors=None, n_entries=None):
    head = b"GGUF" + struct.pack("<IQQ", version, len(tensors) if n_tensors is None else n_tensors,
                                 len(entries) if n_entries is None else n_entries)
    head += b"".join(entries) + b"".join(tensors)
    return head + bytes(-len(head) % 32) + data


def safetensors(header, data=b"", length=None):
    """header: a dict, or the text itself."""
    if isinstance(header, dict):
        header = json.dumps(header)
    header = header.encode() if isinstance(header, str) else header
    return struct.pack("<Q", len(header) if length is None else length) + header + data


def weights(**tensors):
    """A safetensors file of tensors of BF16: name=shape."""
    header, at = {}, 0
    for name, shape in tensors.items():
        size = 2
        for dim in shape:
            size *= dim
        header[name] = {"dtype": "BF16", "shape": list(shape), "data_offsets": [at, at + size]}
        at += size
    return safetensors(header, bytes(at))


def sparse(head, size):
    """A file of that size of which only the head is written."""
    def write(path):
        with open(path, "wb") as out:
            out.write(head)
            out.truncate(size)
    return write


def write_files(folder, files):
    """files: name -> bytes, text, or a function of the path; names may have folders in them."""
    for name, content in files.items():
        path = os.path.join(folder, name)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        if callable(content):
            content(path)
            continue
        with open(path, "wb") as out:
            out.write(content if isinstance(content, bytes) else content.encode())


class Run:
    """A run of the planner: status, out, err, seconds of CPU, bytes of memory."""

    def __init__(self, plan, arguments, folder):
        with open(os.path.join(folder, "..", "out"), "w+b") as out, \
                open(os.path.join(folder, "..", "err"), "w+b") as err:
            process = subprocess.Popen([plan, *arguments], cwd=folder, stdin=subprocess.DEVNULL,
                                       stdout=out, stderr=err)
            deadline = time.monotonic() + 30
            while True:
                pid, status, usage = os.wait4(process.pid, os.WNOHANG)
                if pid:
                    break
                if time.monotonic() > deadline:
                    process.kill()
                time.sleep(0.0005)
            process.returncode = self.status = os.waitstatus_to_exitcode(status)
            self.seconds = usage.ru_utime + usage.ru_stime
            self.memory = usage.ru_maxrss * 1024
            out.seek(0)
            err.seek(0)
            self.out, self.err = out.read(), err.read()

    def json(self):
        return json.loads(self.out)


class Tap:
    """Tests are sentences; the output is TAP."""

    def __init__(self):
        self.count = self.failed = 0

    def ok(self, sentence, good, why=""):
        self.count += 1
        print(f"{'ok' if good else 'not ok'} {self.count} - {sentence}")
        if not good:
            self.failed += 1
            for line in str(why).splitlines():
                print(f"# {line}")

    def skip(self, sentence, why):
        self.count += 1
        print(f"ok {self.count} - {sentence} # SKIP {why}")

    def finish(self):
        print(f"1..{self.count}")
        sys.exit(1 if self.failed else 0)


def is_sanitized(path):
    """Whether a program has a sanitizer in it, which takes time and memory of its own."""
    with open(path, "rb") as program:
        return b"__asan_init" in program.read() or b"__tsan_init" in open(path, "rb").read()
