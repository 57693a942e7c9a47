/* SPDX-License-Identifier: MIT */

/*
 * call: (results), function, (arguments), prototype.
 *
 * A call becomes two instructions, the going and the taking of results. A guarded one gets a branch
 * around both instead, since the guard may be another after a recursive call. Functions that are
 * declared and defined nowhere are refused but for those that the driver has (ptx_print.c).
 */

#include <string.h>

#include "tests/sim/ptx_lanes.h"
#include "tests/sim/ptx_opcode.h"

#define CALL_OPERANDS 64

struct parsed_call {
    struct operand results[CALL_OPERANDS];
    struct operand arguments[CALL_OPERANDS];
    unsigned int n_results, n_arguments;
    struct lex_token name;
};

static unsigned int parse_list(struct ptx_builder *builder, struct statement *statement,
                               struct operand *out)
{
    struct lex *lex = &builder->lex;
    unsigned int n = 0;

    if (!lex_accept(lex, "(") || lex_accept(lex, ")"))
        return 0;
    do {
        if (n == CALL_OPERANDS) {
            lex_fail(lex, lex->token.line, "more than %d arguments", CALL_OPERANDS);
            return 0;
        }
        if (ptx_operand_parse(builder, statement, &out[n]))
            return 0;
        n++;
    } while (lex_accept(lex, ","));
    lex_expect(lex, ")");
    return n;
}

static int parse_call(struct ptx_builder *builder, struct statement *statement,
                      struct parsed_call *out)
{
    struct lex *lex = &builder->lex;

    if (lex_is(lex, "(")) {
        out->n_results = parse_list(builder, statement, out->results);
        lex_expect(lex, ",");
    }
    out->name = lex_expect_name(lex);
    while (lex_accept(lex, ",")) {
        /* What follows the arguments is a prototype, or a list of what may be called. */
        if (lex_is(lex, "("))
            out->n_arguments = parse_list(builder, statement, out->arguments);
        else
            lex_expect_name(lex);
    }
    lex_expect(lex, ";");
    return lex->failed ? -1 : 0;
}

struct ptx_place ptx_symbol_place(const struct symbol *symbol)
{
    struct ptx_place place = {.kind = PTX_PLACE_REGISTER,
                              .at = (uint32_t)symbol->at,
                              .bytes = ptx_type_bytes(symbol->type),
                              .frame = symbol->frame};

    if (symbol->kind != SYMBOL_REGISTER) {
        place.kind = PTX_PLACE_LOCAL;
        place.bytes = (uint32_t)symbol->bytes;
    } else if (symbol->type == PTX_PRED) {
        place.kind = PTX_PLACE_PREDICATE;
        place.bytes = 1;
    } else if (place.bytes < 2) {
        place.bytes = 2;
    }
    return place;
}

/* An operand of a call; a number takes the type that the callee's formal has. */
static struct ptx_place operand_place(struct ptx_builder *builder, const struct operand *operand,
                                      const struct symbol *formal)
{
    enum ptx_type type = formal && formal->kind == SYMBOL_REGISTER ? formal->type : PTX_B32;
    struct symbol symbol = operand->symbol;

    if (operand->kind == OPERAND_SYMBOL && symbol.kind == SYMBOL_ADDRESS &&
        symbol.space == PTX_SPACE_LOCAL)
        return ptx_symbol_place(&symbol);
    symbol = (struct symbol){.kind = SYMBOL_REGISTER, .type = type};
    if (operand->kind == OPERAND_REGISTER)
        symbol.type = operand->type;
    if (operand->kind == OPERAND_SINK || operand->kind == OPERAND_REGISTER)
        symbol.at = ptx_dest(builder, operand, symbol.type);
    else
        symbol.at = ptx_source(builder, operand, type);
    return ptx_symbol_place(&symbol);
}

/* Appends to kernel->calls; returns the index. */
static size_t add_call(struct ptx_builder *builder, const struct parsed_call *parsed,
                       const struct function *function)
{
    struct ptx_kernel *kernel = builder->kernel;
    struct ptx_call call = {
        .pointer = PTX_NO_SLOT, .n_results = parsed->n_results, .n_arguments = parsed->n_arguments};
    size_t capacity = 0;

    if (function)
        call.function = function->index;
    for (unsigned int i = 0; i < parsed->n_results + parsed->n_arguments; i++) {
        bool is_result = i < parsed->n_results;
        const struct operand *operand =
            is_result ? &parsed->results[i] : &parsed->arguments[i - parsed->n_results];
        const struct symbol *formal = function ? &function->formals.items[i] : NULL;
        call.places = ptx_grow(call.places, i, &capacity, sizeof(*call.places));
        call.places[i] = operand_place(builder, operand, formal);
    }
    kernel->calls =
        ptx_grow(kernel->calls, kernel->n_calls, &builder->calls_capacity, sizeof(call));
    kernel->calls[kernel->n_calls] = call;
    return kernel->n_calls++;
}

static void emit_around(struct ptx_builder *builder, const struct ptx_insn *guard,
                        unsigned int further)
{
    struct ptx_insn insn = *guard;

    if (guard->guard == PTX_NO_SLOT)
        return;
    insn.run = ptx_run_branch;
    insn.guard_flip = ~guard->guard_flip;
    insn.imm = (int64_t)builder->body->n_code + 1 + further;
    ptx_emit(builder, &insn);
    ptx_emit_jump(builder, NULL);
}

static void emit_call(struct ptx_builder *builder, const struct ptx_insn *guard, size_t call)
{
    struct ptx_insn insn = *guard;

    emit_around(builder, guard, 2);
    insn.guard = PTX_NO_SLOT;
    insn.imm = (int64_t)call;
    insn.run = ptx_run_call;
    ptx_emit(builder, &insn);
    insn.run = ptx_run_results;
    ptx_emit(builder, &insn);
}

/* Through a register: the callees are whatever functions the module has. */
static int emit_indirect(struct ptx_builder *builder, const struct parsed_call *parsed,
                         const struct symbol *pointer, const struct ptx_insn *guard)
{
    size_t call = add_call(builder, parsed, NULL);
    struct operand operand = {.kind = OPERAND_REGISTER, .token = parsed->name};

    operand.type = pointer->type;
    operand.slot = ptx_register_slot(pointer, &parsed->name);
    builder->kernel->calls[call].pointer = ptx_source(builder, &operand, PTX_B64);
    builder->indirect = true;
    emit_call(builder, guard, call);
    return builder->lex.failed ? -1 : 0;
}

/* One of the driver's own functions, which is an instruction. */
static int emit_known(struct ptx_builder *builder, const struct parsed_call *parsed,
                      const struct ptx_insn *guard)
{
    struct ptx_insn insn = *guard;

    insn.run = ptx_known_function(&parsed->name, parsed->n_results, parsed->n_arguments);
    if (!insn.run)
        return lex_fail(&builder->lex, parsed->name.line, "there is no function '%.*s'",
                        (int)parsed->name.length, parsed->name.text);
    insn.imm = (int64_t)add_call(builder, parsed, NULL);
    insn.src[0] = ptx_new_slots(builder, 8, 1);
    insn.src[1] = ptx_heap_slot(builder);
    ptx_emit(builder, &insn);
    return builder->lex.failed ? -1 : 0;
}

int ptx_call_parse(struct ptx_builder *builder, struct statement *statement,
                   const struct ptx_insn *guard)
{
    struct lex *lex = &builder->lex;
    struct parsed_call parsed = {.n_results = 0};
    struct function *function;
    struct symbol pointer;

    if (parse_call(builder, statement, &parsed))
        return -1;
    if (ptx_symbol_find(builder, &parsed.name, &pointer) && pointer.kind == SYMBOL_REGISTER)
        return emit_indirect(builder, &parsed, &pointer, guard);
    function = ptx_function_find(builder, &parsed.name);
    if (!function || function->body.kind == LEX_END)
        return emit_known(builder, &parsed, guard);
    if (function->is_entry)
        return lex_fail(lex, parsed.name.line, "'%.*s' cannot be called here: it is a kernel",
                        (int)parsed.name.length, parsed.name.text);
    if (function->state == FUNCTION_NEW)
        ptx_function_build(builder, function);
    else if (function->state == FUNCTION_BUILDING)
        builder->recursive = true;
    if (lex->failed)
        return -1;
    if (parsed.n_results != function->n_results ||
        parsed.n_results + parsed.n_arguments != function->formals.n)
        return lex_fail(lex, guard->line, "'%.*s' takes %zu arguments and returns %zu",
                        (int)parsed.name.length, parsed.name.text,
                        function->formals.n - function->n_results, function->n_results);
    emit_call(builder, guard, add_call(builder, &parsed, function));
    return lex->failed ? -1 : 0;
}
