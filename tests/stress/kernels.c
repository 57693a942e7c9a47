/* SPDX-License-Identifier: MIT */
/*
 * Whatever a kernel names may lie in several pages, which the simulated device translates one by
 * one: a kernel here goes through its operands in steps in which each stays within a page.
 */
#include "tests/stress/kernels.h"

#include <dlfcn.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "tests/sim/sim.h"

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

enum {
    PAGE_BYTES = 2 << 20,
};

static void *(*kernel_access)(uint64_t address, size_t bytes, int write);

static size_t until_page_end(uint64_t address)
{
    return PAGE_BYTES - address % PAGE_BYTES;
}

/* The next step from `done`: pointers to the operands, of which the first is written. 0: a fault.
 */
static size_t step(const uint64_t *operands, size_t count, size_t done, size_t n, uint8_t **out)
{
    size_t run = n - done;

    for (size_t i = 0; i < count; i++) {
        size_t most = until_page_end(operands[i] + done);

        run = run < most ? run : most;
    }
    for (size_t i = 0; i < count; i++) {
        out[i] = kernel_access(operands[i] + done, run, i == 0);
        if (!out[i])
            return 0;
    }
    return run;
}

static void run_mix(const void *buffer)
{
    const struct mix_params *p = buffer;
    const uint64_t operands[] = {p->to, p->from};
    uint8_t *at[COUNT(operands)];
    size_t run;

    for (size_t done = 0; done < p->n; done += run) {
        run = step(operands, COUNT(operands), done, p->n, at);
        if (!run)
            return;
        for (size_t i = 0; i < run; i++)
            at[0][i] = mix_byte(at[0][i], at[1][i], p->key);
    }
}

static void run_blend(const void *buffer)
{
    const struct blend_spec *p = &((const struct blend_params *)buffer)->spec;
    const uint64_t operands[] = {p->to, p->left, p->right};
    uint8_t *at[COUNT(operands)];
    size_t run;

    for (size_t done = 0; done < p->n; done += run) {
        run = step(operands, COUNT(operands), done, p->n, at);
        if (!run)
            return;
        for (size_t i = 0; i < run; i++)
            at[0][i] = blend_byte(at[0][i], at[1][i], at[2][i], p->key);
    }
}

static void run_gather(const void *buffer)
{
    const struct gather_params *p = buffer;
    uint64_t operands[1 + GATHER_SOURCES] = {p->to};
    uint8_t *at[COUNT(operands)];
    size_t run;

    memcpy(operands + 1, p->from, sizeof(p->from));
    for (size_t done = 0; done < p->n; done += run) {
        run = step(operands, COUNT(operands), done, p->n, at);
        if (!run)
            return;
        for (size_t i = 0; i < run; i++)
            for (size_t source = 1; source <= GATHER_SOURCES; source++)
                at[0][i] = mix_byte(at[0][i], at[source][i], p->key);
    }
}

static void run_hidden(const void *buffer)
{
    const struct hidden_params *p = buffer;

    for (uint64_t entry = 0; entry < p->count; entry++) {
        const uint64_t *where = kernel_access(p->table + 8 * entry, 8, 0);
        uint8_t *at;
        size_t run;

        for (size_t done = 0; where && done < p->n; done += run) {
            run = step(where, 1, done, p->n, &at);
            if (!run)
                return;
            for (size_t i = 0; i < run; i++)
                at[i] = hidden_byte(at[i], entry, p->key);
        }
    }
}

/* Parameters of 8 bytes, then one of 4. */
static const size_t word_offsets[] = {0, 8, 16, 24, 32, 40, 48, 56, 64, 72};
static const size_t word_sizes[] = {8, 8, 8, 8, 8, 8, 8, 8, 8, 4};
static const size_t key_after_three[] = {8, 8, 8, 4};
static const size_t blend_offsets[] = {0};
static const size_t blend_sizes[] = {sizeof(struct blend_spec)};

static const struct sim_native_kernel natives[] = {
    {"mix", 4, word_offsets, key_after_three, run_mix},
    {"blend", 1, blend_offsets, blend_sizes, run_blend},
    {"gather", 10, word_offsets, word_sizes, run_gather},
    {"hidden", 4, word_offsets, key_after_three, run_hidden},
};

static bool register_natives(void)
{
    void (*add)(const struct sim_native_kernel *) = dlsym(RTLD_DEFAULT, "sim_register_kernel");

    kernel_access = dlsym(RTLD_DEFAULT, "sim_kernel_access");
    if (!add || !kernel_access)
        return false;
    for (size_t i = 0; i < COUNT(natives); i++)
        add(&natives[i]);
    return true;
}

static char *read_text(const char *path)
{
    FILE *file = path ? fopen(path, "r") : NULL;
    char *text = calloc(1, 1 << 20);

    if (!file || !text || !fread(text, 1, (1 << 20) - 1, file)) {
        free(text);
        text = NULL;
    }
    if (file)
        fclose(file);
    return text;
}

CUresult kernels_open(struct kernels *kernels, const char **out_why)
{
    static const char *const names[] = {"mix", "blend", "gather", "hidden"};
    CUfunction *const functions[] = {&kernels->mix, &kernels->blend, &kernels->gather,
                                     &kernels->hidden};
    char *text = NULL;
    CUresult result;

    if (!register_natives()) {
        *out_why = "no simulated driver, and CHURN_PTX names no readable file of kernels";
        text = read_text(getenv("CHURN_PTX"));
        if (!text)
            return CUDA_ERROR_FILE_NOT_FOUND;
    }
    *out_why = "cuModuleLoadData";
    result = cuModuleLoadData(&kernels->module, text ? text : "SIM-NATIVE");
    free(text);
    for (size_t i = 0; i < COUNT(names) && result == CUDA_SUCCESS; i++) {
        *out_why = names[i];
        result = cuModuleGetFunction(functions[i], kernels->module, names[i]);
    }
    return result;
}

void kernels_close(struct kernels *kernels)
{
    (void)cuModuleUnload(kernels->module);
}
