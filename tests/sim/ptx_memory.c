/* SPDX-License-Identifier: MIT */

/*
 * ld and st.
 *
 * Every pair of an element in memory and the register it goes to has a function of its own, as a
 * loop over lanes is only fast when the compiler knows both. Lanes that lie one after the other, as
 * they mostly do, are one copy. Accesses that order others (volatile, relaxed, acquire, release)
 * are slower: they are atomic, because another block may run in another thread, and they make a
 * block that waits for another one step back sooner.
 */

#include "tests/sim/ptx_opcode.h"
#include "tests/sim/ptx_resolve.h"

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

/*
 * Elements of one type in memory, and registers of another. The lanes' bytes are copied first where
 * they lie in order, as the compiler cannot know that a register is no part of them.
 */
#define LOAD(name, to, from)                                                                       \
    RUN(name)                                                                                      \
    {                                                                                              \
        const uint32_t *slots = warp->launch->kernel->lists + insn->dst;                           \
        uint64_t at[PTX_LANES];                                                                    \
        bool in_order;                                                                             \
        if (ptx_reach(warp, insn, mask, (unsigned int)sizeof(from) * insn->count, false, at,       \
                      &in_order))                                                                  \
            return PTX_STEP_STOP;                                                                  \
        if (in_order && insn->count == 1) {                                                        \
            from copy[PTX_LANES];                                                                  \
            to *d = ptx_slot(warp, slots[0]);                                                      \
            memcpy(copy, (const void *)(uintptr_t)at[0], sizeof(copy));                            \
            for (unsigned int lane = 0; lane < PTX_LANES; lane++)                                  \
                d[lane] = (to)copy[lane];                                                          \
            return PTX_STEP_NEXT;                                                                  \
        }                                                                                          \
        for (unsigned int i = 0; i < insn->count; i++) {                                           \
            to *d = ptx_slot(warp, slots[i]);                                                      \
            EACH_LANE(d[lane] = (to)((const from *)(uintptr_t)at[lane])[i]);                       \
        }                                                                                          \
        return PTX_STEP_NEXT;                                                                      \
    }
#define STORE(name, from, to)                                                                      \
    RUN(name)                                                                                      \
    {                                                                                              \
        const uint32_t *slots = warp->launch->kernel->lists + insn->dst;                           \
        uint64_t at[PTX_LANES];                                                                    \
        bool in_order;                                                                             \
        if (ptx_reach(warp, insn, mask, (unsigned int)sizeof(to) * insn->count, true, at,          \
                      &in_order))                                                                  \
            return PTX_STEP_STOP;                                                                  \
        if (in_order && insn->count == 1) {                                                        \
            const from *s = ptx_slot(warp, slots[0]);                                              \
            to copy[PTX_LANES];                                                                    \
            for (unsigned int lane = 0; lane < PTX_LANES; lane++)                                  \
                copy[lane] = (to)s[lane];                                                          \
            memcpy((void *)(uintptr_t)at[0], copy, sizeof(copy));                                  \
            return PTX_STEP_NEXT;                                                                  \
        }                                                                                          \
        for (unsigned int i = 0; i < insn->count; i++) {                                           \
            const from *s = ptx_slot(warp, slots[i]);                                              \
            EACH_ACTIVE_LANE(lane, mask)                                                           \
            {                                                                                      \
                ((to *)(uintptr_t)at[lane])[i] = (to)s[lane];                                      \
            }                                                                                      \
        }                                                                                          \
        return PTX_STEP_NEXT;                                                                      \
    }
/* By bytes of the element and of the register; of loads, both ways to widen. */
#define MOVE(memory, reg)                                                                          \
    LOAD(run_load_u##memory##_##reg, uint##reg##_t, uint##memory##_t)                              \
    STORE(run_store_##memory##_##reg, uint##reg##_t, uint##memory##_t)
#define MOVE_NARROW(memory, reg)                                                                   \
    MOVE(memory, reg)                                                                              \
    LOAD(run_load_s##memory##_##reg, int##reg##_t, int##memory##_t)
MOVE_NARROW(8, 16)
MOVE_NARROW(8, 32)
MOVE_NARROW(8, 64)
MOVE(16, 16)
MOVE_NARROW(16, 32)
MOVE_NARROW(16, 64)
MOVE(32, 32)
MOVE_NARROW(32, 64)
MOVE(64, 64)

struct move {
    uint8_t bytes, width;
    ptx_run *load, *load_signed, *store;
};
#define ROW(memory, reg, extends)                                                                  \
    {                                                                                              \
        memory / 8, reg / 8, run_load_u##memory##_##reg, run_load_##extends##memory##_##reg,       \
            run_store_##memory##_##reg                                                             \
    }
static const struct move moves[] = {
    ROW(8, 16, s),  ROW(8, 32, s),  ROW(8, 64, s),  ROW(16, 16, u), ROW(16, 32, s),
    ROW(16, 64, s), ROW(32, 32, u), ROW(32, 64, s), ROW(64, 64, u),
};

/* An access that orders others; `at`: the lane's element. Shared memory is of one block, which is
 * in one thread. */
static uint64_t read_ordered(const void *at, const struct ptx_insn *insn)
{
    unsigned int shift = 64 - insn->bytes * 8u;
    uint64_t bits;

    switch (insn->bytes) {
    case 1:
        bits = __atomic_load_n((const uint8_t *)at, __ATOMIC_ACQUIRE);
        break;
    case 2:
        bits = __atomic_load_n((const uint16_t *)at, __ATOMIC_ACQUIRE);
        break;
    case 4:
        bits = __atomic_load_n((const uint32_t *)at, __ATOMIC_ACQUIRE);
        break;
    default:
        bits = __atomic_load_n((const uint64_t *)at, __ATOMIC_ACQUIRE);
        break;
    }
    if (ptx_type_is_signed(insn->type))
        bits = (uint64_t)((int64_t)(bits << shift) >> shift);
    return bits;
}

static void write_ordered(void *at, uint64_t bits, unsigned int bytes)
{
    switch (bytes) {
    case 1:
        __atomic_store_n((uint8_t *)at, (uint8_t)bits, __ATOMIC_RELEASE);
        break;
    case 2:
        __atomic_store_n((uint16_t *)at, (uint16_t)bits, __ATOMIC_RELEASE);
        break;
    case 4:
        __atomic_store_n((uint32_t *)at, (uint32_t)bits, __ATOMIC_RELEASE);
        break;
    default:
        __atomic_store_n((uint64_t *)at, bits, __ATOMIC_RELEASE);
        break;
    }
}

static enum ptx_step run_load_ordered(struct ptx_warp *warp, const struct ptx_insn *insn,
                                      uint32_t mask)
{
    const uint32_t *slots = warp->launch->kernel->lists + insn->dst;
    uint8_t *pointers[PTX_LANES];
    uint64_t bits = 0;

    if (ptx_resolve(warp, insn, mask, (unsigned int)insn->bytes * insn->count, false, pointers))
        return PTX_STEP_STOP;
    for (unsigned int i = 0; i < insn->count; i++) {
        uint8_t *to = ptx_slot(warp, slots[i]);
        EACH_ACTIVE_LANE(lane, mask)
        {
            bits = read_ordered(pointers[lane] + i * insn->bytes, insn);
            memcpy(to + lane * insn->width, &bits, insn->width);
        }
    }
    ptx_warp_look(warp, pointers[__builtin_ctz(mask)], bits);
    return PTX_STEP_NEXT;
}

static enum ptx_step run_store_ordered(struct ptx_warp *warp, const struct ptx_insn *insn,
                                       uint32_t mask)
{
    const uint32_t *slots = warp->launch->kernel->lists + insn->dst;
    uint8_t *pointers[PTX_LANES];

    if (ptx_resolve(warp, insn, mask, (unsigned int)insn->bytes * insn->count, true, pointers))
        return PTX_STEP_STOP;
    for (unsigned int i = 0; i < insn->count; i++) {
        const uint8_t *from = ptx_slot(warp, slots[i]);
        EACH_ACTIVE_LANE(lane, mask)
        {
            uint64_t bits = 0;
            memcpy(&bits, from + lane * insn->width, insn->width);
            write_ordered(pointers[lane] + i * insn->bytes, bits, insn->bytes);
        }
    }
    return PTX_STEP_NEXT;
}

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

/* Do others see more than the bits? Nobody else sees what is in other spaces. */
static bool is_ordered(const struct spelling *spelling, const struct ptx_insn *insn)
{
    return (insn->space == PTX_SPACE_GLOBAL || insn->space == PTX_SPACE_GENERIC) &&
           (spelling_has(spelling, "volatile") || spelling_has(spelling, "relaxed") ||
            spelling_has(spelling, "acquire") || spelling_has(spelling, "release") ||
            spelling_has(spelling, "mmio"));
}

static int choose_run(struct ptx_builder *builder, const struct statement *statement, bool load,
                      struct ptx_insn *insn)
{
    const struct spelling *spelling = statement->spelling;

    insn->run = load ? run_load_ordered : run_store_ordered;
    if (is_ordered(spelling, insn))
        return 0;
    for (size_t i = 0; i < sizeof(moves) / sizeof(moves[0]); i++) {
        const struct move *move = &moves[i];
        if (move->bytes != insn->bytes || move->width != insn->width)
            continue;
        insn->run = !load                            ? move->store
                    : ptx_type_is_signed(insn->type) ? move->load_signed
                                                     : move->load;
        return 0;
    }
    return lex_fail(&builder->lex, statement->line, "'%.*s' and a register of %u bits",
                    (int)spelling->text.length, spelling->text.text, insn->width * 8u);
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
    if (choose_run(builder, statement, true, insn))
        return -1;
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
    return choose_run(builder, statement, false, insn);
}

#define ANY_TYPE(f)                                                                                \
    PTX_RUNS([PTX_B8] = f, [PTX_B16] = f, [PTX_B32] = f, [PTX_B64] = f, [PTX_U8] = f,              \
             [PTX_U16] = f, [PTX_U32] = f, [PTX_U64] = f, [PTX_S8] = f, [PTX_S16] = f,             \
             [PTX_S32] = f, [PTX_S64] = f, [PTX_F16] = f, [PTX_F32] = f, [PTX_F64] = f)
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
    {"ld", WHERE ORDER, .decode = decode_load, .runs = ANY_TYPE(run_load_ordered)},
    {"ldu", WHERE ORDER, .decode = decode_load, .runs = ANY_TYPE(run_load_ordered)},
    {"st", WHERE ORDER, .decode = decode_store, .runs = ANY_TYPE(run_store_ordered)},
    {"prefetch", "global local L1 L2 L2::evict_last L2::evict_normal", .decode = decode_prefetch,
     .run = run_nothing},
    {NULL},
};
