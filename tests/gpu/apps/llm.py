# SPDX-License-Identifier: MIT
"""transformers: a language model built from a config, with random weights in bf16, that generates
tokens greedily, one a pass. The first pass reads the prompt.

    dense    a decoder in the shape of Llama
    experts  a mixture of experts in the shape of Mixtral, two of eight a token
    --offload BYTES   without the library: accelerate keeps so much of it on the card
"""
import contextlib

import app

PROMPT = 32
HEAD = 128
LINE, SHIFTS = 1 << 26, 4093


def config_of(transformers, form, weights):
    """As many layers as the weights are for; the width goes with them."""
    small = weights < app.GIB
    width = 256 if small else 4096
    common = {
        "hidden_size": width, "num_attention_heads": max(width // HEAD, 2),
        "num_key_value_heads": max(width // HEAD // 4, 1), "vocab_size": 1024 if small else 32000,
        "max_position_embeddings": 2048, "tie_word_embeddings": True, "dtype": "bfloat16",
        "bos_token_id": None, "eos_token_id": None, "pad_token_id": 0,
    }
    if form == "dense":
        between = 4 * width
        attention = 2 * width * width + 2 * width * width // 4
        layers = max(weights // (2 * (attention + 3 * width * between)), 2)
        return transformers.LlamaConfig(intermediate_size=between, num_hidden_layers=layers, **common)
    experts, between = 8, 2 * width
    attention = 2 * width * width + 2 * width * width // 4
    layers = max(weights // (2 * (attention + experts * 3 * width * between)), 2)
    return transformers.MixtralConfig(intermediate_size=between, num_hidden_layers=layers,
                                      num_local_experts=experts, num_experts_per_tok=2, **common)


def as_they_come(transformers):
    """Weights are not set to anything, which takes minutes on a processor: they are all set below."""
    for home in ("initialization", "modeling_utils"):
        found = getattr(app.need(f"transformers.{home}"), "no_init_weights", None)
        if found:
            return found()
    return contextlib.nullcontext()


def build(torch, transformers, options):
    """On the card at once, or, to be offloaded, in host memory first."""
    config = config_of(transformers, options.form, options.weights)
    where = "cpu" if options.offload else options.device
    before = torch.get_default_dtype()
    torch.set_default_dtype(torch.bfloat16)
    with torch.device(where), as_they_come(transformers):
        model = transformers.AutoModelForCausalLM.from_config(config)
    torch.set_default_dtype(before)
    model.tie_weights()
    # The same weights wherever they are made: stretches of one line of numbers, uploaded one after the
    # other as a loader uploads tensors.
    line = torch.empty(LINE + SHIFTS, dtype=torch.bfloat16)
    line.normal_(0, 0.02, generator=torch.Generator().manual_seed(1))
    for number, (name, weight) in enumerate(model.named_parameters()):
        if "norm" in name:
            weight.fill_(1)
            continue
        for piece, part in enumerate(weight.view(-1).split(LINE)):
            shift = (31 * number + 1009 * piece) % SHIFTS
            part.copy_(line[shift:shift + part.numel()])
    return model.eval()


def offloaded(model, budget):
    accelerate = app.need("accelerate")
    places = accelerate.infer_auto_device_map(
        model, max_memory={0: budget, "cpu": 1 << 45}, no_split_module_classes=model._no_split_modules,
        dtype=next(model.parameters()).dtype)
    return accelerate.dispatch_model(model, places)


def main():
    options = app.options(("dense", "experts"), offload={"type": int, "metavar": "BYTES"})
    torch = app.torch_on(options.device)
    transformers = app.need("transformers")
    transformers.utils.logging.set_verbosity_error()
    model = build(torch, transformers, options)
    weights = sum(weight.numel() * weight.element_size() for weight in
                  {weight.data_ptr(): weight for weight in model.parameters()}.values())
    if options.offload:
        model = offloaded(model, options.offload)
    tokens = torch.arange(1, PROMPT + 1, device=options.device).view(1, -1) * 17 % 1000
    said, digests, cache = [], [], None
    app.torch_loaded(torch, options.device)
    watch = app.Stopwatch(app.torch_wait(torch, options.device))
    for _ in range(options.passes):
        watch.begin()
        out = model(input_ids=tokens, past_key_values=cache, use_cache=True)
        cache = out.past_key_values
        logits = out.logits[:, -1].float()
        tokens = logits.argmax(-1, keepdim=True)
        said.append(int(tokens))
        watch.end()
        digests.append(app.tensor_bytes(logits))
    app.finish(weights=weights, other=app.torch_other(torch, options.device, weights),
               passes=watch.passes, digest=app.digest_of(*digests), tokens=said,
               exact=options.form == "dense")


if __name__ == "__main__":
    main()
