/* SPDX-License-Identifier: MIT */
/*
 * Reading and writing of single values. Numbers are exact: no floating point, so "0.1G" is the same
 * number of bytes everywhere and an overflow is seen, not rounded away. A fraction of a byte is
 * dropped.
 */
#include "runtime/config_types.h"

#include <ctype.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "runtime/util.h"

/* Digits behind the point that count; 10^18 times the largest unit fits in 128 bits. */
#define FRACTION_DIGITS 18
#define WHOLE_PERCENT   100 /* a share is kept in hundredths of a percent */
#define ALL_OF_IT       10000

static const struct unit {
    const char *name;
    uint64_t bytes;
} units[] = {
    {"", 1},
    {"B", 1},
    {"K", KIB},
    {"Ki", KIB},
    {"KiB", KIB},
    {"KB", 1000},
    {"M", MIB},
    {"Mi", MIB},
    {"MiB", MIB},
    {"MB", 1000000},
    {"G", GIB},
    {"Gi", GIB},
    {"GiB", GIB},
    {"GB", 1000000000},
    {"T", 1024 * GIB},
    {"Ti", 1024 * GIB},
    {"TiB", 1024 * GIB},
    {"TB", 1000000000000},
};

/* A decimal number, split at its point. */
struct decimal {
    uint64_t whole;
    uint64_t fraction;      /* in parts of fraction_unit */
    uint64_t fraction_unit; /* a power of ten */
};

static bool parse_whole(const char **text, uint64_t *out)
{
    const char *at = *text;
    uint64_t value = 0;

    for (; isdigit((unsigned char)*at); at++)
        if (__builtin_mul_overflow(value, 10, &value) ||
            __builtin_add_overflow(value, (uint64_t)(*at - '0'), &value))
            return false;
    if (at == *text)
        return false;
    *text = at;
    *out = value;
    return true;
}

/* Moves `text` behind the number. */
static bool parse_decimal(const char **text, struct decimal *out)
{
    struct decimal value = {.fraction_unit = 1};
    const char *at = *text;

    if (!parse_whole(&at, &value.whole))
        return false;
    if (*at == '.') {
        const char *first = ++at;

        for (; isdigit((unsigned char)*at); at++) {
            if (at - first >= FRACTION_DIGITS)
                continue;
            value.fraction = value.fraction * 10 + (*at - '0');
            value.fraction_unit *= 10;
        }
        if (at == first)
            return false;
    }
    *text = at;
    *out = value;
    return true;
}

static bool decimal_times(const struct decimal *value, uint64_t unit, uint64_t *out)
{
    unsigned __int128 product = (unsigned __int128)value->whole * unit +
                                (unsigned __int128)value->fraction * unit / value->fraction_unit;

    if (product > UINT64_MAX)
        return false;
    *out = product;
    return true;
}

bool config_parse_size(const char *text, uint64_t *out)
{
    struct decimal value;

    if (!parse_decimal(&text, &value))
        return false;
    for (size_t i = 0; i < ARRAY_SIZE(units); i++) {
        if (strcasecmp(text, units[i].name) != 0)
            continue;
        if (units[i].bytes == 1 && value.fraction_unit != 1)
            return false;
        return decimal_times(&value, units[i].bytes, out);
    }
    return false;
}

static bool parse_percent(const char *text, uint64_t *out)
{
    struct decimal value;
    uint64_t share;

    if (!parse_decimal(&text, &value) || strcmp(text, "%") != 0)
        return false;
    if (!decimal_times(&value, WHOLE_PERCENT, &share) || share > ALL_OF_IT)
        return false;
    *out = share;
    return true;
}

/* The largest unit that gives a whole number. */
static void format_size(uint64_t bytes, char *out, size_t size)
{
    static const struct unit exact[] = {
        {"TiB", 1024 * GIB}, {"GiB", GIB}, {"MiB", MIB}, {"KiB", KIB}};

    for (size_t i = 0; bytes && i < ARRAY_SIZE(exact); i++) {
        if (bytes % exact[i].bytes == 0) {
            snprintf(out, size, "%" PRIu64 "%s", bytes / exact[i].bytes, exact[i].name);
            return;
        }
    }
    snprintf(out, size, "%" PRIu64, bytes);
}

static const char *const bool_words[] = {"1", "true", "yes", "on", "0", "false", "no", "off", NULL};
static const char *const story_words[] = {
    [STORY_PHYSICAL] = "physical", [STORY_VIRTUAL] = "virtual", [STORY_FIXED] = NULL};
static const char *const engine_words[] = {"stream", "lru", "none", NULL};
static const char *const when_words[] = {"auto", "never", "always", NULL};
static const char *const level_words[] = {
    [LOG_ERROR] = "error", [LOG_WARN] = "warn", [LOG_INFO] = "info", [LOG_DEBUG] = "debug", NULL};

/* Index of `text` among the words, or -1. */
static int word_index(const char *text, const char *const *words)
{
    for (int i = 0; words[i]; i++)
        if (strcasecmp(text, words[i]) == 0)
            return i;
    return -1;
}

static bool parse_bool(const char *text, void *value)
{
    int index = word_index(text, bool_words);

    if (index < 0)
        return false;
    *(bool *)value = index < 4;
    return true;
}

static void print_bool(const void *value, char *out, size_t size)
{
    snprintf(out, size, "%d", *(const bool *)value);
}

static bool parse_size(const char *text, void *value)
{
    return config_parse_size(text, value);
}

static void print_size(const void *value, char *out, size_t size)
{
    format_size(*(const uint64_t *)value, out, size);
}

bool config_parse_amount(const char *text, struct amount *out)
{
    struct amount amount = {.leave_free = text[0] == '-'};

    text += amount.leave_free;
    amount.percent = strchr(text, '%') != NULL;
    if (!(amount.percent ? parse_percent : config_parse_size)(text, &amount.value))
        return false;
    *out = amount;
    return true;
}

static bool parse_amount(const char *text, void *value)
{
    return config_parse_amount(text, value);
}

static void print_amount(const void *value, char *out, size_t size)
{
    const struct amount *amount = value;
    char number[32];

    if (!amount->percent)
        format_size(amount->value, number, sizeof(number));
    else if (amount->value % WHOLE_PERCENT)
        snprintf(number, sizeof(number), "%" PRIu64 ".%02" PRIu64 "%%",
                 amount->value / WHOLE_PERCENT, amount->value % WHOLE_PERCENT);
    else
        snprintf(number, sizeof(number), "%" PRIu64 "%%", amount->value / WHOLE_PERCENT);
    snprintf(out, size, "%s%s", amount->leave_free ? "-" : "", number);
}

/* A story of no memory at all would be none, so zero is refused. */
static bool parse_story(const char *text, void *value)
{
    int index = word_index(text, story_words);
    struct story story = {.kind = index < 0 ? STORY_FIXED : (enum story_kind)index};

    if (index < 0 && (!config_parse_size(text, &story.bytes) || story.bytes == 0))
        return false;
    *(struct story *)value = story;
    return true;
}

static void print_story(const void *value, char *out, size_t size)
{
    const struct story *story = value;

    if (story->kind == STORY_FIXED)
        format_size(story->bytes, out, size);
    else
        snprintf(out, size, "%s", story_words[story->kind]);
}

static bool parse_engine(const char *text, void *value)
{
    int index = word_index(text, engine_words);

    if (index < 0)
        return false;
    *(enum engine *)value = index;
    return true;
}

static void print_engine(const void *value, char *out, size_t size)
{
    snprintf(out, size, "%s", engine_words[*(const enum engine *)value]);
}

static bool parse_when(const char *text, void *value)
{
    int index = word_index(text, when_words);

    if (index < 0)
        return false;
    *(enum when *)value = index;
    return true;
}

static void print_when(const void *value, char *out, size_t size)
{
    snprintf(out, size, "%s", when_words[*(const enum when *)value]);
}

static bool parse_level(const char *text, void *value)
{
    int index = word_index(text, level_words);

    if (index < 0)
        return false;
    *(enum log_level *)value = index;
    return true;
}

static void print_level(const void *value, char *out, size_t size)
{
    snprintf(out, size, "%s", level_words[*(const enum log_level *)value]);
}

static bool parse_path(const char *text, void *value)
{
    config_PATH *path = value;

    if (strlen(text) >= sizeof(path->name))
        return false;
    strcpy(path->name, text);
    return true;
}

static void print_path(const void *value, char *out, size_t size)
{
    snprintf(out, size, "%s", ((const config_PATH *)value)->name);
}

const struct config_type config_type_BOOL = {
    .accepts = "1 or 0, true or false, yes or no, on or off",
    .words = bool_words,
    .parse = parse_bool,
    .format = print_bool,
};
const struct config_type config_type_SIZE = {
    .accepts = "bytes such as 4096, 512KiB, 1.5G or 2GB",
    .parse = parse_size,
    .format = print_size,
};
const struct config_type config_type_AMOUNT = {
    .accepts = "a size such as 8GiB or a share such as 50%; negative leaves that much free",
    .parse = parse_amount,
    .format = print_amount,
};
const struct config_type config_type_STORY = {
    .accepts = "virtual, physical, or a size such as 24GiB",
    .words = story_words,
    .parse = parse_story,
    .format = print_story,
};
const struct config_type config_type_ENGINE = {
    .accepts = "stream, lru or none",
    .words = engine_words,
    .parse = parse_engine,
    .format = print_engine,
};
const struct config_type config_type_WHEN = {
    .accepts = "auto, never or always",
    .words = when_words,
    .parse = parse_when,
    .format = print_when,
};
const struct config_type config_type_LEVEL = {
    .accepts = "error, warn, info or debug",
    .words = level_words,
    .parse = parse_level,
    .format = print_level,
};
const struct config_type config_type_PATH = {
    .accepts = "a file name of at most 255 bytes; %p becomes the process id",
    .parse = parse_path,
    .format = print_path,
};
const struct config_type config_type_FILE = {
    .accepts = "a file name of at most 255 bytes",
    .parse = parse_path,
    .format = print_path,
};
