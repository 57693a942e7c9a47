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

RATIOS = (1.25, 1.5, 2, 4)
GIB = 1 << 30
MIB = 1 << 20

# name: its file and form, the GiB of its model (less on a small card) and, simulated, its MiB, how many
# passes it makes; whether there is another way to run it on less memory, and whether it is run with and
# without the library in turns; what it is. Those that matter most come first.
PROGRAMS = {
    "decoder": {"file": "decoder", "form": "decode", "most": 8, "passes": 12, "paired": True,
                "what": "plain driver: a decoder's reads, launch by launch"},
    "decoder-graph": {"file": "decoder", "form": "graph", "most": 4, "passes": 12,
                      "what": "the same as a CUDA graph"},
    "llm-dense": {"file": "llm.py", "form": "dense", "most": 16, "passes": 32, "alternatives": True,
                  "paired": True, "what": "transformers: a dense decoder in bf16, 32 tokens"},
    "cublas-pointers": {"file": "gemms", "form": "pointers", "most": 4, "passes": 12, "simulated": 4,
                        "what": "CUDA C++: cuBLAS, batches through arrays of pointers"},
    "torch-eager": {"file": "layers.py", "form": "eager", "most": 4, "passes": 12, "paired": True,
                    "what": "PyTorch: linear layers, eager"},
    "torch-graphs": {"file": "layers.py", "form": "compile", "most": 4, "passes": 12,
                     "what": "PyTorch: the same by torch.compile with CUDA graphs"},
    "llm-experts": {"file": "llm.py", "form": "experts", "most": 8, "passes": 32, "alternatives": True,
                    "what": "transformers: a mixture of experts in bf16, 32 tokens"},
    "diffusion": {"file": "diffusion.py", "form": "eager", "most": 6, "passes": 10,
                  "what": "PyTorch: text encoder, transformer, decoder of images; a step a pass"},
    "jax": {"file": "arrays.py", "form": "jax", "most": 3, "passes": 12,
            "what": "JAX: a compiled step over a list of weights"},
    "cupy": {"file": "arrays.py", "form": "cupy", "most": 3, "passes": 12,
             "what": "CuPy: products and elementwise kernels"},
    "triton": {"file": "kernels.py", "form": "triton", "most": 4, "passes": 12,
               "what": "Triton: kernels of its own over weights of PyTorch"},
    "torch-streams": {"file": "layers.py", "form": "streams", "most": 4, "passes": 12,
                      "what": "PyTorch: the layers in two streams"},
    "torch-segments": {"file": "layers.py", "form": "segments", "most": 4, "passes": 12,
                       "what": "PyTorch: the layers with expandable_segments"},
    "cublas": {"file": "gemms", "form": "plain", "most": 4, "passes": 12, "simulated": 4,
               "what": "CUDA C++: cuBLAS, product by product"},
    "cublas-strided": {"file": "gemms", "form": "strided", "most": 4, "passes": 12, "simulated": 4,
                       "what": "CUDA C++: cuBLAS, strided batches"},
    "decoder-prefill": {"file": "decoder", "form": "prefill", "most": 8, "passes": 12, "simulated": 16,
                        "what": "plain driver: with sixteen times as much to compute"},
    "decoder-streams": {"file": "decoder", "form": "streams", "most": 4, "passes": 12,
                        "what": "plain driver: in two streams"},
}


class Skipped(Exception):
    """It cannot be run here; the reason is the message."""


class Failed(Exception):
    """It ran and went wrong."""


def size_of(program, card):
    """How many bytes its model is to have."""
    if card["simulated"]:
        return program.get("simulated", 32) * MIB
    return int(min(card["memory"] / 3, program["most"] * GIB) // MIB * MIB)


def command(place, name, program, card, passes, extra=()):
    """The words that start it; Skipped when its file cannot be had."""
    if program["file"].endswith(".py"):
        if card["simulated"]:
            raise Skipped("its kernels are machine code, which the simulated card does not run")
        start = [place.python, os.path.join(place.sources, "apps", program["file"])]
    else:
        path = place.binary(program["file"])
        if not path:
            raise Skipped(f"{program['file']} is not built")
        start = [path]
    return start + ["--form", program["form"], "--weights", str(size_of(program, card)),
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
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)
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
    return found
