/* SPDX-License-Identifier: MIT */
/*
 * One row of thread blocks for each slot. Each adds the mixture of its share (as in digest.c) to
 * the slot's state; the last one to do so compares. Should the sum be wrong, that block alone makes
 * it anew, of the copy and then of the home, so that launches in two streams that add to one state
 * at a time cost time and no more. When only the copy has changed it is copied home.
 *
 * A state is a sum of 64 bits, and a count that wraps when all blocks have added to it.
 */
#include "runtime/guard.h"

#include <errno.h>
#include <string.h>

enum {
    THREADS = 128,
    BLOCKS = 64, /* for each slot */
    STATE_BYTES = 16,
};

/* Adds the mixture of units from %unit on, every %stride, of the memory at `from`, to `total`. */
#define ADD_UP(name, from, total)                                                                  \
    "    shl.b64 %offset, %unit, 4;\n"                                                             \
    "    add.u64 %at, " from ", %offset;\n"                                                        \
    "    shl.b64 %step, %stride, 4;\n"                                                             \
    "    mov.u64 " total ", 0;\n" name "_next:\n"                                                  \
    "    setp.ge.u64 %done, %unit, %units;\n"                                                      \
    "    @%done bra " name "_over;\n"                                                              \
    "    ld.global.v2.u64 {%low, %high}, [%at];\n"                                                 \
    "    mul.lo.u64 %mixed, %unit, 0x9e3779b97f4a7c15;\n"                                          \
    "    xor.b64 %mixed, %mixed, %low;\n"                                                          \
    "    mul.lo.u64 %mixed, %mixed, 0xbf58476d1ce4e5b9;\n"                                         \
    "    shr.u64 %high_bits, %mixed, 29;\n"                                                        \
    "    xor.b64 %mixed, %mixed, %high_bits;\n"                                                    \
    "    add.u64 %mixed, %mixed, %high;\n"                                                         \
    "    mul.lo.u64 %mixed, %mixed, 0x94d049bb133111eb;\n"                                         \
    "    shr.u64 %high_bits, %mixed, 32;\n"                                                        \
    "    xor.b64 %mixed, %mixed, %high_bits;\n"                                                    \
    "    add.u64 " total ", " total ", %mixed;\n"                                                  \
    "    add.u64 %unit, %unit, %stride;\n"                                                         \
    "    add.u64 %at, %at, %step;\n"                                                               \
    "    bra " name "_next;\n" name "_over:\n"

/* The same by this block alone, for all of it; every thread has the sum. */
#define ADD_UP_ALONE(name, from, total)                                                            \
    "    mov.u64 %total, 0;\n"                                                                     \
    "    bar.sync 0;\n"                                                                            \
    "    @%first st.shared.u64 [alone], %total;\n"                                                 \
    "    bar.sync 0;\n"                                                                            \
    "    cvt.u64.u32 %unit, %thread;\n"                                                            \
    "    cvt.u64.u32 %stride, %threads;\n" ADD_UP(                                                 \
        name, from, "%total") "    atom.shared.add.u64 %total, [alone], %total;\n"                 \
                              "    bar.sync 0;\n"                                                  \
                              "    ld.shared.u64 " total ", [alone];\n"

const char guard_kernel_text[] = ".version 5.0\n"
                                 ".target sm_50\n"
                                 ".address_size 64\n"
                                 ".visible .entry vramshim_guard(\n"
                                 "    .param .align 8 .b8 entries[1536], .param .u64 any)\n"
                                 "{\n"
                                 "    .reg .pred %done, %first, %same;\n"
                                 "    .reg .b32 %thread, %threads, %block, %blocks, %entry, %one;\n"
                                 "    .reg .b32 %place, %count, %most;\n"
                                 "    .reg .b64 %entries, %at, %units, %unit, %stride, %step;\n"
                                 "    .reg .b64 %low, %high, %mixed, %high_bits, %total, %offset;\n"
                                 "    .reg .b64 %slot, %home, %expected, %flag, %state, %any;\n"
                                 "    .reg .b64 %from_slot, %from_home, %to;\n"
                                 "    .shared .align 8 .b64 alone;\n"
                                 "    .shared .align 4 .b32 last;\n"
                                 "    mov.u32 %entry, %ctaid.y;\n"
                                 "    mul.wide.u32 %offset, %entry, 48;\n"
                                 "    mov.b64 %entries, entries;\n"
                                 "    add.u64 %entries, %entries, %offset;\n"
                                 "    ld.param.u64 %slot, [%entries];\n"
                                 "    ld.param.u64 %home, [%entries+8];\n"
                                 "    ld.param.u64 %units, [%entries+16];\n"
                                 "    ld.param.u64 %expected, [%entries+24];\n"
                                 "    ld.param.u64 %flag, [%entries+32];\n"
                                 "    ld.param.u64 %state, [%entries+40];\n"
                                 "    ld.param.u64 %any, [any];\n"
                                 "    ld.global.u64 %expected, [%expected];\n"
                                 "    mov.u32 %thread, %tid.x;\n"
                                 "    mov.u32 %threads, %ntid.x;\n"
                                 "    mov.u32 %block, %ctaid.x;\n"
                                 "    mov.u32 %blocks, %nctaid.x;\n"
                                 "    setp.eq.u32 %first, %thread, 0;\n"
                                 "    mad.lo.u32 %place, %block, %threads, %thread;\n"
                                 "    mul.lo.u32 %count, %threads, %blocks;\n"
                                 "    cvt.u64.u32 %unit, %place;\n"
                                 "    cvt.u64.u32 %stride, %count;\n"
    /* What all blocks find together. */
    ADD_UP("all", "%slot", "%total") "    red.global.add.u64 [%state], %total;\n"
                                     "    membar.gl;\n"
                                     "    bar.sync 0;\n"
                                     "    @!%first bra counted;\n"
                                     "    sub.u32 %most, %blocks, 1;\n"
                                     "    atom.global.inc.u32 %count, [%state+8], %most;\n"
                                     "    mov.u32 %one, 0;\n"
                                     "    setp.ne.u32 %same, %count, %most;\n"
                                     "    @%same bra told;\n"
                                     "    membar.gl;\n"
                                     "    mov.u64 %mixed, 0;\n"
                                     "    atom.global.exch.b64 %total, [%state], %mixed;\n"
                                     "    setp.ne.u64 %same, %total, %expected;\n"
                                     "    selp.u32 %one, 1, 0, %same;\n"
                                     "told:\n"
                                     "    st.shared.u32 [last], %one;\n"
                                     "counted:\n"
                                     "    bar.sync 0;\n"
                                     "    ld.shared.u32 %one, [last];\n"
                                     "    setp.eq.u32 %done, %one, 0;\n"
                                     "    @%done bra end;\n"
    /* The last block, when that is not what was expected. */
    ADD_UP_ALONE("slot", "%slot",
                 "%from_slot") "    setp.eq.u64 %done, %from_slot, %expected;\n"
                               "    @%done bra end;\n" ADD_UP_ALONE(
                                   "home", "%home",
                                   "%from_home") "    mov.u32 %one, 2;\n"
                                                 "    setp.ne.u64 %done, %from_home, %expected;\n"
                                                 "    @%done bra tell;\n"
                                                 "    mov.u32 %one, 1;\n"
                                                 "    cvt.u64.u32 %unit, %thread;\n"
                                                 "copy:\n"
                                                 "    setp.ge.u64 %done, %unit, %units;\n"
                                                 "    @%done bra tell;\n"
                                                 "    shl.b64 %offset, %unit, 4;\n"
                                                 "    add.u64 %at, %slot, %offset;\n"
                                                 "    add.u64 %to, %home, %offset;\n"
                                                 "    ld.global.v2.u64 {%low, %high}, [%at];\n"
                                                 "    st.global.v2.u64 [%to], {%low, %high};\n"
                                                 "    add.u64 %unit, %unit, %stride;\n"
                                                 "    bra copy;\n"
                                                 "tell:\n"
                                                 "    bar.sync 0;\n"
                                                 "    @!%first bra end;\n"
                                                 "    st.volatile.global.u32 [%flag], %one;\n"
                                                 "    membar.sys;\n"
                                                 "    st.volatile.global.u32 [%any], %one;\n"
                                                 "end:\n"
                                                 "    ret;\n"
                                                 "}\n";

_Static_assert(GUARD_AT_ONCE * sizeof(struct guard_entry) == 1536, "as the kernel has it");

int guard_init(struct guard *guard, const struct driver *drv, CUstream stream, uint32_t n_slots,
               uint32_t n_pieces, const uint64_t *digests)
{
    size_t bytes = (n_pieces + 1) * sizeof(uint32_t);
    void *flags = NULL;
    int r;

    if (!drv->cuMemHostAlloc || !drv->cuMemFreeHost)
        return -ENOSYS;
    *guard = (struct guard){.module = NULL};
    r = driver_errno(drv->cuModuleLoadData(&guard->module, guard_kernel_text));
    if (r) {
        guard->module = NULL;
        return r;
    }
    r = driver_errno(drv->cuModuleGetFunction(&guard->function, guard->module, "vramshim_guard"));
    if (!r)
        r = driver_errno(drv->cuMemAlloc_v2(&guard->states, n_slots * STATE_BYTES));
    if (r)
        guard->states = 0;
    if (!r)
        r = driver_errno(drv->cuMemAlloc_v2(&guard->digests, (n_pieces + 1) * sizeof(*digests)));
    if (r)
        guard->digests = 0;
    if (!r)
        r = driver_errno(drv->cuMemcpyHtoDAsync_v2(guard->digests, digests,
                                                   n_pieces * sizeof(*digests), stream));
    if (!r)
        r = driver_errno(drv->cuMemHostAlloc(&flags, bytes, CU_MEMHOSTALLOC_DEVICEMAP));
    if (!r) {
        guard->flags = flags;
        memset(flags, 0, bytes);
        r = driver_errno(
            drv->cuMemsetD32Async(guard->states, 0, n_slots * STATE_BYTES / 4, stream));
    }
    if (!r)
        r = driver_errno(drv->cuStreamSynchronize(stream));
    if (r)
        guard_fini(guard, drv, true);
    return r;
}

void guard_fini(struct guard *guard, const struct driver *drv, bool alive)
{
    if (guard->flags && alive)
        (void)drv->cuMemFreeHost(guard->flags);
    if (guard->states && alive)
        (void)drv->cuMemFree_v2(guard->states);
    if (guard->digests && alive)
        (void)drv->cuMemFree_v2(guard->digests);
    if (guard->module && alive)
        (void)drv->cuModuleUnload(guard->module);
    *guard = (struct guard){.module = NULL};
}

struct guard_entry guard_entry(const struct guard *guard, uint32_t slot, uint32_t piece)
{
    return (struct guard_entry){
        .expected = guard_digest(guard, piece),
        .flag = (uint64_t)(uintptr_t)&guard->flags[1 + piece],
        .state = guard->states + (uint64_t)slot * STATE_BYTES,
    };
}

static int launch(const struct guard *guard, const struct driver *drv, CUstream stream,
                  const struct guard_entry *entries, uint32_t n)
{
    struct guard_entry batch[GUARD_AT_ONCE];
    CUdeviceptr any = (CUdeviceptr)(uintptr_t)guard->flags;
    void *params[] = {batch, &any};

    memcpy(batch, entries, n * sizeof(*entries));
    memset(batch + n, 0, (GUARD_AT_ONCE - n) * sizeof(*entries));
    return driver_errno(
        drv->cuLaunchKernel(guard->function, BLOCKS, n, 1, THREADS, 1, 1, 0, stream, params, NULL));
}

int guard_launch(const struct guard *guard, const struct driver *drv, CUstream stream,
                 const struct guard_entry *entries, uint32_t n)
{
    int r = 0;

    for (uint32_t done = 0; done < n && !r; done += GUARD_AT_ONCE)
        r = launch(guard, drv, stream, entries + done,
                   n - done < GUARD_AT_ONCE ? n - done : GUARD_AT_ONCE);
    return r;
}

enum guard_flag guard_flag(const struct guard *guard, uint32_t piece)
{
    return (enum guard_flag)__atomic_load_n(&guard->flags[1 + piece], __ATOMIC_RELAXED);
}
