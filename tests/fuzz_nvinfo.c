/* SPDX-License-Identifier: MIT */
/*
 * Fuzzing of what reads images: ELF through nvinfo, containers through fatbin. As it is built here
 * it mutates the files given as arguments, as many rounds as FUZZ_ROUNDS says, from a seed
 * that it prints and takes from FUZZ_SEED. With -DLIBFUZZER it is a libFuzzer target.
 */

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "runtime/fatbin.h"
#include "runtime/nvinfo.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static size_t n_kernels;

static int read_image(void *context, const struct fatbin_image *image)
{
    struct nvinfo *info;

    if (nvinfo_read(image->data, image->bytes, &info))
        return 0;
    for (size_t i = 0; i < info->n_kernels; i++) {
        const struct nvinfo_kernel *kernel = &info->kernels[i];
        uint32_t end = 0;

        for (uint32_t j = 0; j < kernel->n_params; j++) {
            if (kernel->params[j].offset < end || !kernel->params[j].bytes)
                abort();
            end = (uint32_t)kernel->params[j].offset + kernel->params[j].bytes;
        }
        *(size_t *)context += strlen(kernel->name); /* all of it is there */
    }
    n_kernels += info->n_kernels;
    nvinfo_free(info);
    return 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct fatbin_image whole = {data, nvinfo_elf_bytes(data, size), 0};
    size_t sum = 0;

    if (whole.bytes > size)
        abort();
    read_image(&sum, &whole);
    whole.bytes = size;
    read_image(&sum, &whole);
    fatbin_walk(data, size, 0, read_image, &sum);
    fatbin_walk(data, size, 75, read_image, &sum);
    return 0;
}

#ifndef LIBFUZZER
static uint64_t state;

static uint64_t draw(uint64_t below)
{
    state ^= state << 13;
    state ^= state >> 7;
    state ^= state << 17;
    return state % below;
}

static void mutate(uint8_t *data, size_t size)
{
    static const uint64_t values[] = {0, 1, 0x7f, 0xff, 0xffff, 0x7fffffff, UINT32_MAX, UINT64_MAX};

    for (uint64_t n = 1 + draw(8); n--;) {
        size_t width = (size_t)1 << draw(4), at = draw(size);
        uint64_t value = draw(2) ? values[draw(8)] : draw(2) ? draw(size + 1) : draw(UINT64_MAX);

        /* Headers and records matter most, and lie at either end. */
        if (draw(3) == 0)
            at = draw(2) ? draw(size < 128 ? size : 128) : size - 1 - draw(size / 4 + 1);
        if (width > size - at)
            width = size - at;
        memcpy(data + at, &value, width);
    }
}

static int fuzz_file(const char *path, uint64_t rounds)
{
    FILE *file = fopen(path, "rb");
    size_t bytes;
    uint8_t *seed;

    if (!file) {
        fprintf(stderr, "%s: cannot be opened; give files to mutate\n", path);
        return -1;
    }
    seed = malloc(1 << 20);
    bytes = fread(seed, 1, 1 << 20, file);
    fclose(file);
    for (uint64_t i = 0; bytes && i < rounds; i++) {
        size_t cut = draw(4) ? bytes : 1 + draw(bytes);
        uint8_t *data = malloc(cut);

        memcpy(data, seed, cut);
        mutate(data, cut);
        LLVMFuzzerTestOneInput(data, cut);
        free(data);
    }
    free(seed);
    return bytes ? 0 : -1;
}

static uint64_t number(const char *name, uint64_t fallback)
{
    const char *text = getenv(name);

    return text ? strtoull(text, NULL, 0) : fallback;
}

int main(int argc, char **argv)
{
    uint64_t rounds = number("FUZZ_ROUNDS", 20000);
    uint64_t seed = number("FUZZ_SEED", 0x2545f4914f6cdd1d);
    int failed = argc < 2;

    printf("seed 0x%llx, %llu rounds per file\n", (unsigned long long)seed,
           (unsigned long long)rounds);
    fflush(stdout); /* a crash must not take it along */
    for (int i = 1; i < argc; i++) {
        state = seed ? seed : 1;
        if (fuzz_file(argv[i], rounds))
            failed = 1;
    }
    printf("%zu kernels read\n", n_kernels);
    return failed || !n_kernels;
}
#endif
