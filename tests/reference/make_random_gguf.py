# SPDX-License-Identifier: MIT
"""Writes a random F32 model to a GGUF file with nothing but Python, for machines without a network.

    make_random_gguf.py bert OUT       the shape of all-MiniLM-L6-v2
    make_random_gguf.py llama OUT      the shape that make_llama_gguf.py has by default

Where the reference package can be had, make_bert_gguf.py and make_llama_gguf.py are used instead.
"""

import random
import string
import struct
import sys

ALIGNMENT = 32
WORD_MARK = "\u2581"


def floats(rng, count, sign, exponent):
    """`count` random floats in +-[2^(exponent-127), 2^(exponent-126)), or positive ones only."""
    data = bytearray(rng.randbytes(4 * count))
    high = bytes((byte & 0x80 if sign else 0) | exponent >> 1 for byte in range(256))
    next_to_high = bytes(byte & 0x7F | (exponent & 1) << 7 for byte in range(256))
    data[2::4] = data[2::4].translate(next_to_high)
    data[3::4] = data[3::4].translate(high)
    return data


def text(value):
    data = value.encode()
    return struct.pack("<Q", len(data)) + data


def entry(key, value):
    if isinstance(value, str):
        return text(key) + struct.pack("<I", 8) + text(value)
    if isinstance(value, float):
        return text(key) + struct.pack("<If", 6, value)
    if isinstance(value, list):
        return text(key) + struct.pack("<IIQ", 9, 8, len(value)) + b"".join(map(text, value))
    return text(key) + struct.pack("<II", 4, value)


def padding(size):
    return bytes(-size % ALIGNMENT)


def write(path, entries, tensors):
    """`tensors`: name, dimensions (contiguous one first)."""
    rng = random.Random(1)
    records, offset = b"", 0
    for name, dims in tensors:
        size = 4
        for dim in dims:
            size *= dim
        records += text(name) + struct.pack("<I", len(dims))
        records += struct.pack(f"<{len(dims)}Q", *dims) + struct.pack("<IQ", 0, offset)
        offset += size + len(padding(size))
    head = b"GGUF" + struct.pack("<IQQ", 3, len(tensors), len(entries))
    head += b"".join(entry(key, value) for key, value in entries) + records
    with open(path, "wb") as out:
        out.write(head + padding(len(head)))
        for name, dims in tensors:
            count = dims[0] * (dims[1] if len(dims) > 1 else 1)
            is_norm = name.endswith("norm.weight")
            # Norm weights lie in [1, 2), all others in +-[1/32, 1/16).
            data = floats(rng, count, not is_norm, 127 if is_norm else 122)
            out.write(data + padding(len(data)))


def vocabulary(count):
    tokens = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
    for letter in string.ascii_lowercase + string.digits:
        tokens += [WORD_MARK + letter, letter]
    tokens += [WORD_MARK + mark for mark in string.punctuation]
    return tokens + [f"[unused{i}]" for i in range(count - len(tokens))]


def bert():
    layers, width, hidden, context, words = 6, 384, 1536, 512, 30522
    entries = [
        ("general.architecture", "bert"), ("general.name", "random"),
        ("bert.block_count", layers), ("bert.context_length", context),
        ("bert.embedding_length", width), ("bert.feed_forward_length", hidden),
        ("bert.attention.head_count", 12), ("bert.attention.layer_norm_epsilon", 1e-12),
        ("tokenizer.ggml.model", "bert"), ("tokenizer.ggml.tokens", vocabulary(words)),
    ]
    tensors = [("token_embd.weight", (width, words)), ("position_embd.weight", (width, context)),
               ("token_types.weight", (width, 2))]
    norms = ["token_embd_norm"]
    for layer in range(layers):
        prefix = f"blk.{layer}."
        norms += [f"{prefix}attn_output_norm", f"{prefix}layer_output_norm"]
        for name, n_in, n_out in (("attn_q", width, width), ("attn_k", width, width),
                                  ("attn_v", width, width), ("attn_output", width, width),
                                  ("ffn_up", width, hidden), ("ffn_down", hidden, width)):
            tensors += [(f"{prefix}{name}.weight", (n_in, n_out)), (f"{prefix}{name}.bias", (n_out,))]
    for name in norms:
        tensors += [(f"{name}.weight", (width,)), (f"{name}.bias", (width,))]
    return entries, tensors


def llama():
    layers, width, hidden, kv_width, words = 8, 512, 1408, 128, 2048
    entries = [
        ("general.architecture", "llama"), ("general.name", "random"),
        ("llama.block_count", layers), ("llama.context_length", 512),
        ("llama.embedding_length", width), ("llama.feed_forward_length", hidden),
        ("llama.attention.head_count", 8), ("llama.attention.head_count_kv", 2),
        ("llama.attention.layer_norm_rms_epsilon", 1e-5),
    ]
    tensors = [("token_embd.weight", (width, words)), ("output.weight", (width, words)),
               ("output_norm.weight", (width,))]
    for layer in range(layers):
        prefix = f"blk.{layer}."
        tensors += [(f"{prefix}attn_norm.weight", (width,)), (f"{prefix}ffn_norm.weight", (width,))]
        for name, n_in, n_out in (("attn_q", width, width), ("attn_k", width, kv_width),
                                  ("attn_v", width, kv_width), ("attn_output", width, width),
                                  ("ffn_gate", width, hidden), ("ffn_up", width, hidden),
                                  ("ffn_down", hidden, width)):
            tensors.append((f"{prefix}{name}.weight", (n_in, n_out)))
    return entries, tensors


def main():
    shapes = {"bert": bert, "llama": llama}
    if len(sys.argv) != 3 or sys.argv[1] not in shapes:
        sys.exit(__doc__)
    write(sys.argv[2], *shapes[sys.argv[1]]())


main()
