# SPDX-License-Identifier: MIT
"""Checks the embeddings of tests/apps/encoder against a NumPy implementation of BERT.

    bert_reference.py MODEL SENTENCES EMBEDDINGS [--tokens FILE] [--pairs]

EMBEDDINGS is what `encoder --out` wrote, FILE what `encoder --tokens` printed. With --pairs, lines
1 and 2, 3 and 4, and so on mean the same: each must be the other's nearest. Exit status 0: equal.
"""

import argparse
import math
import sys

import numpy as np

from model_file import ModelFile
from wordpiece import WordPiece

TOLERANCE = 1e-4

erf = np.vectorize(math.erf, otypes=[np.float64])


def layer_norm(x, weight, bias, epsilon):
    centred = x - x.mean(axis=-1, keepdims=True)
    variance = (centred ** 2).mean(axis=-1, keepdims=True)
    return centred / np.sqrt(variance + epsilon) * weight + bias


def softmax(x):
    x = np.exp(x - x.max(axis=-1, keepdims=True))
    return x / x.sum(axis=-1, keepdims=True)


class Bert:
    """One sentence at a time, in double precision."""

    def __init__(self, file):
        self.file = file
        self.n_layers = file.number("block_count")
        self.n_heads = file.number("attention.head_count")
        self.epsilon = file.number("attention.layer_norm_epsilon")
        self.context = file.number("context_length")
        self.weights = {name: file.tensor(name).astype(np.float64) for name in file.tensors}

    def dense(self, name, x):
        return x @ self.weights[f"{name}.weight"].T + self.weights[f"{name}.bias"]

    def norm(self, name, x):
        return layer_norm(x, self.weights[f"{name}.weight"], self.weights[f"{name}.bias"],
                          self.epsilon)

    def attention(self, prefix, x):
        n, width = x.shape
        heads = [self.dense(f"{prefix}attn_{part}", x).reshape(n, self.n_heads, -1)
                 for part in "qkv"]
        q, k, v = (head.transpose(1, 0, 2) for head in heads)
        scores = softmax(q @ k.transpose(0, 2, 1) / math.sqrt(width / self.n_heads))
        return self.dense(f"{prefix}attn_output", (scores @ v).transpose(1, 0, 2).reshape(n, width))

    def embed(self, tokens):
        x = (self.weights["token_embd.weight"][tokens]
             + self.weights["position_embd.weight"][:len(tokens)]
             + self.weights["token_types.weight"][0])
        x = self.norm("token_embd_norm", x)
        for layer in range(self.n_layers):
            prefix = f"blk.{layer}."
            x = self.norm(f"{prefix}attn_output_norm", x + self.attention(prefix, x))
            up = self.dense(f"{prefix}ffn_up", x)
            up = 0.5 * up * (1 + erf(up / math.sqrt(2)))
            x = self.norm(f"{prefix}layer_output_norm", x + self.dense(f"{prefix}ffn_down", up))
        mean = x.mean(axis=0)
        return mean / np.linalg.norm(mean)


def check_tokens(path, tokens):
    with open(path, encoding="utf-8") as file:
        found = [[int(word) for word in line.split()] for line in file]
    for number, (mine, theirs) in enumerate(zip(tokens, found, strict=True), 1):
        if mine != theirs:
            sys.exit(f"sentence {number}: tokens are {theirs}, not {mine}")
    print(f"tokens: all {sum(map(len, tokens))} equal")


def check_embeddings(found, expected):
    if not np.isfinite(found).all():
        sys.exit("embeddings: some are not finite")
    worst = np.abs(found - expected).max()
    verdict = "within" if worst <= TOLERANCE else "NOT within"
    print(f"embeddings: largest difference {worst:.1e}, {verdict} {TOLERANCE:.0e}")
    if worst > TOLERANCE:
        sys.exit(1)


def check_pairs(embeddings, sentences):
    """Every sentence's nearest must be its partner; prints what is nearest to the first of each."""
    likeness = embeddings @ embeddings.T
    np.fill_diagonal(likeness, -1)
    wrong = 0
    print("nearest sentence to each, by the cosine of their embeddings:")
    for i, row in enumerate(likeness):
        best = int(row.argmax())
        wrong += best != i ^ 1
        if i % 2 == 0 or best != i ^ 1:
            other = np.delete(row, [i, i ^ 1]).max()
            print(f"  {sentences[i]}\n    {row[best]:.2f} {sentences[best]}"
                  f"\n    {other:.2f} at most for any unrelated one")
    if wrong:
        sys.exit(f"ranking: {wrong} of {len(sentences)} sentences are nearest to an unrelated one")
    print(f"ranking: all {len(sentences)} sentences are nearest to the one that means the same")


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("model")
    parser.add_argument("sentences")
    parser.add_argument("embeddings")
    parser.add_argument("--tokens")
    parser.add_argument("--pairs", action="store_true")
    args = parser.parse_args()

    file = ModelFile(args.model)
    bert = Bert(file)
    wordpiece = WordPiece(file.value("tokenizer.ggml.tokens"))
    with open(args.sentences, encoding="utf-8") as lines:
        sentences = [line for line in lines.read().split("\n") if line]
    tokens = [wordpiece.encode(sentence, bert.context) for sentence in sentences]
    if args.tokens:
        check_tokens(args.tokens, tokens)

    found = np.fromfile(args.embeddings, dtype=np.float32)
    if found.size % len(sentences):
        sys.exit(f"{args.embeddings}: {found.size} numbers for {len(sentences)} sentences")
    found = found.reshape(len(sentences), -1)
    check_embeddings(found, np.stack([bert.embed(sentence) for sentence in tokens]))
    if args.pairs:
        check_pairs(found.astype(np.float64), sentences)


main()
