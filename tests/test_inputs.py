# SPDX-License-Identifier: MIT
"""What the planner takes: parts, indexes, folders, one file with all components, several at once.

    test_inputs.py PLANNER
"""
import json
import os

import sys
import tempfile

from formats import (Run, Tap, entry, gguf, safetensors, sparse, string, tensor, u32, weights,
                     write_files)
from test_bad_inputs import CONFIG, FIRST, SECOND, llama, part

MACHINE = ("--gpu", "RTX 3060", "--ram", "64GiB")
ADAPTER = gguf([string("general.type", "adapter"), string("general.architecture", "llama")],
               [tensor("blk.0.attn_q.weight.lora_a", (64, 1))], bytes(256))
PROJECTOR = gguf([string("general.type", "mmproj"), string("general.architecture", "clip")],
                 [tensor("v.blk.0.attn_q.weight", (64, 2))], bytes(512))
FILES = {
    "model.gguf": llama(),
    "adapter.gguf": ADAPTER,
    "lora/adapter_config.json": "{}",
    "lora/adapter_model.safetensors": weights(**{"x.lora_A.weight": (4,), "x.lora_B.weight": (4,)}),
    "mmproj.gguf": PROJECTOR,
    FIRST: part(0, total=2),
    SECOND: part(1),
    "hf/config.json": CONFIG,
    "hf/model.safetensors": weights(**{"model.layers.0.self_attn.q_proj.weight": (64, 64),
                                       "model.embed_tokens.weight": (100, 64)}),
    "hf/model.fp16.safetensors": weights(other=(1,)),
    "hf/pytorch_model.bin": b"PK\3\4",
    "cache/refs/main": "0123456789" * 4,
    "cache/blobs/a": weights(x=(8,)),
    f"cache/snapshots/{'0123456789' * 4}/config.json": CONFIG,
    f"cache/snapshots/{'0123456789' * 4}/model.safetensors":
        lambda path: os.symlink("../../blobs/a", path),
    "gg/model.gguf": llama(),
    "gg/mmproj-model.gguf": PROJECTOR,
    "two/a.gguf": llama(),
    "two/b.gguf": llama(),
    "variant/config.json": CONFIG,
    "variant/model.safetensors.index.fp16.json":
        '{"weight_map":{"x":"model.fp16-00001-of-00002.safetensors",'
        '"y":"model.fp16-00002-of-00002.safetensors"}}',
    "variant/model.fp16-00001-of-00002.safetensors": weights(x=(8,)),
    "variant/model.fp16-00002-of-00002.safetensors": weights(y=(8,)),
    "fp16/config.json": CONFIG,
    "fp16/model.fp16.safetensors": weights(x=(8,)),
    "all.safetensors": weights(**{"model.diffusion_model.double_blocks.0.img_mod.lin.weight": (64, 64),
                                  "first_stage_model.decoder.conv_in.weight": (8,),
                                  "text_encoders.clip.x": (16,)}),
    "flux.safetensors": weights(**{"double_blocks.0.img_mod.lin.weight": (64, 64)}),
    "sd3.safetensors": weights(**{"joint_blocks.0.x": (8,)}),
    "wan.safetensors": weights(**{"blocks.0.x": (8,), "head.modulation": (8,)}),
    "anima.safetensors": weights(**{"net.llm_adapter.blocks.0.x": (8,), "net.blocks.0.x": (8,)}),
    "hunyuan.safetensors": weights(**{"txt_in.individual_token_refiner.blocks.0.x": (8,),
                                      "double_blocks.0.x": (8,)}),
    "clip.safetensors": weights(**{"text_model.x": (16,)}),
    "ae.safetensors": weights(**{"decoder.conv_in.weight": (8,)}),
    "wan/model_index.json": json.dumps({
        "_class_name": "WanPipeline", "transformer": ["diffusers", "WanTransformer3DModel"],
        "transformer_2": ["diffusers", "WanTransformer3DModel"], "boundary_ratio": 0.5}),
    "wan/transformer/diffusion_pytorch_model.safetensors": weights(**{"blocks.0.x": (4,)}),
    "wan/transformer_2/diffusion_pytorch_model.safetensors": weights(**{"blocks.0.x": (4,)}),
    "xl/model_index.json": json.dumps({
        "_class_name": "StableDiffusionXLPipeline", "unet": ["diffusers", "UNet2DConditionModel"],
        "text_encoder": ["transformers", "CLIPTextModel"],
        "text_encoder_2": ["transformers", "CLIPTextModelWithProjection"],
        "vae": ["diffusers", "AutoencoderKL"], "image_encoder": [None, None]}),
    "xl/unet/diffusion_pytorch_model.fp16.safetensors": weights(x=(4,)),
    "xl/text_encoder/model.safetensors": weights(x=(4,)),
    "xl/text_encoder_2/model.safetensors": weights(x=(4,)),
    "xl/vae/diffusion_pytorch_model.safetensors": weights(x=(4,)),
    f"alone/snapshots/{'0123456789' * 4}/config.json": CONFIG,
    f"alone/snapshots/{'0123456789' * 4}/model.safetensors": weights(x=(8,)),
    "bare/adapter_model.safetensors": weights(x=(4,)),
    "both/config.json": CONFIG, "both/model.safetensors": weights(x=(8,)), "both/m.gguf": llama(),
    "7": llama(),
    "stacked.gguf": None, "single.gguf": None,
    "total/config.json": CONFIG,
    "total/model.safetensors.index.json":
        '{"metadata":{"total_size":9},"weight_map":{"x":"a.safetensors"}}',
    "total/a.safetensors": weights(x=(8,)),
    "packed.safetensors": safetensors({
        "a.qweight": {"dtype": "I32", "shape": [4], "data_offsets": [0, 16]},
        "a.scales": {"dtype": "F16", "shape": [8], "data_offsets": [16, 32]},
        "b.weight": {"dtype": "U8", "shape": [4], "data_offsets": [32, 36]},
        "b.weight_scale": {"dtype": "F8_E4M3", "shape": [4], "data_offsets": [36, 40]},
        "c.weight": {"dtype": "F8_E4M3", "shape": [4], "data_offsets": [40, 44]}}, bytes(44)),
}


def roles(report):
    return [(part["role"], part["file"], part["bytes"]) for part in report["model"]["inputs"]]


# Sentence, arguments, what of the answer, what it is.
ROWS = (
    ("a model in parts is one model", [FIRST], lambda r: (r["parts"], r["tensors"], r["bytes"]),
     (2, 2, 64)),
    ("a folder of weights is a model", ["hf"],
     lambda r: (r["format"], r["version"], r["architecture"], r["known"], r["parameters"]),
     ("safetensors", None, "llama", True, 10496)),
    ("so is its file", ["hf/model.safetensors"], lambda r: (r["architecture"], r["known"]),
     ("llama", True)),
    ("and its configuration", ["hf/config.json"], lambda r: r["parameters"], 10496),
    ("roles are known by the names of transformers too", ["hf"],
     lambda r: {role["name"]: role["bytes"] for role in r["roles"]},
     {"attention": 8192, "embeddings": 12800}),
    ("what was not chosen is said", ["hf"], lambda r: r["note"],
     "model.safetensors was read; model.fp16.safetensors was not"),
    ("nor is a GGUF file beside them", ["both"], lambda r: (r["format"], r["note"]),
     ("safetensors", "model.safetensors was read; m.gguf was not")),
    ("the only variant is taken", ["fp16"], lambda r: r["bytes"], 16),
    ("so is an index of one", ["variant"], lambda r: (r["bytes"], r["parts"]), (32, 2)),
    ("a folder may have a GGUF model, beside its projector", ["gg"],
     lambda r: (r["format"], r["inputs"][0]["file"], len(r["inputs"])), ("GGUF", "gg/model.gguf", 1)),
    ("of a download cache the current revision is taken", ["cache"],
     lambda r: (r["bytes"], r["architecture"]), (16, "llama")),
    ("an index that says another size than there is is not believed", ["total"],
     lambda r: (r["bytes"], r["note"]), (16, "the index's total_size is 9; its tensors have 16 bytes")),
    ("where none is current, the only one", ["alone"], lambda r: (r["bytes"], r["architecture"]),
     (16, "llama")),
    ("a folder may end in a slash", ["hf/"], lambda r: r["parameters"], 10496),
    ("a file may be called like a number", ["7"], lambda r: r["architecture"], "llama"),
    ("numbers of packed types are counted, scales are not", ["packed.safetensors"],
     lambda r: (r["parameters"], r["bytes"]), (32 + 8 + 4, 44)),
    *((f"{name} is told by its names", [f"{file}.safetensors"],
       lambda r: (r["architecture"], r["known"]), (name, True))
      for file, name in (("flux", "flux"), ("sd3", "sd3"), ("wan", "wan"), ("anima", "anima"),
                         ("hunyuan", "hunyuan_video"))),
    ("a size has no parameters that anybody counted", ["40GB"],
     lambda r: (r["bytes"], r["parameters"]), (40 * 10 ** 9, 0)),
    ("parameters have the size of their type", ["7Bparams@q8_0"],
     lambda r: (r["bytes"], r["parameters"]), (7437500000, 7 * 10 ** 9)),
)

TOGETHER = (
    ("an adapter is added", ["model.gguf", "adapter.gguf"],
     [("model", "model.gguf", 1024), ("adapter", "adapter.gguf", 256)]),
    ("so is a folder with one", ["model.gguf", "lora"],
     [("model", "model.gguf", 1024), ("adapter", "lora", 16)]),
    ("an adapter's file is one by its name, too", ["model.gguf", "bare"],
     [("model", "model.gguf", 1024), ("adapter", "bare", 8)]),
    ("a projector may come first", ["mmproj.gguf", "model.gguf"],
     [("model", "model.gguf", 1024), ("projector", "mmproj.gguf", 512)]),
    ("a second language model is a draft", ["model.gguf", "gg/model.gguf"],
     [("model", "model.gguf", 1024), ("draft", "gg/model.gguf", 1024)]),
    ("all at once", ["model.gguf", "adapter.gguf", "gg/model.gguf", "mmproj.gguf"],
     [("model", "model.gguf", 1024), ("adapter", "adapter.gguf", 256),
      ("draft", "gg/model.gguf", 1024), ("projector", "mmproj.gguf", 512)]),
    ("a file with all components is taken apart", ["all.safetensors"],
     [("model", "all.safetensors", 8192), ("decoder", "all.safetensors", 16),
      ("encoder", "all.safetensors", 32)]),
    ("components in files of their own are told apart",
     ["flux.safetensors", "clip.safetensors", "ae.safetensors"],
     [("model", "flux.safetensors", 8192), ("encoder", "clip.safetensors", 32),
      ("decoder", "ae.safetensors", 16)]),
    ("a second denoiser is one", ["wan"],
     [("model", "wan/transformer", 8), ("second", "wan/transformer_2", 8)]),
    ("a pipeline has all its encoders", ["xl"],
     [("model", "xl/unet", 8), ("encoder", "xl/text_encoder", 8),
      ("encoder", "xl/text_encoder_2", 8), ("decoder", "xl/vae", 8)]),
)


def main():
    plan = os.path.abspath(sys.argv[1])
    tap = Tap()
    with tempfile.TemporaryDirectory() as scratch:
        folder = os.path.join(scratch, "files")
        os.mkdir(folder)
        FILES["stacked.gguf"], FILES["single.gguf"] = mixture(True), mixture(False)
        write_files(folder, FILES)

        def ask(*arguments):
            run = Run(plan, [*arguments, *MACHINE, "--json"], folder)
            return run, run.json() if run.status in (0, 1) else None

        for sentence, arguments, what, right in ROWS:
            run, report = ask(*arguments)
            got = what(report["model"]) if report else run.err
            tap.ok(sentence, got == right, got)
        for sentence, arguments, right in TOGETHER:
            run, report = ask(*arguments)
            got = sorted(roles(report)) if report else run.err
            tap.ok(sentence, got == sorted(right), got)
            tap.ok(f"{sentence}: the model comes first, and nothing is lost",
                   report and roles(report)[0] == right[0] and
                   (report["budget"] is None or min(s["peak_device_bytes"] for s in
                    report["strategies"] if s["name"] == "resident") >= max(r[2] for r in right)))
        check_more(tap, ask)
    tap.finish()


MOE = {"expert_count": 64, "expert_used_count": 2}


def mixture(stacked):
    """64 experts of 2 MiB in each of two layers, as one tensor or as tensors of their own."""
    tensors, offset = [], 0
    for layer in range(2):
        for name in (["ffn_up_exps"] if stacked else [f"ffn_up.{i}" for i in range(64)]):
            dims = (1024, 512, 64) if stacked else (1024, 512)
            tensors.append(tensor(f"blk.{layer}.{name}.weight", dims, 0, offset))
            offset += 4 * 1024 * 512 * (64 if stacked else 1)
    head = llama(tensors, b"", **MOE)
    return sparse(head, len(head) + offset)


def check_mixture(tap, ask):
    seconds = []
    for file in ("stacked.gguf", "single.gguf"):
        report = ask(file, "--driver", "0", "--buffers", "1")[1]
        seconds.append(next(s["pass_seconds"]["high"] for s in report["strategies"] if s["name"] == "resident"))
        tap.ok(f"{file}: all are experts", report["model"]["expert_bytes"] == 2 * 64 * 2 ** 21, report["model"])
    tap.ok("experts that are tensors each take about as long as a stack", seconds[1] < 1.5 * seconds[0], seconds)


def check_more(tap, ask):
    check_mixture(tap, ask)
    alone, draft = ask("model.gguf")[1], ask("model.gguf", "gg/model.gguf")[1]
    cache = [report["model"]["demand"]["cache"]["bytes"] for report in (alone, draft)]
    tap.ok("a draft has a cache of its own", cache[1] == 2 * cache[0] > 0, cache)
    run, _ = ask("adapter.gguf")
    tap.ok("an adapter alone is a mistake", run.status == 2 and b"name the model too" in run.err,
           run.err)
    run, _ = ask("two")
    tap.ok("of several models in a folder one is to be named",
           run.status == 4 and b"2 models in this folder; name one, such as a.gguf" in run.err, run.err)
    run, report = ask("xl")
    tap.ok("the kind of an image model is known by its classes",
           report["model"]["architecture"] == "sdxl", run.err)
    run, report = ask("hf", "--ctx", "256")
    tap.ok("a configuration says what is kept",
           report["model"]["demand"]["cache"]["bytes"] == 2 * 256 * 2 * 2 * 16 * 2, report["model"])


if __name__ == "__main__":
    main()
