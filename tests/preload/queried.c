/* SPDX-License-Identifier: MIT */
/*
 * A program that has only cuGetProcAddress from dlsym(), as the CUDA runtime does, and asks it for
 * the rest: the version asked for and the stream mode decide which of our entries it gets.
 */

#include "tests/preload/probe.h"

struct query {
    const char *base;
    int version;
    cuuint64_t flags;
    const char *symbol; /* exported name of what it must get; NULL for nothing */
    bool ours;
};

static const struct query queries[] = {
    {"cuMemAlloc", 3020, 0, "cuMemAlloc_v2", true},
    {"cuMemAlloc", 12000, 0, "cuMemAlloc_v2", true},
    {"cuMemAlloc", 13000, 2, "cuMemAlloc_v2", true},
    {"cuMemcpyHtoD", 13000, 0, "cuMemcpyHtoD_v2", true},
    {"cuMemcpyHtoD", 13000, 1, "cuMemcpyHtoD_v2", true},
    {"cuMemcpyHtoD", 13000, 2, "cuMemcpyHtoD_v2_ptds", true},
    {"cuLaunchKernel", 4000, 0, "cuLaunchKernel", true},
    {"cuLaunchKernel", 7000, 2, "cuLaunchKernel_ptsz", true},
    {"cuDevicePrimaryCtxRelease", 10000, 0, "cuDevicePrimaryCtxRelease", true},
    {"cuDevicePrimaryCtxRelease", 11000, 0, "cuDevicePrimaryCtxRelease_v2", true},
    {"cuGetProcAddress", 11030, 0, "cuGetProcAddress", true},
    {"cuGetProcAddress", 12000, 0, "cuGetProcAddress_v2", true},
    {"cuGetProcAddress", 13000, 2, "cuGetProcAddress_v2", true},
    {"cuGraphLaunch", 13000, 2, "cuGraphLaunch_ptsz", true},
    {"cuInit", 2000, 0, "cuInit", true},
    {"cuDeviceGet", 2000, 0, "cuDeviceGet", false},
    {"cuStreamSynchronize", 13000, 2, "cuStreamSynchronize_ptsz", false},
    {"cuMemAllocAsync", 10000, 0, NULL, false}, /* newer than the version asked for */
    {"cuNoSuchCall", 13000, 0, NULL, false},
};

typedef CUresult (*get_proc_fn)(const char *, void **, int, cuuint64_t);
typedef CUresult (*get_proc_v2_fn)(const char *, void **, int, cuuint64_t,
                                   CUdriverProcAddressQueryResult *);

static void check_answer(const struct query *query, const char *way, CUresult result,
                         const void *address)
{
    if (!query->symbol) {
        check(result != CUDA_SUCCESS || !address, "%s found %s", way, query->base);
        return;
    }
    check(result == CUDA_SUCCESS, "%s of %s at %d answers %d", way, query->base, query->version,
          (int)result);
    check(strcmp(exported_name(address), query->symbol) == 0, "%s of %s at %d gives %s", way,
          query->base, query->version, exported_name(address));
    check(query->ours ? in_shim(address) : in_driver(address), "%s of %s gives one in %s", way,
          query->base, owner(address));
}

static void *find_by_query(void *context, const char *symbol)
{
    get_proc_v2_fn get = *(get_proc_v2_fn *)context;
    char base[64];
    void *address = NULL;

    snprintf(base, sizeof(base), "%s", symbol);
    if (strstr(base, "_v2"))
        *strstr(base, "_v2") = '\0';
    return get(base, &address, 13000, 0, NULL) == CUDA_SUCCESS ? address : NULL;
}

int main(void)
{
    void *driver = dlopen("libcuda.so.1", RTLD_NOW);
    get_proc_fn get;
    get_proc_v2_fn get_v2;

    if (!check(driver != NULL, "%s", dlerror()))
        return finish();
    get = (get_proc_fn)dlsym(driver, "cuGetProcAddress");
    get_v2 = (get_proc_v2_fn)dlsym(driver, "cuGetProcAddress_v2");
    check(in_shim((void *)get), "cuGetProcAddress is in %s", owner((void *)get));

    for (size_t i = 0; i < sizeof(queries) / sizeof(queries[0]); i++) {
        const struct query *query = &queries[i];
        void *address = NULL;
        CUresult result = get(query->base, &address, query->version, query->flags);

        check_answer(query, "cuGetProcAddress", result, address);
        address = NULL;
        result = get_v2(query->base, &address, query->version, query->flags, NULL);
        check_answer(query, "cuGetProcAddress_v2", result, address);
    }
    check_memory_works(find_by_query, &get_v2);
    return finish();
}
