/* SPDX-License-Identifier: MIT */

/*
 * Operands: from text to slots.
 *
 * Parsing keeps an operand neutral, because what `1` or `table` means depends on the type that the
 * opcode gives to its place; ptx_source() and ptx_dest() then decide. Immediates, addresses of
 * symbols and special registers become constants, shared by all instructions that use them.
 */

#include <stdlib.h>
#include <string.h>

#include "tests/sim/ptx_opcode.h"

#define FILE_LIMIT  ((size_t)16 << 20)
#define LOCAL_LIMIT ((uint64_t)512 << 10) /* as the hardware */

/* Slots without an owner: nothing puts them aside. */
static uint32_t new_slots(struct ptx_builder *builder, unsigned int bytes, uint32_t count)
{
    struct ptx_kernel *kernel = builder->kernel;
    size_t each = bytes ? (size_t)bytes * PTX_LANES : sizeof(uint32_t);
    size_t at = (kernel->file_bytes + 63) & ~(size_t)63;

    /* Predicates need no alignment of their own, so single ones are packed. */
    if (!bytes)
        at = kernel->file_bytes;
    if (count > FILE_LIMIT / each || at + each * count > FILE_LIMIT) {
        lex_fail(&builder->lex, builder->lex.line, "more than %zu bytes of registers in a warp",
                 FILE_LIMIT);
        return 0;
    }
    kernel->file_bytes = at + each * count;
    return (uint32_t)at;
}

/* The device function that is being built; NULL in a kernel. */
static struct ptx_function *function_of(struct ptx_builder *builder)
{
    const struct function *function = builder->body->function;

    return function->is_entry ? NULL : &builder->kernel->functions[function->index];
}

uint32_t ptx_new_slots(struct ptx_builder *builder, unsigned int bytes, uint32_t count)
{
    struct ptx_function *function = function_of(builder);
    struct ptx_registers registers = {new_slots(builder, bytes, count), bytes, count};

    if (!function || builder->lex.failed)
        return registers.at;
    function->registers =
        reallocarray(function->registers, function->n_registers + 1, sizeof(*function->registers));
    if (!function->registers)
        abort();
    function->registers[function->n_registers++] = registers;
    function->saved_bytes += (size_t)(bytes ? bytes : 1) * count;
    return registers.at;
}

uint64_t ptx_new_local(struct ptx_builder *builder, uint64_t bytes, uint64_t align)
{
    struct ptx_function *function = function_of(builder);
    uint64_t used = function ? function->local_bytes : builder->kernel->local_bytes;
    uint64_t at = (used + align - 1) & ~(align - 1);

    if (bytes > LOCAL_LIMIT || at + bytes > LOCAL_LIMIT) {
        lex_fail(&builder->lex, builder->lex.line, "more than %llu bytes of local memory",
                 (unsigned long long)LOCAL_LIMIT);
        return 0;
    }
    if (function)
        function->local_bytes = at + bytes;
    else
        builder->kernel->local_bytes = at + bytes;
    return at;
}

uint32_t ptx_list(struct ptx_builder *builder, const uint32_t *slots, unsigned int n)
{
    struct ptx_kernel *kernel = builder->kernel;
    uint32_t first = (uint32_t)kernel->n_lists;

    for (unsigned int i = 0; i < n; i++) {
        kernel->lists =
            ptx_grow(kernel->lists, kernel->n_lists, &builder->lists_capacity, sizeof(uint32_t));
        kernel->lists[kernel->n_lists++] = slots[i];
    }
    return first;
}

static bool same_constant(const struct ptx_constant *a, const struct ptx_constant *b)
{
    return a->kind == b->kind && a->width == b->width && a->value == b->value &&
           a->variable == b->variable;
}

uint32_t ptx_constant(struct ptx_builder *builder, struct ptx_constant constant)
{
    struct ptx_kernel *kernel = builder->kernel;

    for (size_t i = 0; i < kernel->n_constants; i++) {
        if (same_constant(&kernel->constants[i], &constant))
            return kernel->constants[i].slot;
    }
    constant.slot = new_slots(builder, constant.width, 1);
    kernel->constants = ptx_grow(kernel->constants, kernel->n_constants,
                                 &builder->constants_capacity, sizeof(constant));
    kernel->constants[kernel->n_constants++] = constant;
    return constant.slot;
}

/* Records an error; returns 0, a slot that exists. */
static uint32_t bad_operand(struct ptx_builder *builder, const struct operand *operand,
                            const char *expected)
{
    int length = operand->token.length > 60 ? 60 : (int)operand->token.length;

    lex_fail(&builder->lex, operand->token.line, "'%.*s' where %s is expected", length,
             operand->token.text, expected);
    return 0;
}

/* An immediate's image as `type`. */
static uint64_t immediate_bits(const struct operand *operand, enum ptx_type type)
{
    double number;
    float single;
    uint32_t image = (uint32_t)operand->bits;

    if (operand->kind == OPERAND_DOUBLE && type == PTX_F32) {
        memcpy(&number, &operand->bits, sizeof(number));
        single = (float)number;
        memcpy(&image, &single, sizeof(image));
        return image;
    }
    if (operand->kind == OPERAND_FLOAT && type == PTX_F64) {
        memcpy(&single, &image, sizeof(single));
        number = single;
        uint64_t wide;
        memcpy(&wide, &number, sizeof(wide));
        return wide;
    }
    return operand->bits;
}

static struct ptx_constant symbol_constant(struct ptx_builder *builder,
                                           const struct operand *operand, uint8_t width)
{
    const struct symbol *symbol = &operand->symbol;
    struct ptx_constant constant = {.width = width, .value = operand->bits};

    if (symbol->kind == SYMBOL_VARIABLE) {
        constant.kind = PTX_CONSTANT_VARIABLE;
        constant.variable = &builder->module->variables[symbol->at];
    } else if (symbol->kind == SYMBOL_DYNAMIC) {
        constant.kind = PTX_CONSTANT_DYNAMIC;
    } else {
        constant.value += symbol->at;
    }
    return constant;
}

/* An address in the frame of a device function, which is another in every call. */
static uint32_t frame_source(struct ptx_builder *builder, const struct operand *operand,
                             uint8_t width)
{
    uint32_t slot = ptx_new_slots(builder, width, 1);

    ptx_emit(builder, &(struct ptx_insn){.run = ptx_run_frame_address,
                                         .dst = slot,
                                         .src = {operand->symbol.frame},
                                         .imm = (int64_t)(operand->symbol.at + operand->bits),
                                         .width = width,
                                         .guard = PTX_NO_SLOT,
                                         .line = operand->token.line});
    return slot;
}

/* A pointer to a device function. */
static uint32_t function_source(struct ptx_builder *builder, const struct operand *operand,
                                uint8_t width)
{
    struct ptx_constant constant = {.width = width};

    constant.value = ptx_function_address(builder, &operand->token);
    if (!constant.value || width != 8)
        return bad_operand(builder, operand, "a value");
    return ptx_constant(builder, constant);
}

/* Any operand that is not a register, as a constant with lanes of `width` bytes (0: predicate). */
static uint32_t constant_source(struct ptx_builder *builder, const struct operand *operand,
                                enum ptx_type type, uint8_t width)
{
    struct ptx_constant constant = {.width = width};

    switch (operand->kind) {
    case OPERAND_INTEGER:
    case OPERAND_FLOAT:
    case OPERAND_DOUBLE:
        constant.value = immediate_bits(operand, type);
        if (!width)
            constant.value = operand->bits ? UINT32_MAX : 0;
        else if (width < 8)
            constant.value &= ((uint64_t)1 << width * 8) - 1;
        break;
    case OPERAND_SYMBOL:
        if (width < 4)
            return bad_operand(builder, operand, "a value of that width");
        if (operand->symbol.kind == SYMBOL_ADDRESS && operand->symbol.frame != PTX_NO_SLOT)
            return frame_source(builder, operand, width);
        constant = symbol_constant(builder, operand, width);
        break;
    case OPERAND_SPECIAL:
        constant.kind = PTX_CONSTANT_SPECIAL;
        constant.value = operand->bits;
        break;
    case OPERAND_NAME:
        return function_source(builder, operand, width);
    default:
        bad_operand(builder, operand, "a value");
        return 0;
    }
    return ptx_constant(builder, constant);
}

static uint8_t lane_bytes(enum ptx_type type)
{
    unsigned int bytes = ptx_type_bytes(type);

    if (type == PTX_PRED)
        return 0;
    return (uint8_t)(bytes < 2 ? 2 : bytes);
}

static int check_width(struct ptx_builder *builder, const struct operand *operand,
                       enum ptx_type type, bool may_be_wider)
{
    uint8_t have = lane_bytes(operand->type);
    uint8_t need = lane_bytes(type);

    if (have == need || (may_be_wider && have > need && need))
        return 0;
    return lex_fail(&builder->lex, operand->token.line, "%.*s is .%s where .%s is needed",
                    (int)operand->token.length, operand->token.text, ptx_type_name(operand->type),
                    ptx_type_name(type));
}

uint32_t ptx_source(struct ptx_builder *builder, const struct operand *operand, enum ptx_type type)
{
    if (operand->flip && type != PTX_PRED)
        return bad_operand(builder, operand, "a value without '!'");
    if (operand->kind != OPERAND_REGISTER)
        return constant_source(builder, operand, type, lane_bytes(type));
    if (check_width(builder, operand, type, false))
        return 0;
    return operand->slot;
}

uint32_t ptx_dest(struct ptx_builder *builder, const struct operand *operand, enum ptx_type type)
{
    if (operand->kind == OPERAND_SINK)
        return ptx_new_slots(builder, lane_bytes(type), 1);
    if (operand->kind != OPERAND_REGISTER || operand->flip)
        return bad_operand(builder, operand, "a register");
    if (check_width(builder, operand, type, false))
        return 0;
    return operand->slot;
}

uint32_t ptx_wide_source(struct ptx_builder *builder, const struct operand *operand,
                         enum ptx_type type, uint8_t *width)
{
    *width = lane_bytes(type);
    if (operand->kind != OPERAND_REGISTER)
        return ptx_source(builder, operand, type);
    if (operand->flip || check_width(builder, operand, type, true))
        return bad_operand(builder, operand, "a value");
    *width = lane_bytes(operand->type);
    return operand->slot;
}

uint32_t ptx_wide_dest(struct ptx_builder *builder, const struct operand *operand,
                       enum ptx_type type, uint8_t *width)
{
    *width = lane_bytes(type);
    if (operand->kind != OPERAND_REGISTER)
        return ptx_dest(builder, operand, type);
    if (operand->flip || check_width(builder, operand, type, true))
        return bad_operand(builder, operand, "a register");
    *width = lane_bytes(operand->type);
    return operand->slot;
}

static const char *const special_names[PTX_SREG_COUNT] = {
#define SPECIAL(id, name) name,
#include "tests/sim/ptx_special.def"
#undef SPECIAL
};

static bool find_special(const struct lex_token *token, uint64_t *out)
{
    for (uint64_t i = 0; i < PTX_SREG_COUNT; i++) {
        if (token_is(token, special_names[i])) {
            *out = i;
            return true;
        }
    }
    return false;
}

uint32_t ptx_register_slot(const struct symbol *symbol, const struct lex_token *token)
{
    uint32_t number = 0;
    uint32_t each = ptx_type_bytes(symbol->type) * PTX_LANES;

    for (size_t i = symbol->length; symbol->numbered && i < token->length; i++)
        number = number * 10 + (uint32_t)(token->text[i] - '0');
    if (symbol->type == PTX_PRED)
        each = sizeof(uint32_t);
    if (symbol->type == PTX_B8 || symbol->type == PTX_U8 || symbol->type == PTX_S8)
        each = 2 * PTX_LANES;
    return (uint32_t)symbol->at + number * each;
}

static void resolve_name(struct ptx_builder *builder, struct operand *operand)
{
    if (token_is(&operand->token, "_")) {
        operand->kind = OPERAND_SINK;
        return;
    }
    if (token_is(&operand->token, "WARP_SZ")) {
        operand->kind = OPERAND_INTEGER;
        operand->bits = PTX_LANES;
        return;
    }
    operand->kind = OPERAND_NAME;
    if (ptx_symbol_find(builder, &operand->token, &operand->symbol)) {
        operand->kind = OPERAND_SYMBOL;
        if (operand->symbol.kind == SYMBOL_REGISTER) {
            operand->kind = OPERAND_REGISTER;
            operand->type = operand->symbol.type;
            operand->slot = ptx_register_slot(&operand->symbol, &operand->token);
        } else if (operand->symbol.kind == SYMBOL_UNDEFINED) {
            lex_fail(&builder->lex, operand->token.line, "'%.*s' is declared but not defined",
                     (int)operand->token.length, operand->token.text);
        }
    } else if (find_special(&operand->token, &operand->bits)) {
        operand->kind = OPERAND_SPECIAL;
    } else if (operand->token.text[0] == '%') {
        bad_operand(builder, operand, "a declared register");
    }
}

static void parse_number(struct ptx_builder *builder, struct operand *out)
{
    struct lex *lex = &builder->lex;
    bool negative = lex_accept(lex, "-");

    out->token = lex->token;
    out->bits = lex->token.bits;
    switch (lex->token.kind) {
    case LEX_INTEGER:
        out->kind = OPERAND_INTEGER;
        out->bits = negative ? 0 - out->bits : out->bits;
        break;
    case LEX_FLOAT:
        out->kind = OPERAND_FLOAT;
        out->bits ^= negative ? (uint64_t)1 << 31 : 0;
        break;
    case LEX_DOUBLE:
        out->kind = OPERAND_DOUBLE;
        out->bits ^= negative ? (uint64_t)1 << 63 : 0;
        break;
    default:
        lex_fail_token(lex, "an operand");
        return;
    }
    lex_next(lex);
}

static void parse_scalar(struct ptx_builder *builder, struct operand *out)
{
    struct lex *lex = &builder->lex;

    *out = (struct operand){.token = lex->token};
    if (lex_accept(lex, "!"))
        out->flip = true;
    if (lex->token.kind == LEX_WORD && lex->token.text[0] != '.') {
        out->token = lex->token;
        lex_next(lex);
        resolve_name(builder, out);
    } else {
        parse_number(builder, out);
    }
}

static struct operand *new_element(struct ptx_builder *builder, struct statement *statement)
{
    if (statement->n_elements == STATEMENT_ELEMENTS) {
        lex_fail(&builder->lex, statement->line, "more than %d operands in braces",
                 STATEMENT_ELEMENTS);
        return NULL;
    }
    return &statement->elements[statement->n_elements++];
}

static void parse_vector(struct ptx_builder *builder, struct statement *statement,
                         struct operand *out)
{
    struct lex *lex = &builder->lex;

    out->kind = OPERAND_VECTOR;
    out->first = (uint8_t)statement->n_elements;
    do {
        struct operand *element = new_element(builder, statement);
        if (!element)
            return;
        parse_scalar(builder, element);
        out->count++;
    } while (lex_accept(lex, ","));
    lex_expect(lex, "}");
}

/* [base], [base+8], [base+-8], [base-8], [8] */
static void parse_address(struct ptx_builder *builder, struct statement *statement,
                          struct operand *out)
{
    struct lex *lex = &builder->lex;
    struct operand *base = new_element(builder, statement);
    struct operand offset = {.bits = 0};

    out->kind = OPERAND_ADDRESS;
    out->first = (uint8_t)(statement->n_elements - 1);
    out->count = 1;
    if (!base)
        return;
    parse_scalar(builder, base);
    if (lex_accept(lex, "+") || lex_is(lex, "-"))
        parse_number(builder, &offset);
    out->bits = offset.bits;
    lex_expect(lex, "]");
}

int ptx_operand_parse(struct ptx_builder *builder, struct statement *statement, struct operand *out)
{
    struct lex *lex = &builder->lex;

    *out = (struct operand){.token = lex->token};
    if (lex_accept(lex, "{"))
        parse_vector(builder, statement, out);
    else if (lex_accept(lex, "["))
        parse_address(builder, statement, out);
    else
        parse_scalar(builder, out);
    /* `table+16` */
    if (out->kind == OPERAND_SYMBOL && lex_accept(lex, "+")) {
        struct operand offset;
        parse_number(builder, &offset);
        out->bits = offset.bits;
    }
    return lex->failed ? -1 : 0;
}

int ptx_operands_parse(struct ptx_builder *builder, struct statement *statement)
{
    struct lex *lex = &builder->lex;

    if (lex_accept(lex, ";"))
        return 0;
    do {
        if (statement->n_operands == STATEMENT_OPERANDS)
            return lex_fail(lex, statement->line, "more than %d operands", STATEMENT_OPERANDS);
        if (ptx_operand_parse(builder, statement, &statement->operands[statement->n_operands++]))
            return -1;
        if (statement->n_operands == 1 && lex_accept(lex, "|")) {
            statement->has_pipe = true;
            parse_scalar(builder, &statement->pipe);
        }
    } while (lex_accept(lex, ","));
    lex_expect(lex, ";");
    return lex->failed ? -1 : 0;
}
