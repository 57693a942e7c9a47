/* SPDX-License-Identifier: MIT */
/*
 * A program that watches the card through NVML, linked with it and through dlsym(): on a card we
 * page on it reads what cuMemGetInfo tells; on any other, and where the driver is not loaded,
 * NVML's own figures; an error stays an error.
 */

#include "tests/preload/nvml_stub.h"
#include "tests/preload/probe.h"

static int (*looked_up)(struct nvml_device *, struct nvml_memory *);

static void check_v1(unsigned long long free_bytes, unsigned long long total, const char *when)
{
    struct nvml_memory linked = {0};
    struct nvml_memory opened = {0};

    check(nvmlDeviceGetMemoryInfo(NULL, &linked) == 0, "%s: linked call fails", when);
    check(looked_up(NULL, &opened) == 0, "%s: looked-up call fails", when);
    check(memcmp(&linked, &opened, sizeof(linked)) == 0, "%s: the two differ", when);
    check(linked.total == total && linked.free == free_bytes && linked.used == total - free_bytes,
          "%s: NVML tells %llu free of %llu, %llu used; not %llu of %llu", when, linked.free,
          linked.total, linked.used, free_bytes, total);
}

static void check_v2(unsigned long long free_bytes, unsigned long long total, const char *when)
{
    struct nvml_memory_v2 memory = {.version = sizeof(memory) | 2 << 24};

    check(nvmlDeviceGetMemoryInfo_v2(NULL, &memory) == 0, "%s: the second version fails", when);
    check(memory.total == total && memory.free == free_bytes &&
              memory.reserved == nvml_stub()->reserved &&
              memory.used == total - free_bytes - memory.reserved,
          "%s: the second version tells %llu free of %llu", when, memory.free, memory.total);
}

static void write_uuid(const CUuuid *uuid, char *out)
{
    out += sprintf(out, "GPU-");
    for (int i = 0; i < 16; i++)
        out += sprintf(out, "%s%02x", i == 4 || i == 6 || i == 8 || i == 10 ? "-" : "",
                       (unsigned char)uuid->bytes[i]);
}

static bool start_paging(void *driver, CUuuid *uuid)
{
    CUresult (*get_uuid)(CUuuid *, CUdevice) =
        (CUresult(*)(CUuuid *, CUdevice))dlsym(driver, "cuDeviceGetUuid");
    CUresult (*alloc)(CUdeviceptr *, size_t) =
        (CUresult(*)(CUdeviceptr *, size_t))dlsym(driver, "cuMemAlloc_v2");
    CUdeviceptr at;

    check_memory_works(find_in_handle, driver);
    return check(get_uuid(uuid, 0) == CUDA_SUCCESS, "cuDeviceGetUuid") &&
           check(alloc(&at, 4 << 20) == CUDA_SUCCESS, "cuMemAlloc");
}

int main(void)
{
    void *nvml = dlopen("libnvidia-ml.so.1", RTLD_NOW);
    struct nvml_stub *stub = nvml_stub();
    CUresult (*memory_info)(size_t *, size_t *);
    size_t total_bytes = 0;
    size_t free_bytes = 0;
    void *driver;
    CUuuid uuid;

    *stub = (struct nvml_stub){.total = 8ULL << 30, .free = 5ULL << 30, .reserved = 1 << 20};
    snprintf(stub->uuid, sizeof(stub->uuid), "GPU-00000000-0000-0000-0000-000000000000");
    looked_up =
        (int (*)(struct nvml_device *, struct nvml_memory *))dlsym(nvml, "nvmlDeviceGetMemoryInfo");
    check(in_shim((void *)looked_up), "nvmlDeviceGetMemoryInfo is in %s", owner((void *)looked_up));
    check_v1(5ULL << 30, 8ULL << 30, "with no driver loaded");

    driver = dlopen("libcuda.so.1", RTLD_NOW);
    if (!check(driver != NULL, "%s", dlerror()) || !start_paging(driver, &uuid))
        return finish();
    check_v1(5ULL << 30, 8ULL << 30, "on another card");

    write_uuid(&uuid, stub->uuid);
    memory_info = (CUresult(*)(size_t *, size_t *))dlsym(driver, "cuMemGetInfo_v2");
    check(memory_info(&free_bytes, &total_bytes) == CUDA_SUCCESS, "cuMemGetInfo");
    check_v1(free_bytes, total_bytes, "on the paged card");
    check_v2(free_bytes, total_bytes, "on the paged card");

    snprintf(stub->uuid, sizeof(stub->uuid), "MIG-%s", "0");
    check_v1(5ULL << 30, 8ULL << 30, "on a card without a UUID of its own");
    stub->result = 999;
    check(looked_up(NULL, &(struct nvml_memory){0}) == 999, "NVML's error did not come back");
    return finish();
}
