# SPDX-License-Identifier: MIT
"""Arrays of other libraries: a stack of matrices that a vector goes through, pass after pass.

    cupy  products of cuBLAS and elementwise kernels, compiled on the spot; memory from CuPy's pool
    jax   one compiled step over the list of matrices; JAX's own allocator, growing as needed
"""
import os

import app

WIDTH = 8192


def by_cupy(options, width, count):
    cupy = app.need("cupy")
    try:
        if cupy.cuda.runtime.getDeviceCount() < 1:
            app.skip("CuPy finds no card")
    except cupy.cuda.runtime.CUDARuntimeError as error:
        app.skip(f"CuPy: {error}")
    random = cupy.random.RandomState(1)
    layers = [random.standard_normal((width, width), dtype=cupy.float32) / width ** 0.5
              for _ in range(count)]
    bend = cupy.ElementwiseKernel("float32 x, float32 y", "float32 z", "z = x + tanhf(y)", "bend")
    x = random.standard_normal((4, width), dtype=cupy.float32)
    pool = cupy.get_default_memory_pool()

    def step(x):
        for layer in layers:
            x = bend(x, x @ layer)
            x /= cupy.sqrt((x * x).mean(1, keepdims=True))
        return x

    def held():
        return max(pool.total_bytes() - sum(layer.nbytes for layer in layers), 0)
    return x, step, cupy.cuda.runtime.deviceSynchronize, lambda x: cupy.asnumpy(x).tobytes(), held


def by_jax(options, width, count):
    os.environ["XLA_PYTHON_CLIENT_PREALLOCATE"] = "false"
    os.environ["XLA_FLAGS"] = os.environ.get("XLA_FLAGS", "") + \
        " --xla_gpu_deterministic_ops=true --xla_gpu_autotune_level=0"
    jax = app.need("jax")
    if options.device == "cuda" and jax.default_backend() != "gpu":
        app.skip("JAX finds no card")
    numpy = app.need("numpy")
    keys = jax.random.split(jax.random.key(1), count + 1)

    @jax.jit
    def make(key):
        return jax.random.normal(key, (width, width), "float32") / width ** 0.5

    @jax.jit
    def step(x, layers):
        for layer in layers:
            x = x + jax.numpy.tanh(x @ layer)
            x = x / jax.numpy.sqrt((x * x).mean(1, keepdims=True))
        return x
    layers = [make(key) for key in keys[1:]]
    x = jax.random.normal(keys[0], (4, width), "float32")

    def held():
        statistics = jax.devices()[0].memory_stats() or {}
        return max(statistics.get("peak_bytes_in_use", 0) - count * 4 * width * width, 64 << 20)
    return (x, lambda x: step(x, layers).block_until_ready(), lambda: None,
            lambda x: numpy.asarray(x).tobytes(), held)


def main():
    options = app.options(("cupy", "jax"))
    width = WIDTH if options.weights >= 2 * app.GIB else 512
    count = max(options.weights // (4 * width * width), 2)
    x, step, wait, content, held = {"cupy": by_cupy, "jax": by_jax}[options.form](options, width, count)
    digests = []
    watch = app.Stopwatch(wait)
    for _ in range(options.passes):
        watch.begin()
        x = step(x)
        watch.end()
        digests.append(content(x))
    app.finish(weights=count * 4 * width * width, other=held(), passes=watch.passes,
               digest=app.digest_of(*digests), exact=True)


if __name__ == "__main__":
    main()
