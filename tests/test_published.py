# SPDX-License-Identifier: MIT
"""Published figures that predictions are held against: each lies in the range that is predicted.

    test_published.py PLANNER            TAP
    test_published.py PLANNER --table    the table of docs/measurements/published-2026-11-21.md

Models are headers without data, of the sizes that were published. A figure is in seconds of a pass: a
token, or a step of denoising with its share of all else that was timed.
"""
import os
import sys
import tempfile

import make_model
from formats import Run, Tap

Q5_0, Q4_K, Q6_K = 6, 12, 14
make_model.BLOCKS |= {Q5_0: (32, 22), Q4_K: (256, 144), Q6_K: (256, 210)}


def q4_k_m(name):
    """As llama.cpp mixes types: more bits for half of what leads down, others where rows do not fill
    a block."""
    arch, entries, tensors = make_model.MODELS[name]()
    downs, mixed = 0, []
    for tensor, dims, *_ in tensors:
        kind = Q4_K
        if "ffn_down" in tensor:
            downs += 1
            kind = Q6_K if downs % 2 else Q4_K
        if tensor == "output.weight" or "attn_v" in tensor:
            kind = Q6_K
        if dims[0] % 256:
            kind = {Q4_K: Q5_0, Q6_K: make_model.Q8_0}[kind]
        if len(dims) < 2 or "gate_inp" in tensor or "conv1d" in tensor:
            kind = make_model.F32
        mixed.append((tensor, dims, kind))
    make_model.MODELS[f"{name}-Q4_K_M"] = lambda: (arch, entries, mixed)


FILES = {
    "llama": ("Llama-3-8B", make_model.BF16), "llama-q4": ("Llama-3-8B-Q4_K_M", make_model.BF16),
    "oss": ("gpt-oss-20b", make_model.Q8_0), "nano": ("Nemotron-3-Nano-Q4_K_M", make_model.BF16),
    "super": ("Nemotron-3-Super-Q4_K_M", make_model.BF16),
    "image": ("Z-Image-Turbo", make_model.BF16), "image-q8": ("Z-Image-Turbo", make_model.Q8_0),
    "flux": ("FLUX.1-dev", make_model.BF16), "encoder": ("Qwen3-4B", make_model.BF16), "encoder-q8": ("Qwen3-4B", make_model.Q8_0),
}
BENCHMARKS = "GPU-Benchmarks-on-LLM-Inference, May 2024, tg 1024"
THROUGHPUT = "pavlokhmel.com, LLM throughput on 13 GPUs, June 2026"
OVERFLOW = "OverflowML, README of 0.6.0"
LAYERS = "stable-diffusion.cpp, pull request 1477"
DECODING = ("--ram", "64GiB", "--ctx", "2048")
SUPER = ("super", "--gpu", "RTX 5090", "--ram", "194GiB", "--for", "ollama")
PICTURE = ("--gpu", "RTX 3060", "--link", "gen3x16", "--ram", "32GiB", "--image", "688x1024", "--steps",
           "12")
PASSES = 4 * 12

# Source, what, arguments, strategy, seconds of a pass.
FIGURES = [
    (BENCHMARKS, f"Llama 3 8B Q4_K_M, {card}", ("llama-q4", "--gpu", card, *DECODING), "resident",
     1 / rate)
    for card, rate in (("RTX 3070", 70.94), ("RTX 3080", 106.40), ("RTX 4080", 106.22),
                       ("RTX 3090", 111.74), ("RTX 4090", 127.74))
] + [
    (BENCHMARKS, f"Llama 3 8B F16, {card}", ("llama", "--gpu", card, *DECODING), "resident", 1 / rate)
    for card, rate in (("RTX 3090", 46.51), ("RTX 4090", 54.34))
] + [
    (THROUGHPUT, f"gpt-oss-20b, {card}", ("oss", "--gpu", card, *DECODING), "resident", 1 / rate)
    for card, rate in (("V100", 138), ("A100", 189), ("RTX 4080", 210), ("RTX 4090", 266), ("H100", 286),
                       ("H200", 292))
] + [
    (OVERFLOW, "Nemotron 3 Nano in 24 GB, RTX 5090", ("nano", "--gpu", "RTX 5090", "--ram", "194GiB"),
     "resident", 1 / 228),
    (OVERFLOW, "Nemotron 3 Super Q4, RTX 5090, 32K tokens", (*SUPER, "--ctx", "32768"), "engine", 1 / 5.9),
    (OVERFLOW, "the same, 8K", (*SUPER, "--ctx", "8192"), "engine", 1 / 5.6),
    (OVERFLOW, "the same, 2K", (*SUPER, "--ctx", "2048"), "engine", 1 / 5.8),
    # 20 of 88 layers of 90 GiB.
    (OVERFLOW, "the same, 20 layers on the card", (*SUPER, "--vram", "20.5GiB"), "engine", 1 / 5.3),
    (LAYERS, "Z-Image bf16, RTX 3060, layers streamed",
     ("image", "--encoder", "encoder", *PICTURE, "--for", "sd.cpp"), "engine", 175 / PASSES),
    (LAYERS, "Z-Image bf16, --offload-to-cpu --max-vram 9",
     ("image", "--encoder", "encoder", *PICTURE, "--for", "sd.cpp-max-vram", "--vram", "9GiB"), "engine",
     335 / PASSES),
    (LAYERS, "Z-Image Q8, --offload-to-cpu",
     ("image-q8", "--encoder", "encoder", *PICTURE, "--for", "sd.cpp"), "engine", 115 / PASSES),
    (LAYERS, "Z-Image Q8, layers streamed",
     ("image-q8", "--encoder", "encoder", *PICTURE, "--for", "sd.cpp"), "engine", 122 / PASSES),
    (LAYERS, "Z-Image Q8, --max-vram 6",
     ("image-q8", "--encoder", "encoder-q8", *PICTURE, "--for", "sd.cpp-max-vram", "--vram", "6GiB"),
     "engine", 152 / PASSES),
]


class Published(Tap):
    def __init__(self, plan, folder):
        super().__init__()
        self.plan, self.folder = plan, folder

    def strategy(self, arguments, name):
        report = Run(self.plan, [*arguments, "--json"], self.folder).json()
        return next((s for s in report["strategies"] if s["name"] == name), {})

    def range(self, arguments, name):
        seconds = self.strategy(arguments, name).get("pass_seconds", {})
        return seconds.get("low") or 0, seconds.get("high") or 0


def shown(low, high=None):
    unit, name = (1, "s") if low >= 1 else (1e-3, "ms")
    return f"{low / unit:.3g}{f' to {high / unit:.3g}' if high else ''} {name}"


def print_table(tap):
    print("| what | published | predicted | the library's way |\n|---|---|---|---|")
    last = None
    for source, what, arguments, name, seconds in FIGURES:
        ours = "stays on the card" if name == "resident" else shown(
            *tap.range(arguments, "experts-cached" if "super" in arguments else "stream"))
        if source != last:
            print(f"| **{source}** | | | |")
        last = source
        print(f"| {what} | {shown(seconds)} | {shown(*tap.range(arguments, name))} | {ours} |")


def check(tap):
    for source, what, arguments, name, seconds in FIGURES:
        low, high = tap.range(arguments, name)
        tap.ok(f"{source}: {what}: a pass takes {seconds:.3g} s", low <= seconds <= high,
               f"{low:.3g} to {high:.3g} s are predicted")
    split = tap.strategy((*SUPER, "--ctx", "8192"), "engine")
    host = split["host_bytes"] / (split["host_bytes"] + split["peak_device_bytes"])
    tap.ok(f"{OVERFLOW}: of Nemotron 3 Super 32 % are on the card", abs(host - 0.68) < 0.02, host)
    for model in ("image", "flux"):
        demand = Run(tap.plan, [model, "--gpu", "RTX 3060", "--ram", "64GiB", "--json"],
                     tap.folder).json()["model"]["demand"]
        reserve = demand["buffers"]["bytes"] + demand["driver"]["bytes"]
        tap.ok(f"{LAYERS}: beside {model}'s weights 768 MB to 2 GB are kept free", 768e6 < reserve < 2e9,
               reserve)
    few, many = (sum(tap.range((*SUPER, "--ctx", n), "engine")) for n in ("2048", "32768"))
    tap.ok(f"{OVERFLOW}: its context hardly matters", abs(many / few - 1) < 0.05, (few, many))


def main():
    plan = os.path.abspath(sys.argv[1])
    for name in ("Llama-3-8B", "Nemotron-3-Nano", "Nemotron-3-Super"):
        q4_k_m(name)
    with tempfile.TemporaryDirectory() as scratch:
        folder = os.path.join(scratch, "files")
        os.mkdir(folder)
        for file, (name, kind) in FILES.items():
            make_model.write(os.path.join(folder, file), name, kind)
        tap = Published(plan, folder)
        if "--table" in sys.argv:
            print_table(tap)
            return
        check(tap)
        tap.finish()


if __name__ == "__main__":
    main()
