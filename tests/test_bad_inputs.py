# SPDX-License-Identifier: MIT
"""Inputs that are no good models: each gives the right exit status and one line that says which file,
where and what to do, in a tenth of a second and 64 MiB.

    test_bad_inputs.py PLANNER

A row is: sentence, files, arguments, exit status, what the line (or the answer, where the status is
0) says. Names of files are relative to a folder of the row's own.
"""
import os
import struct
import sys
import tempfile

from formats import (ARRAY, BOOL, I32, STRING, U8, U32, U64, Run, Tap, entry, gguf, is_sanitized,
                     numbers, safetensors, sparse, string, tensor, text, u32, u64, weights,
                     write_files)

MAX64 = 0xFFFFFFFFFFFFFFFF
BAD, GOOD = 4, 0
rows = []


def row(code, sentence, content, says, status=BAD, name="bad.gguf", arguments=None):
    """content: of the one file, or a dict of several."""
    files = content if isinstance(content, dict) else {name: content}
    rows.append((code, sentence, files, arguments or [name], status, says))


# A language model of two layers.
BASE = {"general.architecture": string("general.architecture", "llama"),
        "block_count": 2, "embedding_length": 64, "context_length": 128,
        "attention.head_count": 4, "attention.head_count_kv": 2}
FILLED = (tensor("blk.0.attn_q.weight", (64, 2)), tensor("blk.1.attn_q.weight", (64, 2), 0, 512))


def llama(tensors=FILLED, data=bytes(1024), **changes):
    """changes: `block_count=None` leaves one out, bytes are the whole entry."""
    said = BASE | {key.replace("__", "."): value for key, value in changes.items()}
    entries = [value if isinstance(value, bytes) else u32(f"llama.{key}", value)
               for key, value in said.items() if value is not None]
    return gguf(entries, tensors, data)


# The header of a GGUF file.
row("F1", "an empty file", b"", "offset 0: the file is empty; get it again")
for size in (1, 4, 8, 16, 23):
    row("F2", f"{size} bytes of a header", gguf()[:size], "bad.gguf: offset ")
row("F3", "a wrong magic", b"GGML" + bytes(60), "this is not a GGUF file")
row("F4", "a big-endian file", b"FUGG" + bytes(60), "written for a big-endian machine; convert it")
row("F4", "a big-endian version", gguf(version=0x03000000), "written for a big-endian machine")
for version in (0, 1, 4, 0xFFFFFFFF):
    row("F5", f"version {version}", gguf(version=version), f"offset 4: GGUF version {version} is not")
for count in (MAX64, 1 << 63, 10 ** 9):
    row("F6", f"{count} tensors", gguf(n_tensors=count) + bytes(99), f"offset 8: tensor count {count}")
    row("F7", f"{count} keys", gguf(n_entries=count) + bytes(99), f"offset 16: key count {count}")
row("F8", "more tensors than records can be", gguf(n_tensors=9) + bytes(99), "tensor count 9 is more")

# Keys and values.
for length in (MAX64, 10 ** 6, 0, 65536):
    row("F9", f"a key of {length} bytes",
        gguf([struct.pack("<Q", length) + b"x" * min(length, 70000) * (length == 65536)],
             n_entries=1) + bytes(99), ": key")
for name, shown in ((b"a\0b", "a\\x00b"), (b"\x1b[2Jx", "\\x1b[2Jx"), (b"\x1b]0;x\x07", "\\x1b]0;x"),
                    (b"\xff\xfe", "\\xff\\xfe"), ("\u202e".encode(), "\\xe2\\x80\\xae")):
    row("F10", f"a key {shown}", gguf([entry(name, U8, b"\1")]), f'key "{shown}')
for kind in (-1, 13, 1 << 31):
    row("F11", f"a value of type {kind}", gguf([entry("k", kind, bytes(9))]), "value type")
row("F12", "a string whose length wraps", gguf([entry("k", STRING, struct.pack("<Q", MAX64 - 30))]),
    "string needs")
row("F13", "arrays in arrays, 100,000 deep",
    gguf([entry("k", ARRAY, struct.pack("<IQ", ARRAY, 1) * 100000)]), "array of arrays")
row("F14", "an array whose size wraps",
    gguf([entry("k", ARRAY, struct.pack("<IQ", U64, (1 << 61) + 1))]) + bytes(64), "does not fit")
row("F15", "2^40 strings in 100 bytes",
    gguf([entry("k", ARRAY, struct.pack("<IQ", STRING, 1 << 40))]) + bytes(100), "does not fit in")
row("F15", "strings that fill more than a header may have",
    sparse(gguf([entry("k", ARRAY, struct.pack("<IQ", STRING, 1 << 21))] * 3)[:-1], 1 << 38),
    "is longer than 32 MiB")
row("F15", "2^32 strings in 256 GiB",
    sparse(gguf([entry("k", ARRAY, struct.pack("<IQ", STRING, 1 << 32))]), 1 << 38),
    "beyond the limit of 2097152")
row("F16", "a bool of 2", gguf([entry("k", BOOL, b"\2")]), "a bool is 2")
row("F17", "a key twice", gguf([u32("k", 1), u32("k", 1)]), "key k is there twice")
row("F17", "a key twice, of two types", gguf([u32("k", 1), string("k", "1")]), "key k is there twice")
for value in (0, 3, 1 << 31):
    row("F18", f"an alignment of {value}", gguf([u32("general.alignment", value)]),
        f"general.alignment is {value}; it must be a power of two")
row("F18", "an alignment that is text", gguf([string("general.alignment", "32")]), "of type string")
row("F18", "an alignment that is a list", gguf([numbers("general.alignment", [32])]), "of type array")
row("F18", "an alignment twice", gguf([u32("general.alignment", 32)] * 2), "is there twice")
row("F19", "no architecture", llama(general__architecture=None), "does not say what it is", GOOD)
row("F19", "an architecture of a megabyte",
    llama(general__architecture=string("general.architecture", "x" * (1 << 20))),
    "does not say what it is", GOOD)
row("F19", "an architecture nobody knows",
    llama(general__architecture=string("general.architecture", "perceptron")),
    'architecture "perceptron" is not among those known', GOOD)
row("F19", "an architecture that is a path",
    llama(general__architecture=string("general.architecture", "../x\x1b[1m")),
    'architecture "../x\\x1b[1m" is not among', GOOD)


row("F20", "a million keys", sparse(gguf(n_entries=10 ** 6)[:24], 10 ** 8),
    "key count 1000000 is beyond the limit of 65536")
row("F20", "60,000 keys, one of them twice",
    gguf([entry(f"k{i % 59999}", U8, b"\1") for i in range(60000)]), "key k0 is there twice")

# Tensors.
row("F21", "a name of 64 bytes", gguf([], [tensor("x" * 64)], bytes(32)), "1 tensors, 32 B", GOOD)
row("F21", "a name of 65 bytes", gguf([], [tensor("x" * 65)], bytes(32)), "1 tensors, 32 B", GOOD)
row("F21", "a name of 128 bytes", gguf([], [tensor("x" * 128)], bytes(32)), "the limit is 127")
row("F21", "a name of 2^64 - 1 bytes",
    gguf([], [struct.pack("<Q", MAX64) + bytes(40)], bytes(32)), "tensor name needs")
row("F21", "an empty name", gguf([], [tensor("")], bytes(32)), "tensor name is empty")
row("F22", "a tensor twice", gguf([], [tensor("x"), tensor("x", offset=32)], bytes(64)),
    "tensor x is there twice")


row("F22", "a million tensors", sparse(gguf(n_tensors=10 ** 6)[:24], 10 ** 8),
    "tensor count 1000000 is beyond the limit of 131072")
row("F22", "130,000 tensors, one of them twice",
    sparse(gguf([], [tensor(f"t{i % 129999}", (8,), 0, 32 * i) for i in range(130000)]), 10 ** 8),
    "tensor t0 is there twice")

row("F23", "no dimensions", gguf([], [tensor("x", ())], bytes(32)), "1 tensors, 4 B", GOOD)
row("F23", "five dimensions", gguf([], [tensor("x", (1,) * 5)], bytes(32)), "has 5 dimensions")
row("F23", "2^32 - 1 dimensions", gguf([], [tensor("x", (1,), n_dims=0xFFFFFFFF)], bytes(32)),
    "has 4294967295 dimensions")
row("F24", "a dimension of 0", gguf([], [tensor("x", (0, 5))]), "1 tensors, 0 B", GOOD)
row("F24", "a negative dimension", gguf([], [tensor("x", (-1,))], bytes(32)), "negative dimension")
row("F24", "2^64 elements", gguf([], [tensor("x", (1 << 32, 1 << 32))], bytes(32)), "many elements")
row("F24", "elements that wrap", gguf([], [tensor("x", ((1 << 32) + 1, 1 << 32))], bytes(32)),
    "too many elements")
row("F24", "elements that become negative", gguf([], [tensor("x", ((1 << 63) - 1, 2))], bytes(32)),
    "too many elements")
row("F24", "bytes that wrap", gguf([], [tensor("x", (1 << 62,), 28)], bytes(32)), "too many bytes")
row("F25", "part of a block", gguf([], [tensor("x", (33,), 2)], bytes(64)),
    "33 is no multiple of Q4_0's block of 32")
for kind in (4, 31, 36):
    row("F26", f"type {kind}, which was removed", gguf([], [tensor("x", (8,), kind)], bytes(32)),
        "1 tensors, 32 B", GOOD)
for kind in (43, 99, -1):
    row("F26", f"type {kind}, which nobody knows", gguf([], [tensor("x", (8,), kind)], bytes(64)),
        "1 tensors, 64 B", GOOD)
for offset, says in ((8, "is no multiple of 32"), (1 << 40, "of the data section, not at 0"),
                     (32, "is at 32 of the data section, not at 0"), (MAX64 - 31, "not at 0")):
    row("F27", f"an offset of {offset}", gguf([], [tensor("x", offset=offset)], bytes(64)), says)
for offset, what in ((0, "twice the same offset"), (96, "a gap")):
    row("F27", what, gguf([], [tensor("x"), tensor("y", offset=offset)], bytes(128)),
        f"tensor y is at {offset} of the data section, not at 32")
row("F28", "data that begin behind the end", gguf([], [tensor("x")])[:60],
    "reaches beyond the end of the file; is the file complete?")
row("F29", "a file cut off in a tensor", llama()[:-100], "is the file complete?")
row("F30", "bytes behind the last tensor", llama(data=bytes(1024 + 77)),
    "77 bytes behind the last tensor belong to nothing", GOOD)

# What metadata say of the architecture.
row("F31", "no layers", llama(block_count=0), "llama.block_count is 0")
row("F31", "2^32 layers", llama(block_count=u64("llama.block_count", 1 << 32)),
    "llama.block_count is too large to be true")
row("F31", "a number of layers that is not said", llama(block_count=None),
    "the file does not say its llama.block_count", GOOD)
row("F32", "no heads", llama(attention__head_count=0, attention__key_length=16),
    "llama.attention.head_count is 0")
row("F32", "fewer numbers of heads than layers",
    llama(attention__head_count_kv=numbers("llama.attention.head_count_kv", [2])), "fewer numbers")
row("F32", "more numbers of heads than layers",
    llama(attention__head_count_kv=numbers("llama.attention.head_count_kv", [2] * 3)), "more numbers")
row("F32", "layers without heads",
    llama(attention__head_count_kv=numbers("llama.attention.head_count_kv", [0, 2])),
    "128 tokens", GOOD)
row("F32", "heads that are text",
    llama(attention__head_count_kv=entry("llama.attention.head_count_kv", ARRAY,
                                         struct.pack("<IQ", STRING, 2) + text("2") * 2)),
    "llama.attention.head_count_kv is no whole number")
row("F33", "more experts used than there are", llama(expert_count=8, expert_used_count=9),
    "llama.expert_used_count is more than expert_count")
GEMMA = {key: u32(f"gemma3.{key}", value) for key, value in BASE.items() if isinstance(value, int)} | {
    "general.architecture": string("general.architecture", "gemma3")}
row("F34", "a window of 0", llama(**GEMMA, attention__sliding_window=u32(
    "gemma3.attention.sliding_window", 0)), "128 tokens", GOOD)
row("F34", "a window of 2^32", llama(**GEMMA, attention__sliding_window=u64(
    "gemma3.attention.sliding_window", 1 << 32)), "sliding_window is too large to be true")
row("F35", "keys of no length", llama(attention__key_length=0), "attention.key_length is 0")
row("F36", "2^63 tokens", llama(context_length=u64("llama.context_length", 1 << 63)),
    "llama.context_length is too large to be true")
row("F37", "a tensor of layer 2^32",
    llama([tensor("blk.4294967296.attn_q.weight", (64, 4))]), "is of a layer beyond the last of 2")


# Parts.
def part(index, count=2, name="t", total=None, keys=()):
    entries = [entry("split.no", 2, struct.pack("<H", index)),
               entry("split.count", 2, struct.pack("<H", count)), *keys]
    if total is not None:
        entries.append(entry("split.tensors.count", I32, struct.pack("<i", total)))
    return gguf(entries, [tensor(name + str(index))], bytes(32))


FIRST, SECOND = "m-00001-of-00002.gguf", "m-00002-of-00002.gguf"


def parts(code, sentence, second, says, first=None, arguments=None):
    files = {FIRST: first or part(0)}
    if second is not None:
        files[SECOND] = second
    row(code, sentence, files, says, arguments=arguments or [FIRST])


parts("F38", "a part that is missing", None, f"{SECOND}: part 2 of 2 is missing; get it too")
parts("F39", "a part with the number of another", part(2), f"{SECOND}: split.no is not 1")
parts("F40", "a part of another number of parts", part(1, 3), f"{SECOND}: split.count is not 2")
parts("F40", "65,535 parts of which there is one", None, "its name does not end in -00001-of-65535.gguf",
      part(0, 65535))
parts("F40", "another number of tensors than is said", part(1), "split.tensors.count is 7, but the",
      part(0, total=7))
parts("F41", "the second part first", part(1), "this is part 2 of 2; name the first part instead",
      arguments=[SECOND])
parts("F42", "a tensor in two parts", gguf([entry("split.no", 2, b"\1\0"),
                                            entry("split.count", 2, b"\2\0")],
                                           [tensor("t0")], bytes(32)), "tensor t0 is in")
row("F43", "a name that is a format", {"%n%s-00001-of-00002.gguf": part(0)},
    "%n%s-00002-of-00002.gguf: part 2 of 2 is missing", arguments=["%n%s-00001-of-00002.gguf"])
row("F43", "a part without a name for the others", part(0), "its name does not end in -00001-of-00002")
parts("F44", "a part that is a pipe", os.mkfifo, "is not a regular file")
parts("F44", "a part that is a device", lambda path: os.symlink("/dev/zero", path), "is not a regular")
parts("F44", "a part that is a folder", os.mkdir, "is a directory")
parts("F44", "a part that is the first one again",
      lambda path: os.link(os.path.join(os.path.dirname(path), FIRST), path),
      "this is the same file as the first part")

# safetensors.
ONE = {"dtype": "U8", "shape": [1], "data_offsets": [0, 1]}


def st(code, sentence, header, says, data=bytes(1), length=None, status=BAD):
    row(code, sentence, safetensors(header, data, length), says, status, "bad.safetensors")


for length in (0, 1, 999, 10 ** 8 + 1, MAX64):
    st("F45", f"a header of {length} bytes", '{"a":0}' + " " * 16, "bad.safetensors: offset ",
       length=length)
st("F46", "a header that is a list", "[1]", "does not begin with {")
st("F47", "a header without an end", '{"a":{"dtype":"U8"', "the text ends too early")
st("F47", "depth", '{"a":{"x":' + "[" * 10 ** 6, "nested too deep")
for number, says in (("NaN", "a value is expected"), ("1" + "0" * 400, "too large"), ("01", "a zero"),
                     ("1e3", "not written as a whole one"), ("-1", "negative"), ("0.5", "whole one")):
    st("F47", f"a number {number[:9]}",
       '{"a":{"dtype":"U8","shape":[1],"data_offsets":[0,%s]}}' % number, says)
st("F48", "a tensor twice", '{"a":{"dtype":"U8","shape":[1],"data_offsets":[0,1]},'
   '"a":{"dtype":"U8","shape":[1],"data_offsets":[1,2]}}', "tensor a is there twice", bytes(2))
st("F48", "data_offsets twice", '{"a":{"data_offsets":[0,1],"data_offsets":[0,1]}}', "there twice")
st("F49", "a hole", {"a": ONE | {"data_offsets": [1, 2]}}, "there is a hole from 0", bytes(2))
st("F49", "an overlap", {"a": ONE, "b": ONE}, "inside another one")
st("F49", "reversed offsets", {"a": ONE | {"data_offsets": [1, 0]}}, "before it begins")
st("F49", "a file that ends early", {"a": ONE}, "is the file complete?", b"")
st("F49", "a file that ends late", {"a": ONE}, "7 bytes follow behind the last tensor", bytes(8))
st("F50", "another size than shape and type make", {"a": ONE | {"shape": [2]}}, "make 2")
st("F50", "a shape whose product wraps", {"a": ONE | {"shape": [1 << 32, 1 << 32]}}, "many elements")
st("F50", "half a byte", {"a": ONE | {"dtype": "F4"}}, "do not fill whole bytes")
st("F51", "a type nobody knows", {"a": ONE | {"dtype": "F7\x1b"}}, "there is no type F7\\x1b")
st("F52", "metadata that are no text", {"__metadata__": {"a": 1}}, "a string is expected", b"")
st("F53", "half a character", '{"\\ud800":{"dtype":"U8","shape":[1],"data_offsets":[0,1]}}',
   "half a character is escaped here")
st("F53", "what is not UTF-8", b'{"\xff":{"dtype":"U8","shape":[1],"data_offsets":[0,1]}}',
   "a string is not UTF-8")
st("F53", "a NUL in a name", '{"a\\u0000":{"dtype":"U8","shape":[1],"data_offsets":[0,1]}}',
   'tensor name "a\\x00" has control characters')

row("F38", "one part of several, without the others",
    weights(x=(4,)), "this is part 1 of 3; name the folder, or the index of the parts",
    name="model-00001-of-00003.safetensors")

# Folders.
CONFIG = ('{"model_type":"llama","num_hidden_layers":2,"hidden_size":64,"num_attention_heads":4,'
          '"num_key_value_heads":2}')


def index(code, sentence, weight_map, says, files=None, status=BAD):
    row(code, sentence, {"m/config.json": CONFIG, "m/a.safetensors": weights(x=(4,)),
                         "m/model.safetensors.index.json":
                         '{"metadata":{"total_size":8},"weight_map":%s}' % weight_map} | (files or {}),
        says, status, arguments=["m"])


for name in ("../../x", "/etc/passwd", "a/b", "", ".", ".."):
    index("F54", f'an index that names "{name}"', '{"x":"%s"}' % name, "is no name of a file beside")
index("F54", "an index that names a link into a cache", '{"x":"l.safetensors"}', "1 tensors, 8 B",
      {"blobs/b": weights(x=(4,)), "m/l.safetensors": lambda path: os.symlink("../blobs/b", path)}, GOOD)
index("F55", "an index that names a missing file", '{"x":"b.safetensors"}',
      "m/b.safetensors: the index names this file, which is missing; get it too")
index("F55", "an index that names a missing tensor", '{"y":"a.safetensors"}',
      "the index says that tensor y is in this file; it is not")
index("F55", "an index without tensors", "{}", "there is no weight_map with tensors")
index("F55", "an index that is no JSON", "{]", "this index is no good JSON")


def pipeline(code, sentence, components, says, status=BAD, files=None):
    row(code, sentence, {"m/model_index.json": '{"_class_name":"P",%s}' % components,
                         "m/transformer/diffusion_pytorch_model.safetensors": weights(x=(4,))}
        | (files or {}), says, status, arguments=["m"])


TRANSFORMER = '"transformer":["diffusers","FluxTransformer2DModel"]'
pipeline("F56", "a component that is not used", TRANSFORMER + ',"safety_checker":[null,null]',
         "1 tensors, 8 B", GOOD)
pipeline("F56", "a component of one word", '"transformer":["diffusers"]',
         "model_index.json: transformer is neither [library, class] nor")
pipeline("F56", "a component of numbers", '"transformer":[1,2]', "is neither [library, class] nor")
pipeline("F56", "a class nobody knows", '"transformer":["x","Nobody"]', "1 tensors, 8 B", GOOD)
pipeline("F56", "a component that is a path", '"../m/transformer":["x","Nobody"]',
         "is no name of a component")
pipeline("F56", "a component that is missing", TRANSFORMER + ',"vae":["diffusers","AutoencoderKL"]',
         "m/vae: No such file or directory")
pipeline("F56", "no component", '"x":1', "names no component with weights")
WEIGHTS = {"m/model.safetensors": weights(x=(4,))}
row("F57", "a configuration of a gigabyte", WEIGHTS | {"m/config.json": sparse(b"{", 1 << 30)},
    "m/config.json: this file of 1073741824 bytes is longer than a configuration", arguments=["m"])
row("F57", "links in a circle",
    WEIGHTS | {"m/config.json": lambda path: os.symlink("config.json", path)},
    "m/config.json: Too many levels of symbolic links", arguments=["m"])
row("F57", "a configuration that may not be read",
    WEIGHTS | {"m/config.json": lambda path: os.close(os.open(path, os.O_CREAT, 0))},
    "m/config.json: Permission denied", arguments=["m"])
row("F57", "a configuration that is no JSON", WEIGHTS | {"m/config.json": "{\n\x1b[2J"},
    "m/config.json: line 2: this is no good JSON", arguments=["m"])
row("F57", "a configuration that cannot be",
    WEIGHTS | {"m/config.json": CONFIG.replace('_layers":2', '_layers":0')},
    "m/config.json: block_count is 0", arguments=["m"])
row("F58", "a folder of pickles", {"m/config.json": CONFIG, "m/pytorch_model.bin": b"PK\3\4"},
    "there are only pickles in this folder (pytorch_model.bin), which are programs", arguments=["m"])
row("F58", "a pickle", b"PK\3\4" + bytes(60), "they are programs and are not read", name="m.bin")
row("F58", "an old pickle", b"\x80\2}q\0.", "this is a Python pickle", name="m.pt")
POINTER = b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 9\n"
for name in ("m.gguf", "m.safetensors"):
    row("F59", f"a pointer to {name}", POINTER, "this is a Git LFS pointer; run: git lfs pull", name=name)
row("F55", "parts without their index",
    {"m/config.json": CONFIG, "m/model-00001-of-00002.safetensors": weights(x=(4,)),
     "m/model-00002-of-00002.safetensors": weights(y=(4,))},
    "m: the index of the model's parts is missing; get model.safetensors.index.json too", arguments=["m"])
row("F59", "a folder of pointers", {"m/config.json": CONFIG, "m/model.safetensors": POINTER},
    "m/model.safetensors: offset 0: this is a Git LFS pointer", arguments=["m"])
row("F59", "a configuration that is a pointer", WEIGHTS | {"m/config.json": POINTER},
    "m/config.json: this is a Git LFS pointer", arguments=["m"])
for name in ("m.gguf", "m.safetensors"):
    row("F60", f"a web page called {name}", b"<!DOCTYPE html><html>" + b" " * 99,
        "this looks like a web page; the download went wrong, get the file again", name=name)
row("F60", "half a download", b"half", "a download that is not finished; wait", name="m.gguf.incomplete")
row("F60", "a folder of half downloads", {"m/config.json": CONFIG, "m/x.incomplete": b""},
    "the download of this model is not finished", arguments=["m"])
row("F60", "half a safetensors file", weights(x=(64, 64))[:999], "is the file complete?",
    name="m.safetensors")
row("F60", "a download of zeros", sparse(b"", 1 << 20), "as a download does that never got its data")


def is_dirty(text):
    """Whether a terminal would obey something in it."""
    return any(byte < 32 and byte != 10 or byte == 127 for byte in text)


def problem(run, row_says, status, limit):
    """What is wrong with an answer; empty: nothing."""
    said = run.err if status else run.out + run.err
    if run.status != status:
        return f"status {run.status}, not {status}"
    if row_says.encode() not in said:
        return f"does not say: {row_says}"
    if is_dirty(run.out + run.err):
        return "control characters"
    if status and (run.out or run.err.count(b"\n") != 1 or not run.err.startswith(b"vramshim-plan: ")):
        return "not one line"
    if run.seconds > 0.1 * limit:
        return f"{run.seconds:.3f} seconds"
    if run.memory > (64 << 20) * limit:
        return f"{run.memory >> 20} MiB"
    return ""


def check_everything(tap, sentence, plan, arguments, folder):
    """What is odd but good is fit to be shown in every form."""
    for form in ("--json", "--explain"):
        run = Run(plan, [*arguments, "--gpu", "h200", "--ram", "64GiB", form], folder)
        good = run.status == 0 and not is_dirty(run.out + run.err)
        if good and form == "--json":
            run.json()
        tap.ok(f"{sentence}, with {form}", good, f"{run.status}\n{run.err.decode()}")


def main():
    plan = os.path.abspath(sys.argv[1])
    limit = 8 if is_sanitized(plan) else 1
    tap = Tap()
    for code, sentence, files, arguments, status, says in rows:
        with tempfile.TemporaryDirectory() as scratch:
            folder = os.path.join(scratch, "row")
            os.mkdir(folder)
            write_files(folder, files)
            if "Permission" in says and os.access(os.path.join(folder, "m/config.json"), os.R_OK):
                tap.skip(f"{code}: {sentence}", "this user may read everything")
                continue
            run = Run(plan, [*arguments, "--gpu", "h200", "--ram", "64GiB"], folder)
            wrong = problem(run, says, status, limit)
            tap.ok(f"{code}: {sentence}", not wrong,
                   f"{wrong}\n{run.err.decode(errors='replace')}{run.out.decode(errors='replace')}")
            if status == GOOD:
                check_everything(tap, f"{code}: {sentence}", plan, arguments, folder)
    seen = {int(code[1:]) for code, *_ in rows}
    tap.ok("every input of the list but the plan file is here", seen == set(range(1, 61)),
           set(range(1, 61)) - seen)
    tap.finish()


if __name__ == "__main__":
    main()
