# SPDX-License-Identifier: MIT
"""The programs that tests/gpu/run runs, a row each, and what a run of one is.

A program is told how large to be and how often to go over its model, and prints one line of JSON last:

    weights  bytes of the model on the card: W
    other    bytes beside them at the most: caches, activations, what an allocator keeps
    passes   seconds of each
    digest   of everything it computed
    exact    false when two runs of it may differ; then what counts is `tokens`, or nothing
    tokens   a list, where it generates some

Status 77 and a line on standard error: it cannot be run here.
"""
import json
import os
import re
import signal
import statistics
import subprocess
import time

RATIOS = (2, 1.5, 4, 1.25)  # those that tell most first
GIB = 1 << 30
MIB = 1 << 20

# name: its file and form; the GiB of its model, the largest first and one for each level of time there
# is (less on a small card); simulated, its MiB; how many passes it makes; seconds until it begins to
# load; whether there is another way to run it on less memory, and whether it is run with and without
# the library in turns; whether it hides pointers in device memory on purpose; what it is. Those that
# matter most come first.
LEVELS = 3
PROGRAMS = {
    "decoder": {"file": "decoder", "form": "decode", "sizes": (8, 8, 4), "passes": 12, "starts": 2,
                "paired": True, "what": "plain driver: a decoder's reads, launch by launch"},
    "decoder-graph": {"file": "decoder", "form": "graph", "sizes": (8, 4, 4), "passes": 12, "starts": 2,
                      "what": "the same as a CUDA graph"},
    "llm-dense": {"file": "llm.py", "form": "dense", "sizes": (30, 16, 16), "passes": 32, "starts": 14,
                  "alternatives": True, "paired": True,
                  "what": "transformers: a dense decoder in bf16, 32 tokens"},
    "cublas-pointers": {"file": "gemms", "form": "pointers", "sizes": (4, 4, 2), "passes": 12,
                        "simulated": 4, "starts": 3, "hides": True,
                        "what": "CUDA C++: cuBLAS, batches through arrays of pointers"},
    "torch-eager": {"file": "layers.py", "form": "eager", "sizes": (4, 4, 2), "passes": 12, "starts": 7,
                    "paired": True, "what": "PyTorch: linear layers, eager"},
    "torch-graphs": {"file": "layers.py", "form": "compile", "sizes": (4, 4, 2), "passes": 12,
                     "starts": 20, "what": "PyTorch: the same by torch.compile with CUDA graphs"},
    "llm-experts": {"file": "llm.py", "form": "experts", "sizes": (16, 8, 8), "passes": 32, "starts": 14,
                    "alternatives": True, "what": "transformers: a mixture of experts in bf16, 32 tokens"},
    "diffusion": {"file": "diffusion.py", "form": "eager", "sizes": (6, 4, 2), "passes": 10, "starts": 8,
                  "what": "PyTorch: text encoder, transformer, decoder of images; a step a pass"},
    "jax": {"file": "arrays.py", "form": "jax", "sizes": (3, 3, 2), "passes": 12, "starts": 10,
            "what": "JAX: a compiled step over a list of weights"},
    "cupy": {"file": "arrays.py", "form": "cupy", "sizes": (3, 3, 2), "passes": 12, "starts": 8,
             "what": "CuPy: products and elementwise kernels"},
    "triton": {"file": "kernels.py", "form": "triton", "sizes": (4, 4, 2), "passes": 12, "starts": 9,
               "what": "Triton: kernels of its own over weights of PyTorch"},
    "torch-streams": {"file": "layers.py", "form": "streams", "sizes": (4, 4, 2), "passes": 12,
                      "starts": 7, "what": "PyTorch: the layers in two streams"},
    "torch-segments": {"file": "layers.py", "form": "segments", "sizes": (4, 4, 2), "passes": 12,
                       "starts": 7, "what": "PyTorch: the layers with expandable_segments"},
    "cublas": {"file": "gemms", "form": "plain", "sizes": (4, 4, 2), "passes": 12, "simulated": 4,
               "starts": 3, "what": "CUDA C++: cuBLAS, product by product"},
    "cublas-strided": {"file": "gemms", "form": "strided", "sizes": (4, 4, 2), "passes": 12,
                       "simulated": 4, "starts": 3, "what": "CUDA C++: cuBLAS, strided batches"},
    "decoder-prefill": {"file": "decoder", "form": "prefill", "sizes": (8, 8, 4), "passes": 12,
                        "simulated": 16, "starts": 2,
                        "what": "plain driver: with sixteen times as much to compute"},
    "decoder-streams": {"file": "decoder", "form": "streams", "sizes": (4, 4, 4), "passes": 12,
                        "starts": 2, "what": "plain driver: in two streams"},
}

# Bytes a second, guessed until they are measured: a model is made and uploaded, host memory is pinned,
# kernels read the card's memory.
LOADING, PINNING, READING, LINK = 2.5e9, 1.2e9, 1e12, 2.5e10


class Skipped(Exception):
    """It cannot be run here; the reason is the message."""


class Failed(Exception):
    """It ran and went wrong."""


def size_of(program, card, level):
    """How many bytes its model is to have: of the card at most a third, of host memory half."""
    if card["simulated"]:
        return program.get("simulated", 32) * MIB
    most = min(card["memory"] / 3, card["host"] / 2, program["sizes"][level] * GIB)
    return int(most // MIB * MIB)


def guess_ample(program, card, level):
    """Seconds of a run with ample memory, as far as can be said before it."""
    if card["simulated"]:
        return 1
    size = size_of(program, card, level)
    return program["starts"] + size / LOADING + program["passes"] * size / READING


def guess_less(weights, alone, ratio, passes, pass_seconds, link):
    """Seconds of a run on W/ratio, of what it took alone. Before it is known how the passes go, some
    are read in place."""
    away = weights * (1 - 1 / ratio)
    return alone + away / PINNING + (1.3 * passes + 6) * max(pass_seconds, away / link)


def command(place, program, size, passes, extra=()):
    """The words that start it; Skipped when its file cannot be had."""
    if program["file"].endswith(".py"):
        if place.simulated:
            raise Skipped("its kernels are machine code, which the simulated card does not run")
        start = [place.python, os.path.join(place.sources, "apps", program["file"])]
    else:
        path = place.binary(program["file"])
        if not path:
            raise Skipped(f"{program['file']} is not built")
        start = [path]
    return start + ["--form", program["form"], "--weights", str(size),
                    "--passes", str(passes), *extra]


def counters(path):
    """What the library printed when the program ended."""
    found = {}
    try:
        with open(path, encoding="utf-8", errors="replace") as log:
            for line in log:
                match = re.match(r"vramshim: (\w+) (\d+)$", line)
                if match:
                    found[match[1]] = int(match[2])
    except OSError:
        pass
    return found


def last_line(text):
    lines = [line for line in text.strip().splitlines() if line.strip()]
    return lines[-1][:300] if lines else "it said nothing"


def ended(words, environment, seconds):
    """Runs a command with all that it starts, for so long at most: (status, output, errors)."""
    with subprocess.Popen(words, env=environment, text=True, errors="replace", start_new_session=True,
                          stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                          stderr=subprocess.PIPE) as process:
        try:
            said = process.communicate(timeout=max(seconds, 1))
        except subprocess.TimeoutExpired:
            raise Failed(f"no end in {seconds:.0f} seconds") from None
        finally:
            try:  # also what it left behind
                os.killpg(process.pid, signal.SIGKILL)
            except ProcessLookupError:
                pass
    return process.returncode, *said


def start(words, environment, seconds):
    """Runs a program to its end: (what it printed last as JSON, seconds it took)."""
    begin = time.monotonic()
    status, output, errors = ended(words, environment, seconds)
    took = time.monotonic() - begin
    if status == 77:
        raise Skipped(last_line(errors))
    if status:
        raise Failed(f"status {status}: {last_line(errors)}")
    try:
        return json.loads(output.strip().splitlines()[-1]), took
    except (ValueError, IndexError):
        raise Failed(f"no figures: {last_line(output)}") from None


def steady(passes):
    """Seconds of a pass once nothing changes any more: the median of the second half."""
    return statistics.median(passes[len(passes) // 2:])


def passes_to_steady(passes):
    """Passes after the first until none takes a quarter longer than steady ones."""
    unsteady = [i for i, seconds in enumerate(passes) if seconds > 1.25 * steady(passes)]
    return unsteady[-1] if unsteady else 0


def same(reference, run):
    """Whether it computed the same; None when nothing can be said."""
    if reference.get("exact", True):
        return reference["digest"] == run["digest"]
    if reference.get("tokens"):
        return reference["tokens"] == run["tokens"]
    return None


def figures(reference, run, ratio, link, moved):
    """What a run on less memory is judged by. `link` in bytes a second."""
    away = reference["weights"] * (1 - 1 / ratio)
    compute = steady(reference["passes"])
    limit = max(compute, away / link)
    seconds = steady(run["passes"])
    streamed = len(run["passes"]) - passes_to_steady(run["passes"]) - 1
    found = {
        "pass_seconds": seconds,
        "limit_seconds": limit,
        "compute_seconds": compute,
        "time_over_limit": seconds / limit,
        "passes_to_steady": passes_to_steady(run["passes"]),
        "same": same(reference, run),
    }
    if moved and streamed > 0 and moved.get("bytes_streamed"):
        found["bytes_over_least"] = moved["bytes_streamed"] / streamed / away
    if not any(moved.get(name) for name in ("bytes_streamed", "launches_in_place")) and \
            moved.get("vmm_allocations"):
        del found["time_over_limit"]  # it maps its memory itself, which stays on the card
    return found
