/* SPDX-License-Identifier: MIT */

/*
 * malloc and free in kernels.
 *
 * A module that declares either gets a variable of device memory as its heap. Its first word is how
 * much of it was ever used, its second the first free piece; every piece has its size, and when it
 * is free the next one, in the 16 bytes before it. Pieces are never joined.
 */

#include <pthread.h>
#include <stdlib.h>

#include "tests/sim/ptx_call.h"
#include "tests/sim/ptx_opcode.h"

#ifdef FUZZING_BUILD_MODE_UNSAFE_FOR_PRODUCTION
#define HEAP_BYTES ((uint64_t)8 << 10)
#else
#define HEAP_BYTES ((uint64_t)8 << 20) /* as a device has before it is told otherwise */
#endif
#define HEAP_NAME  "__device_heap"
#define HEAD_BYTES 16

enum { USED = 0, FIRST_FREE = 8, SIZE = 0, NEXT = 8 };

/* Blocks of a launch may run at the same time. */
static pthread_mutex_t heap_lock = PTHREAD_MUTEX_INITIALIZER;

struct heap {
    struct ptx_warp *warp;
    const struct ptx_insn *insn;
    unsigned int lane;
    uint64_t base;
    bool failed; /* a fault is recorded */
};

/* A word at an offset in the heap; a word of nothing after a fault. */
static uint64_t *word_at(struct heap *heap, uint64_t offset)
{
    static _Thread_local uint64_t nothing;
    void *at = NULL;

    if (!heap->failed)
        at = ptx_generic_pointer(heap->warp, heap->insn, heap->lane, heap->base + offset, 8, true);
    if (!at) {
        heap->failed = true;
        nothing = 0;
        return &nothing;
    }
    return at;
}

/* The offset of a free piece that is large enough, taken out of the list; 0 when there is none. */
static uint64_t take_free(struct heap *heap, uint64_t bytes)
{
    uint64_t link = FIRST_FREE;
    uint64_t at = *word_at(heap, link);

    for (uint64_t n = 0; at && !heap->failed && n < HEAP_BYTES / HEAD_BYTES; n++) {
        if (*word_at(heap, at - HEAD_BYTES + SIZE) >= bytes) {
            *word_at(heap, link) = *word_at(heap, at - HEAD_BYTES + NEXT);
            return at;
        }
        link = at - HEAD_BYTES + NEXT;
        at = *word_at(heap, link);
    }
    return 0;
}

static uint64_t heap_take(struct heap *heap, uint64_t bytes)
{
    uint64_t used;
    uint64_t at;

    if (bytes > HEAP_BYTES)
        return 0;
    bytes = bytes ? (bytes + 15) & ~(uint64_t)15 : 16;
    at = take_free(heap, bytes);
    if (at)
        return heap->base + at;
    used = *word_at(heap, USED);
    if (!used)
        used = HEAD_BYTES;
    if (HEAP_BYTES - used < bytes + HEAD_BYTES)
        return 0;
    at = used + HEAD_BYTES;
    *word_at(heap, USED) = at + bytes;
    *word_at(heap, at - HEAD_BYTES + SIZE) = bytes;
    return heap->base + at;
}

/* What is not from this heap is left alone. */
static void heap_give(struct heap *heap, uint64_t address)
{
    uint64_t at = address - heap->base;

    if (at < 2 * HEAD_BYTES || at >= *word_at(heap, USED) || at % 16)
        return;
    *word_at(heap, at - HEAD_BYTES + NEXT) = *word_at(heap, FIRST_FREE);
    *word_at(heap, FIRST_FREE) = at;
}

/* insn->src[1]: the heap; insn->op: free. */
static enum ptx_step run_heap(struct ptx_warp *warp, const struct ptx_insn *insn, uint32_t mask)
{
    const struct ptx_call *call = &warp->launch->kernel->calls[insn->imm];
    const uint64_t *bases = ptx_slot(warp, insn->src[1]);

    EACH_ACTIVE_LANE(lane, mask)
    {
        struct heap heap = {.warp = warp, .insn = insn, .lane = lane, .base = bases[lane]};
        uint64_t argument = ptx_place_value(warp, &call->places[call->n_results], lane);
        uint64_t address = 0;
        pthread_mutex_lock(&heap_lock);
        if (call->n_results)
            address = heap_take(&heap, argument);
        else
            heap_give(&heap, argument);
        pthread_mutex_unlock(&heap_lock);
        if (heap.failed)
            return PTX_STEP_STOP;
        if (call->n_results)
            ptx_place_set(warp, &call->places[0], lane, address);
    }
    return PTX_STEP_NEXT;
}

ptx_run *ptx_heap_function(const struct lex_token *name, unsigned int n_results,
                           unsigned int n_arguments)
{
    if ((token_is(name, "malloc") && n_results == 1 && n_arguments == 1) ||
        (token_is(name, "free") && !n_results && n_arguments == 1))
        return run_heap;
    return NULL;
}

void ptx_heap_declare(struct ptx_builder *builder, const struct lex_token *name)
{
    bool is_known = token_is(name, "malloc") || token_is(name, "free");

    for (size_t i = 0; i < builder->module->n_variables && is_known; i++)
        is_known = strcmp(builder->module->variables[i].name, HEAP_NAME) != 0;
    if (is_known)
        ptx_add_variable(builder, HEAP_NAME, HEAP_BYTES, HEAD_BYTES);
}

uint32_t ptx_heap_slot(struct ptx_builder *builder)
{
    const struct ptx_module *module = builder->module;
    struct ptx_constant constant = {.kind = PTX_CONSTANT_VARIABLE, .width = 8};

    for (size_t i = 0; i < module->n_variables; i++) {
        if (!strcmp(module->variables[i].name, HEAP_NAME)) {
            constant.variable = &module->variables[i];
            return ptx_constant(builder, constant);
        }
    }
    return 0;
}
