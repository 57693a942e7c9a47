# SPDX-License-Identifier: MIT
"""Writes the header of a well-known model as a GGUF file that has its true size and no data.

    make_model.py NAME OUT     NAME: a row of MODELS; OUT: a file *.gguf, or a folder of safetensors

Tensors have the names, shapes and types of the published model, whose configuration is the row; the
file is sparse. Expert stacks have the expert as the last dimension.
"""
import json
import os
import re
import struct
import sys

import formats

ALIGNMENT = 32
# Type numbers of the format, and elements and bytes of a block.
F32, F16, Q8_0, BF16, MXFP4 = 0, 1, 8, 30, 39
BLOCKS = {F32: (1, 4), F16: (1, 2), Q8_0: (32, 34), BF16: (1, 2), MXFP4: (32, 17)}


def attention(block, width, heads, kv_heads, head, bias=False, norms=0, sinks=0):
    for name, rows in (("q", heads * head), ("k", kv_heads * head), ("v", kv_heads * head)):
        yield f"{block}attn_{name}.weight", (width, rows)
        if bias:
            yield f"{block}attn_{name}.bias", (rows,)
    yield f"{block}attn_output.weight", (heads * head, width)
    if bias:
        yield f"{block}attn_output.bias", (width,)
    if norms:
        yield f"{block}attn_q_norm.weight", (norms,)
        yield f"{block}attn_k_norm.weight", (norms,)
    if sinks:
        yield f"{block}attn_sinks.weight", (sinks,)


def experts(block, width, hidden, count, names=("gate", "up", "down"), kind=None):
    for name in names:
        dims = (hidden, width) if name == "down" else (width, hidden)
        yield (f"{block}ffn_{name}_exps.weight", dims + (count,)) + ((kind,) if kind else ())


def llama(layers, width, heads, kv_heads, hidden, words, head=None, n_experts=0, n_used=0,
          norms=0, tied=False, context=8192, arch="llama"):
    head = head or width // heads
    tensors = [("token_embd.weight", (width, words)), ("output_norm.weight", (width,))]
    if not tied:
        tensors.append(("output.weight", (width, words)))
    for i in range(layers):
        block = f"blk.{i}."
        tensors += [(f"{block}attn_norm.weight", (width,)), (f"{block}ffn_norm.weight", (width,))]
        tensors += attention(block, width, heads, kv_heads, head, norms=norms)
        if n_experts:
            tensors.append((f"{block}ffn_gate_inp.weight", (width, n_experts)))
            tensors += experts(block, width, hidden, n_experts)
        else:
            tensors += [(f"{block}ffn_{n}.weight", (width, hidden)) for n in ("gate", "up")]
            tensors.append((f"{block}ffn_down.weight", (hidden, width)))
    entries = {"block_count": layers, "embedding_length": width, "context_length": context,
               "vocab_size": words, "attention.head_count": heads,
               "attention.head_count_kv": kv_heads, "attention.key_length": head,
               "attention.value_length": head}
    if n_experts:
        entries |= {"expert_count": n_experts, "expert_used_count": n_used}
    return arch, entries, tensors


def gpt_oss(layers, n_experts):
    width, heads, kv_heads, head, hidden, words = 2880, 64, 8, 64, 2880, 201088
    tensors = [("token_embd.weight", (width, words)), ("output_norm.weight", (width,)),
               ("output.weight", (width, words))]
    for i in range(layers):
        block = f"blk.{i}."
        tensors += [(f"{block}attn_norm.weight", (width,)),
                    (f"{block}post_attention_norm.weight", (width,))]
        tensors += attention(block, width, heads, kv_heads, head, bias=True, sinks=heads)
        tensors += [(f"{block}ffn_gate_inp.weight", (width, n_experts)),
                    (f"{block}ffn_gate_inp.bias", (n_experts,))]
        tensors += experts(block, width, hidden, n_experts, kind=MXFP4)
        tensors += [(f"{block}ffn_{name}_exps.bias", (rows, n_experts))
                    for name, rows in (("gate", hidden), ("up", hidden), ("down", width))]
    entries = {"block_count": layers, "embedding_length": width, "context_length": 131072,
               "vocab_size": words, "attention.head_count": heads,
               "attention.head_count_kv": kv_heads, "attention.key_length": head,
               "attention.value_length": head, "attention.sliding_window": 128,
               "expert_count": n_experts, "expert_used_count": 4}
    return "gpt-oss", entries, tensors


def nemotron(pattern, width, mamba_heads, n_experts, n_used, hidden, shared, latent=0):
    """M: Mamba-2, E: experts, *: attention."""
    words, heads, kv_heads, head, groups, state, kernel, mamba_head = 131072, 32, 2, 128, 8, 128, 4, 64
    inner = mamba_heads * mamba_head
    convolved = inner + 2 * groups * state
    tensors = [("token_embd.weight", (width, words)), ("output_norm.weight", (width,)),
               ("output.weight", (width, words))]
    for i, letter in enumerate(pattern):
        block = f"blk.{i}."
        tensors.append((f"{block}attn_norm.weight", (width,)))
        if letter == "M":
            tensors += [(f"{block}ssm_in.weight", (width, inner + convolved + mamba_heads)),
                        (f"{block}ssm_conv1d.weight", (kernel, convolved)),
                        (f"{block}ssm_conv1d.bias", (convolved,)),
                        (f"{block}ssm_dt.bias", (mamba_heads,)), (f"{block}ssm_a", (mamba_heads,)),
                        (f"{block}ssm_d", (mamba_heads,)), (f"{block}ssm_norm.weight", (inner,)),
                        (f"{block}ssm_out.weight", (inner, width))]
        elif letter == "*":
            tensors += attention(block, width, heads, kv_heads, head)
        else:
            tensors += [(f"{block}ffn_gate_inp.weight", (width, n_experts)),
                        (f"{block}exp_probs_b.bias", (n_experts,))]
            tensors += experts(block, latent or width, hidden, n_experts, ("up", "down"))
            tensors += [(f"{block}ffn_up_shexp.weight", (width, shared)),
                        (f"{block}ffn_down_shexp.weight", (shared, width))]
            if latent:
                tensors += [(f"{block}ffn_latent_down.weight", (width, latent)),
                            (f"{block}ffn_latent_up.weight", (latent, width))]
    entries = {"block_count": len(pattern), "embedding_length": width, "context_length": 262144,
               "vocab_size": words, "attention.head_count": heads,
               "attention.head_count_kv": [kv_heads * (c == "*") for c in pattern],
               "feed_forward_length": [hidden * (c == "E") for c in pattern],
               "attention.key_length": head, "attention.value_length": head,
               "expert_count": n_experts, "expert_used_count": n_used,
               "ssm.conv_kernel": kernel, "ssm.inner_size": inner, "ssm.state_size": state,
               "ssm.group_count": groups, "ssm.time_step_rank": mamba_heads}
    return "nemotron_h_moe", entries, tensors


def linear(name, n_in, n_out):
    return [(f"{name}.weight", (n_in, n_out)), (f"{name}.bias", (n_out,))]


def double_block(name, width):
    """A block of two streams, of pictures and text: Flux and Qwen-Image have the same."""
    for stream in ("img", "txt"):
        yield from linear(f"{name}{stream}_mod.lin", width, 6 * width)
        yield from linear(f"{name}{stream}_attn.qkv", width, 3 * width)
        yield f"{name}{stream}_attn.norm.query_norm.scale", (128,)
        yield f"{name}{stream}_attn.norm.key_norm.scale", (128,)
        yield from linear(f"{name}{stream}_attn.proj", width, width)
        yield from linear(f"{name}{stream}_mlp.0", width, 4 * width)
        yield from linear(f"{name}{stream}_mlp.2", 4 * width, width)


def embedder(name, n_in, width):
    return linear(f"{name}.in_layer", n_in, width) + linear(f"{name}.out_layer", width, width)


def flux(guidance):
    width = 3072
    tensors = linear("img_in", 64, width) + linear("txt_in", 4096, width)
    tensors += embedder("time_in", 256, width) + embedder("vector_in", 768, width)
    if guidance:
        tensors += embedder("guidance_in", 256, width)
    for i in range(19):
        tensors += double_block(f"double_blocks.{i}.", width)
    for i in range(38):
        block = f"single_blocks.{i}."
        tensors += linear(f"{block}modulation.lin", width, 3 * width)
        tensors += linear(f"{block}linear1", width, 7 * width)
        tensors += linear(f"{block}linear2", 5 * width, width)
        tensors += [(f"{block}norm.query_norm.scale", (128,)), (f"{block}norm.key_norm.scale", (128,))]
    tensors += linear("final_layer.adaLN_modulation.1", width, 2 * width)
    tensors += linear("final_layer.linear", width, 64)
    return "flux", {}, tensors


def qwen_image():
    width = 3072
    tensors = linear("img_in", 64, width) + linear("txt_in", 3584, width)
    tensors += [("txt_norm.weight", (3584,))] + embedder("time_text_embed", 256, width)
    for i in range(60):
        tensors += double_block(f"transformer_blocks.{i}.", width)
    tensors += linear("norm_out.linear", width, 2 * width) + linear("proj_out", width, 64)
    return "qwen_image", {}, tensors


def z_image():
    width, hidden, small = 3840, 10240, 256

    def block(name, modulated):
        yield f"{name}attention.qkv.weight", (width, 3 * width)
        yield f"{name}attention.out.weight", (width, width)
        yield f"{name}attention.q_norm.weight", (128,)
        yield f"{name}attention.k_norm.weight", (128,)
        for n in ("w1", "w3"):
            yield f"{name}feed_forward.{n}.weight", (width, hidden)
        yield f"{name}feed_forward.w2.weight", (hidden, width)
        for n in ("attention_norm1", "attention_norm2", "ffn_norm1", "ffn_norm2"):
            yield f"{name}{n}.weight", (width,)
        if modulated:
            yield from linear(f"{name}adaLN_modulation.0", small, 4 * width)

    tensors = linear("x_embedder", 64, width) + [("cap_embedder.0.weight", (2560,))]
    tensors += linear("cap_embedder.1", 2560, width)
    tensors += linear("t_embedder.mlp.0", 256, 1024) + linear("t_embedder.mlp.2", 1024, small)
    tensors += [("x_pad_token", (width,)), ("cap_pad_token", (width,))]
    for name, count, modulated in (("noise_refiner", 2, True), ("context_refiner", 2, False),
                                   ("layers", 30, True)):
        for i in range(count):
            tensors += block(f"{name}.{i}.", modulated)
    tensors += linear("final_layer.linear", width, 64)
    tensors += linear("final_layer.adaLN_modulation.1", small, width)
    return "z_image", {}, tensors


def deepseek_v3():
    """Keys only: what is kept of a token."""
    return "deepseek2", {"block_count": 61, "embedding_length": 7168, "context_length": 163840,
                         "vocab_size": 129280, "attention.head_count": 128,
                         "attention.head_count_kv": 1, "attention.kv_lora_rank": 512,
                         "rope.dimension_count": 64, "attention.key_length": 576,
                         "attention.value_length": 512}, []


def many(layers=222, width=8192, hidden=40960):
    """2,000 tensors and more than 500 GB."""
    return llama(layers, width, 64, 8, hidden, 32000)


def bench(layers, arch, last=False):
    """Components of the programs of tests/bench: layers of seven tensors, in units of 640 KiB."""
    tensors = [(f"blk.{layer}.{i}.weight", (1024, share * 320))
               for layer in range(layers) for i, share in enumerate((9, 2, 2, 9, 24, 24, 24))]
    return arch, {}, tensors + [("output.weight", (1024, 30720))] * last


NANO = "MEMEM*EMEMEM*EMEMEM*EMEMEM*EMEMEM*EMEMEMEM*EMEMEMEME"
SUPER = ("MEMEMEM*EMEMEMEM*EMEMEMEM*EMEMEMEMEM*EMEMEMEMEM*EMEMEMEMEM*EMEMEMEMEM*EMEMEMEM*EMEMEMEME")
MODELS = {
    "Llama-3-8B": lambda: llama(32, 4096, 32, 8, 14336, 128256),
    "Llama-3-70B": lambda: llama(80, 8192, 64, 8, 28672, 128256),
    "Llama-3.1-405B": lambda: llama(126, 16384, 128, 8, 53248, 128256),
    "Mistral-7B-v0.3": lambda: llama(32, 4096, 32, 8, 14336, 32768),
    "Mixtral-8x7B": lambda: llama(32, 4096, 32, 8, 14336, 32000, n_experts=8, n_used=2),
    "Mixtral-8x22B": lambda: llama(56, 6144, 48, 8, 16384, 32768, n_experts=8, n_used=2),
    "Qwen3-4B": lambda: llama(36, 2560, 32, 8, 9728, 151936, 128, norms=128, tied=True, arch="qwen3"),
    "Qwen3-8B": lambda: llama(36, 4096, 32, 8, 12288, 151936, 128, norms=128, arch="qwen3"),
    "Qwen3-30B-A3B": lambda: llama(48, 2048, 32, 4, 768, 151936, 128, 128, 8, 128, arch="qwen3moe"),
    "Qwen3-235B-A22B": lambda: llama(94, 4096, 64, 4, 1536, 151936, 128, 128, 8, 128,
                                     arch="qwen3moe"),
    "gpt-oss-20b": lambda: gpt_oss(24, 32),
    "gpt-oss-120b": lambda: gpt_oss(36, 128),
    "Nemotron-3-Nano": lambda: nemotron(NANO, 2688, 64, 128, 6, 1856, 3712),
    "Nemotron-3-Super": lambda: nemotron(SUPER, 4096, 128, 512, 22, 2688, 5376, 1024),
    "DeepSeek-V3": deepseek_v3,
    "FLUX.1-schnell": lambda: flux(False),
    "FLUX.1-dev": lambda: flux(True),
    "Qwen-Image": qwen_image,
    "Z-Image-Turbo": z_image,
    "many": many,
    "bench-decoder": lambda: bench(24, "none", True),
    "bench-text": lambda: bench(6, "none"),
    "bench-image": lambda: bench(16, "z_image"),
    "bench-picture": lambda: bench(2, "none"),
}


def entry(key, value):
    if isinstance(value, str):
        return formats.string(key, value)
    if isinstance(value, list):
        return formats.numbers(key, value)
    return formats.u32(key, value)


def write(path, name, kind=BF16):
    arch, entries, tensors = MODELS[name]()
    head = [entry("general.architecture", arch), entry("general.name", name)]
    head += [entry(f"{arch}.{key}", value) for key, value in entries.items()]
    records, offset = [], 0
    for tensor in tensors:
        dims, own = tensor[1], tensor[2] if len(tensor) > 2 else kind
        elements, size = BLOCKS[own]
        for dim in dims:
            size *= dim
        records.append(formats.tensor(tensor[0], dims, own, offset))
        offset += size // elements + -(size // elements) % ALIGNMENT
    with open(path, "wb") as out:
        out.write(formats.gguf(head, records))
        out.truncate(out.tell() + offset)


# What a folder calls what a GGUF file calls otherwise.
WORDS = {
    "block_count": "num_hidden_layers", "embedding_length": "hidden_size",
    "context_length": "max_position_embeddings", "vocab_size": "vocab_size",
    "attention.head_count": "num_attention_heads", "attention.head_count_kv": "num_key_value_heads",
    "attention.key_length": "head_dim", "attention.sliding_window": "sliding_window",
    "expert_count": "num_local_experts", "expert_used_count": "num_experts_per_tok",
    "ssm.conv_kernel": "conv_kernel", "ssm.state_size": "ssm_state_size",
    "ssm.group_count": "n_groups", "ssm.time_step_rank": "mamba_num_heads",
}
TYPES = {"gpt-oss": "gpt_oss", "qwen3moe": "qwen3_moe", "nemotron_h_moe": "nemotron_h"}
CLASSES = {"flux": "FluxTransformer2DModel", "qwen_image": "QwenImageTransformer2DModel",
           "z_image": "ZImageTransformer2DModel"}
NAMES = (
    (r"^token_embd\.", "model.embed_tokens."), (r"^output_norm\.", "model.norm."),
    (r"^output\.", "lm_head."), (r"^blk\.", "model.layers."), (r"attn_norm", "input_layernorm"),
    (r"ffn_norm", "post_attention_layernorm"), (r"attn_([qkv])_norm", r"self_attn.\1_norm"),
    (r"attn_([qkv])\.", r"self_attn.\1_proj."), (r"attn_output", "self_attn.o_proj"),
    (r"ffn_(gate|up|down)_exps\.weight", r"mlp.experts.\1_proj"),
    (r"ffn_(gate|up|down)_exps\.bias", r"mlp.experts.\1_proj_bias"),
    (r"ffn_(gate|up|down)_shexp", r"mlp.shared_experts.\1_proj"),
    (r"ffn_(gate|up|down)\.", r"mlp.\1_proj."), (r"ffn_gate_inp", "mlp.gate"), (r"ssm_", "mixer."),
)


def folder_name(name):
    for pattern, replacement in NAMES:
        name = re.sub(pattern, replacement, name)
    return name


def config(arch, entries):
    """A config.json that says the same."""
    said = {"model_type": TYPES.get(arch, arch)}
    for key, value in entries.items():
        if key in WORDS:
            said[WORDS[key]] = max(value) if isinstance(value, list) else value
    if "attention.sliding_window" in entries:
        said["layer_types"] = ["full_attention" if i % 2 else "sliding_attention"
                               for i in range(entries["block_count"])]
    if "ssm.inner_size" in entries:
        said["mamba_head_dim"] = entries["ssm.inner_size"] // entries["ssm.time_step_rank"]
        said["hybrid_override_pattern"] = "".join(
            "E" if ffn else "*" if heads else "M" for ffn, heads in
            zip(entries["feed_forward_length"], entries["attention.head_count_kv"]))
    return said


def safetensors_of(tensors, kind=BF16):
    """(name, type, shape, bytes) of each; blocks and scales of MXFP4 are apart."""
    for tensor in tensors:
        name, shape = folder_name(tensor[0]), list(reversed(tensor[1]))
        count = 1
        for dim in shape:
            count *= dim
        if len(tensor) > 2 and tensor[2] == MXFP4:
            blocks = shape[:-1] + [shape[-1] // 32]
            yield name + "_blocks", "U8", blocks + [16], count // 2
            yield name + "_scales", "U8", blocks, count // 32
        else:
            yield name, "BF16" if kind == BF16 else "F16", shape, 2 * count


def write_safetensors(path, tensors):
    header, at = {}, 0
    for name, kind, shape, size in tensors:
        header[name] = {"dtype": kind, "shape": shape, "data_offsets": [at, at + size]}
        at += size
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    with open(path, "wb") as out:
        out.write(struct.pack("<Q", len(text)) + text)
        out.truncate(8 + len(text) + at)


def write_weights(path, stem, tensors, parts):
    """Parts and their index, or one file."""
    os.makedirs(path, exist_ok=True)
    tensors = list(tensors)
    if parts == 1:
        write_safetensors(os.path.join(path, f"{stem}.safetensors"), tensors)
        return
    names, step = {}, -(-len(tensors) // parts)
    for i in range(parts):
        file = f"{stem}-{i + 1:05}-of-{parts:05}.safetensors"
        own = tensors[i * step:(i + 1) * step]
        write_safetensors(os.path.join(path, file), own)
        names |= {tensor[0]: file for tensor in own}
    with open(os.path.join(path, f"{stem}.safetensors.index.json"), "w", encoding="utf-8") as out:
        json.dump({"metadata": {"total_size": sum(tensor[3] for tensor in tensors)},
                   "weight_map": names}, out)


def write_json(path, value):
    with open(path, "w", encoding="utf-8") as out:
        json.dump(value, out)


def write_folder(path, name, parts=3):
    """As transformers writes it, or diffusers."""
    arch, entries, tensors = MODELS[name]()
    if arch in CLASSES:
        write_weights(os.path.join(path, "transformer"), "diffusion_pytorch_model",
                      safetensors_of(tensors), parts)
        write_json(os.path.join(path, "model_index.json"),
                   {"_class_name": "Pipeline", "transformer": ["diffusers", CLASSES[arch]]})
        return
    write_weights(path, "model", safetensors_of(tensors), parts)
    write_json(os.path.join(path, "config.json"), config(arch, entries))


def write_pipeline(path, name, encoder, decoder):
    """An image model with a text encoder, and a decoder of these tensors of F16."""
    write_folder(path, name)
    write_folder(os.path.join(path, "text_encoder"), encoder)
    write_weights(os.path.join(path, "vae"), "diffusion_pytorch_model",
                  safetensors_of(decoder, F16), 1)
    write_json(os.path.join(path, "model_index.json"), {
        "_class_name": "Pipeline", "scheduler": ["diffusers", "FlowMatchEulerDiscreteScheduler"],
        "text_encoder": ["transformers", "Qwen3Model"], "tokenizer": ["transformers", "Qwen2Tokenizer"],
        "transformer": ["diffusers", CLASSES[MODELS[name]()[0]]], "vae": ["diffusers", "AutoencoderKL"]})


if __name__ == "__main__":
    if len(sys.argv) != 3 or sys.argv[1] not in MODELS:
        sys.exit(__doc__)
    (write if sys.argv[2].endswith(".gguf") else write_folder)(sys.argv[2], sys.argv[1])
