# SPDX-License-Identifier: MIT
"""PyTorch: the three parts of an image generator, in their order: a text encoder that is read once,
a transformer over picture patches that is read at every step, and a decoder of convolutions. A pass is
a step; the encoder belongs to the first, the decoder to the last.
"""
import app

PATCHES = 1024
WORDS = 77


class Block:
    """Attention and a gated layer, as in a diffusion transformer."""

    def __init__(self, torch, width, device):
        self.torch = torch
        self.weights = [torch.randn(*shape, dtype=torch.bfloat16, device=device) / shape[0] ** 0.5
                        for shape in ((width, 3 * width), (width, width), (width, 8 * width),
                                      (4 * width, width))]

    def __call__(self, x):
        torch = self.torch
        functional = torch.nn.functional
        width = x.shape[-1]
        qkv, out, up, down = self.weights
        heads = (functional.layer_norm(x, (width,)) @ qkv).view(1, -1, 3, width // 64, 64)
        q, k, v = heads.permute(2, 0, 3, 1, 4)
        x = x + functional.scaled_dot_product_attention(q, k, v).transpose(1, 2).reshape(1, -1, width) @ out
        gate, value = (functional.layer_norm(x, (width,)) @ up).chunk(2, -1)
        return x + functional.silu(gate) * value @ down

    def bytes(self):
        return sum(weight.numel() * 2 for weight in self.weights)


def picture(torch, x, filters):
    """Patches to pixels: each convolution doubles both sides."""
    side = int(x.shape[1] ** 0.5)
    x = x.transpose(1, 2).reshape(1, -1, side, side)
    for weight in filters:
        x = torch.nn.functional.silu(torch.nn.functional.conv2d(x, weight, padding=1))
        x = torch.nn.functional.interpolate(x, scale_factor=2)
    return x


def main():
    options = app.options(("eager",))
    torch = app.torch_on(options.device)
    torch.backends.cudnn.deterministic = True
    width = 3072 if options.weights >= 2 * app.GIB else 128
    one = 2 * 16 * width * width
    blocks = [Block(torch, width, options.device) for _ in range(max(options.weights * 6 // 10 // one, 2))]
    encoder = [Block(torch, width, options.device) for _ in range(max(options.weights * 4 // 10 // one, 1))]
    channels = (width, width // 4, width // 8, 16)
    filters = [torch.randn(b, a, 3, 3, dtype=torch.bfloat16, device=options.device) / (9 * a) ** 0.5
               for a, b in zip(channels, channels[1:])]
    weights = sum(block.bytes() for block in blocks + encoder)
    x = torch.randn(1, PATCHES if width > 128 else 64, width, dtype=torch.bfloat16, device=options.device)
    words = torch.randn(1, WORDS, width, dtype=torch.bfloat16, device=options.device)
    digests = []
    app.torch_loaded(torch, options.device)
    watch = app.Stopwatch(app.torch_wait(torch, options.device))
    for step in range(options.passes):
        watch.begin()
        if step == 0:
            for block in encoder:
                words = block(words)
        both = torch.cat((words, x), 1)
        for block in blocks:
            both = block(both)
        x = x - 0.1 * torch.nn.functional.layer_norm(both[:, WORDS:], (width,))
        if step == options.passes - 1:
            digests.append(app.tensor_bytes(picture(torch, x, filters)))
        watch.end()
        digests.append(app.tensor_bytes(x))
    app.finish(weights=weights, other=app.torch_other(torch, options.device, weights),
               passes=watch.passes, digest=app.digest_of(*digests), exact=True)


if __name__ == "__main__":
    main()
