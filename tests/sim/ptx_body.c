/* SPDX-License-Identifier: MIT */

/*
 * The body of a kernel or device function, as decoded instructions.
 *
 * A kernel owns all its code: the device functions it calls are parsed again for each kernel, into
 * the same register file and local memory. Callees come before their callers in the code, so that
 * the runner, which lets the lanes that are furthest behind go first, finishes a call before it
 * runs on past it. How a function is called while it runs is in ptx_call.h.
 */

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/sim/ptx_build.h"
#include "tests/sim/ptx_opcode.h"

#define SCOPE_LIMIT 200
#define CALL_LIMIT  64
#define STACK_BYTES 16384 /* further local memory of kernels whose calls may nest without end */

void *ptx_grow(void *items, size_t n, size_t *capacity, size_t item_bytes)
{
    if (n < *capacity)
        return items;
    *capacity = *capacity ? *capacity * 2 : 16;
    items = reallocarray(items, *capacity, item_bytes);
    if (!items)
        abort();
    return items;
}

static bool symbol_matches(const struct symbol *symbol, const struct lex_token *name)
{
    uint32_t number = 0;

    if (name->length < symbol->length || memcmp(name->text, symbol->name, symbol->length) != 0)
        return false;
    if (!symbol->numbered)
        return name->length == symbol->length;
    if (name->length == symbol->length || name->length > symbol->length + 8)
        return false;
    for (size_t i = symbol->length; i < name->length; i++) {
        if (name->text[i] < '0' || name->text[i] > '9')
            return false;
        number = number * 10 + (uint32_t)(name->text[i] - '0');
    }
    return number < symbol->count;
}

static struct symbol *find_in(struct symbols *symbols, const struct lex_token *name)
{
    for (size_t i = symbols->n; i-- > 0;) {
        if (symbol_matches(&symbols->items[i], name))
            return &symbols->items[i];
    }
    return NULL;
}

/* Shared memory counts for the kernels that use it, not for the whole module. */
static void place_shared(struct ptx_builder *builder, struct symbol *symbol)
{
    struct ptx_kernel *kernel = builder->kernel;

    if (symbol->kind != SYMBOL_SHARED || symbol->at != UINT64_MAX)
        return;
    symbol->at = (kernel->shared_bytes + symbol->align - 1) & ~(symbol->align - 1);
    kernel->shared_bytes = symbol->at + symbol->bytes;
}

bool ptx_symbol_find(struct ptx_builder *builder, const struct lex_token *name, struct symbol *out)
{
    struct symbol *symbol = find_in(&builder->body->symbols, name);

    if (!symbol)
        symbol = find_in(&builder->symbols, name);
    if (!symbol)
        return false;
    place_shared(builder, symbol);
    *out = *symbol;
    return true;
}

struct ptx_insn *ptx_emit(struct ptx_builder *builder, const struct ptx_insn *insn)
{
    struct body *body = builder->body;

    body->code = ptx_grow(body->code, body->n_code, &body->code_capacity, sizeof(*insn));
    body->code[body->n_code] = *insn;
    return &body->code[body->n_code++];
}

void ptx_emit_jump(struct ptx_builder *builder, const struct lex_token *label)
{
    struct body *body = builder->body;

    body->jumps = ptx_grow(body->jumps, body->n_jumps, &body->jumps_capacity, sizeof(*body->jumps));
    body->jumps[body->n_jumps] =
        (struct jump){.scope = body->scope, .index = (uint32_t)(body->n_code - 1)};
    if (label)
        body->jumps[body->n_jumps].label = *label;
    body->n_jumps++;
}

void ptx_emit_table(struct ptx_builder *builder, const struct lex_token *name)
{
    struct body *body = builder->body;

    body->tables =
        ptx_grow(body->tables, body->n_tables, &body->tables_capacity, sizeof(*body->tables));
    body->tables[body->n_tables++] =
        (struct jump){.label = *name, .scope = body->scope, .index = (uint32_t)body->n_code};
}

/* `name: .branchtargets A, B;`: the name is the last label. */
static void parse_targets(struct ptx_builder *builder)
{
    struct lex *lex = &builder->lex;
    struct body *body = builder->body;
    const struct label *name = body->n_labels ? &body->labels[body->n_labels - 1] : NULL;
    struct targets targets = {.scope = body->scope};

    if (!name || name->index != body->n_code) {
        lex_fail_token(lex, "a label before .branchtargets");
        return;
    }
    targets.name = (struct lex_token){.text = name->name, .length = name->length};
    targets.first = (uint32_t)builder->kernel->n_lists;
    do {
        struct target target = {.scope = body->scope, .label = lex_expect_name(lex)};
        target.at = ptx_list(builder, (uint32_t[]){0}, 1);
        body->target_labels = ptx_grow(body->target_labels, body->n_target_labels,
                                       &body->target_labels_capacity, sizeof(target));
        body->target_labels[body->n_target_labels++] = target;
        targets.n++;
    } while (lex_accept(lex, ","));
    lex_expect(lex, ";");
    body->targets =
        ptx_grow(body->targets, body->n_targets, &body->targets_capacity, sizeof(targets));
    body->targets[body->n_targets++] = targets;
}

static void add_label(struct ptx_builder *builder, const struct lex_token *name)
{
    struct body *body = builder->body;

    body->labels =
        ptx_grow(body->labels, body->n_labels, &body->labels_capacity, sizeof(*body->labels));
    body->labels[body->n_labels++] = (struct label){.name = name->text,
                                                    .length = name->length,
                                                    .scope = body->scope,
                                                    .index = (uint32_t)body->n_code};
}

/* The label's place in the body; 0 after recording that there is none. */
static uint32_t label_index(struct ptx_builder *builder, const struct lex_token *name,
                            unsigned int scope)
{
    const struct body *body = builder->body;

    for (;; scope = body->scopes[scope]) {
        for (size_t i = 0; i < body->n_labels; i++) {
            const struct label *label = &body->labels[i];
            if (label->scope == scope && label->length == name->length &&
                !memcmp(label->name, name->text, label->length))
                return label->index;
        }
        if (!scope) {
            lex_fail(&builder->lex, name->line, "there is no label '%.*s'", (int)name->length,
                     name->text);
            return 0;
        }
    }
}

static void resolve_table(struct ptx_builder *builder, const struct jump *table)
{
    struct body *body = builder->body;

    for (unsigned int scope = table->scope;; scope = body->scopes[scope]) {
        for (size_t i = 0; i < body->n_targets; i++) {
            const struct targets *targets = &body->targets[i];
            if (targets->scope == scope && targets->name.length == table->label.length &&
                !memcmp(targets->name.text, table->label.text, table->label.length)) {
                body->code[table->index].imm = targets->first;
                body->code[table->index].src[1] = targets->n;
                return;
            }
        }
        if (!scope)
            break;
    }
    lex_fail(&builder->lex, table->label.line, "there is no .branchtargets '%.*s'",
             (int)table->label.length, table->label.text);
}

static void resolve_jumps(struct ptx_builder *builder)
{
    struct body *body = builder->body;

    for (size_t i = 0; i < body->n_jumps; i++) {
        const struct jump *jump = &body->jumps[i];
        if (jump->label.text)
            body->code[jump->index].imm = label_index(builder, &jump->label, jump->scope);
    }
    for (size_t i = 0; i < body->n_target_labels; i++) {
        const struct target *target = &body->target_labels[i];
        builder->kernel->lists[target->at] = label_index(builder, &target->label, target->scope);
    }
    for (size_t i = 0; i < body->n_tables; i++)
        resolve_table(builder, &body->tables[i]);
}

/* Only the counts: a statement is large, and operands are written whole when they are added. */
static void statement_init(struct statement *statement, int line)
{
    statement->spelling = NULL;
    statement->line = line;
    statement->n_operands = 0;
    statement->n_elements = 0;
    statement->has_pipe = false;
}

static void parse_guard(struct ptx_builder *builder, struct ptx_insn *insn)
{
    struct lex *lex = &builder->lex;
    struct statement scratch;
    struct operand operand;

    if (!lex_accept(lex, "@"))
        return;
    statement_init(&scratch, lex->token.line);
    if (ptx_operand_parse(builder, &scratch, &operand))
        return;
    insn->guard_flip = operand.flip ? UINT32_MAX : 0;
    operand.flip = false;
    insn->guard = ptx_source(builder, &operand, PTX_PRED);
}

static void parse_instruction(struct ptx_builder *builder)
{
    struct lex *lex = &builder->lex;
    struct ptx_insn insn = {.guard = PTX_NO_SLOT, .line = lex->token.line};
    struct statement statement;

    parse_guard(builder, &insn);
    statement_init(&statement, lex->token.line);
    insn.line = lex->token.line;
    statement.spelling = ptx_spelling_find(builder);
    if (!statement.spelling)
        return;
    lex_next(lex);
    if (statement.spelling->run == ptx_run_call) {
        ptx_call_parse(builder, &statement, &insn);
        return;
    }
    if (ptx_operands_parse(builder, &statement) || ptx_decode(builder, &statement, &insn))
        return;
    ptx_emit(builder, &insn);
    if (statement.n_operands && statement.operands[0].kind == OPERAND_NAME)
        ptx_emit_jump(builder, &statement.operands[0].token);
}

/* Everything up to the semicolon, or the end of the line where there is none by rule. */
static void skip_directive(struct lex *lex)
{
    int line = lex->token.line;

    if (lex_is(lex, ".loc") || lex_is(lex, ".file")) {
        while (lex->token.kind != LEX_END && lex->token.line == line)
            lex_next(lex);
        return;
    }
    while (lex->token.kind != LEX_END && !lex_is(lex, ";"))
        lex_next(lex);
    lex_expect(lex, ";");
}

static void parse_body_directive(struct ptx_builder *builder)
{
    struct lex *lex = &builder->lex;

    if (lex_accept(lex, ".reg"))
        ptx_declare_registers(builder);
    else if (lex_accept(lex, ".local") || lex_accept(lex, ".param"))
        ptx_declare_local(builder);
    else if (lex_accept(lex, ".shared"))
        ptx_declare_shared(builder, &builder->body->symbols);
    else if (lex_accept(lex, ".branchtargets"))
        parse_targets(builder);
    else if (lex_is(lex, ".loc") || lex_is(lex, ".file") || lex_is(lex, ".pragma") ||
             lex_is(lex, ".callprototype") || lex_is(lex, ".calltargets"))
        skip_directive(lex);
    else
        lex_fail(lex, lex->token.line, "directive '%.*s' is not understood", (int)lex->token.length,
                 lex->token.text);
}

static void parse_block(struct ptx_builder *builder);

static void parse_statement(struct ptx_builder *builder)
{
    struct lex *lex = &builder->lex;
    struct lex_token token = lex->token;

    if (lex_is(lex, "{")) {
        parse_block(builder);
    } else if (lex_is(lex, "@")) {
        parse_instruction(builder);
    } else if (token.kind != LEX_WORD) {
        lex_fail_token(lex, "an instruction");
    } else if (token.text[0] == '.') {
        parse_body_directive(builder);
    } else {
        lex_next(lex);
        if (lex_accept(lex, ":")) {
            add_label(builder, &token);
            return;
        }
        lex_seek(lex, token);
        parse_instruction(builder);
    }
}

/* `{ .. }`: its names end with it. */
static void parse_block(struct ptx_builder *builder)
{
    struct lex *lex = &builder->lex;
    struct body *body = builder->body;
    unsigned int parent = body->scope;
    size_t n_symbols = body->symbols.n;

    lex_expect(lex, "{");
    body->scopes =
        ptx_grow(body->scopes, body->n_scopes, &body->scopes_capacity, sizeof(*body->scopes));
    body->scope = (unsigned int)body->n_scopes;
    body->scopes[body->n_scopes++] = parent;
    if (++body->depth > SCOPE_LIMIT)
        lex_fail(lex, lex->token.line, "braces nested more than %d deep", SCOPE_LIMIT);
    while (lex->token.kind != LEX_END && !lex_is(lex, "}"))
        parse_statement(builder);
    body->depth--;
    body->scope = parent;
    body->symbols.n = n_symbols;
    lex_expect(lex, "}");
}

/* Moves the finished code of a body to the end of the kernel's. */
static void append_code(struct ptx_builder *builder, struct body *body)
{
    struct ptx_kernel *kernel = builder->kernel;
    uint32_t start = (uint32_t)kernel->n_code;

    for (size_t i = 0; i < body->n_code; i++) {
        kernel->code =
            ptx_grow(kernel->code, kernel->n_code, &builder->code_capacity, sizeof(*kernel->code));
        kernel->code[kernel->n_code++] = body->code[i];
    }
    for (size_t i = 0; i < body->n_jumps; i++)
        kernel->code[start + body->jumps[i].index].imm += start;
    for (size_t i = 0; i < body->n_target_labels; i++)
        kernel->lists[body->target_labels[i].at] += start;
    body->function->start = start;
}

static void body_fini(struct body *body)
{
    free(body->symbols.items);
    free(body->code);
    free(body->labels);
    free(body->jumps);
    free(body->targets);
    free(body->target_labels);
    free(body->tables);
    free(body->scopes);
}

/* A device function becomes one of the kernel's. */
static void add_function(struct ptx_builder *builder, struct function *function)
{
    struct ptx_kernel *kernel = builder->kernel;
    struct ptx_function *added;

    kernel->functions = ptx_grow(kernel->functions, kernel->n_functions,
                                 &builder->functions_of_kernel_capacity, sizeof(*added));
    function->index = (uint32_t)kernel->n_functions++;
    kernel->functions[function->index] = (struct ptx_function){.n_formals = 0};
    added = &kernel->functions[function->index];
    added->return_slot = ptx_new_slots(builder, sizeof(uint32_t), 1);
    added->frame_slot = ptx_new_slots(builder, sizeof(uint64_t), 1);
}

/* Formals get their places before anything that a call of the function needs is parsed. */
static void parse_signature(struct ptx_builder *builder, struct function *function)
{
    struct lex *lex = &builder->lex;

    if (!function->is_entry)
        add_function(builder, function);
    if (function->results.kind != LEX_END) {
        lex_seek(lex, function->results);
        ptx_params_parse(builder, ptx_formal_add);
    }
    function->n_results = function->formals.n;
    lex_seek(lex, function->params);
    ptx_params_parse(builder, function->is_entry ? ptx_kernel_param_add : ptx_formal_add);
}

static uint32_t return_slot(const struct ptx_builder *builder, const struct function *function)
{
    return function->is_entry ? 0 : builder->kernel->functions[function->index].return_slot;
}

void ptx_function_name(struct lex *lex, const struct function *function)
{
    snprintf(lex->where, sizeof(lex->where), ", %s %.*s",
             function->is_entry ? "kernel" : "function",
             (int)(function->name.length > 120 ? 120 : function->name.length), function->name.text);
}

void ptx_function_build(struct ptx_builder *builder, struct function *function)
{
    struct lex *lex = &builder->lex;
    struct lex caller_lex = *lex;
    struct body *caller = builder->body;
    struct body body = {.function = function};

    function->state = FUNCTION_BUILDING;
    ptx_function_name(lex, function);
    if (++builder->call_depth > CALL_LIMIT)
        lex_fail(lex, function->name.line, "calls nested more than %d deep", CALL_LIMIT);
    builder->body = &body;
    parse_signature(builder, function);
    lex_seek(lex, function->body);
    parse_block(builder);
    /* Falling off the end is a return. */
    ptx_emit(builder, &(struct ptx_insn){.run = ptx_run_return,
                                         .guard = PTX_NO_SLOT,
                                         .imm = function->is_entry,
                                         .src = {return_slot(builder, function)},
                                         .line = lex->line});
    if (!lex->failed)
        resolve_jumps(builder);
    builder->body = caller;
    if (!lex->failed) {
        append_code(builder, &body);
        *lex = caller_lex;
    }
    body_fini(&body);
    builder->call_depth--;
    function->state = FUNCTION_BUILT;
}

/* What a device function's calls need to know, once all of it is known. */
static void finish_function(struct ptx_builder *builder, const struct function *function)
{
    struct ptx_function *finished = &builder->kernel->functions[function->index];

    finished->address = ptx_function_address(builder, &function->name);
    finished->start = function->start;
    finished->n_results = function->n_results;
    finished->n_formals = function->formals.n;
    finished->formals = calloc(function->formals.n + 1, sizeof(*finished->formals));
    if (!finished->formals)
        abort();
    for (size_t i = 0; i < function->formals.n; i++)
        finished->formals[i] = ptx_symbol_place(&function->formals.items[i]);
    finished->local_bytes = (finished->local_bytes + 15) & ~(uint64_t)15;
}

void ptx_functions_finish(struct ptx_builder *builder)
{
    struct ptx_kernel *kernel = builder->kernel;
    bool all = builder->indirect;

    for (size_t i = 0; i < builder->n_functions && all && !builder->lex.failed; i++) {
        struct function *function = &builder->functions[i];
        if (!function->is_entry && function->state == FUNCTION_NEW &&
            function->body.kind != LEX_END)
            ptx_function_build(builder, function);
    }
    if (builder->lex.failed)
        return;
    for (size_t i = 0; i < builder->n_functions; i++) {
        if (!builder->functions[i].is_entry && builder->functions[i].state == FUNCTION_BUILT)
            finish_function(builder, &builder->functions[i]);
    }
    kernel->local_bytes = (kernel->local_bytes + 15) & ~(size_t)15;
    kernel->stack_at = kernel->local_bytes;
    for (size_t i = 0; i < kernel->n_functions; i++)
        kernel->local_bytes += kernel->functions[i].local_bytes;
    if (builder->recursive || builder->indirect)
        kernel->local_bytes += STACK_BYTES;
}
