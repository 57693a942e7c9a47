# SPDX-License-Identifier: MIT
"""Writes a BERT sentence-embedding model to a GGUF file, with the reference package.

    make_bert_gguf.py OUT --from FOLDER     FOLDER holds config.json, vocab.txt, model.safetensors
    make_bert_gguf.py OUT --random          random weights of the shape of all-MiniLM-L6-v2
"""

import argparse
import itertools
import json
import pathlib
import string
import sys

import gguf
import numpy as np

WORD_MARK = "\u2581"

# Hugging Face's names, and GGUF's.
TOP = {
    "embeddings.word_embeddings": "token_embd",
    "embeddings.position_embeddings": "position_embd",
    "embeddings.token_type_embeddings": "token_types",
    "embeddings.LayerNorm": "token_embd_norm",
}
LAYER = {
    "attention.self.query": "attn_q",
    "attention.self.key": "attn_k",
    "attention.self.value": "attn_v",
    "attention.output.dense": "attn_output",
    "attention.output.LayerNorm": "attn_output_norm",
    "intermediate.dense": "ffn_up",
    "output.dense": "ffn_down",
    "output.LayerNorm": "layer_output_norm",
}
# Not part of a sentence embedding: places that are just 0, 1, 2..., and a head for other tasks.
UNUSED = ("embeddings.position_ids", "pooler.dense.weight", "pooler.dense.bias")


def read_safetensors(path):
    """Yields name and array. The format: a length, a JSON header, and the data it points into."""
    data = np.memmap(path, dtype=np.uint8, mode="r")
    size = int(data[:8].view("<u8")[0])
    if size > len(data) - 8:
        sys.exit(f"{path}: the header is longer than the file")
    header = json.loads(bytes(data[8:8 + size]))
    types = {"F32": "<f4", "F16": "<f2", "I64": "<i8"}
    for name, entry in header.items():
        if name == "__metadata__":
            continue
        begin, end = (8 + size + offset for offset in entry["data_offsets"])
        if entry["dtype"] not in types:
            sys.exit(f"{path}: {name} is of type {entry['dtype']}; F32, F16 and I64 are read")
        array = np.frombuffer(bytes(data[begin:end]), dtype=types[entry["dtype"]])
        yield name, array.reshape(entry["shape"])


def gguf_name(name):
    name = name.removeprefix("bert.")
    stem, _, kind = name.rpartition(".")
    if stem in TOP:
        return f"{TOP[stem]}.{kind}"
    parts = stem.split(".", 3)
    if parts[:2] == ["encoder", "layer"] and len(parts) == 4 and parts[3] in LAYER:
        return f"blk.{parts[2]}.{LAYER[parts[3]]}.{kind}"
    return None


def load_folder(folder):
    config = json.loads((folder / "config.json").read_text())
    tokens = (folder / "vocab.txt").read_text(encoding="utf-8").splitlines()
    tensors = {}
    for name, array in read_safetensors(folder / "model.safetensors"):
        if name.removeprefix("bert.") in UNUSED:
            continue
        if gguf_name(name) is None:
            sys.exit(f"{folder}: tensor {name} has no place in a BERT encoder")
        tensors[gguf_name(name)] = array.astype(np.float32)
    return config, tokens, tensors


def random_tokens(count):
    """Special tokens, then every letter, digit and mark, then pairs of letters, then fillers."""
    letters = string.ascii_lowercase + string.digits
    tokens = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
    tokens += list(letters) + [f"##{letter}" for letter in letters] + list(string.punctuation)
    pairs = ["".join(pair) for pair in itertools.product(string.ascii_lowercase, repeat=2)]
    tokens += [token for pair in pairs for token in (pair, f"##{pair}")]
    tokens += [f"[unused{i}]" for i in range(max(0, count - len(tokens)))]
    return tokens[:count]


def random_model(args):
    rng = np.random.default_rng(args.seed)
    config = {
        "num_hidden_layers": args.layers, "hidden_size": args.width,
        "intermediate_size": args.hidden, "num_attention_heads": args.heads,
        "max_position_embeddings": args.context, "layer_norm_eps": 1e-12,
    }

    def normal(*shape, scale):
        return (rng.standard_normal(shape) * scale).astype(np.float32)

    tensors = {
        "token_embd.weight": normal(args.vocabulary, args.width, scale=1),
        "position_embd.weight": normal(args.context, args.width, scale=0.3),
        "token_types.weight": normal(2, args.width, scale=0.3),
    }
    norms = ["token_embd_norm"]
    for layer in range(args.layers):
        prefix = f"blk.{layer}."
        square = (args.width, args.width)
        for name, shape in (("attn_q", square), ("attn_k", square), ("attn_v", square),
                            ("attn_output", square), ("ffn_up", (args.hidden, args.width)),
                            ("ffn_down", (args.width, args.hidden))):
            tensors[f"{prefix}{name}.weight"] = normal(*shape, scale=shape[1] ** -0.5)
            tensors[f"{prefix}{name}.bias"] = normal(shape[0], scale=0.1)
        norms += [f"{prefix}attn_output_norm", f"{prefix}layer_output_norm"]
    for name in norms:
        tensors[f"{name}.weight"] = 1 + normal(args.width, scale=0.1)
        tensors[f"{name}.bias"] = normal(args.width, scale=0.1)
    return config, random_tokens(args.vocabulary), tensors


def marked(token):
    """The convention of GGUF files: a mark before what begins a word, nothing before the rest."""
    if token.startswith("[") and token.endswith("]"):
        return token
    return token[2:] if token.startswith("##") else WORD_MARK + token


def write(path, name, config, tokens, tensors):
    writer = gguf.GGUFWriter(path, "bert")
    writer.add_name(name)
    writer.add_block_count(config["num_hidden_layers"])
    writer.add_context_length(config["max_position_embeddings"])
    writer.add_embedding_length(config["hidden_size"])
    writer.add_feed_forward_length(config["intermediate_size"])
    writer.add_head_count(config["num_attention_heads"])
    writer.add_layer_norm_eps(config["layer_norm_eps"])
    writer.add_causal_attention(False)
    writer.add_pooling_type(gguf.PoolingType.MEAN)
    writer.add_file_type(gguf.LlamaFileType.ALL_F32)
    writer.add_tokenizer_model("bert")
    writer.add_token_type_count(2)
    writer.add_token_list([marked(token) for token in tokens])
    for key in tensors:
        writer.add_tensor(key, np.ascontiguousarray(tensors[key]))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("out")
    source = parser.add_mutually_exclusive_group(required=True)
    source.add_argument("--from", dest="folder", type=pathlib.Path)
    source.add_argument("--random", action="store_true")
    for name, default in (("layers", 6), ("width", 384), ("hidden", 1536), ("heads", 12),
                          ("context", 512), ("vocabulary", 30522), ("seed", 1)):
        parser.add_argument(f"--{name}", type=int, default=default)
    args = parser.parse_args()
    if args.folder:
        write(args.out, args.folder.name, *load_folder(args.folder))
    else:
        write(args.out, "random", *random_model(args))


main()
