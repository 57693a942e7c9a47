# SPDX-License-Identifier: MIT
"""Writes a random llama-architecture model to a GGUF file, with the reference package.

    make_llama_gguf.py OUT [--type Q8_0] [--layers 8] [--width 512] ... [--tied] [--seed 1]
"""

import argparse

import gguf
import numpy as np

TYPES = {name: gguf.GGMLQuantizationType[name] for name in ("F32", "F16", "Q8_0", "Q4_0")}


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("out")
    parser.add_argument("--type", choices=TYPES, default="Q8_0", help="of the matrices")
    parser.add_argument("--tied", action="store_true", help="no output.weight")
    for name, default in (("layers", 8), ("width", 512), ("hidden", 1408), ("heads", 8),
                          ("kv-heads", 2), ("vocabulary", 2048), ("context", 512), ("seed", 1)):
        parser.add_argument(f"--{name}", type=int, default=default)
    args = parser.parse_args()

    rng = np.random.default_rng(args.seed)
    writer = gguf.GGUFWriter(args.out, "llama")
    head = args.width // args.heads

    def matrix(name, rows, columns, scale=1.0):
        data = (rng.standard_normal((rows, columns)) * scale * columns ** -0.5).astype(np.float32)
        kind = TYPES[args.type]
        writer.add_tensor(name, gguf.quants.quantize(data, kind), raw_dtype=kind)

    def norm(name):
        writer.add_tensor(name, (1 + 0.1 * rng.standard_normal(args.width)).astype(np.float32))

    writer.add_name("random")
    writer.add_block_count(args.layers)
    writer.add_context_length(args.context)
    writer.add_embedding_length(args.width)
    writer.add_feed_forward_length(args.hidden)
    writer.add_head_count(args.heads)
    writer.add_head_count_kv(args.kv_heads)
    writer.add_rope_dimension_count(head)
    writer.add_rope_freq_base(10000.0)
    writer.add_layer_norm_rms_eps(1e-5)
    writer.add_vocab_size(args.vocabulary)

    matrix("token_embd.weight", args.vocabulary, args.width, scale=args.width ** 0.5)
    for layer in range(args.layers):
        prefix = f"blk.{layer}."
        norm(f"{prefix}attn_norm.weight")
        matrix(f"{prefix}attn_q.weight", args.width, args.width, scale=2)
        matrix(f"{prefix}attn_k.weight", args.kv_heads * head, args.width)
        matrix(f"{prefix}attn_v.weight", args.kv_heads * head, args.width)
        matrix(f"{prefix}attn_output.weight", args.width, args.width)
        norm(f"{prefix}ffn_norm.weight")
        matrix(f"{prefix}ffn_gate.weight", args.hidden, args.width)
        matrix(f"{prefix}ffn_up.weight", args.hidden, args.width)
        matrix(f"{prefix}ffn_down.weight", args.width, args.hidden)
    norm("output_norm.weight")
    if not args.tied:
        matrix("output.weight", args.vocabulary, args.width, scale=3)

    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


main()
