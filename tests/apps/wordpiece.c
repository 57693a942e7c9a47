/* SPDX-License-Identifier: MIT */
/*
 * WordPiece: text becomes words, words become pieces.
 *
 * Characters are dealt with one at a time: each is dropped, ends a word, is a word of its own, or
 * is added to the current word in its lower-case, accent-free form. The vocabulary is sorted once,
 * and a piece is found by bisection, longest first.
 */
#include "tests/apps/wordpiece.h"

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <wctype.h>
#include "planner/text.h"
#include "runtime/util.h"

#define WORD_MARK "\xe2\x96\x81" /* U+2581 */

enum {
    MARK_BYTES = 3,
    MAX_WORD_LETTERS = 100, /* a longer word is unknown as a whole */
    MAX_WORD_BYTES = 4 * MAX_WORD_LETTERS,
};

struct piece {
    struct text text;
    int32_t id;
};

struct wordpiece {
    struct piece *pieces; /* sorted by text */
    size_t n_pieces;
    int32_t unknown, opening, closing;
};

struct range {
    unsigned int first, last;
};

/* The word being collected, and where its tokens go. */
struct encoder {
    const struct wordpiece *wordpiece;
    char word[MARK_BYTES + MAX_WORD_BYTES]; /* begins with WORD_MARK */
    size_t bytes;                           /* of the word, the mark excluded */
    size_t letters;
    int32_t *out;
    size_t capacity;
    size_t n_tokens;
};

static int compare_pieces(const void *a, const void *b)
{
    const struct text *x = &((const struct piece *)a)->text;
    const struct text *y = &((const struct piece *)b)->text;
    int order = memcmp(x->data, y->data, min_u64(x->size, y->size));

    return order ? order : (x->size > y->size) - (x->size < y->size);
}

static int32_t find(const struct wordpiece *wordpiece, const char *text, size_t size)
{
    const struct piece key = {.text = {.data = text, .size = size}};
    const struct piece *found = bsearch(&key, wordpiece->pieces, wordpiece->n_pieces,
                                        sizeof(*wordpiece->pieces), compare_pieces);

    return found ? found->id : -1;
}

static int load_pieces(struct wordpiece *wordpiece, const struct gguf_value *tokens)
{
    struct gguf_items items = gguf_items(tokens);
    struct gguf_value item;

    wordpiece->pieces = calloc(tokens->array.n_items, sizeof(*wordpiece->pieces));
    if (!wordpiece->pieces)
        return -ENOMEM;
    for (int32_t id = 0; gguf_items_next(&items, &item); id++) {
        wordpiece->pieces[wordpiece->n_pieces++] = (struct piece){.text = item.string, .id = id};
    }
    qsort(wordpiece->pieces, wordpiece->n_pieces, sizeof(*wordpiece->pieces), compare_pieces);
    return 0;
}

int wordpiece_new(const struct gguf *gguf, const char **reason, struct wordpiece **out)
{
    const struct gguf_entry *tokens = gguf_entry_find(gguf, "tokenizer.ggml.tokens");
    struct wordpiece *wordpiece;
    int r;

    if (!tokens || tokens->value.kind != GGUF_ARRAY || tokens->value.array.kind != GGUF_STRING ||
        tokens->value.array.n_items == 0 || tokens->value.array.n_items > INT32_MAX) {
        *reason = "tokenizer.ggml.tokens is not a list of strings";
        return -EINVAL;
    }
    *reason = "out of memory";
    wordpiece = calloc(1, sizeof(*wordpiece));
    if (!wordpiece)
        return -ENOMEM;
    r = load_pieces(wordpiece, &tokens->value);
    if (r)
        goto fail;
    wordpiece->unknown = find(wordpiece, "[UNK]", 5);
    wordpiece->opening = find(wordpiece, "[CLS]", 5);
    wordpiece->closing = find(wordpiece, "[SEP]", 5);
    if (wordpiece->unknown < 0 || wordpiece->opening < 0 || wordpiece->closing < 0) {
        *reason = "the vocabulary has no [UNK], [CLS] or [SEP]";
        r = -EINVAL;
        goto fail;
    }
    *out = wordpiece;
    return 0;

fail:
    wordpiece_free(wordpiece);
    return r;
}

struct wordpiece *wordpiece_free(struct wordpiece *wordpiece)
{
    if (wordpiece)
        free(wordpiece->pieces);
    free(wordpiece);
    return NULL;
}

static bool in_ranges(unsigned int code, const struct range *ranges, size_t n_ranges)
{
    for (size_t i = 0; i < n_ranges; i++) {
        if (code >= ranges[i].first && code <= ranges[i].last)
            return true;
    }
    return false;
}

static bool is_space(unsigned int code)
{
    static const struct range spaces[] = {
        {'\t', '\n'},     {'\r', '\r'},     {' ', ' '},       {0xa0, 0xa0},     {0x1680, 0x1680},
        {0x2000, 0x200a}, {0x2028, 0x2029}, {0x202f, 0x202f}, {0x205f, 0x205f}, {0x3000, 0x3000},
    };

    return in_ranges(code, spaces, ARRAY_SIZE(spaces));
}

/* Punctuation and ideographs: each is a word of its own. */
static bool stands_alone(unsigned int code)
{
    static const struct range alone[] = {
        {0x21, 0x2f},       {0x3a, 0x40},       {0x5b, 0x60},       {0x7b, 0x7e},
        {0xa1, 0xa1},       {0xa7, 0xa7},       {0xab, 0xab},       {0xb6, 0xb7},
        {0xbb, 0xbb},       {0xbf, 0xbf},       {0x2010, 0x2027},   {0x2030, 0x2043},
        {0x2045, 0x2051},   {0x2053, 0x205e},   {0x3001, 0x3003},   {0x3008, 0x3011},
        {0x3014, 0x301f},   {0x3030, 0x3030},   {0x30fb, 0x30fb},   {0x3400, 0x4dbf},
        {0x4e00, 0x9fff},   {0xf900, 0xfaff},   {0xff01, 0xff03},   {0xff05, 0xff0a},
        {0xff0c, 0xff0f},   {0xff1a, 0xff1b},   {0xff1f, 0xff20},   {0xff3b, 0xff3d},
        {0xff3f, 0xff3f},   {0xff5b, 0xff5b},   {0xff5d, 0xff5d},   {0xff5f, 0xff65},
        {0x20000, 0x2a6df}, {0x2a700, 0x2ceaf}, {0x2f800, 0x2fa1f},
    };

    return in_ranges(code, alone, ARRAY_SIZE(alone));
}

static bool is_dropped(unsigned int code)
{
    static const struct range marks[] = {{0x300, 0x36f}, {0x483, 0x487}, {0xfffd, 0xfffd}};

    return !text_is_printable(code) || in_ranges(code, marks, ARRAY_SIZE(marks));
}

/* The letter without its accents; itself where it has none. `letter` is one whole character. */
static const char *strip_accents(const char *letter, size_t *size)
{
    static const struct {
        const char *base, *accented;
    } rows[] = {
#define BASE(letter, letters) {letter, letters},
#include "tests/apps/letters.def"
    };

    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        if (memmem(rows[i].accented, strlen(rows[i].accented), letter, *size)) {
            *size = strlen(rows[i].base);
            return rows[i].base;
        }
    }
    return letter;
}

static size_t encode_utf8(unsigned int code, char out[4])
{
    static const unsigned char lead[] = {0, 0, 0xc0, 0xe0, 0xf0};
    size_t size = code < 0x80 ? 1 : code < 0x800 ? 2 : code < 0x10000 ? 3 : 4;

    for (size_t i = size - 1; i > 0; i--, code >>= 6)
        out[i] = (char)(0x80 | (code & 0x3f));
    out[0] = (char)(lead[size] | code);
    return size;
}

static void put_token(struct encoder *encoder, int32_t id)
{
    if (encoder->n_tokens < encoder->capacity)
        encoder->out[encoder->n_tokens] = id;
    encoder->n_tokens++;
}

/* The longest piece at `start` of the marked word; returns its end, or 0 when there is none. */
static size_t find_piece(const struct encoder *encoder, size_t start, int32_t *out)
{
    size_t word_end = MARK_BYTES + encoder->bytes;

    for (size_t end = word_end; end > start; end--) {
        bool whole = end == word_end || ((unsigned char)encoder->word[end] & 0xc0) != 0x80;

        if (!whole || (start == 0 && end <= MARK_BYTES))
            continue;
        *out = find(encoder->wordpiece, encoder->word + start, end - start);
        if (*out >= 0)
            return end;
    }
    return 0;
}

static void end_word(struct encoder *encoder)
{
    size_t word_end = MARK_BYTES + encoder->bytes, before = encoder->n_tokens, at = 0;

    if (encoder->letters == 0)
        return;
    if (encoder->letters <= MAX_WORD_LETTERS) {
        while (at < word_end) {
            int32_t id;
            size_t end = find_piece(encoder, at, &id);

            if (!end)
                break;
            put_token(encoder, id);
            at = end;
        }
    }
    if (at < word_end || encoder->letters > MAX_WORD_LETTERS) {
        encoder->n_tokens = before;
        put_token(encoder, encoder->wordpiece->unknown);
    }
    encoder->bytes = 0;
    encoder->letters = 0;
}

static void put_letter(struct encoder *encoder, unsigned int code)
{
    char utf8[4];
    size_t size =
        encode_utf8(code < 0x80 || code > 0xffff ? code : (unsigned int)towlower(code), utf8);
    const char *letter = size > 1 ? strip_accents(utf8, &size) : utf8;

    encoder->letters++;
    if (encoder->letters > MAX_WORD_LETTERS)
        return;
    memcpy(encoder->word + MARK_BYTES + encoder->bytes, letter, size);
    encoder->bytes += size;
}

static void put_character(struct encoder *encoder, unsigned int code)
{
    if (is_space(code)) {
        end_word(encoder);
    } else if (stands_alone(code)) {
        end_word(encoder);
        put_letter(encoder, code);
        end_word(encoder);
    } else if (!is_dropped(code)) {
        put_letter(encoder, code >= 'A' && code <= 'Z' ? code + 'a' - 'A' : code);
    }
}

size_t wordpiece_encode(const struct wordpiece *wordpiece, const char *text, size_t size,
                        int32_t *out, size_t capacity)
{
    struct encoder encoder = {
        .wordpiece = wordpiece, .word = WORD_MARK, .out = out, .capacity = capacity - 1};

    put_token(&encoder, wordpiece->opening);
    for (size_t at = 0; at < size;) {
        unsigned int code;
        size_t length = text_decode(text + at, size - at, &code);

        if (length)
            put_character(&encoder, code);
        at += length ? length : 1;
    }
    end_word(&encoder);
    out[min_u64(encoder.n_tokens, capacity - 1)] = wordpiece->closing;
    return encoder.n_tokens + 1;
}
