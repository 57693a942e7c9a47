/* SPDX-License-Identifier: MIT */

/*
 * call: (results), function, (arguments).
 *
 * Arguments and results are copied by ordinary instructions around the call, from the caller's
 * place to the callee's; the call itself only notes where each lane goes on. Of functions that are
 * declared and defined nowhere, two are known: __assertfail, which traps, and vprintf, which prints
 * nothing and returns the number 0.
 */

#include <string.h>

#include "tests/sim/ptx_lanes.h"
#include "tests/sim/ptx_opcode.h"

#define CALL_OPERANDS 64

enum ptx_step ptx_run_call(struct ptx_warp *warp, const struct ptx_insn *insn, uint32_t mask)
{
    uint32_t *places = ptx_slot(warp, insn->dst);
    uint32_t next = ptx_pc(warp, insn) + 1;

    EACH_ACTIVE_LANE(lane, mask)
    {
        places[lane] = next;
    }
    ptx_warp_park(warp, warp->active & ~mask, next);
    ptx_warp_park(warp, mask, (uint32_t)insn->imm);
    return PTX_STEP_SELECT;
}

/* One instruction copies one value; dst and src are slots, or offsets in local memory. */
static enum ptx_step run_copy_local(struct ptx_warp *warp, const struct ptx_insn *insn,
                                    uint32_t mask)
{
    size_t stride = warp->launch->kernel->local_bytes;

    EACH_ACTIVE_LANE(lane, mask)
    {
        uint8_t *local = warp->local + lane * stride;
        memcpy(local + insn->dst, local + insn->src[0], (size_t)insn->imm);
    }
    return PTX_STEP_NEXT;
}

static enum ptx_step run_copy_register(struct ptx_warp *warp, const struct ptx_insn *insn,
                                       uint32_t mask)
{
    const uint8_t *from = ptx_slot(warp, insn->src[0]);
    uint8_t *to = ptx_slot(warp, insn->dst);

    EACH_ACTIVE_LANE(lane, mask)
    {
        memcpy(to + lane * insn->width, from + lane * insn->width, insn->width);
    }
    return PTX_STEP_NEXT;
}

static enum ptx_step run_copy_predicate(struct ptx_warp *warp, const struct ptx_insn *insn,
                                        uint32_t mask)
{
    ptx_set_predicate(warp, insn->dst, ptx_predicate(warp, insn->src[0]), mask);
    return PTX_STEP_NEXT;
}

static int emit_copy_local(struct ptx_builder *builder, const struct operand *actual,
                           const struct symbol *formal, bool to_formal, struct ptx_insn insn)
{
    uint64_t bytes = actual->symbol.bytes < formal->bytes ? actual->symbol.bytes : formal->bytes;

    if (actual->kind != OPERAND_SYMBOL || actual->symbol.space != PTX_SPACE_LOCAL)
        return lex_fail(&builder->lex, actual->token.line, "'%.*s' where a .param is expected",
                        (int)actual->token.length, actual->token.text);
    insn.run = run_copy_local;
    insn.imm = (int64_t)bytes;
    insn.dst = (uint32_t)(to_formal ? formal->at : actual->symbol.at);
    insn.src[0] = (uint32_t)(to_formal ? actual->symbol.at : formal->at);
    ptx_emit(builder, &insn);
    return 0;
}

/* `insn` carries the guard of the call. */
static int emit_copy(struct ptx_builder *builder, const struct operand *actual,
                     const struct symbol *formal, bool to_formal, struct ptx_insn insn)
{
    if (formal->kind != SYMBOL_REGISTER)
        return emit_copy_local(builder, actual, formal, to_formal, insn);
    insn.width = (uint8_t)ptx_type_bytes(formal->type);
    insn.run = formal->type == PTX_PRED ? run_copy_predicate : run_copy_register;
    insn.dst = (uint32_t)formal->at;
    insn.src[0] = (uint32_t)formal->at;
    if (to_formal)
        insn.src[0] = ptx_source(builder, actual, formal->type);
    else
        insn.dst = ptx_dest(builder, actual, formal->type);
    ptx_emit(builder, &insn);
    return builder->lex.failed ? -1 : 0;
}

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

/* A function that has no body. */
static int emit_known(struct ptx_builder *builder, const struct lex_token *name,
                      const struct operand *results, unsigned int n_results, struct ptx_insn insn)
{
    struct symbol zero = {.kind = SYMBOL_REGISTER, .type = PTX_B32};

    if (token_is(name, "__assertfail")) {
        insn.run = ptx_run_trap;
        ptx_emit(builder, &insn);
        return 0;
    }
    if (!token_is(name, "vprintf"))
        return lex_fail(&builder->lex, name->line, "there is no function '%.*s'", (int)name->length,
                        name->text);
    if (n_results && results[0].kind == OPERAND_SYMBOL) {
        zero.kind = SYMBOL_ADDRESS;
        zero.bytes = 4;
        zero.at = ptx_new_local(builder, 4, 4);
        return emit_copy(builder, &results[0], &zero, false, insn);
    }
    return 0;
}

static int emit_call(struct ptx_builder *builder, struct function *function,
                     const struct operand *results, unsigned int n_results,
                     const struct operand *arguments, unsigned int n_arguments,
                     const struct ptx_insn *guard)
{
    struct ptx_insn insn = *guard;
    const struct symbol *formals = function->formals.items;

    if (n_results != function->n_results || n_results + n_arguments != function->formals.n)
        return lex_fail(&builder->lex, guard->line, "'%.*s' takes %zu arguments and returns %zu",
                        (int)function->name.length, function->name.text,
                        function->formals.n - function->n_results, function->n_results);
    for (unsigned int i = 0; i < n_arguments; i++) {
        if (emit_copy(builder, &arguments[i], &formals[n_results + i], true, *guard))
            return -1;
    }
    insn.run = ptx_run_call;
    insn.dst = function->return_slot;
    insn.imm = function->start;
    ptx_emit(builder, &insn);
    for (unsigned int i = 0; i < n_results; i++) {
        if (emit_copy(builder, &results[i], &formals[i], false, *guard))
            return -1;
    }
    return 0;
}

int ptx_call_parse(struct ptx_builder *builder, struct statement *statement,
                   const struct ptx_insn *guard)
{
    struct lex *lex = &builder->lex;
    struct operand results[CALL_OPERANDS];
    struct operand arguments[CALL_OPERANDS];
    unsigned int n_results = 0;
    unsigned int n_arguments = 0;
    struct lex_token name;
    struct function *function;

    if (lex_is(lex, "(")) {
        n_results = parse_list(builder, statement, results);
        lex_expect(lex, ",");
    }
    name = lex_expect_name(lex);
    if (lex_accept(lex, ","))
        n_arguments = parse_list(builder, statement, arguments);
    lex_expect(lex, ";");
    if (lex->failed)
        return -1;
    function = ptx_function_find(builder, &name);
    if (!function || function->body.kind == LEX_END)
        return emit_known(builder, &name, results, n_results, *guard);
    if (function->is_entry || function->state == FUNCTION_BUILDING)
        return lex_fail(lex, name.line, "'%.*s' cannot be called here: %s", (int)name.length,
                        name.text, function->is_entry ? "it is a kernel" : "it is recursive");
    if (function->state == FUNCTION_NEW)
        ptx_function_build(builder, function);
    if (lex->failed)
        return -1;
    return emit_call(builder, function, results, n_results, arguments, n_arguments, guard);
}
