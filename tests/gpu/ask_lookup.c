/* SPDX-License-Identifier: MIT */
/*
 * Whether a call has one address, however a program looks it up; routing by address rests on that.
 * And whether the driver takes the kernels that the library brings.
 */
#include <dlfcn.h>
#include <stdio.h>
#include <string.h>

#include "runtime/digest.h"
#include "runtime/guard.h"
#include "tests/gpu/card.h"
#include "tests/gpu/experiments.h"
#include "tests/gpu/report.h"
#include "tests/preload/rows.h"

struct lookup {
    unsigned int same, different, missing, unanswered;
    unsigned int ours; /* of the different ones: those the library stands in for */
};

/* The name that cuGetProcAddress() knows a call by: without the version. */
static void base_name(const char *symbol, char *out, size_t size)
{
    size_t n = strlen(symbol);

    snprintf(out, size, "%s", symbol);
    if (n > 3 && symbol[n - 3] == '_' && symbol[n - 2] == 'v')
        out[n - 3] = '\0';
}

static CUresult ask(const char *base, void **answered, int version, uint64_t flags)
{
    return cu.cuGetProcAddress_v2 ? cu.cuGetProcAddress_v2(base, answered, version, flags, NULL)
                                  : cu.cuGetProcAddress(base, answered, version, flags);
}

static void look_up(struct lookup *lookup, const struct row *row, const char *symbol,
                    uint64_t flags)
{
    void *exported = dlsym(card.library, symbol);
    void *answered = NULL;
    char base[128];

    base_name(row->symbol, base, sizeof(base));
    if (ask(base, &answered, row->since, flags) != CUDA_SUCCESS)
        answered = NULL;
    if (!exported)
        lookup->missing++;
    else if (!answered)
        lookup->unanswered++;
    else if (answered == exported)
        lookup->same++;
    else
        lookup->different++;
    lookup->ours += exported && answered && answered != exported && row_is_ours(row);
    if (exported && answered && answered != exported && lookup->different <= 100)
        report_figure((double)row->since, "", "differs: %s", symbol);
    else if (exported && !answered && lookup->unanswered <= 100)
        report_figure((double)row->since, "", "not answered: %s", symbol);
}

void experiment_lookup(void)
{
    struct lookup lookup = {.same = 0};

    card_open();
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        look_up(&lookup, &rows[i], rows[i].symbol, CU_GET_PROC_ADDRESS_LEGACY_STREAM);
        if (rows[i].twin)
            look_up(&lookup, &rows[i], rows[i].twin, CU_GET_PROC_ADDRESS_PER_THREAD_DEFAULT_STREAM);
    }
    report_figure(lookup.same, "", "same address");
    report_figure(lookup.different, "", "different address");
    report_figure(lookup.missing, "", "not exported by this driver");
    report_figure(lookup.unanswered, "", "exported, not answered");
    report_figure(lookup.ours, "", "different address, and the library stands in for it");
    report_verdict(
        lookup.ours ? VERDICT_REFUTED : VERDICT_CONFIRMED,
        "%u names have one address, %u have two (%u that matter), %u are not answered, %u "
        "are not there",
        lookup.same, lookup.different, lookup.ours, lookup.unanswered, lookup.missing);
}

/* 0 when the driver tells offset and size of the last of `n` parameters, and of none after it. */
static bool is_layout_told(CUfunction function, size_t n, size_t offset)
{
    size_t told, size;

    if (!cu.cuFuncGetParamInfo)
        return false;
    if (cu.cuFuncGetParamInfo(function, n - 1, &told, &size) != CUDA_SUCCESS)
        return false;
    return told == offset && size == 8 &&
           cu.cuFuncGetParamInfo(function, n, &told, &size) == CUDA_ERROR_INVALID_VALUE;
}

void experiment_shim_kernels(void)
{
    static const struct {
        const char *name, *text;
        size_t parameters, last;
    } kernels[] = {
        {"vramshim_digest", digest_kernel_text, 3, 16},
        {"vramshim_check", guard_kernel_text, 5, 1816},
        {"vramshim_guard", guard_kernel_text, 2, 1792},
    };
    bool loaded = true, told = true;

    card_open();
    for (size_t i = 0; i < ARRAY_SIZE(kernels); i++) {
        uint64_t from = clock_ns();
        CUfunction function;
        CUmodule module;
        CUresult result = cu.cuModuleLoadData(&module, kernels[i].text);

        if (result == CUDA_SUCCESS)
            result = cu.cuModuleGetFunction(&function, module, kernels[i].name);
        report_figure((double)(clock_ns() - from) / 1e6, "ms", "%s: loaded in", kernels[i].name);
        report_figure((double)result, "", "%s: result", kernels[i].name);
        loaded &= result == CUDA_SUCCESS;
        if (result == CUDA_SUCCESS)
            told &= is_layout_told(function, kernels[i].parameters, kernels[i].last);
    }
    told &= is_layout_told(card.kernels[KERNEL_MANY], 16, 120);
    report_figure(told, "", "cuFuncGetParamInfo tells layouts");
    report_verdict(loaded ? VERDICT_CONFIRMED : VERDICT_REFUTED, "%s; %s",
                   loaded ? "the driver takes them" : "the driver does not take them",
                   told ? "layouts are told by the driver"
                        : "layouts have to come from the images");
}
