# SPDX-License-Identifier: MIT
"""Checks the logits and tokens of tests/apps/generate against a NumPy implementation of llama.

    llama_reference.py MODEL LOGITS --prompt-tokens 1,2,3 --generated FILE [--sampled]

LOGITS is what `generate --logits` wrote, FILE what it printed. The tokens that it generated are fed
to the reference, so that one near-tie cannot make everything after it differ. Exit status 0: equal.
"""

import argparse
import sys

import numpy as np

from model_file import ModelFile

TOLERANCE = 1e-4  # of the largest logit


def rms_norm(x, weight, epsilon):
    return x / np.sqrt((x ** 2).mean() + epsilon) * weight


def softmax(x):
    x = np.exp(x - x.max(axis=-1, keepdims=True))
    return x / x.sum(axis=-1, keepdims=True)


class Llama:
    """One token at a time, in double precision; weights dequantised by the reference package."""

    def __init__(self, file):
        self.weights = {name: file.tensor(name).astype(np.float64) for name in file.tensors}
        self.n_layers = file.number("block_count")
        self.n_heads = file.number("attention.head_count")
        self.n_kv_heads = file.number("attention.head_count_kv", self.n_heads)
        self.epsilon = file.number("attention.layer_norm_rms_epsilon")
        self.width = file.number("embedding_length")
        self.head = file.number("attention.key_length", self.width // self.n_heads)
        pairs = file.number("rope.dimension_count", self.head) // 2
        base = file.number("rope.freq_base", 10000.0)
        self.frequencies = base ** (-np.arange(pairs) / pairs)
        if "rope_freqs.weight" in self.weights:
            self.frequencies = self.frequencies / self.weights["rope_freqs.weight"]
        self.keys = [[] for _ in range(self.n_layers)]
        self.values = [[] for _ in range(self.n_layers)]

    def rope(self, x, position):
        """Turns neighbouring pairs of each head."""
        pairs = len(self.frequencies)
        turns = np.exp(1j * position * self.frequencies)
        turned = (x[:, 0:2 * pairs:2] + 1j * x[:, 1:2 * pairs:2]) * turns
        x = x.copy()
        x[:, 0:2 * pairs:2], x[:, 1:2 * pairs:2] = turned.real, turned.imag
        return x

    def attention(self, layer, x, position):
        prefix = f"blk.{layer}.attn_"
        q, k, v = ((self.weights[f"{prefix}{part}.weight"] @ x).reshape(-1, self.head)
                   for part in "qkv")
        self.keys[layer].append(self.rope(k, position))
        self.values[layer].append(v)
        group = self.n_heads // self.n_kv_heads
        keys = np.repeat(np.stack(self.keys[layer]), group, axis=1)
        values = np.repeat(np.stack(self.values[layer]), group, axis=1)
        scores = np.einsum("hd,phd->hp", self.rope(q, position), keys) / np.sqrt(self.head)
        mixed = np.einsum("hp,phd->hd", softmax(scores), values)
        return self.weights[f"{prefix}output.weight"] @ mixed.reshape(-1)

    def run(self, token, position):
        x = self.weights["token_embd.weight"][token]
        for layer in range(self.n_layers):
            prefix = f"blk.{layer}."
            normed = rms_norm(x, self.weights[f"{prefix}attn_norm.weight"], self.epsilon)
            x = x + self.attention(layer, normed, position)
            normed = rms_norm(x, self.weights[f"{prefix}ffn_norm.weight"], self.epsilon)
            gate = self.weights[f"{prefix}ffn_gate.weight"] @ normed
            up = self.weights[f"{prefix}ffn_up.weight"] @ normed
            x = x + self.weights[f"{prefix}ffn_down.weight"] @ (gate / (1 + np.exp(-gate)) * up)
        x = rms_norm(x, self.weights["output_norm.weight"], self.epsilon)
        output = self.weights.get("output.weight", self.weights["token_embd.weight"])
        return output @ x


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("model")
    parser.add_argument("logits")
    parser.add_argument("--prompt-tokens", required=True)
    parser.add_argument("--generated", required=True)
    parser.add_argument("--sampled", action="store_true", help="tokens need not be the likeliest")
    args = parser.parse_args()

    prompt = [int(token) for token in args.prompt_tokens.split(",")]
    with open(args.generated, encoding="utf-8") as file:
        generated = [int(token) for token in file.read().split()]
    fed = prompt + generated[:-1]
    llama = Llama(ModelFile(args.model))
    expected = np.stack([llama.run(token, position) for position, token in enumerate(fed)])
    found = np.fromfile(args.logits, dtype=np.float32)
    if found.size != expected.size:
        sys.exit(f"{args.logits}: {found.size} logits, not {expected.size}")
    found = found.reshape(expected.shape)
    if not np.isfinite(found).all():
        sys.exit("logits: some are not finite")
    worst = np.abs(found - expected).max() / np.abs(expected).max()
    verdict = "within" if worst <= TOLERANCE else "NOT within"
    print(f"logits: largest difference {worst:.1e} of the largest logit, {verdict} {TOLERANCE:.0e}")
    if worst > TOLERANCE:
        sys.exit(1)
    if args.sampled:
        return
    best = expected[len(prompt) - 1:]
    slack = 2 * TOLERANCE * np.abs(expected).max()
    for step, token in enumerate(generated):
        if best[step].max() - best[step][token] > slack:
            sys.exit(f"token {step + 1}: {token} is not the likeliest; {best[step].argmax()} is")
    print(f"tokens: all {len(generated)} are the likeliest")


main()
