/* SPDX-License-Identifier: MIT */
/*
 * One thread block, a word per thread and source. The number is written when all of it has been,
 * as a device sees it and as the host does.
 */
#include "runtime/peek.h"

#include <errno.h>
#include <string.h>

enum {
    THREADS = PEEK_BYTES_EACH / 4,
};

/* What the kernel is given of one source. */
struct entry {
    uint64_t from;
    uint64_t to;
    uint64_t words;
};

const char peek_kernel_text[] = ".version 5.0\n"
                                ".target sm_50\n"
                                ".address_size 64\n"
                                ".visible .entry vramshim_peek(\n"
                                "    .param .align 8 .b8 entries[192], .param .u32 n,\n"
                                "    .param .u64 done, .param .u32 number)\n"
                                "{\n"
                                "    .reg .pred %over, %none, %other;\n"
                                "    .reg .b32 %thread, %i, %n, %number, %value;\n"
                                "    .reg .b64 %entry, %from, %to, %words, %word, %done;\n"
                                "    mov.b64 %entry, entries;\n"
                                "    ld.param.u32 %n, [n];\n"
                                "    ld.param.u64 %done, [done];\n"
                                "    ld.param.u32 %number, [number];\n"
                                "    mov.u32 %thread, %tid.x;\n"
                                "    cvt.u64.u32 %word, %thread;\n"
                                "    mov.u32 %i, 0;\n"
                                "next:\n"
                                "    setp.ge.u32 %over, %i, %n;\n"
                                "    @%over bra over;\n"
                                "    ld.param.u64 %from, [%entry];\n"
                                "    ld.param.u64 %to, [%entry+8];\n"
                                "    ld.param.u64 %words, [%entry+16];\n"
                                "    add.u64 %entry, %entry, 24;\n"
                                "    add.u32 %i, %i, 1;\n"
                                "    setp.ge.u64 %none, %word, %words;\n"
                                "    @%none bra next;\n"
                                "    mad.lo.u64 %from, %word, 4, %from;\n"
                                "    mad.lo.u64 %to, %word, 4, %to;\n"
                                "    ld.global.u32 %value, [%from];\n"
                                "    st.global.u32 [%to], %value;\n"
                                "    bra next;\n"
                                "over:\n"
                                "    membar.sys;\n"
                                "    bar.sync 0;\n"
                                "    setp.ne.u32 %other, %thread, 0;\n"
                                "    @%other bra end;\n"
                                "    st.volatile.global.u32 [%done], %number;\n"
                                "end:\n"
                                "    ret;\n"
                                "}\n";

_Static_assert(PEEK_SOURCES * sizeof(struct entry) == 192, "as the kernel has it");

static uint32_t *number_of(const struct peek *peek, uint32_t record)
{
    return (uint32_t *)(void *)peek->memory + record;
}

static char *record_at(const struct peek *peek, uint32_t record)
{
    return peek->memory + peek->n_records * sizeof(uint32_t) + (size_t)record * PEEK_BYTES;
}

int peek_init(struct peek *peek, const struct driver *drv, uint32_t n_records)
{
    size_t bytes = n_records * (sizeof(uint32_t) + PEEK_BYTES);
    void *memory = NULL;
    int r;

    if (!drv->cuMemHostAlloc || !drv->cuMemFreeHost)
        return -ENOSYS;
    *peek = (struct peek){.n_records = n_records};
    r = driver_errno(drv->cuModuleLoadData(&peek->module, peek_kernel_text));
    if (r) {
        peek->module = NULL;
        return r;
    }
    r = driver_errno(drv->cuModuleGetFunction(&peek->function, peek->module, "vramshim_peek"));
    if (!r)
        r = driver_errno(drv->cuMemHostAlloc(&memory, bytes, CU_MEMHOSTALLOC_DEVICEMAP));
    if (r) {
        peek_fini(peek, drv, true);
        return r;
    }
    memset(memory, 0, n_records * sizeof(uint32_t));
    peek->memory = memory;
    return 0;
}

void peek_fini(struct peek *peek, const struct driver *drv, bool alive)
{
    if (peek->memory && alive)
        (void)drv->cuMemFreeHost(peek->memory);
    if (peek->module && alive)
        (void)drv->cuModuleUnload(peek->module);
    *peek = (struct peek){.module = NULL};
}

int peek_launch(const struct peek *peek, const struct driver *drv, CUstream stream, uint32_t record,
                uint32_t number, const struct peek_source *sources, uint32_t n)
{
    CUdeviceptr done = (CUdeviceptr)(uintptr_t)number_of(peek, record);
    struct entry entries[PEEK_SOURCES] = {{0}};
    void *params[] = {entries, &n, &done, &number};

    for (uint32_t i = 0; i < n; i++)
        entries[i] = (struct entry){
            .from = sources[i].at,
            .to = (uintptr_t)record_at(peek, record) + sources[i].to,
            .words = sources[i].bytes / 4,
        };
    return driver_errno(
        drv->cuLaunchKernel(peek->function, 1, 1, 1, THREADS, 1, 1, 0, stream, params, NULL));
}

bool peek_is_done(const struct peek *peek, uint32_t record, uint32_t number)
{
    return __atomic_load_n(number_of(peek, record), __ATOMIC_ACQUIRE) == number;
}

const void *peek_record(const struct peek *peek, uint32_t record)
{
    return record_at(peek, record);
}
