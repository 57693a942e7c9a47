/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * A kernel under construction, between the parser, the decoder and the opcode tables.
 *
 * A failure is recorded once, in builder->lex, and unwinds by itself (ptx_lex.h); functions that
 * return a slot then return 0, a valid one.
 */

#include "tests/sim/ptx_code.h"
#include "tests/sim/ptx_lex.h"

struct ptx_opcode;

enum symbol_kind {
    SYMBOL_NONE,
    SYMBOL_REGISTER,  /* `at` = slot of the first of `count` */
    SYMBOL_ADDRESS,   /* `at` = address in `space` */
    SYMBOL_SHARED,    /* of the module: gets its address when a kernel first uses it */
    SYMBOL_DYNAMIC,   /* dynamic shared memory */
    SYMBOL_VARIABLE,  /* `at` = index in module->variables */
    SYMBOL_UNDEFINED, /* declared .extern */
};

struct symbol {
    const char *name;
    size_t length;
    enum symbol_kind kind;
    enum ptx_type type;
    enum ptx_space space;
    bool numbered; /* a range: the name is followed by a number below `count` */
    uint32_t count;
    uint64_t at;
    uint64_t bytes;
    uint64_t align;
    uint32_t frame; /* slot of what an address in local memory counts from, or PTX_NO_SLOT */
};

struct symbols {
    struct symbol *items;
    size_t n;
    size_t capacity;
};

/* A .func or .entry as found on the first pass; `built` and later are for the current kernel. */
struct function {
    struct lex_token name;
    struct lex_token results; /* "(" of the return values; kind LEX_END when there are none */
    struct lex_token params;  /* what follows the name */
    struct lex_token body;    /* its "{"; kind LEX_END when only declared */
    bool is_entry;
    enum { FUNCTION_NEW, FUNCTION_BUILDING, FUNCTION_BUILT } state;
    uint32_t start;         /* index of its first instruction */
    uint32_t index;         /* in kernel->functions; not of a kernel */
    struct symbols formals; /* registers or local memory; results first */
    size_t n_results;
};

struct label {
    const char *name;
    size_t length;
    unsigned int scope;
    uint32_t index; /* of the instruction in the function */
};

/* Whose target is a label; or, when that has no text, known already. */
struct jump {
    struct lex_token label;
    unsigned int scope;
    uint32_t index;
};

/* The places that a `.branchtargets` lists, in kernel->lists. */
struct targets {
    struct lex_token name;
    unsigned int scope;
    uint32_t first, n;
};

/* One of them, of which kernel->lists is to hold the index. */
struct target {
    struct lex_token label;
    unsigned int scope;
    uint32_t at;
};

/* One function body being parsed. */
struct body {
    struct function *function;
    struct symbols symbols;
    struct ptx_insn *code;
    size_t n_code, code_capacity;
    struct label *labels;
    size_t n_labels, labels_capacity;
    struct jump *jumps;
    size_t n_jumps, jumps_capacity;
    struct targets *targets;
    size_t n_targets, targets_capacity;
    struct target *target_labels;
    size_t n_target_labels, target_labels_capacity;
    struct jump *tables; /* brx.idx by the name of its targets */
    size_t n_tables, tables_capacity;
    unsigned int *scopes; /* the parent of each */
    size_t n_scopes, scopes_capacity;
    unsigned int scope; /* the current one */
    unsigned int depth; /* of braces */
};

/* An opcode with its modifiers, looked up once per module. */
struct spelling {
    struct lex_token text;
    const struct ptx_opcode *opcode;
    ptx_run *run;
    struct {
        const char *text;
        size_t length;
    } words[14];
    unsigned int n_words;
    enum ptx_type types[4];
    unsigned int n_types;
};

#define SPELLINGS 512

/* An initial value `generic(name)+addend`. */
struct pending {
    struct lex_token name;
    struct ptx_relocation relocation;
};

struct ptx_builder {
    struct lex lex;
    struct ptx_module *module;
    struct symbols symbols; /* module scope */
    struct function *functions;
    size_t n_functions, functions_capacity;
    size_t variables_capacity, kernels_capacity;

    struct ptx_kernel *kernel;
    struct body *body;
    unsigned int call_depth;
    bool recursive; /* a function of the kernel calls itself, by whatever way */
    bool indirect;  /* there is a call through a pointer */
    size_t code_capacity, lists_capacity, constants_capacity, calls_capacity;
    size_t functions_of_kernel_capacity, relocations_capacity;
    struct pending *pending; /* relocations whose target is only a name yet */
    size_t n_pending, pending_capacity;

    struct spelling *spellings; /* a cache of SPELLINGS */
    size_t n_spellings;
};

enum operand_kind {
    OPERAND_REGISTER,
    OPERAND_SINK, /* _ */
    OPERAND_INTEGER,
    OPERAND_FLOAT,
    OPERAND_DOUBLE,
    OPERAND_SYMBOL,  /* address of `symbol`, plus `bits` */
    OPERAND_SPECIAL, /* special register `bits` */
    OPERAND_ADDRESS, /* [..]: elements[first] plus `bits` */
    OPERAND_VECTOR,  /* {..}: `count` elements from `first` */
    OPERAND_NAME,    /* a name that is no symbol, perhaps a label */
};

struct operand {
    enum operand_kind kind;
    struct lex_token token;
    enum ptx_type type; /* of a register */
    uint32_t slot;
    uint64_t bits;
    bool flip; /* !p */
    struct symbol symbol;
    uint8_t first;
    uint8_t count;
};

#define STATEMENT_OPERANDS 8
#define STATEMENT_ELEMENTS 40

struct statement {
    const struct spelling *spelling;
    int line;
    struct operand operands[STATEMENT_OPERANDS];
    unsigned int n_operands;
    struct operand elements[STATEMENT_ELEMENTS];
    unsigned int n_elements;
    struct operand pipe; /* what follows `|` after the first operand */
    bool has_pipe;
};

/* Parses the operands of one instruction up to and including its semicolon. */
int ptx_operands_parse(struct ptx_builder *builder, struct statement *statement);
/* One operand on its own (ptx_call.c). */
int ptx_operand_parse(struct ptx_builder *builder, struct statement *statement,
                      struct operand *out);

/* Slot to read an operand from as `type`; immediates and addresses become constants. */
uint32_t ptx_source(struct ptx_builder *builder, const struct operand *operand, enum ptx_type type);
/* Slot to write; its register must be as wide as `type`. `_` gives a slot nobody reads. */
uint32_t ptx_dest(struct ptx_builder *builder, const struct operand *operand, enum ptx_type type);
/* The same for ld, st and cvt, whose registers may be wider than `type`: *width is the bytes. */
uint32_t ptx_wide_source(struct ptx_builder *builder, const struct operand *operand,
                         enum ptx_type type, uint8_t *width);
uint32_t ptx_wide_dest(struct ptx_builder *builder, const struct operand *operand,
                       enum ptx_type type, uint8_t *width);
/* Slot that always holds this value in every lane. */
uint32_t ptx_constant(struct ptx_builder *builder, struct ptx_constant constant);
/* New lanes of `bytes` each (0: a predicate); `count` of them, one after the other. */
uint32_t ptx_new_slots(struct ptx_builder *builder, unsigned int bytes, uint32_t count);
/* Appends to kernel->lists; returns the index. */
uint32_t ptx_list(struct ptx_builder *builder, const uint32_t *slots, unsigned int n);
/* `bytes` of a thread's local memory; returns the offset, in its frame if in a device function. */
uint64_t ptx_new_local(struct ptx_builder *builder, uint64_t bytes, uint64_t align);

/* `%r12` of the registers `%r<64>`. */
uint32_t ptx_register_slot(const struct symbol *symbol, const struct lex_token *token);
/* A register, or something in local memory, as a call sees it. */
struct ptx_place ptx_symbol_place(const struct symbol *symbol);

/* Finds a name in the body, then in the module. False when there is none. */
bool ptx_symbol_find(struct ptx_builder *builder, const struct lex_token *name, struct symbol *out);
void symbols_add(struct symbols *symbols, struct symbol symbol);

/* A declaration after its space: `.align 4 .b8 name[16]`. Limits are checked. */
struct declaration {
    struct lex_token name;
    enum ptx_type type;
    uint64_t align;
    uint64_t bytes;    /* 0: `name[]` */
    uint32_t numbered; /* of `name<n>`, else 0 */
};
void ptx_declaration_parse(struct ptx_builder *builder, struct declaration *out);

/* One parameter of a .func or .entry. */
typedef void ptx_param_fn(struct ptx_builder *builder, bool is_register,
                          const struct declaration *declaration);
/* Takes `( .. )` if it is there, and gives each parameter in it to `each` (NULL: to nobody). */
void ptx_params_parse(struct ptx_builder *builder, ptx_param_fn *each);
/* A parameter of the kernel, or of the device function, that is being built. */
ptx_param_fn ptx_kernel_param_add;
ptx_param_fn ptx_formal_add;

/* After `.reg`, `.local` or `.param` in a body, and `.shared` anywhere. */
void ptx_declare_registers(struct ptx_builder *builder);
void ptx_declare_local(struct ptx_builder *builder);
void ptx_declare_shared(struct ptx_builder *builder, struct symbols *symbols);
/* A variable of the module, of zeros. Returns its initialiser. */
uint8_t *ptx_add_variable(struct ptx_builder *builder, const char *name, uint64_t bytes,
                          uint64_t align);
/* After `.global` or `.const` of the module. */
void ptx_declare_variable(struct ptx_builder *builder, bool is_extern);

/* Parses the body of `function` into the kernel's code, its callees first. */
void ptx_function_build(struct ptx_builder *builder, struct function *function);
/* Builds what a pointer may lead to; then fills in what calls need. */
void ptx_functions_finish(struct ptx_builder *builder);
/* Finds the variables whose addresses are initial values of others. */
void ptx_relocations_resolve(struct ptx_builder *builder);
/* Errors from here on name this function. */
void ptx_function_name(struct lex *lex, const struct function *function);
struct function *ptx_function_find(struct ptx_builder *builder, const struct lex_token *name);
/* What a pointer to it holds; 0 when there is no such function. */
uint64_t ptx_function_address(const struct ptx_builder *builder, const struct lex_token *name);

/* Appends an instruction to the current body. */
struct ptx_insn *ptx_emit(struct ptx_builder *builder, const struct ptx_insn *insn);
/* The last emitted instruction's target will be this label; NULL: it is in `imm` already. */
void ptx_emit_jump(struct ptx_builder *builder, const struct lex_token *label);
/* The next emitted instruction branches by the .branchtargets of this name. */
void ptx_emit_table(struct ptx_builder *builder, const struct lex_token *name);

/* Looks the current token up in the opcode tables; NULL after recording an error. */
const struct spelling *ptx_spelling_find(struct ptx_builder *builder);
bool spelling_has(const struct spelling *spelling, const char *word);

/* Fills in `insn` for a statement by its row. */
int ptx_decode(struct ptx_builder *builder, const struct statement *statement,
               struct ptx_insn *insn);
