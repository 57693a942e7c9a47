# SPDX-License-Identifier: MIT
"""Writes what a fuzz target begins its search with: small files of the right kind.

    fuzz_seeds.py NAME FOLDER
"""
import json
import os
import sys

import make_model
from formats import entry, gguf, numbers, safetensors, string, tensor, u32, weights

CONFIGS = [make_model.config(*make_model.MODELS[name]()[:2])
           for name in ("Llama-3-8B", "gpt-oss-20b", "Nemotron-3-Nano", "DeepSeek-V3")]


def described(name):
    """The metadata of a model, and a tensor."""
    arch, entries, _ = make_model.MODELS[name]()
    said = [make_model.entry(f"{arch}.{key}", value) for key, value in entries.items()]
    return gguf([string("general.architecture", arch), *said], [tensor("blk.0.attn_q.weight")], bytes(32))


# Behind the head that the target puts before them.
TENSORS = b'tensor 0 0 5 0123456789abcdef stream 2 "a"\ntensor 0 5 4 - device 4 "b\\x0a" pinned\n'
FUNCTIONS = b'function 0000000000000001 "f"\nfunction 0000000000000001 "g"\nfunction 0000000000000002 "f"\n'
INDEX = json.dumps({"metadata": {"total_size": 8}, "weight_map": {"a": "0", "b": "1"}}).encode()
GGUFS = [described(name) for name in ("Llama-3-8B", "gpt-oss-20b", "Nemotron-3-Nano")]
SEEDS = {
    "gguf": GGUFS + [gguf([u32("general.alignment", 64), numbers("n", [1, 2]), entry("b", 7, b"\1")],
                          [tensor("x"), tensor("y", (32,), 8, 64)], bytes(160))],
    "safetensors": [weights(x=(2, 3), y=()), weights(x=(2, 3))[8:-12],
                    safetensors('{"__metadata__":{"a":"\\u00e9\\ud83d\\ude00"}}')],
    "inputs": [b"\0" + file for file in GGUFS] + [b"\1" + INDEX] +
              [b"\2" + json.dumps(config).encode() for config in CONFIGS],
    "planfile": [TENSORS + b"end 2\n", TENSORS + FUNCTIONS + b"end 2\n"],
}


def main():
    for i, seed in enumerate(SEEDS.get(sys.argv[1], [])):
        with open(os.path.join(sys.argv[2], f"seed-{i}"), "wb") as out:
            out.write(seed)


if __name__ == "__main__":
    main()
