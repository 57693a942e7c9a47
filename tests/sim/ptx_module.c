/* SPDX-License-Identifier: MIT */

/*
 * A PTX module: a first pass over the text notes variables and where each function is; a second
 * builds every kernel with the device functions it calls. Device functions that no kernel calls are
 * never looked into.
 */

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/sim/ptx_grid.h"
#include "tests/sim/ptx_opcode.h"

struct function *ptx_function_find(struct ptx_builder *builder, const struct lex_token *name)
{
    struct function *found = NULL;

    for (size_t i = 0; i < builder->n_functions; i++) {
        struct function *function = &builder->functions[i];
        if (function->name.length != name->length ||
            memcmp(function->name.text, name->text, name->length) != 0)
            continue;
        /* A declaration may come before or after the definition. */
        if (!found || found->body.kind == LEX_END)
            found = function;
    }
    return found;
}

uint64_t ptx_function_address(const struct ptx_builder *builder, const struct lex_token *name)
{
    /* The first one of that name, as pointers are made before and after the definition. */
    for (size_t i = 0; i < builder->n_functions; i++) {
        const struct lex_token *other = &builder->functions[i].name;
        if (other->length == name->length && !memcmp(other->text, name->text, name->length))
            return PTX_FUNCTION_ADDRESS(i);
    }
    return 0;
}

static void skip_braces(struct lex *lex)
{
    int depth = 0;

    do {
        if (lex_is(lex, "{"))
            depth++;
        else if (lex_is(lex, "}"))
            depth--;
        lex_next(lex);
        if (lex->token.kind == LEX_END) {
            if (depth)
                lex_fail_token(lex, "'}'");
            return;
        }
    } while (depth > 0);
}

/* From what follows .entry or .func to the end of the body or the semicolon. */
static void parse_function(struct ptx_builder *builder, bool is_entry)
{
    struct lex *lex = &builder->lex;
    struct function function = {.is_entry = is_entry};

    function.results.kind = LEX_END;
    function.body.kind = LEX_END;
    if (!is_entry && lex_is(lex, "(")) {
        function.results = lex->token;
        ptx_params_parse(builder, NULL);
    }
    function.name = lex_expect_name(lex);
    function.params = lex->token;
    ptx_params_parse(builder, NULL);
    /* .maxntid, .reqntid, .minnctapersm, .noreturn and the like bind only a real device */
    while (lex->token.kind != LEX_END && !lex_is(lex, "{") && !lex_is(lex, ";"))
        lex_next(lex);
    if (lex_is(lex, "{")) {
        function.body = lex->token;
        ptx_function_name(lex, &function);
        skip_braces(lex);
        lex->where[0] = '\0';
    } else {
        ptx_heap_declare(builder, &function.name);
        lex_expect(lex, ";");
    }
    builder->functions = ptx_grow(builder->functions, builder->n_functions,
                                  &builder->functions_capacity, sizeof(function));
    builder->functions[builder->n_functions++] = function;
}

/* .file and .loc have no semicolon; .section has braces. */
static void skip_debug(struct lex *lex)
{
    int line = lex->token.line;
    bool section = lex_is(lex, ".section");

    while (lex->token.kind != LEX_END && lex->token.line == line && !lex_is(lex, "{"))
        lex_next(lex);
    if (section && lex_is(lex, "{"))
        skip_braces(lex);
}

static void skip_line(struct lex *lex)
{
    int line = lex->token.line;

    while (lex->token.kind != LEX_END && lex->token.line == line)
        lex_next(lex);
}

static void parse_directive(struct ptx_builder *builder)
{
    struct lex *lex = &builder->lex;
    bool is_extern = false;

    while (lex_is(lex, ".visible") || lex_is(lex, ".extern") || lex_is(lex, ".weak") ||
           lex_is(lex, ".common")) {
        is_extern |= lex_is(lex, ".extern");
        lex_next(lex);
    }
    if (lex_is(lex, ".version") || lex_is(lex, ".target") || lex_is(lex, ".address_size"))
        skip_line(lex);
    else if (lex_is(lex, ".file") || lex_is(lex, ".loc") || lex_is(lex, ".section"))
        skip_debug(lex);
    else if (lex_accept(lex, ".entry"))
        parse_function(builder, true);
    else if (lex_accept(lex, ".func"))
        parse_function(builder, false);
    else if (lex_accept(lex, ".global") || lex_accept(lex, ".const"))
        ptx_declare_variable(builder, is_extern);
    else if (lex_accept(lex, ".shared"))
        ptx_declare_shared(builder, &builder->symbols);
    else if (lex_accept(lex, ".pragma")) {
        lex_next(lex);
        lex_expect(lex, ";");
    } else if (lex->token.kind == LEX_WORD) {
        lex_fail(lex, lex->token.line, "directive '%.*s' is not understood",
                 (int)(lex->token.length > 60 ? 60 : lex->token.length), lex->token.text);
    } else {
        lex_fail_token(lex, "a directive");
    }
}

/* What belongs to the kernel built before starts afresh. */
static void reset_for_kernel(struct ptx_builder *builder)
{
    for (size_t i = 0; i < builder->n_functions; i++) {
        builder->functions[i].state = FUNCTION_NEW;
        builder->functions[i].formals.n = 0;
    }
    for (size_t i = 0; i < builder->symbols.n; i++) {
        if (builder->symbols.items[i].kind == SYMBOL_SHARED)
            builder->symbols.items[i].at = UINT64_MAX;
    }
    builder->recursive = false;
    builder->indirect = false;
    builder->calls_capacity = 0;
    builder->functions_of_kernel_capacity = 0;
    builder->code_capacity = 0;
    builder->lists_capacity = 0;
    builder->constants_capacity = 0;
}

static uint64_t n_kernels; /* ever */

static void build_kernel(struct ptx_builder *builder, struct function *function)
{
    struct ptx_module *module = builder->module;
    struct ptx_kernel *kernel;

    reset_for_kernel(builder);
    module->kernels = ptx_grow(module->kernels, module->n_kernels, &builder->kernels_capacity,
                               sizeof(*module->kernels));
    kernel = &module->kernels[module->n_kernels++];
    *kernel = (struct ptx_kernel){.name = strndup(function->name.text, function->name.length)};
    builder->kernel = kernel;
    ptx_function_build(builder, function);
    kernel->entry = function->start;
    kernel->id = __atomic_add_fetch(&n_kernels, 1, __ATOMIC_RELAXED);
    ptx_functions_finish(builder);
    ptx_kernel_sort_constants(kernel);
}

static void builder_fini(struct ptx_builder *builder)
{
    for (size_t i = 0; i < builder->n_functions; i++)
        free(builder->functions[i].formals.items);
    free(builder->functions);
    free(builder->symbols.items);
    free(builder->spellings);
    free(builder->pending);
}

struct ptx_module *ptx_module_parse(const char *text, char *error, size_t error_size)
{
    struct ptx_module *module = calloc(1, sizeof(*module));
    struct ptx_builder builder = {.module = module};

    builder.spellings = calloc(SPELLINGS, sizeof(*builder.spellings));
    if (!module || !builder.spellings)
        abort();
    if (error_size)
        error[0] = '\0';
    lex_init(&builder.lex, text, error, error_size);
    while (builder.lex.token.kind != LEX_END)
        parse_directive(&builder);
    ptx_relocations_resolve(&builder);
    for (size_t i = 0; i < builder.n_functions && !builder.lex.failed; i++) {
        if (builder.functions[i].is_entry && builder.functions[i].body.kind != LEX_END)
            build_kernel(&builder, &builder.functions[i]);
    }
    builder_fini(&builder);
    return builder.lex.failed ? ptx_module_free(module) : module;
}

static void kernel_fini(struct ptx_kernel *kernel)
{
    for (size_t i = 0; i < kernel->n_functions; i++) {
        free(kernel->functions[i].formals);
        free(kernel->functions[i].registers);
    }
    for (size_t i = 0; i < kernel->n_calls; i++)
        free(kernel->calls[i].places);
    free(kernel->functions);
    free(kernel->calls);
    free(kernel->name);
    free(kernel->params);
    free(kernel->code);
    free(kernel->lists);
    free(kernel->constants);
}

struct ptx_module *ptx_module_free(struct ptx_module *module)
{
    if (!module)
        return NULL;
    for (size_t i = 0; i < module->n_kernels; i++)
        kernel_fini(&module->kernels[i]);
    for (size_t i = 0; i < module->n_variables; i++) {
        free((char *)module->variables[i].name);
        free((void *)module->variables[i].initialiser);
    }
    free(module->kernels);
    free(module->variables);
    free(module->relocations);
    free(module);
    return NULL;
}
