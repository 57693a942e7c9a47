# SPDX-License-Identifier: MIT
"""Triton: matrix-vector products by a kernel of its own, over weights that PyTorch allocated, a matrix
a launch, and every fourth layer by a kernel that is given all of its matrices in one pointer and picks
one by an index in device memory.
"""
import app

WIDTH = 8192


def kernels():
    triton = app.need("triton")
    language = app.need("triton.language")
    globals().update(tl=language)

    @triton.jit
    def product(weights, x, out, picked, width: tl.constexpr, rows: tl.constexpr):  # noqa: F821
        row = tl.program_id(0) * rows + tl.arange(0, rows)  # noqa: F821
        matrix = tl.load(picked).to(tl.int64) * width * width  # noqa: F821
        total = tl.zeros((rows,), dtype=tl.float32)  # noqa: F821
        for at in range(0, width, 64):
            column = at + tl.arange(0, 64)  # noqa: F821
            part = tl.load(weights + matrix + row[:, None] * width + column[None, :])  # noqa: F821
            total += tl.sum(part.to(tl.float32) * tl.load(x + column)[None, :], 1)  # noqa: F821
        tl.store(out + row, total)  # noqa: F821
    return product


def main():
    options = app.options(("triton",))
    torch = app.torch_on(options.device)
    product = kernels()
    width = WIDTH if options.weights >= 2 * app.GIB else 512
    one = 2 * width * width
    count = max(options.weights // one // 4 * 4, 4)

    def random(n):
        return torch.randn(n, width, width, dtype=torch.bfloat16, device=options.device) / width ** 0.5
    layers = [random(4) if i % 16 == 0 else random(1) for i in range(0, count, 4)
              for _ in range(1 if i % 16 == 0 else 4)]
    weights = sum(layer.numel() * 2 for layer in layers)
    first = torch.zeros(1, dtype=torch.int32, device=options.device)
    x = torch.randn(width, dtype=torch.float32, device=options.device)
    out = torch.empty_like(x)
    digests = []
    app.torch_loaded(torch, options.device)
    watch = app.Stopwatch(app.torch_wait(torch, options.device))
    for number in range(options.passes):
        watch.begin()
        picked = torch.full((1,), number % 4, dtype=torch.int32, device=options.device)
        for layer in layers:
            product[(width // 8,)](layer, x, out, picked if len(layer) > 1 else first, width, 8)
            x = torch.nn.functional.rms_norm(x + out, (width,))
        watch.end()
        digests.append(app.tensor_bytes(x))
    app.finish(weights=weights, other=app.torch_other(torch, options.device, weights),
               passes=watch.passes, digest=app.digest_of(*digests), exact=True)


if __name__ == "__main__":
    main()
