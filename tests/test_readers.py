# SPDX-License-Identifier: MIT
"""Files that the packages gguf and safetensors write are read as they read them, and theirs and ours
agree on files that were made up at random.

    test_readers.py LIST_TENSORS     run by the Python that tools/venv makes

Skipped where the packages are not installed.
"""
import os
import random
import subprocess
import sys
import tempfile

from formats import Tap

try:
    import gguf
    import numpy
    import safetensors
    from safetensors import numpy as arrays
except ImportError as missing:
    print(f"skipped: {missing}")
    sys.exit(77)

SEEDS = range(12)
NAMES = ["token_embd.weight", "blk.0.attn_q.weight", "a", "größe", "日本", "x" * 63, "a.b-c_d", "v.1"]


def listing(program, *paths):
    """name -> (type, dimensions, offset, bytes), and the order."""
    lines = subprocess.run([program, *paths], check=True, capture_output=True).stdout.decode()
    rows = {}
    for line in lines.splitlines():
        name, kind, dims, offset, size = line.split("\t")
        rows[name] = (kind, tuple(int(dim) for dim in dims.split(",") if dim), int(offset), int(size))
    return rows


def random_names(rng):
    return [f"{rng.choice(NAMES)[:40]}.{i}" for i in range(rng.randint(1, 30))]


def random_gguf(rng, path):
    writer = gguf.GGUFWriter(path, rng.choice(["llama", "nobody"]))
    if rng.random() < 0.5:
        writer.add_custom_alignment(rng.choice([32, 64, 256]))
    writer.add_array("words", [rng.choice(NAMES) for _ in range(rng.randint(1, 50))])
    writer.add_array("numbers", [rng.randint(0, 99) for _ in range(rng.randint(1, 50))])
    writer.add_float32("real", rng.random())
    writer.add_bool("yes", True)
    types = [gguf.GGMLQuantizationType.Q8_0, gguf.GGMLQuantizationType.Q4_0,
             gguf.GGMLQuantizationType.Q6_K, gguf.GGMLQuantizationType.IQ4_XS]
    for name in random_names(rng):
        shape = [rng.randint(1, 5) for _ in range(rng.randint(0, 3))]
        if rng.random() < 0.5:
            kind = rng.choice(types)
            elements, size = gguf.GGML_QUANT_SIZES[kind]
            shape.append(size * rng.randint(1, 3))
            writer.add_tensor(name, numpy.zeros(shape, dtype=numpy.uint8), raw_dtype=kind)
        else:
            shape.append(rng.randint(1, 70))
            dtype = rng.choice(["float32", "float16", "int8", "int32", "float64"])
            writer.add_tensor(name, numpy.zeros(shape, dtype=dtype))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def gguf_listing(path):
    """What the package's own reader says."""
    return {tensor.name: (tensor.tensor_type.name, tuple(int(dim) for dim in tensor.shape),
                          int(tensor.data_offset), int(tensor.n_bytes))
            for tensor in gguf.GGUFReader(path).tensors}


TYPES = {"float32": "F32", "float16": "F16", "float64": "F64", "int8": "I8", "int16": "I16",
         "int32": "I32", "int64": "I64", "uint8": "U8", "uint16": "U16", "uint32": "U32",
         "uint64": "U64", "bool": "BOOL"}


def random_safetensors(rng, path):
    tensors = {}
    for name in random_names(rng):
        shape = [rng.randint(0, 5) for _ in range(rng.randint(0, 5))]
        tensors[name] = numpy.zeros(shape, dtype=rng.choice(list(TYPES)))
    metadata = {"format": "np", "größe\n": "\"\\\x01"} if rng.random() < 0.5 else None
    arrays.save_file(tensors, path, metadata=metadata)


def safetensors_listing(path):
    """Shapes and types by the package's reader, in its order of data."""
    rows = {}
    with safetensors.safe_open(path, framework="np") as file:
        for name in file.offset_keys():
            array = file.get_tensor(name)
            rows[name] = (TYPES[str(array.dtype)], tuple(reversed(array.shape)), array.nbytes)
    return rows


def check_safetensors(tap, program, path, sentence):
    ours = listing(program, path)
    theirs = safetensors_listing(path)
    tap.ok(sentence, {name: (row[0], row[1], row[3]) for name, row in ours.items()} == theirs and
           list(ours) == sorted(ours, key=lambda name: (ours[name][2], ours[name][3])),
           f"{ours}\n{theirs}")
    size = os.path.getsize(path)
    tap.ok(f"{sentence}, to the last byte",
           not ours or max(row[2] + row[3] for row in ours.values()) == size, ours)


def main():
    program = os.path.abspath(sys.argv[1])
    tap = Tap()
    with tempfile.TemporaryDirectory() as scratch:
        for seed in SEEDS:
            rng = random.Random(seed)
            path = os.path.join(scratch, f"{seed}.gguf")
            random_gguf(rng, path)
            ours, theirs = listing(program, path), gguf_listing(path)
            tap.ok(f"a GGUF file of random tensors ({seed}) is read as its package reads it",
                   ours == theirs, f"{ours}\n{theirs}")
            path = os.path.join(scratch, f"{seed}.safetensors")
            random_safetensors(rng, path)
            check_safetensors(tap, program, path,
                              f"a safetensors file of random tensors ({seed}) is read the same")
        check_ours(tap, program, scratch)
    tap.finish()


def check_ours(tap, program, scratch):
    """What the tests of the planner write is good for the packages too."""
    import make_model
    make_model.MODELS["small"] = lambda: make_model.llama(2, 64, 4, 2, 96, 100)
    path = os.path.join(scratch, "ours.gguf")
    make_model.write(path, "small")
    tap.ok("the packages read our GGUF files", listing(program, path) == gguf_listing(path),
           gguf_listing(path))
    folder = os.path.join(scratch, "ours")
    make_model.write_weights(folder, "model",
                             make_model.safetensors_of(make_model.MODELS["small"]()[2], None), 1)
    check_safetensors(tap, program, os.path.join(folder, "model.safetensors"),
                      "and our safetensors files")


if __name__ == "__main__":
    main()
