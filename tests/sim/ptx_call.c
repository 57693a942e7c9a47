/* SPDX-License-Identifier: MIT */

/*
 * Running calls and returns; see the header.
 *
 * A call copies its arguments to the callee's formals and sends each lane to the callee, a lane
 * whose pointer says so to another one than its neighbours. When the lanes come back, the
 * instruction after the call takes the results and restores what was put aside.
 */

#include <stdlib.h>

#include "tests/sim/ptx_call.h"
#include "tests/sim/ptx_opcode.h"

#define SAVED_LIMIT ((size_t)1 << 20) /* bytes of a lane */

/* One lane's registers that were put aside, a header after each set. */
struct saved {
    uint8_t *data;
    size_t used, capacity;
};

struct header {
    uint32_t function;
    uint32_t bytes; /* put aside below this header */
    uint64_t top;   /* of local memory, before the call */
};

struct ptx_calls {
    struct saved saved[PTX_LANES];
    uint64_t top[PTX_LANES]; /* where free local memory begins */
    uint32_t *depth;         /* how often a lane is in a function: function after function */
};

static struct ptx_calls *calls_of(struct ptx_warp *warp)
{
    const struct ptx_kernel *kernel = warp->launch->kernel;
    struct ptx_calls *calls = warp->calls;

    if (calls)
        return calls;
    calls = calloc(1, sizeof(*calls));
    if (!calls)
        return NULL;
    calls->depth = calloc(kernel->n_functions, PTX_LANES * sizeof(*calls->depth));
    if (!calls->depth) {
        free(calls);
        return NULL;
    }
    for (unsigned int lane = 0; lane < PTX_LANES; lane++)
        calls->top[lane] = kernel->stack_at;
    warp->calls = calls;
    return calls;
}

void ptx_calls_fini(struct ptx_warp *warp)
{
    if (!warp->calls)
        return;
    for (unsigned int lane = 0; lane < PTX_LANES; lane++)
        free(warp->calls->saved[lane].data);
    free(warp->calls->depth);
    free(warp->calls);
    warp->calls = NULL;
}

static bool saved_reserve(struct saved *saved, size_t bytes)
{
    size_t capacity = saved->capacity ? saved->capacity : 256;
    uint8_t *data;

    if (bytes > SAVED_LIMIT || saved->used + bytes > SAVED_LIMIT)
        return false;
    while (capacity < saved->used + bytes)
        capacity *= 2;
    if (capacity == saved->capacity)
        return true;
    data = realloc(saved->data, capacity);
    if (!data)
        return false;
    saved->data = data;
    saved->capacity = capacity;
    return true;
}

uint8_t *ptx_place_memory(const struct ptx_warp *warp, const struct ptx_place *place,
                          unsigned int lane)
{
    uint64_t at = place->at;

    if (place->kind != PTX_PLACE_LOCAL)
        return NULL;
    if (place->frame != PTX_NO_SLOT)
        at += ((const uint64_t *)ptx_slot(warp, place->frame))[lane];
    return warp->local + lane * warp->launch->kernel->local_bytes + at;
}

uint64_t ptx_place_value(const struct ptx_warp *warp, const struct ptx_place *place,
                         unsigned int lane)
{
    unsigned int bytes = place->bytes < 8 ? place->bytes : 8;
    const uint8_t *from = ptx_place_memory(warp, place, lane);
    uint64_t value = 0;

    if (place->kind == PTX_PLACE_PREDICATE)
        return ptx_predicate(warp, place->at) >> lane & 1;
    if (!from)
        from = (const uint8_t *)ptx_slot(warp, place->at) + lane * place->bytes;
    memcpy(&value, from, bytes);
    return value;
}

void ptx_place_set(struct ptx_warp *warp, const struct ptx_place *place, unsigned int lane,
                   uint64_t value)
{
    uint8_t *to = ptx_place_memory(warp, place, lane);

    if (place->kind == PTX_PLACE_PREDICATE) {
        ptx_set_predicate(warp, place->at, value ? UINT32_MAX : 0, 1u << lane);
        return;
    }
    if (!to)
        to = (uint8_t *)ptx_slot(warp, place->at) + lane * place->bytes;
    memcpy(to, &value, place->bytes < 8 ? place->bytes : 8);
}

/* A whole place, of any size, to and from plain memory. */
static void place_read(const struct ptx_warp *warp, const struct ptx_place *place,
                       unsigned int lane, uint8_t *out)
{
    const uint8_t *from = ptx_place_memory(warp, place, lane);
    uint64_t value;

    if (from) {
        memcpy(out, from, place->bytes);
        return;
    }
    value = ptx_place_value(warp, place, lane);
    memcpy(out, &value, place->bytes);
}

static void place_write(struct ptx_warp *warp, const struct ptx_place *place, unsigned int lane,
                        const uint8_t *in, uint32_t bytes)
{
    uint8_t *to = ptx_place_memory(warp, place, lane);
    uint64_t value = 0;

    if (bytes > place->bytes)
        bytes = place->bytes;
    if (to) {
        memcpy(to, in, bytes);
        return;
    }
    memcpy(&value, in, bytes);
    ptx_place_set(warp, place, lane, value);
}

void *ptx_generic_pointer(struct ptx_warp *warp, const struct ptx_insn *insn, unsigned int lane,
                          uint64_t address, unsigned int bytes, bool write)
{
    struct ptx_insn access = *insn;
    uint8_t *pointers[PTX_LANES];

    ((uint64_t *)ptx_slot(warp, access.src[0]))[lane] = address;
    access.imm = 0;
    access.space = PTX_SPACE_GENERIC;
    access.type2 = PTX_B64;
    access.bytes = (uint8_t)bytes;
    access.count = 1;
    if (ptx_resolve(warp, &access, 1u << lane, bytes, write, pointers))
        return NULL;
    return pointers[lane];
}

/* Puts a function's registers aside, or back. */
static void registers_move(struct ptx_warp *warp, const struct ptx_function *function,
                           unsigned int lane, uint8_t *aside, bool back)
{
    for (size_t i = 0; i < function->n_registers; i++) {
        const struct ptx_registers *registers = &function->registers[i];
        for (uint32_t j = 0; j < registers->count; j++) {
            struct ptx_place place = {.at = registers->at, .bytes = registers->bytes};
            place.at += j * (registers->bytes ? registers->bytes * PTX_LANES : sizeof(uint32_t));
            if (!registers->bytes) {
                place.kind = PTX_PLACE_PREDICATE;
                place.bytes = 1;
            }
            if (back)
                place_write(warp, &place, lane, aside, place.bytes);
            else
                place_read(warp, &place, lane, aside);
            aside += place.bytes;
        }
    }
}

static size_t places_bytes(const struct ptx_place *places, unsigned int n)
{
    size_t bytes = 0;

    for (unsigned int i = 0; i < n; i++)
        bytes += places[i].bytes;
    return bytes;
}

/* The function that a lane calls; the number of functions when it is none. */
static uint32_t callee_of(const struct ptx_warp *warp, const struct ptx_call *call,
                          unsigned int lane)
{
    const struct ptx_kernel *kernel = warp->launch->kernel;
    uint64_t address;

    if (call->pointer == PTX_NO_SLOT)
        return call->function;
    address = ((const uint64_t *)ptx_slot(warp, call->pointer))[lane];
    for (uint32_t i = 0; i < kernel->n_functions; i++) {
        const struct ptx_function *function = &kernel->functions[i];
        if (function->address == address && function->n_results == call->n_results &&
            function->n_formals == call->n_results + call->n_arguments)
            return i;
    }
    return (uint32_t)kernel->n_functions;
}

static enum ptx_step call_fault(struct ptx_warp *warp, const struct ptx_insn *insn,
                                unsigned int lane, const char *why)
{
    enum ptx_step step = ptx_warp_fault(warp, insn, lane, PTX_TRAP, 0, false);

    warp->launch->fault->why = why;
    return step;
}

/* Arguments are read before the callee's registers change, which may be what is read. */
static void pass_arguments(struct ptx_warp *warp, const struct ptx_call *call,
                           const struct ptx_function *function, unsigned int lane, uint8_t *through,
                           bool in)
{
    const struct ptx_place *formals = function->formals + function->n_results;

    for (unsigned int i = 0; i < call->n_arguments; i++) {
        const struct ptx_place *actual = &call->places[call->n_results + i];
        if (in)
            place_read(warp, actual, lane, through);
        else
            place_write(warp, &formals[i], lane, through, actual->bytes);
        through += actual->bytes;
    }
}

/* One lane goes into a function. */
static enum ptx_step lane_enter(struct ptx_warp *warp, const struct ptx_insn *insn,
                                const struct ptx_call *call, unsigned int lane, uint32_t index)
{
    const struct ptx_kernel *kernel = warp->launch->kernel;
    const struct ptx_function *function = &kernel->functions[index];
    struct ptx_calls *calls = warp->calls;
    struct saved *saved = &calls->saved[lane];
    uint32_t *depth = &calls->depth[index * PTX_LANES + lane];
    struct header header = {index, *depth ? (uint32_t)function->saved_bytes : 0, calls->top[lane]};
    size_t arguments = places_bytes(call->places + call->n_results, call->n_arguments);
    uint8_t *aside;

    if (!saved_reserve(saved, header.bytes + sizeof(header) + arguments) ||
        header.top + function->local_bytes > kernel->local_bytes)
        return call_fault(warp, insn, lane, "stack overflow");
    aside = saved->data + saved->used;
    saved->used += header.bytes + sizeof(header);
    pass_arguments(warp, call, function, lane, saved->data + saved->used, true);
    if (header.bytes)
        registers_move(warp, function, lane, aside, false);
    memcpy(aside + header.bytes, &header, sizeof(header));
    ++*depth;
    calls->top[lane] += function->local_bytes;
    ((uint64_t *)ptx_slot(warp, function->frame_slot))[lane] = header.top;
    ((uint32_t *)ptx_slot(warp, function->return_slot))[lane] = ptx_pc(warp, insn) + 1;
    pass_arguments(warp, call, function, lane, saved->data + saved->used, false);
    ptx_warp_park(warp, 1u << lane, function->start);
    return PTX_STEP_SELECT;
}

/* insn->imm: which of the kernel's calls. */
enum ptx_step ptx_run_call(struct ptx_warp *warp, const struct ptx_insn *insn, uint32_t mask)
{
    const struct ptx_kernel *kernel = warp->launch->kernel;
    const struct ptx_call *call = &kernel->calls[insn->imm];

    if (!calls_of(warp))
        return ptx_warp_fault(warp, insn, 0, PTX_OUT_OF_MEMORY, 0, false);
    ptx_warp_park(warp, warp->active & ~mask, ptx_pc(warp, insn) + 1);
    EACH_ACTIVE_LANE(lane, mask)
    {
        uint32_t index = callee_of(warp, call, lane);
        if (index >= kernel->n_functions)
            return call_fault(warp, insn, lane, "call of what is no such function");
        if (lane_enter(warp, insn, call, lane, index) == PTX_STEP_STOP)
            return PTX_STEP_STOP;
    }
    return PTX_STEP_SELECT;
}

/* One lane is back: its results, which are still in the callee's places, go to the caller's. */
static bool lane_leave(struct ptx_warp *warp, const struct ptx_call *call, unsigned int lane)
{
    struct ptx_calls *calls = warp->calls;
    struct saved *saved = &calls->saved[lane];
    const struct ptx_function *function;
    struct header header;
    const uint8_t *results;
    uint8_t *to;

    memcpy(&header, saved->data + saved->used - sizeof(header), sizeof(header));
    function = &warp->launch->kernel->functions[header.function];
    if (!saved_reserve(saved, places_bytes(function->formals, call->n_results)))
        return false;
    to = saved->data + saved->used;
    results = to;
    for (unsigned int i = 0; i < call->n_results; i++) {
        place_read(warp, &function->formals[i], lane, to);
        to += function->formals[i].bytes;
    }
    saved->used -= sizeof(header) + header.bytes;
    if (header.bytes)
        registers_move(warp, function, lane, saved->data + saved->used, true);
    calls->top[lane] = header.top;
    calls->depth[header.function * PTX_LANES + lane]--;
    for (unsigned int i = 0; i < call->n_results; i++) {
        place_write(warp, &call->places[i], lane, results, function->formals[i].bytes);
        results += function->formals[i].bytes;
    }
    return true;
}

enum ptx_step ptx_run_results(struct ptx_warp *warp, const struct ptx_insn *insn, uint32_t mask)
{
    const struct ptx_call *call = &warp->launch->kernel->calls[insn->imm];

    EACH_ACTIVE_LANE(lane, mask)
    {
        if (!lane_leave(warp, call, lane))
            return ptx_warp_fault(warp, insn, lane, PTX_OUT_OF_MEMORY, 0, false);
    }
    return PTX_STEP_NEXT;
}

/* The address of something in the frame of a device function. */
enum ptx_step ptx_run_frame_address(struct ptx_warp *warp, const struct ptx_insn *insn,
                                    uint32_t mask)
{
    const uint64_t *frame = ptx_slot(warp, insn->src[0]);

    EACH_ACTIVE_LANE(lane, mask)
    {
        uint64_t address = frame[lane] + (uint64_t)insn->imm;
        memcpy((uint8_t *)ptx_slot(warp, insn->dst) + lane * insn->width, &address, insn->width);
    }
    return PTX_STEP_NEXT;
}
