# SPDX-License-Identifier: MIT
"""What the programs of this folder share: their options, their one line of figures, and what they skip.

Ordinary programs of their frameworks; nothing here knows of vramshim. With --device cpu they run
without a card, for trying them out; figures mean nothing then.
"""
import argparse
import hashlib
import importlib
import json
import os
import sys
import time

GIB = 1 << 30


def options(forms, **more):
    parser = argparse.ArgumentParser()
    parser.add_argument("--form", choices=forms, required=True)
    parser.add_argument("--weights", type=int, required=True, metavar="BYTES")
    parser.add_argument("--passes", type=int, required=True)
    parser.add_argument("--device", default="cuda")
    for name, how in more.items():
        parser.add_argument(f"--{name}", **how)
    return parser.parse_args()


def skip(why):
    print(f"{os.path.basename(sys.argv[0])}: {why}", file=sys.stderr)
    sys.exit(77)


def need(*names):
    """The packages of these names; skips the program where one is missing or broken."""
    found = []
    for name in names:
        try:
            found.append(importlib.import_module(name))
        except Exception as error:  # pylint: disable=broad-except
            skip(f"no {name} ({type(error).__name__}: {str(error)[:120]})".replace("\n", " "))
    return found[0] if len(found) == 1 else found


def torch_on(device):
    """PyTorch, set to compute the same every time, on a device that is there."""
    torch = need("torch")
    if device == "cuda" and not torch.cuda.is_available():
        skip("PyTorch finds no card")
    torch.manual_seed(1)
    torch.backends.cuda.matmul.allow_tf32 = False
    torch.use_deterministic_algorithms(True, warn_only=True)
    torch.utils.deterministic.fill_uninitialized_memory = False
    torch.set_grad_enabled(False)
    return torch


def digest_of(*parts):
    digest = hashlib.sha256()
    for part in parts:
        digest.update(part if isinstance(part, bytes) else repr(part).encode())
    return digest.hexdigest()[:32]


def tensor_bytes(tensor):
    """What a tensor of PyTorch holds, whatever its type."""
    return tensor.detach().contiguous().view(-1).view(dtype=sys.modules["torch"].uint8).cpu() \
        .numpy().tobytes()


class Stopwatch:
    """Seconds of each pass, from begin() to end(); `wait` waits for the device."""

    def __init__(self, wait):
        self.wait = wait
        self.passes = []
        self.begun = 0

    def begin(self):
        self.wait()
        self.begun = time.perf_counter()

    def end(self):
        self.wait()
        self.passes.append(time.perf_counter() - self.begun)


def torch_wait(torch, device):
    return torch.cuda.synchronize if device == "cuda" else lambda: None


def torch_loaded(torch, device):
    """Everything is where it will stay: from now on the most that is held is counted."""
    if device == "cuda":
        torch.cuda.synchronize()
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats()


def torch_other(torch, device, weights):
    """What the allocator held at the most beside the weights."""
    if device != "cuda":
        return 0
    return max(torch.cuda.max_memory_reserved() - weights, 0)


def finish(**figures):
    print(json.dumps(figures))
    sys.stdout.flush()
