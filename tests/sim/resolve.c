/* SPDX-License-Identifier: MIT */
/*
 * cuGetProcAddress: base name, version and flags to the address of an exported entry.
 *
 * A row's base name is its symbol without the _vN suffix. Of the rows that share a base name, the
 * one with the highest suffix whose `since` the caller's version reaches is meant.
 */
#include "tests/sim/calls.h"
#include "tests/sim/core.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

/* The version in a symbol's suffix (1 when it has none), and how long its base name is. */
static int symbol_version(const char *symbol, size_t *base_length)
{
    size_t length = strlen(symbol);
    size_t digits = length;

    *base_length = length;
    while (digits && isdigit((unsigned char)symbol[digits - 1]))
        digits--;
    if (digits == length || digits < 3 || strncmp(symbol + digits - 2, "_v", 2))
        return 1;
    *base_length = digits - 2;
    return atoi(symbol + digits);
}

static CUdriverProcAddressQueryResult resolve(const char *name, int cuda_version, uint64_t flags,
                                              void **out)
{
    CUdriverProcAddressQueryResult status = CU_GET_PROC_ADDRESS_SYMBOL_NOT_FOUND;
    int best = 0;

    for (int id = 0; id < CALL_COUNT; id++) {
        const struct call_row *row = &call_rows[id];
        size_t length;
        int version = symbol_version(row->symbol, &length);

        if (strlen(name) != length || strncmp(name, row->symbol, length) || call_is_hidden(id))
            continue;
        if (row->since > cuda_version) {
            if (!best)
                status = CU_GET_PROC_ADDRESS_VERSION_NOT_SUFFICIENT;
            continue;
        }
        if (version < best)
            continue;
        best = version;
        status = CU_GET_PROC_ADDRESS_SUCCESS;
        *out = row->entry;
        if ((flags & CU_GET_PROC_ADDRESS_PER_THREAD_DEFAULT_STREAM) && row->twin_entry)
            *out = row->twin_entry;
    }
    return status;
}

CUresult sim_cuGetProcAddress_v2(const char *symbol, void **pfn, int cuda_version, uint64_t flags,
                                 CUdriverProcAddressQueryResult *symbol_status)
{
    CUdriverProcAddressQueryResult status;
    void *address = NULL;

    if (!symbol || !pfn || cuda_version < 0)
        return CUDA_ERROR_INVALID_VALUE;
    if (flags > CU_GET_PROC_ADDRESS_PER_THREAD_DEFAULT_STREAM + 1)
        return CUDA_ERROR_INVALID_VALUE;
    status = resolve(symbol, cuda_version, flags, &address);
    *pfn = address;
    if (symbol_status)
        *symbol_status = status;
    return status == CU_GET_PROC_ADDRESS_SUCCESS ? CUDA_SUCCESS : CUDA_ERROR_NOT_FOUND;
}

CUresult sim_cuGetProcAddress(const char *symbol, void **pfn, int cuda_version, uint64_t flags)
{
    return sim_cuGetProcAddress_v2(symbol, pfn, cuda_version, flags, NULL);
}
