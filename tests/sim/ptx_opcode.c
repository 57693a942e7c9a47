/* SPDX-License-Identifier: MIT */

/* From the spelling of an opcode to its row, and from a row and operands to an instruction. */

#include <string.h>

#include "tests/sim/ptx_opcode.h"

static const struct ptx_opcode *const tables[] = {
    ptx_integer_opcodes,  ptx_carry_opcodes,         ptx_bits_opcodes,          ptx_float_opcodes,
    ptx_half_opcodes,     ptx_rounded_opcodes,       ptx_compare_opcodes,       ptx_move_opcodes,
    ptx_convert_opcodes,  ptx_memory_opcodes,        ptx_atomic_opcodes,        ptx_flow_opcodes,
    ptx_warp_opcodes,     ptx_mma_opcodes,           ptx_ldmatrix_opcodes,      ptx_async_opcodes,
    ptx_pair_opcodes,     ptx_set_half_opcodes,      ptx_convert_small_opcodes, ptx_cluster_opcodes,
    ptx_mbarrier_opcodes, ptx_atomic_vector_opcodes,
};

static bool same(const char *a, size_t a_length, const char *b, size_t b_length)
{
    return a_length == b_length && !memcmp(a, b, a_length);
}

/* Is `word` one of the words of `list`, separated by `separator`? */
static bool listed(const char *list, char separator, const char *word, size_t length)
{
    while (*list) {
        const char *end = strchr(list, separator);
        size_t n = end ? (size_t)(end - list) : strlen(list);
        if (same(list, n, word, length))
            return true;
        list += n + (end ? 1 : 0);
    }
    return false;
}

bool spelling_has(const struct spelling *spelling, const char *word)
{
    for (unsigned int i = 0; i < spelling->n_words; i++) {
        if (same(spelling->words[i].text, spelling->words[i].length, word, strlen(word)))
            return true;
    }
    return false;
}

/* "shfl.sync.idx.b32" into its words and its types. False when there are too many. */
static bool spelling_split(struct spelling *spelling)
{
    const char *at = spelling->text.text;
    const char *end = at + spelling->text.length;

    while (at < end) {
        const char *dot = memchr(at, '.', (size_t)(end - at));
        size_t length = (size_t)((dot ? dot : end) - at);
        enum ptx_type type = spelling->n_words ? ptx_type_find(at, length) : PTX_NONE;
        if (type) {
            if (spelling->n_types == 4)
                return false;
            spelling->types[spelling->n_types++] = type;
        } else {
            if (spelling->n_words == sizeof(spelling->words) / sizeof(spelling->words[0]))
                return false;
            spelling->words[spelling->n_words].text = at;
            spelling->words[spelling->n_words++].length = length;
        }
        at += length + 1;
    }
    return spelling->n_words > 0;
}

/* Every word of the row's name is there, the first one first. */
static bool name_matches(const struct ptx_opcode *opcode, const struct spelling *spelling)
{
    const char *at = opcode->name;
    bool first = true;

    while (*at) {
        const char *dot = strchr(at, '.');
        size_t length = dot ? (size_t)(dot - at) : strlen(at);
        bool found = false;
        for (unsigned int i = 0; i < (first ? 1 : spelling->n_words) && !found; i++)
            found = same(spelling->words[i].text, spelling->words[i].length, at, length);
        if (!found)
            return false;
        first = false;
        at += length + (dot ? 1 : 0);
    }
    return true;
}

static bool options_match(const struct ptx_opcode *opcode, const struct spelling *spelling)
{
    for (unsigned int i = 0; i < spelling->n_words; i++) {
        const char *word = spelling->words[i].text;
        size_t length = spelling->words[i].length;
        if (!listed(opcode->name, '.', word, length) &&
            !listed(opcode->options ? opcode->options : "", ' ', word, length))
            return false;
    }
    return true;
}

static bool opcode_matches(const struct ptx_opcode *opcode, struct spelling *spelling)
{
    if (!name_matches(opcode, spelling) || !options_match(opcode, spelling))
        return false;
    spelling->run = opcode->run;
    if (opcode->runs)
        spelling->run = opcode->runs[spelling->types[0]];
    return spelling->run != NULL;
}

static const struct ptx_opcode *opcode_find(struct spelling *spelling)
{
    for (size_t i = 0; i < sizeof(tables) / sizeof(tables[0]); i++) {
        for (const struct ptx_opcode *opcode = tables[i]; opcode->name; opcode++) {
            if (opcode_matches(opcode, spelling))
                return opcode;
        }
    }
    return NULL;
}

const struct spelling *ptx_spelling_find(struct ptx_builder *builder)
{
    struct lex *lex = &builder->lex;
    struct spelling spelling = {.text = lex->token};

    for (size_t i = 0; i < builder->n_spellings; i++) {
        const struct lex_token *text = &builder->spellings[i].text;
        if (same(text->text, text->length, lex->token.text, lex->token.length))
            return &builder->spellings[i];
    }
    if (lex->token.kind != LEX_WORD) {
        lex_fail_token(lex, "an opcode");
        return NULL;
    }
    if (spelling_split(&spelling))
        spelling.opcode = opcode_find(&spelling);
    if (!spelling.opcode) {
        lex_fail(lex, lex->token.line, "opcode '%.*s' is not understood",
                 (int)(lex->token.length > 80 ? 80 : lex->token.length), lex->token.text);
        return NULL;
    }
    if (builder->n_spellings == SPELLINGS)
        builder->n_spellings = 0;
    builder->spellings[builder->n_spellings] = spelling;
    return &builder->spellings[builder->n_spellings++];
}

uint8_t ptx_mode(const struct spelling *spelling)
{
    uint8_t mode = PTX_ROUND_NEAREST;

    if (spelling_has(spelling, "rz") || spelling_has(spelling, "rzi"))
        mode = PTX_ROUND_ZERO;
    else if (spelling_has(spelling, "rm") || spelling_has(spelling, "rmi"))
        mode = PTX_ROUND_DOWN;
    else if (spelling_has(spelling, "rp") || spelling_has(spelling, "rpi"))
        mode = PTX_ROUND_UP;
    if (spelling_has(spelling, "ftz"))
        mode |= PTX_MODE_FTZ;
    if (spelling_has(spelling, "sat"))
        mode |= PTX_MODE_SAT;
    if (spelling_has(spelling, "relu"))
        mode |= PTX_MODE_RELU;
    return mode;
}

static enum ptx_type wider(enum ptx_type type)
{
    switch (type) {
    case PTX_U16:
        return PTX_U32;
    case PTX_S16:
        return PTX_S32;
    case PTX_U32:
        return PTX_U64;
    default:
        return PTX_S64;
    }
}

static enum ptx_type operand_type(const struct spelling *spelling, char letter)
{
    switch (letter) {
    case 't':
        return spelling->types[0];
    case '2':
        return spelling->types[1];
    case 'w':
        return wider(spelling->types[0]);
    case 'p':
        return PTX_PRED;
    default:
        return PTX_B32;
    }
}

/* The operands as the row's letters say. */
static int decode_plain(struct ptx_builder *builder, const struct statement *statement,
                        struct ptx_insn *insn)
{
    const char *letters = statement->spelling->opcode->operands;
    size_t n = strlen(letters);

    if (statement->n_operands != n || statement->has_pipe)
        return lex_fail(&builder->lex, statement->line, "'%.*s' takes %zu operands",
                        (int)statement->spelling->text.length, statement->spelling->text.text, n);
    for (size_t i = 0; i < n; i++) {
        const struct operand *operand = &statement->operands[i];
        enum ptx_type type = operand_type(statement->spelling, letters[i]);
        if (!type)
            return lex_fail(&builder->lex, statement->line, "'%.*s' has no second type",
                            (int)statement->spelling->text.length, statement->spelling->text.text);
        if (i)
            insn->src[i - 1] = ptx_source(builder, operand, type);
        else
            insn->dst = ptx_dest(builder, operand, type);
        if (operand->flip)
            return lex_fail(&builder->lex, statement->line, "'!' is not for this operand");
    }
    return builder->lex.failed ? -1 : 0;
}

int ptx_decode(struct ptx_builder *builder, const struct statement *statement,
               struct ptx_insn *insn)
{
    const struct spelling *spelling = statement->spelling;

    insn->run = spelling->run;
    insn->op = spelling->opcode->op;
    insn->mode = ptx_mode(spelling);
    insn->type = (uint8_t)spelling->types[0];
    insn->type2 = (uint8_t)spelling->types[1];
    insn->count = 1;
    if (spelling->opcode->decode)
        return spelling->opcode->decode(builder, statement, insn);
    return decode_plain(builder, statement, insn);
}
