/* SPDX-License-Identifier: MIT */
/*
 * A program linked with -lcuda.
 */

#include "tests/preload/probe.h"

static void *find_linked(void *context, const char *symbol)
{
    static const struct {
        const char *symbol;
        void *address;
    } linked[] = {
        {"cuInit", (void *)cuInit},
        {"cuDevicePrimaryCtxRetain", (void *)cuDevicePrimaryCtxRetain},
        {"cuCtxSetCurrent", (void *)cuCtxSetCurrent},
        {"cuMemAlloc_v2", (void *)cuMemAlloc},
        {"cuMemcpyHtoD_v2", (void *)cuMemcpyHtoD},
        {"cuMemcpyDtoH_v2", (void *)cuMemcpyDtoH},
        {"cuMemFree_v2", (void *)cuMemFree},
    };

    for (size_t i = 0; i < sizeof(linked) / sizeof(linked[0]); i++)
        if (strcmp(linked[i].symbol, symbol) == 0)
            return linked[i].address;
    return NULL;
}

int main(void)
{
    check_memory_works(find_linked, NULL);
    return finish();
}
