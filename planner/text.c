/* SPDX-License-Identifier: MIT */
/*
 * Showing foreign text: valid, visible UTF-8 goes through, every other byte becomes \xNN.
 *
 * The result is made of the characters a terminal draws and nothing it obeys. Truncation happens
 * only between whole characters or whole escapes.
 */
#include "planner/text.h"

#include <stdio.h>
#include <string.h>
#include "runtime/util.h"

#define CUT      "..."
#define CUT_SIZE (sizeof(CUT) - 1)

static bool is_tail(const char *text, size_t at, size_t size)
{
    return at < size && ((unsigned char)text[at] & 0xc0) == 0x80;
}

size_t text_decode(const char *text, size_t size, unsigned int *out)
{
    static const unsigned int smallest[] = {0, 0, 0x80, 0x800, 0x10000};
    unsigned char first = size ? (unsigned char)text[0] : 0xff;
    unsigned int code = 0;
    size_t length = 0;

    if (first < 0x80) {
        code = first;
        length = 1;
    } else if ((first & 0xe0) == 0xc0) {
        code = first & 0x1f;
        length = 2;
    } else if ((first & 0xf0) == 0xe0) {
        code = first & 0x0f;
        length = 3;
    } else if ((first & 0xf8) == 0xf0) {
        code = first & 0x07;
        length = 4;
    } else {
        return 0;
    }
    for (size_t i = 1; i < length; i++) {
        if (!is_tail(text, i, size))
            return 0;
        code = code << 6 | ((unsigned char)text[i] & 0x3f);
    }
    if (code < smallest[length] || code > 0x10ffff || (code >= 0xd800 && code <= 0xdfff))
        return 0;
    *out = code;
    return length;
}

bool text_is_printable(unsigned int code_point)
{
    /* Controls, joiners, direction marks, byte order marks, tags: what is obeyed, not drawn. */
    static const struct {
        unsigned int first, last;
    } hidden[] = {
        {0x00, 0x1f},     {0x7f, 0x9f},     {0xad, 0xad},     {0x61c, 0x61c},      {0x180e, 0x180e},
        {0x200b, 0x200f}, {0x2028, 0x202e}, {0x2060, 0x206f}, {0xfeff, 0xfeff},    {0xfff9, 0xfffb},
        {0xfffe, 0xffff}, {0xd800, 0xdfff}, {0xe000, 0xf8ff}, {0xe0000, 0x10ffff},
    };

    for (size_t i = 0; i < ARRAY_SIZE(hidden); i++) {
        if (code_point >= hidden[i].first && code_point <= hidden[i].last)
            return false;
    }
    return true;
}

bool text_is_clean(const char *text, size_t size)
{
    for (size_t at = 0; at < size;) {
        unsigned int code;
        size_t length = text_decode(text + at, size - at, &code);

        if (!length || !text_is_printable(code))
            return false;
        at += length;
    }
    return true;
}

/* One character or byte of `text` as it is to be shown, in `piece`; returns how much it consumed.
 */
static size_t escape_one(const char *text, size_t size, char piece[8], size_t *piece_size)
{
    static const char digits[] = "0123456789abcdef";
    unsigned char byte = (unsigned char)text[0];
    unsigned int code;
    size_t length = text_decode(text, size, &code);

    if (length && text_is_printable(code) && code != '\\') {
        memcpy(piece, text, length);
        *piece_size = length;
        return length;
    }
    piece[0] = '\\';
    piece[1] = byte == '\\' ? '\\' : 'x';
    piece[2] = digits[byte >> 4];
    piece[3] = digits[byte & 15];
    *piece_size = byte == '\\' ? 2 : 4;
    return 1;
}

char *text_escape(const char *text, size_t size, char *out, size_t out_size)
{
    size_t used = 0, cut = 0; /* `cut`: the last place where CUT and the NUL still fit */

    for (size_t at = 0; at < size;) {
        char piece[8];
        size_t piece_size;

        at += escape_one(text + at, size - at, piece, &piece_size);
        if (used + piece_size + 1 > out_size) {
            memcpy(out + cut, CUT, CUT_SIZE + 1);
            return out;
        }
        memcpy(out + used, piece, piece_size);
        used += piece_size;
        if (used + CUT_SIZE + 1 <= out_size)
            cut = used;
    }
    out[used] = '\0';
    return out;
}

bool text_equal(struct text text, const char *other)
{
    return text.size == strlen(other) && memcmp(text.data, other, text.size) == 0;
}

int text_compare(struct text a, struct text b)
{
    int order = a.size && b.size ? memcmp(a.data, b.data, min_u64(a.size, b.size)) : 0;

    return order ? order : (a.size > b.size) - (a.size < b.size);
}

bool text_begins(struct text text, const char *start)
{
    size_t n = strlen(start);

    return text.size >= n && memcmp(text.data, start, n) == 0;
}

bool text_has(struct text text, const char *part)
{
    return text.size && memmem(text.data, text.size, part, strlen(part)) != NULL;
}

struct text_shown text_show(struct text text)
{
    struct text_shown shown;

    text_escape(text.data, text.size, shown.text, sizeof(shown.text));
    return shown;
}

const char *text_size(uint64_t bytes, char out[32])
{
    static const char *const units[] = {"B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB"};
    double value = bytes;
    size_t unit = 0;

    while (value >= 1024 && unit + 1 < ARRAY_SIZE(units)) {
        value /= 1024;
        unit++;
    }
    snprintf(out, 32, unit ? "%.1f %s" : "%.0f %s", value, units[unit]);
    return out;
}
