/* SPDX-License-Identifier: MIT */
#include "tools/self_test.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "runtime/digest.h"
#include "runtime/util.h"
#include "tools/gpu.h"

enum {
    PATIENCE_MS = 60000,
    PIN_STEP_MIB = 64,
    PIN_STEPS_MAX = 4096,
};

struct request {
    int ordinal;
    uint64_t bytes;
};

__attribute__((format(printf, 3, 4))) static void
say(struct self_result *out, enum self_outcome outcome, const char *format, ...)
{
    va_list args;

    va_start(args, format);
    vsnprintf(out->says, sizeof(out->says), format, args);
    va_end(args);
    out->outcome = outcome;
}

/* The result of the child; what it did not say, it died of. */
static void listen_to(int from, struct self_result *out)
{
    struct pollfd end = {.fd = from, .events = POLLIN};
    struct self_result result;
    int r;

    do
        r = poll(&end, 1, PATIENCE_MS);
    while (r < 0 && errno == EINTR);
    if (r == 1 && read(from, &result, sizeof(result)) == (ssize_t)sizeof(result))
        *out = result;
    else
        say(out, SELF_DIED,
            r == 1 ? "trying it ended the process" : "trying it did not come to an end");
}

static void run_apart(void (*test)(const struct request *, struct self_result *),
                      const struct request *request, struct self_result *out)
{
    int ends[2];
    pid_t child;

    if (pipe(ends) != 0) {
        say(out, SELF_SKIPPED, "no pipe: %s", strerror(errno));
        return;
    }
    child = fork();
    if (child == 0) {
        struct self_result result = {0};

        close(ends[0]);
        test(request, &result);
        _exit(write(ends[1], &result, sizeof(result)) == (ssize_t)sizeof(result) ? 0 : 1);
    }
    close(ends[1]);
    if (child > 0) {
        listen_to(ends[0], out);
        kill(child, SIGKILL);
        while (waitpid(child, NULL, 0) < 0 && errno == EINTR)
            ;
    } else {
        say(out, SELF_SKIPPED, "no process: %s", strerror(errno));
    }
    close(ends[0]);
}

/* Two pieces of physical memory, one behind the other in one range. */
struct pair {
    CUdeviceptr at;
    uint64_t bytes; /* of each */
    CUmemGenericAllocationHandle handles[2];
};

static CUresult map_pair(const struct gpu *gpu, const CUmemAllocationProp props[2], struct pair *p)
{
    CUmemAccessDesc access = {
        .location = {.type = CU_MEM_LOCATION_TYPE_DEVICE, .id = gpu->device},
        .flags = CU_MEM_ACCESS_FLAGS_PROT_READWRITE,
    };
    CUresult r = gpu->cu.cuMemAddressReserve(&p->at, 2 * p->bytes, 0, 0, 0);

    for (int i = 0; i < 2 && !r; i++) {
        r = gpu->cu.cuMemCreate(&p->handles[i], p->bytes, &props[i], 0);
        r = r ? r : gpu->cu.cuMemMap(p->at + i * p->bytes, p->bytes, 0, p->handles[i], 0);
        r = r ? r : gpu->cu.cuMemSetAccess(p->at + i * p->bytes, p->bytes, &access, 1);
    }
    return r;
}

/* Fills the pair by copies, each within one piece, and the same in memory that is known to work. */
static CUresult fill(const struct gpu *gpu, const struct pair *p, CUdeviceptr plain)
{
    uint64_t *bytes = malloc(p->bytes);
    CUresult r = bytes ? CUDA_SUCCESS : CUDA_ERROR_OUT_OF_MEMORY;

    for (uint64_t i = 0; i < 2 && !r; i++) {
        for (uint64_t j = 0; j < p->bytes / sizeof(*bytes); j++)
            bytes[j] = (i * p->bytes + j + 1) * 0x9e3779b97f4a7c15;
        r = gpu->cu.cuMemcpyHtoD_v2(p->at + i * p->bytes, bytes, p->bytes);
        r = r ? r : gpu->cu.cuMemcpyHtoD_v2(plain + i * p->bytes, bytes, p->bytes);
    }
    free(bytes);
    return r;
}

static void compare(const struct gpu *gpu, const struct pair *p, CUdeviceptr plain,
                    const char *kind, struct self_result *out)
{
    struct digest_span spans[2] = {
        {.at = p->at, .bytes = 2 * p->bytes},
        {.at = plain, .bytes = 2 * p->bytes},
    };
    struct digester digester = {0};
    int r = digester_init(&digester, &gpu->drv);

    r = r ? r : digest_spans(&digester, &gpu->drv, NULL, spans, ARRAY_SIZE(spans));
    if (r)
        say(out, SELF_BAD, "a kernel that reads it fails: %s", strerror(-r));
    else if (spans[0].digest != spans[1].digest)
        say(out, SELF_BAD, "a kernel reads something else there than was written");
    else
        say(out, SELF_GOOD, "a kernel reads both as one range (%s)", kind);
}

static void try_host_vmm(const struct request *request, struct self_result *out)
{
    CUmemAllocationProp props[2];
    struct pair pair = {0};
    CUdeviceptr plain;
    struct gpu gpu;
    CUresult r;

    if (gpu_open(&gpu, request->ordinal, out->says, sizeof(out->says)) != 0) {
        out->outcome = SELF_SKIPPED;
        return;
    }
    if (!gpu.granularity) {
        say(out, SELF_SKIPPED, "the card has no virtual memory management");
        return;
    }
    props[0] = gpu_device_memory(&gpu);
    if (!gpu_host_memory(&gpu, &props[1])) {
        say(out, SELF_BAD, "the driver refuses to make or map host memory, by node and without");
        return;
    }
    pair.bytes = gpu.granularity;
    r = map_pair(&gpu, props, &pair);
    r = r ? r : gpu.cu.cuMemAlloc_v2(&plain, 2 * pair.bytes);
    r = r ? r : fill(&gpu, &pair, plain);
    if (r)
        say(out, SELF_BAD, "%s", driver_error_name(&gpu.drv, r));
    else
        compare(&gpu, &pair, plain,
                props[1].location.type == CU_MEM_LOCATION_TYPE_HOST ? "HOST" : "HOST_NUMA", out);
}

static void try_pin(const struct request *request, struct self_result *out)
{
    uint64_t step = min_u64(request->bytes, PIN_STEP_MIB * MIB);
    uint64_t done = 0;
    struct gpu gpu;
    void *at;

    if (gpu_open(&gpu, request->ordinal, out->says, sizeof(out->says)) != 0) {
        out->outcome = SELF_SKIPPED;
        return;
    }
    for (int i = 0; i < PIN_STEPS_MAX && done < request->bytes; i++, done += step) {
        CUresult r = gpu.cu.cuMemHostAlloc(&at, step, 0);

        if (r != CUDA_SUCCESS) {
            say(out, SELF_BAD, "after %llu MiB the driver says %s",
                (unsigned long long)(done / MIB), driver_error_name(&gpu.drv, r));
            return;
        }
    }
    if (gpu.cu.cuCtxSynchronize() != CUDA_SUCCESS)
        say(out, SELF_BAD, "the context is broken after pinning %llu MiB",
            (unsigned long long)(done / MIB));
    else
        say(out, SELF_GOOD, "%llu MiB can be", (unsigned long long)(done / MIB));
}

void self_test_host_vmm(int ordinal, struct self_result *out)
{
    struct request request = {.ordinal = ordinal};

    run_apart(try_host_vmm, &request, out);
}

void self_test_pin(int ordinal, uint64_t bytes, struct self_result *out)
{
    struct request request = {.ordinal = ordinal, .bytes = bytes};

    run_apart(try_pin, &request, out);
}
