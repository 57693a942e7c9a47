# SPDX-License-Identifier: MIT
"""Reading a GGUF model with the reference package, weights as float32 arrays."""

import sys

import gguf
import numpy as np


class ModelFile:
    """Numbers, strings and dequantised tensors of one file."""

    def __init__(self, path):
        self.path = path
        self.reader = gguf.GGUFReader(path)
        self.tensors = {tensor.name: tensor for tensor in self.reader.tensors}
        self.architecture = self.value("general.architecture")

    def value(self, key, default=None):
        field = self.reader.get_field(key)
        if field is None:
            if default is None:
                sys.exit(f"{self.path}: there is no {key}")
            return default
        return field.contents()

    def number(self, name, default=None):
        """The value under "<architecture>.<name>"."""
        return self.value(f"{self.architecture}.{name}", default)

    def has(self, name):
        return name in self.tensors

    def tensor(self, name):
        tensor = self.tensors[name]
        shape = tuple(int(n) for n in reversed(tensor.shape))
        data = gguf.quants.dequantize(tensor.data, tensor.tensor_type)
        return np.asarray(data, dtype=np.float32).reshape(shape)
