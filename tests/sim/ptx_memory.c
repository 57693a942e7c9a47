/* SPDX-License-Identifier: MIT */

/*
 * Addresses, loads and stores.
 *
 * An access first becomes 32 host pointers, then data moves. Device memory goes through the MMU; a
 * small cache per launch, of stretches within one page, keeps that off the path of most accesses,
 * and counts bytes until the page is replaced in it or the launch ends. All lanes are compared with
 * the first lane's stretch at once; only when that fails is each lane looked up by itself.
 */

#include <stdlib.h>

#include "tests/sim/mmu.h"
#include "tests/sim/ptx_lanes.h"
#include "tests/sim/ptx_opcode.h"

static void stretch_flush(struct ptx_stretch *stretch)
{
    if (stretch->bytes)
        sim_mmu_account(stretch->from, stretch->bytes);
    stretch->bytes = 0;
}

void ptx_memory_flush(struct ptx_launch_state *state)
{
    for (unsigned int i = 0; i < PTX_CACHE; i++) {
        stretch_flush(&state->cache[0][i]);
        stretch_flush(&state->cache[1][i]);
    }
}

static bool stretch_has(const struct ptx_stretch *stretch, uint64_t address, unsigned int bytes)
{
    return address >= stretch->from && address <= stretch->last &&
           stretch->last - address >= bytes - 1;
}

/* The stretch that holds [address, address + bytes), or NULL when there is none. */
static struct ptx_stretch *stretch_find(struct ptx_launch_state *state, uint64_t address,
                                        unsigned int bytes, bool write)
{
    uint64_t page = address / SIM_PAGE_BYTES;
    struct ptx_stretch *stretch = &state->cache[write][page % PTX_CACHE];
    uint64_t from = 0;
    uint64_t to = 0;
    const uint8_t *host;

    if (stretch_has(stretch, address, bytes))
        return stretch;
    host = sim_mmu_translate(address, bytes, write, &from, &to);
    if (!host)
        return NULL;
    stretch_flush(stretch);
    stretch->from = from > page * SIM_PAGE_BYTES ? from : page * SIM_PAGE_BYTES;
    stretch->last = (page + 1) * SIM_PAGE_BYTES - 1;
    if (to - 1 < stretch->last)
        stretch->last = to - 1;
    stretch->delta = (uint64_t)(uintptr_t)host - address;
    return stretch;
}

/* The tests of a warp's addresses against one stretch, without branches. */
PTX_CLONES static uint64_t count_misses(const uint64_t *addresses, uint64_t from, uint64_t room,
                                        uint64_t low_bits)
{
    uint64_t misses = 0;

    for (unsigned int lane = 0; lane < PTX_LANES; lane++)
        misses += (addresses[lane] - from > room) | ((addresses[lane] & low_bits) != 0);
    return misses;
}

PTX_CLONES static void add_delta(uint8_t **pointers, const uint64_t *addresses, uint64_t delta)
{
    for (unsigned int lane = 0; lane < PTX_LANES; lane++)
        pointers[lane] = (uint8_t *)(uintptr_t)(addresses[lane] + delta);
}

/* One piece of memory that a window of addresses stands for. */
struct window {
    uint64_t base; /* generic address of its first byte */
    uint8_t *memory;
    uint64_t bytes;
};

static struct window window_of(const struct ptx_warp *warp, enum ptx_space space, unsigned int lane)
{
    const struct ptx_launch_state *state = warp->launch;

    switch (space) {
    case PTX_SPACE_SHARED:
        return (struct window){PTX_WINDOW(space), warp->block->shared, warp->block->shared_bytes};
    case PTX_SPACE_LOCAL:
        return (struct window){PTX_WINDOW(space), warp->local + lane * state->kernel->local_bytes,
                               state->kernel->local_bytes};
    default:
        return (struct window){PTX_WINDOW(space), (uint8_t *)state->launch->params,
                               state->kernel->param_bytes};
    }
}

static uint8_t *window_pointer(const struct ptx_warp *warp, enum ptx_space space, unsigned int lane,
                               uint64_t offset, unsigned int bytes)
{
    struct window window = window_of(warp, space, lane);

    if (offset > window.bytes || window.bytes - offset < bytes)
        return NULL;
    return window.memory + offset;
}

static enum ptx_space generic_space(uint64_t *address)
{
    uint64_t window = *address >> PTX_WINDOW_SHIFT;

    if (window < PTX_SPACE_SHARED || window > PTX_SPACE_PARAM)
        return PTX_SPACE_GLOBAL;
    *address -= PTX_WINDOW(window);
    return (enum ptx_space)window;
}

static uint8_t *lane_pointer(struct ptx_warp *warp, enum ptx_space space, unsigned int lane,
                             uint64_t address, unsigned int bytes, bool write)
{
    struct ptx_stretch *stretch;

    if (space == PTX_SPACE_GENERIC)
        space = generic_space(&address);
    if (space != PTX_SPACE_GLOBAL)
        return write && space == PTX_SPACE_PARAM
                   ? NULL
                   : window_pointer(warp, space, lane, address, bytes);
    stretch = stretch_find(warp->launch, address, bytes, write);
    if (!stretch)
        return NULL;
    stretch->bytes += bytes;
    return (uint8_t *)(uintptr_t)(address + stretch->delta);
}

static enum ptx_step resolve_lanes(struct ptx_warp *warp, const struct ptx_insn *insn,
                                   uint32_t mask, unsigned int bytes, bool write,
                                   const uint64_t *addresses, uint8_t **pointers)
{
    EACH_ACTIVE_LANE(lane, mask)
    {
        uint64_t address = addresses[lane];
        if (address & (bytes - 1))
            return ptx_warp_fault(warp, insn, lane, PTX_MISALIGNED, address, write);
        pointers[lane] = lane_pointer(warp, insn->space, lane, address, bytes, write);
        if (!pointers[lane])
            return ptx_warp_fault(warp, insn, lane, PTX_ILLEGAL_ADDRESS, address, write);
    }
    return PTX_STEP_NEXT;
}

/* All lanes in one stretch of device memory, or all in shared memory. */
static bool resolve_together(struct ptx_warp *warp, enum ptx_space space, unsigned int bytes,
                             bool write, const uint64_t *addresses, uint8_t **pointers)
{
    struct ptx_stretch *stretch;

    if (space == PTX_SPACE_SHARED) {
        const struct ptx_block *block = warp->block;
        if (block->shared_bytes < bytes ||
            count_misses(addresses, 0, block->shared_bytes - bytes, bytes - 1))
            return false;
        add_delta(pointers, addresses, (uint64_t)(uintptr_t)block->shared);
        return true;
    }
    if (space == PTX_SPACE_LOCAL || space == PTX_SPACE_PARAM)
        return false;
    if (space == PTX_SPACE_GENERIC && addresses[0] >> PTX_WINDOW_SHIFT)
        return false;
    stretch = stretch_find(warp->launch, addresses[0], bytes, write);
    if (!stretch || count_misses(addresses, stretch->from,
                                 stretch->last - stretch->from + 1 - bytes, bytes - 1))
        return false;
    stretch->bytes += (uint64_t)bytes * PTX_LANES;
    add_delta(pointers, addresses, stretch->delta);
    return true;
}

PTX_CLONES static void compute_addresses(const struct ptx_warp *warp, const struct ptx_insn *insn,
                                         uint64_t *addresses)
{
    uint64_t offset = (uint64_t)insn->imm;

    if (insn->type2 == PTX_B32) {
        A(uint32_t);
        for (unsigned int lane = 0; lane < PTX_LANES; lane++)
            addresses[lane] = (uint32_t)(a[lane] + offset);
    } else {
        A(uint64_t);
        for (unsigned int lane = 0; lane < PTX_LANES; lane++)
            addresses[lane] = a[lane] + offset;
    }
}

enum ptx_step ptx_resolve(struct ptx_warp *warp, const struct ptx_insn *insn, uint32_t mask,
                          unsigned int bytes, bool write, uint8_t *pointers[PTX_LANES])
{
    uint64_t addresses[PTX_LANES];

    compute_addresses(warp, insn, addresses);
    if (mask == PTX_ALL_LANES &&
        resolve_together(warp, insn->space, bytes, write, addresses, pointers))
        return PTX_STEP_NEXT;
    return resolve_lanes(warp, insn, mask, bytes, write, addresses, pointers);
}

static uint64_t read_memory(const uint8_t *from, const struct ptx_insn *insn)
{
    uint64_t bits = 0;

    memcpy(&bits, from, insn->bytes);
    if (ptx_type_is_signed(insn->type)) {
        unsigned int shift = 64 - insn->bytes * 8;
        bits = (uint64_t)((int64_t)(bits << shift) >> shift);
    }
    return bits;
}

/* Vectors, and elements narrower than their register. */
static enum ptx_step run_load(struct ptx_warp *warp, const struct ptx_insn *insn, uint32_t mask)
{
    const uint32_t *slots = warp->launch->kernel->lists + insn->dst;
    uint8_t *pointers[PTX_LANES];

    if (ptx_resolve(warp, insn, mask, (unsigned int)insn->bytes * insn->count, false, pointers))
        return PTX_STEP_STOP;
    for (unsigned int i = 0; i < insn->count; i++) {
        uint8_t *to = ptx_slot(warp, slots[i]);
        EACH_ACTIVE_LANE(lane, mask)
        {
            uint64_t bits = read_memory(pointers[lane] + i * insn->bytes, insn);
            memcpy(to + lane * insn->width, &bits, insn->width);
        }
    }
    return PTX_STEP_NEXT;
}

static enum ptx_step run_store(struct ptx_warp *warp, const struct ptx_insn *insn, uint32_t mask)
{
    const uint32_t *slots = warp->launch->kernel->lists + insn->dst;
    uint8_t *pointers[PTX_LANES];

    if (ptx_resolve(warp, insn, mask, (unsigned int)insn->bytes * insn->count, true, pointers))
        return PTX_STEP_STOP;
    for (unsigned int i = 0; i < insn->count; i++) {
        const uint8_t *from = ptx_slot(warp, slots[i]);
        EACH_ACTIVE_LANE(lane, mask)
        {
            memcpy(pointers[lane] + i * insn->bytes, from + lane * insn->width, insn->bytes);
        }
    }
    return PTX_STEP_NEXT;
}

/* One or more elements as wide as their registers. */
#define MOVE(n)                                                                                    \
    RUN(run_load_u##n)                                                                             \
    {                                                                                              \
        const uint32_t *slots = warp->launch->kernel->lists + insn->dst;                           \
        uint8_t *pointers[PTX_LANES];                                                              \
        if (ptx_resolve(warp, insn, mask, n / 8u * insn->count, false, pointers))                  \
            return PTX_STEP_STOP;                                                                  \
        for (unsigned int i = 0; i < insn->count; i++) {                                           \
            uint##n##_t *d = ptx_slot(warp, slots[i]);                                             \
            EACH_LANE(d[lane] = ((const uint##n##_t *)(const void *)pointers[lane])[i]);           \
        }                                                                                          \
        return PTX_STEP_NEXT;                                                                      \
    }                                                                                              \
    RUN(run_store_u##n)                                                                            \
    {                                                                                              \
        const uint32_t *slots = warp->launch->kernel->lists + insn->dst;                           \
        uint8_t *pointers[PTX_LANES];                                                              \
        if (ptx_resolve(warp, insn, mask, n / 8u * insn->count, true, pointers))                   \
            return PTX_STEP_STOP;                                                                  \
        for (unsigned int i = 0; i < insn->count; i++) {                                           \
            const uint##n##_t *s = ptx_slot(warp, slots[i]);                                       \
            EACH_ACTIVE_LANE(lane, mask)                                                           \
            {                                                                                      \
                ((uint##n##_t *)(void *)pointers[lane])[i] = s[lane];                              \
            }                                                                                      \
        }                                                                                          \
        return PTX_STEP_NEXT;                                                                      \
    }
MOVE(16)
MOVE(32)
MOVE(64)

/* A kernel parameter at a fixed place: the same for all lanes. */
RUN(run_load_param)
{
    const uint32_t *slots = warp->launch->kernel->lists + insn->dst;
    const uint8_t *params = warp->launch->launch->params;

    for (unsigned int i = 0; i < insn->count; i++) {
        uint64_t bits = read_memory(params + insn->imm + i * insn->bytes, insn);
        uint16_t *d16 = ptx_slot(warp, slots[i]);
        uint32_t *d32 = ptx_slot(warp, slots[i]);
        uint64_t *d64 = ptx_slot(warp, slots[i]);
        if (insn->width == 8)
            EACH_LANE(d64[lane] = bits);
        else if (insn->width == 4)
            EACH_LANE(d32[lane] = (uint32_t)bits);
        else
            EACH_LANE(d16[lane] = (uint16_t)bits);
    }
    return PTX_STEP_NEXT;
}

static enum ptx_space space_of(const struct ptx_builder *builder, const struct spelling *spelling,
                               const struct operand *base)
{
    if (spelling_has(spelling, "global") || spelling_has(spelling, "const"))
        return PTX_SPACE_GLOBAL;
    if (spelling_has(spelling, "shared") || spelling_has(spelling, "shared::cta") ||
        spelling_has(spelling, "shared::cluster"))
        return PTX_SPACE_SHARED;
    if (spelling_has(spelling, "local"))
        return PTX_SPACE_LOCAL;
    if (spelling_has(spelling, "param") || spelling_has(spelling, "param::entry") ||
        spelling_has(spelling, "param::func")) {
        /* What a device function is given, and what it gives to others, is in local memory. */
        if (base->kind == OPERAND_SYMBOL)
            return base->symbol.space;
        return builder->body->function->is_entry ? PTX_SPACE_PARAM : PTX_SPACE_LOCAL;
    }
    return PTX_SPACE_GENERIC;
}

/* A named variable used as a generic address needs its window. */
static void make_generic(struct operand *base)
{
    if (base->kind == OPERAND_SYMBOL)
        base->bits += PTX_WINDOW(base->symbol.space);
}

int ptx_decode_address_in(struct ptx_builder *builder, const struct statement *statement,
                          const struct operand *operand, enum ptx_space space,
                          struct ptx_insn *insn)
{
    struct operand base;

    if (operand->kind != OPERAND_ADDRESS)
        return lex_fail(&builder->lex, statement->line, "'%.*s' where an address is expected",
                        (int)operand->token.length, operand->token.text);
    base = statement->elements[operand->first];
    insn->space = (uint8_t)space;
    if (insn->space == PTX_SPACE_GENERIC)
        make_generic(&base);
    insn->imm = (int64_t)operand->bits;
    insn->type2 = PTX_B64;
    if (base.kind == OPERAND_REGISTER && ptx_type_bytes(base.type) == 4)
        insn->type2 = PTX_B32;
    insn->src[0] = ptx_source(builder, &base, insn->type2);
    return builder->lex.failed ? -1 : 0;
}

int ptx_decode_address(struct ptx_builder *builder, const struct statement *statement,
                       const struct operand *operand, struct ptx_insn *insn)
{
    struct operand base = {.kind = OPERAND_INTEGER};

    if (operand->kind == OPERAND_ADDRESS)
        base = statement->elements[operand->first];
    return ptx_decode_address_in(builder, statement, operand,
                                 space_of(builder, statement->spelling, &base), insn);
}

/* The registers of a load or store into a list, and how wide their lanes are. */
static int decode_elements(struct ptx_builder *builder, const struct statement *statement,
                           const struct operand *operand, bool load, struct ptx_insn *insn)
{
    const struct spelling *spelling = statement->spelling;
    const struct operand *elements = operand;
    unsigned int count = spelling_has(spelling, "v2") ? 2 : spelling_has(spelling, "v4") ? 4 : 1;
    uint32_t slots[4] = {0};

    if (operand->kind == OPERAND_VECTOR)
        elements = &statement->elements[operand->first];
    if ((operand->kind == OPERAND_VECTOR ? operand->count : 1) != count ||
        count * ptx_type_bytes(insn->type) > 16)
        return lex_fail(&builder->lex, statement->line, "'%.*s' moves %u elements",
                        (int)spelling->text.length, spelling->text.text, count);
    for (unsigned int i = 0; i < count; i++) {
        uint8_t width = 0;
        slots[i] = load ? ptx_wide_dest(builder, &elements[i], insn->type, &width)
                        : ptx_wide_source(builder, &elements[i], insn->type, &width);
        if (i && width != insn->width)
            return lex_fail(&builder->lex, statement->line, "elements of different widths");
        insn->width = width;
    }
    insn->count = (uint8_t)count;
    insn->bytes = (uint8_t)ptx_type_bytes(insn->type);
    insn->dst = ptx_list(builder, slots, count);
    return builder->lex.failed ? -1 : 0;
}

/* A load whose register is wider than the element extends; all others move bits. */
static ptx_run *exact_run(const struct ptx_insn *insn, bool load)
{
    if (insn->width != insn->bytes)
        return load ? run_load : run_store;
    switch (insn->bytes) {
    case 2:
        return load ? run_load_u16 : run_store_u16;
    case 4:
        return load ? run_load_u32 : run_store_u32;
    default:
        return load ? run_load_u64 : run_store_u64;
    }
}

static bool is_fixed_param(const struct ptx_builder *builder, const struct statement *statement,
                           const struct ptx_insn *insn)
{
    const struct operand *base = &statement->elements[statement->operands[1].first];
    uint64_t end = builder->kernel->param_bytes;
    uint64_t at = base->symbol.at + (uint64_t)insn->imm;
    unsigned int bytes = (unsigned int)insn->bytes * insn->count;

    return insn->space == PTX_SPACE_PARAM && base->kind == OPERAND_SYMBOL && at <= end &&
           end - at >= bytes && !(at & (bytes - 1));
}

static int decode_load(struct ptx_builder *builder, const struct statement *statement,
                       struct ptx_insn *insn)
{
    if (statement->n_operands != 2u + spelling_has(statement->spelling, "L2::cache_hint"))
        return lex_fail(&builder->lex, statement->line, "a load takes 2 operands");
    if (decode_elements(builder, statement, &statement->operands[0], true, insn) ||
        ptx_decode_address(builder, statement, &statement->operands[1], insn))
        return -1;
    insn->run = exact_run(insn, true);
    if (is_fixed_param(builder, statement, insn)) {
        insn->run = run_load_param;
        insn->imm += (int64_t)statement->elements[statement->operands[1].first].symbol.at;
    }
    return 0;
}

static int decode_store(struct ptx_builder *builder, const struct statement *statement,
                        struct ptx_insn *insn)
{
    if (statement->n_operands != 2u + spelling_has(statement->spelling, "L2::cache_hint"))
        return lex_fail(&builder->lex, statement->line, "a store takes 2 operands");
    if (decode_elements(builder, statement, &statement->operands[1], false, insn) ||
        ptx_decode_address(builder, statement, &statement->operands[0], insn))
        return -1;
    insn->run = exact_run(insn, false);
    return 0;
}

#define ANY_TYPE(f)                                                                                \
    PTX_RUNS([PTX_B8] = f, [PTX_B16] = f, [PTX_B32] = f, [PTX_B64] = f, [PTX_U8] = f,              \
             [PTX_U16] = f, [PTX_U32] = f, [PTX_U64] = f, [PTX_S8] = f, [PTX_S16] = f,             \
             [PTX_S32] = f, [PTX_S64] = f, [PTX_F16] = f, [PTX_F32] = f, [PTX_F64] = f)
/* Order and caching change nothing where one lane runs after the other. */
#define WHERE                                                                                      \
    "global shared shared::cta shared::cluster local const param param::entry param::func v2 v4"
#define ORDER                                                                                      \
    " weak volatile relaxed acquire release cta cluster gpu sys ca cg cs lu cv wb wt nc"           \
    " L1::evict_normal L1::evict_unchanged L1::evict_first L1::evict_last L1::no_allocate"         \
    " L2::64B L2::128B L2::256B L2::cache_hint L2::evict_last L2::evict_first L2::evict_normal"    \
    " unified mmio"

/* prefetch and the like only matter to a cache. */
static enum ptx_step run_nothing(struct ptx_warp *warp, const struct ptx_insn *insn, uint32_t mask)
{
    return PTX_STEP_NEXT;
}

static int decode_prefetch(struct ptx_builder *builder, const struct statement *statement,
                           struct ptx_insn *insn)
{
    if (statement->n_operands != 1)
        return lex_fail(&builder->lex, statement->line, "prefetch takes 1 operand");
    return ptx_decode_address(builder, statement, &statement->operands[0], insn);
}

const struct ptx_opcode ptx_memory_opcodes[] = {
    {"ld", WHERE ORDER, .decode = decode_load, .runs = ANY_TYPE(run_load)},
    {"ldu", WHERE ORDER, .decode = decode_load, .runs = ANY_TYPE(run_load)},
    {"st", WHERE ORDER, .decode = decode_store, .runs = ANY_TYPE(run_store)},
    {"prefetch", "global local L1 L2 L2::evict_last L2::evict_normal", .decode = decode_prefetch,
     .run = run_nothing},
    {NULL},
};
