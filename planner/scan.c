/* SPDX-License-Identifier: MIT */
/*
 * A pull parser. Who calls knows what he wants next and asks for it; only scan_skip() has to know
 * what it is inside of, and keeps that in the bits of one number.
 */
#include "planner/scan.h"

#include <string.h>

bool scan_fail(struct scan *scan, size_t at, const char *why)
{
    if (!scan->wrong) {
        scan->wrong = why;
        scan->wrong_at = at;
    }
    return false;
}

/* The next character that means something; '\0' at the end, where there can be no other. */
static char peek(struct scan *scan)
{
    while (!scan->wrong && scan->at < scan->size) {
        char c = scan->text[scan->at];

        if (c != ' ' && c != '\t' && c != '\n' && c != '\r')
            return c;
        scan->at++;
    }
    return '\0';
}

static bool take(struct scan *scan, char wanted, const char *why)
{
    if (peek(scan) != wanted || scan->at == scan->size)
        return scan_fail(scan, scan->at, scan->at < scan->size ? why : "the text ends too early");
    scan->at++;
    return true;
}

bool scan_object(struct scan *scan)
{
    scan->fresh = true;
    return take(scan, '{', "an object is expected here");
}

bool scan_array(struct scan *scan)
{
    scan->fresh = true;
    return take(scan, '[', "an array is expected here");
}

/* Goes on to the next member; false at the end, which is taken. */
static bool member(struct scan *scan, char end)
{
    bool fresh = scan->fresh;

    if (scan->wrong)
        return false;
    scan->fresh = false;
    if (peek(scan) == end) {
        scan->at++;
        return false;
    }
    return fresh || take(scan, ',', "a comma or the end is expected here");
}

bool scan_key(struct scan *scan, struct text *out)
{
    return member(scan, '}') && scan_text(scan, out) && take(scan, ':', "a colon is expected here");
}

bool scan_item(struct scan *scan)
{
    return member(scan, ']');
}

static int hex(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    c |= 0x20;
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* Four digits. */
static bool take_unit(struct scan *scan, unsigned int *out)
{
    *out = 0;
    for (int i = 0; i < 4; i++) {
        int digit = scan->at < scan->size ? hex(scan->text[scan->at]) : -1;

        if (digit < 0)
            return scan_fail(scan, scan->at, "four hexadecimal digits are expected here");
        *out = *out << 4 | (unsigned int)digit;
        scan->at++;
    }
    return true;
}

/* Behind "\u": one unit, or two that are a pair. */
static bool take_code(struct scan *scan, unsigned int *out)
{
    size_t start = scan->at;
    unsigned int low;

    if (!take_unit(scan, out))
        return false;
    if (*out < 0xd800 || *out > 0xdfff)
        return true;
    if (*out > 0xdbff || scan->size - scan->at < 2 || scan->text[scan->at] != '\\' ||
        scan->text[scan->at + 1] != 'u')
        return scan_fail(scan, start, "half a character is escaped here");
    scan->at += 2;
    if (!take_unit(scan, &low))
        return false;
    if (low < 0xdc00 || low > 0xdfff)
        return scan_fail(scan, start, "half a character is escaped here");
    *out = 0x10000 + ((*out & 0x3ff) << 10) + (low & 0x3ff);
    return true;
}

/* Never longer than its escape. */
static size_t put_code(char *out, unsigned int code)
{
    if (code < 0x80) {
        out[0] = (char)code;
        return 1;
    }
    if (code < 0x800) {
        out[0] = (char)(0xc0 | code >> 6);
        out[1] = (char)(0x80 | (code & 0x3f));
        return 2;
    }
    if (code < 0x10000) {
        out[0] = (char)(0xe0 | code >> 12);
        out[1] = (char)(0x80 | (code >> 6 & 0x3f));
        out[2] = (char)(0x80 | (code & 0x3f));
        return 3;
    }
    out[0] = (char)(0xf0 | code >> 18);
    out[1] = (char)(0x80 | (code >> 12 & 0x3f));
    out[2] = (char)(0x80 | (code >> 6 & 0x3f));
    out[3] = (char)(0x80 | (code & 0x3f));
    return 4;
}

/* Behind a backslash. */
static bool take_escape(struct scan *scan, unsigned int *out)
{
    static const char names[] = "\"\\/bfnrt", values[] = "\"\\/\b\f\n\r\t";
    char c = scan->at < scan->size ? scan->text[scan->at] : '\0';
    const char *found = c ? strchr(names, c) : NULL;

    if (c == 'u') {
        scan->at++;
        return take_code(scan, out);
    }
    if (!found)
        return scan_fail(scan, scan->at, "there is no such escape");
    scan->at++;
    *out = (unsigned char)values[found - names];
    return true;
}

/* One character, moved to `to`; returns its length there, 0 when it is wrong. */
static size_t take_character(struct scan *scan, char *to)
{
    unsigned int code;
    size_t n;

    if (scan->text[scan->at] == '\\') {
        scan->at++;
        return take_escape(scan, &code) ? put_code(to, code) : 0;
    }
    n = text_decode(scan->text + scan->at, scan->size - scan->at, &code);
    if (n == 0 || code < 0x20) {
        scan_fail(scan, scan->at,
                  n ? "a control character is in a string" : "a string is not UTF-8");
        return 0;
    }
    memmove(to, scan->text + scan->at, n);
    scan->at += n;
    return n;
}

bool scan_text(struct scan *scan, struct text *out)
{
    size_t start, to;

    if (!take(scan, '"', "a string is expected here"))
        return false;
    start = to = scan->at;
    while (scan->at < scan->size && scan->text[scan->at] != '"') {
        size_t n = take_character(scan, scan->text + to);

        if (n == 0)
            return false;
        to += n;
    }
    if (scan->at == scan->size)
        return scan_fail(scan, start, "a string has no end");
    scan->at++;
    *out = (struct text){.data = scan->text + start, .size = to - start};
    return true;
}

static size_t digits(struct scan *scan)
{
    size_t start = scan->at;

    while (scan->at < scan->size && scan->text[scan->at] >= '0' && scan->text[scan->at] <= '9')
        scan->at++;
    return scan->at - start;
}

static bool next_is(const struct scan *scan, const char *set)
{
    return scan->at < scan->size && scan->text[scan->at] && strchr(set, scan->text[scan->at]);
}

/* The part before a point, which has no zeros in front. */
static bool take_whole(struct scan *scan)
{
    size_t start = scan->at, n = digits(scan);

    if (n == 0)
        return scan_fail(scan, start, "a value is expected here");
    if (n > 1 && scan->text[start] == '0')
        return scan_fail(scan, start, "a number begins with a zero");
    return true;
}

bool scan_u64(struct scan *scan, uint64_t *out)
{
    uint64_t value = 0;
    size_t start;

    if (peek(scan) == '-')
        return scan_fail(scan, scan->at, "a number is negative");
    start = scan->at;
    if (scan->wrong || !take_whole(scan))
        return false;
    if (next_is(scan, ".eE"))
        return scan_fail(scan, start, "a number is not written as a whole one");
    for (size_t i = start; i < scan->at; i++)
        if (__builtin_mul_overflow(value, 10, &value) ||
            __builtin_add_overflow(value, (uint64_t)(scan->text[i] - '0'), &value))
            return scan_fail(scan, start, "a number is too large");
    *out = value;
    return true;
}

static bool skip_number(struct scan *scan)
{
    if (next_is(scan, "-"))
        scan->at++;
    if (!take_whole(scan))
        return false;
    if (next_is(scan, ".")) {
        scan->at++;
        if (!digits(scan))
            return scan_fail(scan, scan->at, "a number has nothing behind its point");
    }
    if (next_is(scan, "eE")) {
        scan->at++;
        if (next_is(scan, "+-"))
            scan->at++;
        if (!digits(scan))
            return scan_fail(scan, scan->at, "a number has no exponent");
    }
    return true;
}

static bool skip_plain(struct scan *scan, char first)
{
    static const char *const words[] = {"true", "false", "null"};
    struct text text;

    if (first == '"')
        return scan_text(scan, &text);
    for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++) {
        size_t n = strlen(words[i]);

        if (scan->size - scan->at >= n && memcmp(scan->text + scan->at, words[i], n) == 0) {
            scan->at += n;
            return true;
        }
    }
    return skip_number(scan);
}

bool scan_skip(struct scan *scan)
{
    uint64_t is_object = 0; /* bit 0: the innermost one */
    int depth = 0;

    do {
        char first = peek(scan);
        bool inside = first == '{' || first == '[', more = false;
        struct text key;

        if (inside && depth == SCAN_MAX_DEPTH)
            return scan_fail(scan, scan->at, "values are nested too deep");
        if (inside) {
            is_object = is_object << 1 | (first == '{');
            depth++;
            scan->at++;
            scan->fresh = true;
        } else if (scan->wrong || !skip_plain(scan, first)) {
            return false;
        }
        while (depth && !more) {
            more = is_object & 1 ? scan_key(scan, &key) : scan_item(scan);
            if (scan->wrong)
                return false;
            if (!more) {
                is_object >>= 1;
                depth--;
            }
        }
    } while (depth);
    return true;
}

bool scan_end(struct scan *scan)
{
    peek(scan);
    if (!scan->wrong && scan->at < scan->size)
        return scan_fail(scan, scan->at, "something follows behind the end");
    return !scan->wrong;
}
