# SPDX-License-Identifier: MIT
"""Well-known models, by headers that have their names, shapes and types: sizes exact to the byte.

    test_golden.py PLANNER

Every model is written twice: as one GGUF file, and as the folder of safetensors that its publisher
has, with configuration, index and parts.
"""
import os
import re
import sys
import tempfile

import make_model
from formats import Run, Tap, gguf, is_sanitized, tensor, write_files

# Parameters, bytes, tokens of context, bytes of cache, bytes of state.
GOLDEN = {
    "Llama-3-8B": (8030261248, 16060522496, 8192, 1073741824, 0),
    "Llama-3-70B": (70553706496, 141107412992, 8192, 2684354560, 0),
    "Llama-3.1-405B": (405853388800, 811706777600, 8192, 4227858432, 0),
    "Mistral-7B-v0.3": (7248023552, 14496047104, 8192, 1073741824, 0),
    "Mixtral-8x7B": (46702792704, 93405585408, 8192, 1073741824, 0),
    "Mixtral-8x22B": (140630071296, 281260142592, 8192, 1879048192, 0),
    "Qwen3-4B": (4022468096, 8044936192, 8192, 1207959552, 0),
    "Qwen3-8B": (8190735360, 16381470720, 8192, 1207959552, 0),
    "Qwen3-30B-A3B": (30532122624, 61064245248, 4096, 402653184, 0),
    "Qwen3-235B-A22B": (235093634560, 470187269120, 8192, 1577058304, 0),
    "gpt-oss-20b": (20914757184, 13761264768, 131072, 3240099840, 0),
    "gpt-oss-120b": (116829156672, 65248815744, 131072, 4860149760, 0),
    "Nemotron-3-Nano": (31577940288, 63155880576, 8192, 50331648, 49930240),
    "Nemotron-3-Super": (120668707840, 241337415680, 8192, 67108864, 172687360),
    "DeepSeek-V3": (0, 0, 4096, 287834112, 0),
    "FLUX.1-schnell": (11891178560, 23782357120, 8192, 0, 0),
    "FLUX.1-dev": (11901408320, 23802816640, 8192, 0, 0),
    "Qwen-Image": (20430401088, 40860802176, 8192, 0, 0),
    "Z-Image-Turbo": (6154908736, 12309817472, 8192, 0, 0),
}


class Golden(Tap):
    def __init__(self, plan, scratch):
        super().__init__()
        self.plan, self.folder = plan, scratch

    def run(self, *arguments):
        self.last = Run(self.plan, [*arguments], self.folder)
        return self.last

    def answer(self, *arguments):
        run = self.run(*arguments, "--json")
        self.ok(f"{arguments[0]} is judged", run.status in (0, 1), run.err.decode())
        self.report = run.json() if run.status in (0, 1) else {"model": {}, "strategies": []}
        return self.report

    def equal(self, sentence, got, right):
        self.ok(sentence, got == right, f"{got}, not {right}")

    def strategy(self, name):
        return next((s for s in self.report["strategies"] if s["name"] == name), {})


def check_golden(tap, name, path, how):
    parameters, size, context, cache, state = GOLDEN[name]
    model = tap.answer(path, "--gpu", "h200", "--ram", "1TB", "--ctx", str(context), "--for",
                       "llama.cpp")["model"]
    tap.equal(f"{name}{how} has {parameters} parameters", model["parameters"], parameters)
    tap.equal(f"{name}{how} has {size} bytes", model["bytes"], size)
    tap.equal(f"{name}{how} keeps {cache} bytes of {context} tokens",
              model["demand"]["cache"]["bytes"], cache)
    tap.equal(f"{name}{how} has {state} bytes of state", model["demand"]["state"]["bytes"], state)


# Stacks of layers, as the map shows them.
LAYERS = {
    "FLUX.1-dev": [("double_blocks", 19), ("single_blocks", 38)],
    "Qwen-Image": [("transformer_blocks", 60)],
    "Z-Image-Turbo": [("noise_refiner", 2), ("context_refiner", 2), ("layers", 30)],
    "Llama-3-8B": [("blk", 32)],
}


def check_layers(tap, name, path):
    lines = tap.run(path, "--gpu", "h200", "--ram", "1TB", "--explain").out.decode().splitlines()
    rows = [(line.split(), lines[i + 1].strip()) for i, line in enumerate(lines)
            if re.match(r"  .* [\d.]+ \wi?B stay", line)]
    found = [(words[0], len(signs)) for words, signs in rows if words[0] not in ("before", "behind")]
    tap.equal(f"{name} has these layers", found, LAYERS[name])


def check_claims(tap, name):
    """What planners have said of these models, and is not so."""
    report, model = tap.report, tap.report["model"]
    if name == "Mistral-7B-v0.3":
        make_model.BLOCKS[12] = (256, 144)
        make_model.write(os.path.join(tap.folder, "4bit"), name, 12)
        tap.equal("seed 002: Mistral 7B in 16 bits is 14.5 GB, not 28", round(model["bytes"] / 1e9, 1),
                  14.5)
        for device, ram in (("6GiB", "6GiB"), ("4GiB", "4GiB")):
            small = tap.answer("4bit", "--gpu", "RTX 3060", "--vram", device, "--ram", ram)["strategies"]
            best = next(s for s in small if s["name"] == tap.report["recommended"])
            tap.ok(f"seed 002: in 4 bits, {device} are more than it takes of both memories",
                   best["peak_device_bytes"] + best["host_bytes"] < 6.2e9 and best["host_bytes"] < 1.5e9, best)
        tap.report = report
        tap.ok("seed 002: in 4 bits it is 4.1 GB, not 12", "a file of 4.08 GB instead of 14.50 GB" in
               tap.strategy("int4")["why"], tap.strategy("int4"))
    if name != "Nemotron-3-Super":
        return
    tap.equal("seed 000: 120 billion parameters are 241 GB, not 120", round(model["bytes"] / 1e9), 241)
    tap.equal("seed 000: experts are 93 % of it, not 70",
              round(100 * model["expert_bytes"] / model["bytes"]), 93)
    tap.equal("seed 000: 22 of 512 experts make 12.23 billion active, not 8 of 128 12",
              round(model["active_parameters"] / 1e9, 2), 12.23)
    tap.equal("seed 000: the state is 165 MiB, and not what sets the least size",
              round(model["demand"]["state"]["bytes"] / 2 ** 20), 165)
    tap.equal("seed 000: a token keeps 8 KiB", model["demand"]["cache"]["bytes"] // 8192, 8192)
    tap.equal("seed 000: experts that the CPU computes are bound by host memory, not by the link",
              tap.strategy("engine").get("bound"), "host memory")


def check_pipeline(tap, model, encoder, decoder, how):
    """A picture's three components: the seeds' example of a pipeline."""
    arguments = ["--gpu", "RTX 3060", "--link", "gen3x16", "--ram", "32GiB", "--vram", "13GiB"]
    parts = ["--encoder", encoder, "--decoder", decoder] if encoder else []
    tap.answer(model, *parts, *arguments)
    tap.equal(f"components change places where each fits alone{how}",
              tap.strategy("swap").get("fits"), True)
    tap.equal(f"and do not where two have to stay together{how}",
              tap.strategy("swap-encoder").get("fits"), False)
    tap.equal(f"tiles make decoding smaller{how}", tap.strategy("vae-tiling").get("fits"), True)
    report = tap.report
    tap.equal(f"of one picture there is nothing to decode one by one{how}", tap.strategy("vae-slicing"), {})
    said = tap.run(model, *parts, *arguments, "--explain").out
    tap.ok(f"encoding an image takes less than decoding it{how}",
           b"encoding it takes 3.5 GiB give or take 40 %, less than decoding (4.3 GiB)" in said, said)
    tap.answer(model, *parts, *arguments, "--batch", "4", "--image", "512x512")
    tap.equal(f"of several there is{how}", tap.strategy("vae-slicing").get("quality"), "identical")
    return report


def without_counts(report):
    """How many small tensors stay depends on their order, which files and folders do not share."""
    return [dict(strategy, why=re.sub(r"^\d+ of", "some of", strategy["why"]))
            for strategy in report["strategies"]]


def check_picture(tap):
    make_model.write(os.path.join(tap.folder, "model.gguf"), "Z-Image-Turbo")
    make_model.write(os.path.join(tap.folder, "encoder.gguf"), "Qwen3-4B")
    decoder = [("decoder.conv_in.weight", (8192, 10240))]
    write_files(tap.folder, {"decoder.gguf": lambda path: sparse_gguf(path, decoder)})
    files = check_pipeline(tap, "model.gguf", "encoder.gguf", "decoder.gguf", "")
    make_model.write_pipeline(os.path.join(tap.folder, "pipeline"), "Z-Image-Turbo", "Qwen3-4B",
                              decoder)
    folder = check_pipeline(tap, "pipeline", None, None, ", of a folder too")
    tap.equal("a folder is the same as its components", without_counts(folder), without_counts(files))
    tap.answer("model.gguf", "encoder.gguf", "decoder.gguf", "--gpu", "RTX 3060", "--link", "gen3x16",
               "--ram", "32GiB", "--vram", "13GiB")
    tap.equal("so are files that are told apart by what is in them", tap.report["strategies"],
              files["strategies"])
    tap.answer("model.gguf", "--gpu", "RTX 3060", "--link", "gen3x16", "--ram", "32GiB", "--vram",
               "13GiB")
    tap.equal("a model of one part does not change places",
              [s for s in tap.report["strategies"] if s["name"].startswith("swap")], [])
    run = tap.run("encoder.gguf", "--encoder", "model.gguf", "--vram", "1GiB")
    tap.ok("a language model has no encoder",
           run.status == 2 and b"only image models have an encoder" in run.err, run.err)


# Seed 003's presets: card, gigabytes, type of numbers, ways.
CARDS = (
    ("RTX 2060", 6, "float16", "cards of 6 to 8 GB", "stream-all, vae-slicing, vae-tiling"),
    ("RTX 4060", 8, "bfloat16", "cards of 6 to 8 GB", "stream-all, vae-slicing, vae-tiling"),
    ("RTX 3060", 12, "bfloat16", "cards of 8 to 12 GB", "swap, vae-slicing, vae-tiling"),
    ("RTX 4060 Ti", 16, "bfloat16", "cards of 16 to 24 GB", "vae-slicing"),
    ("RTX 4090", 24, "bfloat16", "cards of 16 to 24 GB", "vae-slicing"),
)


def check_presets(tap):
    """The folder that check_picture() has written, on cards of all classes."""
    for card, size, kind, cards, ways in CARDS:
        arguments = ("pipeline", "--gpu", card, "--ram", "64GiB")
        said = tap.run(*arguments, "--compare").out.decode()
        tap.ok(f"seed 003: {size} GB have its preset, with the type that the card computes in",
               f"\nGuides           say for {cards}: torch.{kind}, {ways}\n" in said, said)
        recommended = tap.answer(*arguments)["recommended"]
        best = tap.strategy(recommended)
        tap.ok(f"with {size} GB a picture is made, and the same, in {size} GB",
               best.get("quality") == "identical" and best["peak_device_bytes"] <= size << 30, best)
        said = tap.run(*arguments, "--compare", "--image", "4096x4096").out.decode()
        tap.ok(f"seed 003: so has 4096x4096 on {size} GB",
               f"\nGuides           say for pictures of 4096x4096: torch.{kind}, swap, vae-tiling\n" in said, said)
        tap.ok(f"of which model offload does not fit in {size} GB",
               tap.last.status == 1 and "does not fit here: swap" in said, said)
        tap.ok(f"and tiles do, or not even these, in {size} GB",
               ("\nvae-tiling       would fit: " in said) == (size > 8), said)


def check_small(tap):
    """Seeds 000 and 002: what is larger than the card."""
    make_model.write(os.path.join(tap.folder, "mistral.gguf"), "Mistral-7B-v0.3")
    for size in (4, 6, 12):
        report = tap.answer("mistral.gguf", "--vram", f"{size}GiB", "--ram", "32GiB", "--link", "gen3x16")
        stream = tap.strategy("stream")
        tap.equal(f"seed 002: 14.5 GB are streamed through {size} GiB", report["recommended"], "stream")
        tap.equal(f"all that has no room in {size} GiB lies in host memory",
                  stream["host_bytes"] + (size << 30) >= 14.5e9, True)
    tap.answer("mistral.gguf", "--vram", "4GiB", "--ram", "32GiB", "--pinned", "6GiB", "--disk", "32GiB",
               "--link", "gen3x16")
    tap.ok("seed 002: what host memory does not hold lies on the disk",
           tap.report["recommended"] == "spill" and tap.strategy("spill")["disk_bytes"] > 3e9, tap.report)
    tap.answer("pipeline", "--vram", "10GiB", "--ram", "64GiB", "--link", "gen4x16")
    tap.equal("seed 000: a component that is larger than the card does not change places",
              (tap.strategy("swap")["fits"], tap.strategy("swap-encoder")["fits"]), (False, False))
    tap.equal("it is streamed", tap.report["recommended"], "stream")


def sparse_gguf(path, tensors):
    records, offset = [], 0
    for name, dims in tensors:
        size = 2
        for dim in dims:
            size *= dim
        records.append(tensor(name, dims, 1, offset))
        offset += size + -size % 32
    head = gguf([], records)
    with open(path, "wb") as out:
        out.write(head)
        out.truncate(len(head) + offset)


def with_options(arguments, change):
    """The change's options in place of those that were given."""
    left = list(arguments)
    for option in change[::2]:
        if option in left:
            at = left.index(option)
            del left[at:at + 2]
    return left + change


def check_changes(tap):
    """What is said to fit does, when it is asked for."""
    make_model.write(os.path.join(tap.folder, "dense"), "Llama-3-70B")
    make_model.write(os.path.join(tap.folder, "experts"), "gpt-oss-120b")
    wrong, n = [], 0
    for model, context in (("dense", "8192"), ("experts", "65536")):
        for machine in (("RTX 4090", "64GiB", "0"), ("RTX 3060", "8GiB", "5GiB"), ("GB10", "24GiB", "0")):
            arguments = [model, "--ctx", context, "--for", "llama.cpp", "--gpu", machine[0], "--ram", machine[1],
                         "--disk", machine[2]]
            for lacking in [s for s in tap.answer(*arguments)["strategies"] if not s["fits"]]:
                change = lacking["why"].partition("; fits with ")[2].split()
                tap.answer(*with_options(arguments, change))
                n += 1
                if not change or not tap.strategy(lacking["name"]).get("fits"):
                    wrong.append((arguments, lacking["name"], lacking["why"]))
    tap.ok(f"what {n} ways lack is what they fit with", n > 30 and not wrong, wrong)


def check_large(tap):
    """Size and speed of the planner itself."""
    limit = 8 if is_sanitized(tap.plan) else 1
    arguments = ("--gpu", "rtx4090", "--ram", "1TB", "--link", "gen4x16")
    for how, path in (("", "large.gguf"), (", in parts,", "large")):
        if path == "large":
            make_model.write_folder(os.path.join(tap.folder, path), "many", 128)
        else:
            make_model.write(os.path.join(tap.folder, path), "many")
        model = tap.answer(path, *arguments)["model"]
        tap.ok(f"2,000 tensors of 500 GB{how} are judged in 64 MiB",
               tap.last.memory < (64 << 20) * limit, tap.last.memory)
        tap.ok(f"2,000 tensors of 500 GB{how} are judged in a fifth of a second",
               tap.last.seconds < 0.2 * limit, tap.last.seconds)
        tap.equal("and none is lost", (model["tensors"], model["bytes"] > 5e11), (2001, True))


def main():
    plan = os.path.abspath(sys.argv[1])
    with tempfile.TemporaryDirectory() as scratch:
        folder = os.path.join(scratch, "files")
        os.mkdir(folder)
        tap = Golden(plan, folder)
        for name in GOLDEN:
            path = os.path.join(folder, f"{name}.gguf")
            make_model.write(path, name)
            check_golden(tap, name, f"{name}.gguf", "")
            check_claims(tap, name)
            if name in LAYERS:
                check_layers(tap, name, f"{name}.gguf")
            os.remove(path)
            if GOLDEN[name][1]:
                make_model.write_folder(os.path.join(folder, name), name)
                check_golden(tap, name, name, ", as safetensors,")
                check_claims(tap, name)
        make_model.write(os.path.join(folder, "flux.gguf"), "FLUX.1-dev")
        tap.answer("flux.gguf", "--gpu", "RTX 3060", "--ram", "64GiB", "--driver", "0")
        tap.ok("seed 000: two blocks of FLUX take their own size, not 3 GB",
               tap.strategy("stream-blocks")["peak_device_bytes"] < 2.4e9)
        check_picture(tap)
        check_presets(tap)
        check_small(tap)
        check_changes(tap)
        check_large(tap)
        tap.finish()


if __name__ == "__main__":
    main()
