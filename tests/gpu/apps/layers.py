# SPDX-License-Identifier: MIT
"""PyTorch: a stack of linear layers in bf16 over a few rows, as a decoder's are; every pass reads all
weights once, in order, and computes next to nothing for each.

    eager     call by call
    compile   torch.compile with CUDA graphs (mode reduce-overhead)
    segments  eager, with expandable_segments: PyTorch maps memory itself
    streams   eager, halves of each layer in two streams
"""
import os

import app

WIDTH = 8192
ROWS = 4


def main():
    options = app.options(("eager", "compile", "segments", "streams"))
    if options.form == "segments":
        os.environ["PYTORCH_CUDA_ALLOC_CONF"] = os.environ["PYTORCH_ALLOC_CONF"] = \
            "expandable_segments:True"
    torch = app.torch_on(options.device)
    width = WIDTH if options.weights >= 2 * app.GIB else 512
    one = 2 * width * width
    # Parameters of a module: what a graph is told stays where it is, and does not copy anew each time.
    layers = torch.nn.ParameterList()
    for _ in range(max(options.weights // one, 2)):
        weight = torch.randn(width, width, dtype=torch.bfloat16, device=options.device) / width ** 0.5
        layers.append(torch.nn.Parameter(weight, requires_grad=False))
    weights = len(layers) * one

    def layer(x, weight):
        return torch.nn.functional.rms_norm(x + torch.nn.functional.silu(x @ weight), (width,))

    class Stack(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.layers = layers

        def forward(self, x):
            for weight in self.layers:
                x = layer(x, weight)
            return x
    eager = Stack()

    def in_streams(x):
        other = in_streams.other
        for weight in layers:
            other.wait_stream(torch.cuda.current_stream())
            half = width // 2
            with torch.cuda.stream(other):
                right = torch.nn.functional.silu(x @ weight[:, half:])
            left = torch.nn.functional.silu(x @ weight[:, :half])
            torch.cuda.current_stream().wait_stream(other)
            x = torch.nn.functional.rms_norm(x + torch.cat((left, right), 1), (width,))
            right.record_stream(torch.cuda.current_stream())
        return x
    step = eager
    if options.form == "compile":
        step = torch.compile(eager, mode="reduce-overhead") if options.device == "cuda" else eager
    elif options.form == "streams" and options.device == "cuda":
        in_streams.other = torch.cuda.Stream()
        step = in_streams
    x = torch.randn(ROWS, width, dtype=torch.bfloat16, device=options.device)
    first = x.clone()
    if options.form == "compile":  # twice to warm up, once to record
        for _ in range(3):
            step(first.clone())
    digests = []
    app.torch_loaded(torch, options.device)
    watch = app.Stopwatch(app.torch_wait(torch, options.device))
    for _ in range(options.passes):
        watch.begin()
        x = step(x).clone()
        watch.end()
        digests.append(app.tensor_bytes(x))
    app.finish(weights=weights, other=app.torch_other(torch, options.device, weights),
               passes=watch.passes, digest=app.digest_of(*digests), exact=True)


if __name__ == "__main__":
    main()
