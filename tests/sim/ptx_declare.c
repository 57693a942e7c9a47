/* SPDX-License-Identifier: MIT */

/*
 * Declarations: registers, memory of every space, parameters, initialisers.
 *
 * Sizes come from the text, so each is checked against a limit before anything is allocated.
 */

#include <stdlib.h>
#include <string.h>

#include "tests/sim/ptx_build.h"

#ifdef FUZZING_BUILD_MODE_UNSAFE_FOR_PRODUCTION
#define VARIABLE_LIMIT ((uint64_t)1 << 20)
#else
#define VARIABLE_LIMIT ((uint64_t)1 << 30)
#endif
#define SHARED_LIMIT ((uint64_t)1 << 20)
#define PARAMS_LIMIT ((uint64_t)1 << 16)

static uint64_t align_up(uint64_t value, uint64_t align)
{
    return (value + align - 1) & ~(align - 1);
}

static uint64_t parse_align(struct lex *lex)
{
    int line = lex->token.line;
    uint64_t align = lex_expect_size(lex, 1 << 16);

    if (!align || align & (align - 1)) {
        lex_fail(lex, line, ".align needs a power of two");
        return 1;
    }
    return align;
}

/* `.ptr .global .align 8` says where a parameter points; it does not change its place. */
static void skip_pointee(struct lex *lex)
{
    if (lex->token.kind == LEX_WORD && !lex_is(lex, ".align") &&
        !ptx_type_find(lex->token.text + 1, lex->token.length - 1) && lex->token.text[0] == '.')
        lex_next(lex);
    if (lex_accept(lex, ".align"))
        parse_align(lex);
}

static uint64_t parse_dimensions(struct lex *lex, uint64_t bytes)
{
    while (lex_accept(lex, "[")) {
        uint64_t n = 0;
        int line = lex->token.line;
        if (!lex_is(lex, "]"))
            n = lex_expect_size(lex, VARIABLE_LIMIT);
        lex_expect(lex, "]");
        if (n && bytes > VARIABLE_LIMIT / n) {
            lex_fail(lex, line, "a variable of more than %llu bytes",
                     (unsigned long long)VARIABLE_LIMIT);
            return 0;
        }
        bytes *= n;
    }
    return bytes;
}

/* The words before the name: alignment, vector size and type in any order. */
static uint64_t parse_attributes(struct ptx_builder *builder, struct declaration *out)
{
    struct lex *lex = &builder->lex;
    uint64_t lanes = 1;

    while (lex->token.kind == LEX_WORD && lex->token.text[0] == '.') {
        enum ptx_type type = ptx_type_find(lex->token.text + 1, lex->token.length - 1);
        if (lex_accept(lex, ".align"))
            out->align = parse_align(lex);
        else if (lex_accept(lex, ".v2"))
            lanes = 2;
        else if (lex_accept(lex, ".v4"))
            lanes = 4;
        else if (lex_accept(lex, ".ptr"))
            skip_pointee(lex);
        else if (type) {
            out->type = type;
            lex_next(lex);
        } else {
            lex_fail_token(lex, "a type");
        }
    }
    if (!out->type)
        lex_fail_token(lex, "a type");
    return lanes;
}

void ptx_declaration_parse(struct ptx_builder *builder, struct declaration *out)
{
    struct lex *lex = &builder->lex;
    uint64_t bytes;

    *out = (struct declaration){.align = 0};
    bytes = parse_attributes(builder, out);
    bytes *= ptx_type_bytes(out->type);
    if (out->align < bytes)
        out->align = bytes;
    if (!out->align)
        out->align = 1;
    out->name = lex_expect_name(lex);
    if (lex_accept(lex, "<")) {
        out->numbered = (uint32_t)lex_expect_size(lex, 1 << 24);
        lex_expect(lex, ">");
    }
    out->bytes = parse_dimensions(lex, bytes);
}

void symbols_add(struct symbols *symbols, struct symbol symbol)
{
    symbols->items = ptx_grow(symbols->items, symbols->n, &symbols->capacity, sizeof(symbol));
    symbols->items[symbols->n++] = symbol;
}

static struct symbol named(const struct declaration *declaration)
{
    return (struct symbol){
        .name = declaration->name.text,
        .length = declaration->name.length,
        .type = declaration->type,
        .bytes = declaration->bytes,
        .frame = PTX_NO_SLOT,
    };
}

static void add_register(struct ptx_builder *builder, const struct declaration *declaration)
{
    struct symbol symbol = named(declaration);
    unsigned int bytes = ptx_type_bytes(declaration->type);

    symbol.kind = SYMBOL_REGISTER;
    symbol.numbered = declaration->numbered;
    symbol.count = declaration->numbered ? declaration->numbered : 1;
    if (declaration->type == PTX_PRED)
        bytes = 0;
    else if (bytes < 2)
        bytes = 2;
    symbol.at = ptx_new_slots(builder, bytes, symbol.count);
    symbols_add(&builder->body->symbols, symbol);
}

void ptx_declare_registers(struct ptx_builder *builder)
{
    struct lex *lex = &builder->lex;
    struct declaration declaration;

    ptx_declaration_parse(builder, &declaration);
    add_register(builder, &declaration);
    while (lex_accept(lex, ",")) {
        declaration.name = lex_expect_name(lex);
        declaration.numbered = 0;
        if (lex_accept(lex, "<")) {
            declaration.numbered = (uint32_t)lex_expect_size(lex, 1 << 24);
            lex_expect(lex, ">");
        }
        add_register(builder, &declaration);
    }
    lex_expect(lex, ";");
}

static struct symbol local_symbol(struct ptx_builder *builder,
                                  const struct declaration *declaration)
{
    const struct function *function = builder->body->function;
    struct symbol symbol = named(declaration);

    symbol.kind = SYMBOL_ADDRESS;
    symbol.space = PTX_SPACE_LOCAL;
    if (!function->is_entry)
        symbol.frame = builder->kernel->functions[function->index].frame_slot;
    symbol.at = ptx_new_local(builder, declaration->bytes, declaration->align);
    return symbol;
}

void ptx_declare_local(struct ptx_builder *builder)
{
    struct declaration declaration;

    ptx_declaration_parse(builder, &declaration);
    symbols_add(&builder->body->symbols, local_symbol(builder, &declaration));
    lex_expect(&builder->lex, ";");
}

void ptx_declare_shared(struct ptx_builder *builder, struct symbols *symbols)
{
    struct lex *lex = &builder->lex;
    struct declaration declaration;
    struct symbol symbol;

    ptx_declaration_parse(builder, &declaration);
    symbol = named(&declaration);
    symbol.kind = declaration.bytes ? SYMBOL_SHARED : SYMBOL_DYNAMIC;
    symbol.space = PTX_SPACE_SHARED;
    symbol.align = declaration.align;
    symbol.at = UINT64_MAX;
    if (declaration.bytes > SHARED_LIMIT)
        lex_fail(lex, declaration.name.line, "more than %llu bytes of shared memory",
                 (unsigned long long)SHARED_LIMIT);
    symbols_add(symbols, symbol);
    lex_expect(lex, ";");
}

/* `name`, `generic(name)` or `0xff(name)`, perhaps plus a number: filled in by the loader, unless
 * it is a function, of which pointers never change. */
static uint64_t parse_initial_address(struct ptx_builder *builder, struct ptx_relocation where,
                                      uint64_t mask)
{
    struct lex *lex = &builder->lex;
    bool parenthesis = lex_accept(lex, "generic") || mask != UINT64_MAX;
    uint64_t function;
    struct pending pending = {.relocation = where};

    if (parenthesis)
        lex_expect(lex, "(");
    if (lex_accept(lex, "generic")) {
        lex_expect(lex, "(");
        pending.name = lex_expect_name(lex);
        lex_expect(lex, ")");
    } else {
        pending.name = lex_expect_name(lex);
    }
    if (parenthesis)
        lex_expect(lex, ")");
    function = ptx_function_address(builder, &pending.name);
    if (function)
        return function;
    if (lex_accept(lex, "+"))
        pending.relocation.addend = lex_expect_size(lex, UINT64_MAX);
    else if (lex_accept(lex, "-"))
        pending.relocation.addend = 0 - lex_expect_size(lex, UINT64_MAX);
    pending.relocation.mask = mask;
    builder->pending =
        ptx_grow(builder->pending, builder->n_pending, &builder->pending_capacity, sizeof(pending));
    builder->pending[builder->n_pending++] = pending;
    return 0;
}

void ptx_relocations_resolve(struct ptx_builder *builder)
{
    struct ptx_module *module = builder->module;

    for (size_t i = 0; i < builder->n_pending && !builder->lex.failed; i++) {
        struct pending *pending = &builder->pending[i];
        size_t target = 0;
        while (target < module->n_variables &&
               (strlen(module->variables[target].name) != pending->name.length ||
                memcmp(module->variables[target].name, pending->name.text, pending->name.length)))
            target++;
        if (target == module->n_variables) {
            lex_fail(&builder->lex, pending->name.line, "there is no variable '%.*s'",
                     (int)pending->name.length, pending->name.text);
            return;
        }
        pending->relocation.target = target;
        module->relocations = ptx_grow(module->relocations, module->n_relocations,
                                       &builder->relocations_capacity, sizeof(pending->relocation));
        module->relocations[module->n_relocations++] = pending->relocation;
    }
}

static uint64_t parse_initial_value(struct ptx_builder *builder, enum ptx_type type,
                                    struct ptx_relocation where)
{
    struct lex *lex = &builder->lex;
    bool negative = lex_accept(lex, "-");
    uint64_t bits = lex->token.bits;
    double number;
    float single;

    if (lex->token.kind == LEX_WORD && !negative)
        return parse_initial_address(builder, where, UINT64_MAX);
    if (lex->token.kind == LEX_DOUBLE && type == PTX_F32) {
        memcpy(&number, &bits, sizeof(number));
        single = (float)number;
        bits = 0;
        memcpy(&bits, &single, sizeof(single));
    } else if (lex->token.kind != LEX_INTEGER && lex->token.kind != LEX_FLOAT &&
               lex->token.kind != LEX_DOUBLE) {
        lex_fail_token(lex, "a number or an address");
        return 0;
    }
    if (negative && ptx_type_is_float(type))
        bits ^= (uint64_t)1 << (ptx_type_bytes(type) * 8 - 1);
    else if (negative)
        bits = 0 - bits;
    lex_next(lex);
    if (lex_is(lex, "("))
        return parse_initial_address(builder, where, bits);
    return bits;
}

/* Braces only group: the values fill the variable in the order in which they stand. */
static void parse_initialiser(struct ptx_builder *builder, enum ptx_type type, size_t variable,
                              uint8_t *data, uint64_t bytes)
{
    struct lex *lex = &builder->lex;
    unsigned int each = ptx_type_bytes(type);
    int line = lex->token.line;
    uint64_t at = 0;
    int depth = 0;

    do {
        if (lex_accept(lex, "{")) {
            depth++;
        } else if (lex_accept(lex, "}")) {
            depth--;
        } else if (!lex_accept(lex, ",")) {
            struct ptx_relocation where = {.variable = variable, .offset = at, .bytes = each};
            uint64_t bits = parse_initial_value(builder, type, where);
            if (at + each > bytes) {
                lex_fail(lex, line, "more initial values than the variable has room for");
                return;
            }
            memcpy(data + at, &bits, each);
            at += each;
        }
    } while (depth > 0 && !lex->failed);
}

uint8_t *ptx_add_variable(struct ptx_builder *builder, const char *name, uint64_t bytes,
                          uint64_t align)
{
    struct ptx_module *module = builder->module;
    struct ptx_variable variable = {
        .name = strdup(name), .bytes = bytes, .align = align, .initialiser = calloc(1, bytes)};

    if (!variable.name || !variable.initialiser)
        abort();
    module->variables = ptx_grow(module->variables, module->n_variables,
                                 &builder->variables_capacity, sizeof(variable));
    module->variables[module->n_variables++] = variable;
    return (uint8_t *)variable.initialiser;
}

void ptx_declare_variable(struct ptx_builder *builder, bool is_extern)
{
    struct lex *lex = &builder->lex;
    struct ptx_module *module = builder->module;
    struct declaration declaration;
    struct symbol symbol;
    uint8_t *data;
    char *name;

    ptx_declaration_parse(builder, &declaration);
    symbol = named(&declaration);
    symbol.kind = is_extern ? SYMBOL_UNDEFINED : SYMBOL_VARIABLE;
    symbol.space = PTX_SPACE_GLOBAL;
    symbol.at = module->n_variables;
    symbols_add(&builder->symbols, symbol);
    if (is_extern) {
        lex_expect(lex, ";");
        return;
    }
    if (!declaration.bytes) {
        lex_fail(lex, declaration.name.line, "'%.*s' has no size", (int)declaration.name.length,
                 declaration.name.text);
        return;
    }
    name = strndup(declaration.name.text, declaration.name.length);
    data = ptx_add_variable(builder, name, declaration.bytes, declaration.align);
    free(name);
    if (lex_accept(lex, "="))
        parse_initialiser(builder, declaration.type, module->n_variables - 1, data,
                          declaration.bytes);
    lex_expect(lex, ";");
}

void ptx_params_parse(struct ptx_builder *builder, ptx_param_fn *each)
{
    struct lex *lex = &builder->lex;
    struct declaration declaration;

    if (!lex_accept(lex, "(") || lex_accept(lex, ")"))
        return;
    do {
        bool is_register = lex_is(lex, ".reg");
        if (!lex_accept(lex, ".param") && !lex_accept(lex, ".reg")) {
            lex_fail_token(lex, "'.param'");
            return;
        }
        ptx_declaration_parse(builder, &declaration);
        if (each && !lex->failed)
            each(builder, is_register, &declaration);
    } while (lex_accept(lex, ","));
    lex_expect(lex, ")");
}

void ptx_kernel_param_add(struct ptx_builder *builder, bool is_register,
                          const struct declaration *declaration)
{
    struct ptx_kernel *kernel = builder->kernel;
    struct symbol symbol = named(declaration);
    size_t offset = align_up(kernel->param_bytes, declaration->align);

    if (is_register || offset + declaration->bytes > PARAMS_LIMIT) {
        lex_fail(&builder->lex, declaration->name.line, "'%.*s' cannot be a kernel parameter",
                 (int)declaration->name.length, declaration->name.text);
        return;
    }
    symbol.kind = SYMBOL_ADDRESS;
    symbol.space = PTX_SPACE_PARAM;
    symbol.at = offset;
    symbols_add(&builder->body->symbols, symbol);
    kernel->params = reallocarray(kernel->params, kernel->n_params + 1, sizeof(*kernel->params));
    if (!kernel->params)
        abort();
    kernel->params[kernel->n_params++] =
        (struct ptx_param){.offset = offset, .bytes = declaration->bytes};
    kernel->param_bytes = offset + declaration->bytes;
}

void ptx_formal_add(struct ptx_builder *builder, bool is_register,
                    const struct declaration *declaration)
{
    struct function *function = builder->body->function;

    if (is_register)
        add_register(builder, declaration);
    else
        symbols_add(&builder->body->symbols, local_symbol(builder, declaration));
    symbols_add(&function->formals, builder->body->symbols.items[builder->body->symbols.n - 1]);
}
