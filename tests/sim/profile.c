/* SPDX-License-Identifier: MIT */
#include "tests/sim/profile.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/sim/core.h"

struct profile profile = {
#define TEXT(key, size, fallback)              .key = fallback,
#define BYTES(key, fallback)                   .key = fallback,
#define NUMBER                                 BYTES
#define TIME                                   BYTES
#define RATE                                   BYTES
#define SHARE                                  BYTES
#define PRICE(key, fallback, fallback_per_mib) .key = {fallback, fallback_per_mib},
#include "tests/sim/profile.def"
};

static const struct {
    const char *name;
    const char *text;
} built_in[] = {
    {"default", ""},
    {
        "h200",
#include "tests/sim/h200.profile.h"
    },
    {
        "rtx4090",
#include "tests/sim/rtx4090.profile.h"
    },
    {
        "rtx3060",
#include "tests/sim/rtx3060.profile.h"
    },
    {
        "rtx4060ti",
#include "tests/sim/rtx4060ti.profile.h"
    },
};

struct unit {
    const char *name;
    double factor;
};

/* A number with one of the units, not negative. */
static bool parse_scaled(const char *text, const struct unit *units, uint64_t *out)
{
    char *end;
    double value;

    errno = 0;
    value = strtod(text, &end);
    if (errno || end == text || !(value >= 0))
        return false;
    for (; units->name; units++) {
        if (strcmp(end, units->name) || value * units->factor > (double)(1ULL << 62))
            continue;
        *out = (uint64_t)(value * units->factor + 0.5);
        return true;
    }
    return false;
}

static bool parse_TIME(const char *text, uint64_t *out)
{
    static const struct unit units[] = {{"ns", 1}, {"us", 1e3}, {"ms", 1e6}, {NULL, 0}};

    return parse_scaled(text, units, out);
}

/* Nothing is free: a rate divides. */
static bool parse_RATE(const char *text, uint64_t *out)
{
    static const struct unit units[] = {
        {"B/s", 1}, {"MB/s", 1e6}, {"GB/s", 1e9}, {"TB/s", 1e12}, {NULL, 0}};
    uint64_t rate;

    if (!parse_scaled(text, units, &rate) || !rate)
        return false;
    *out = rate;
    return true;
}

static bool parse_SHARE(const char *text, uint64_t *out)
{
    static const struct unit units[] = {{"%", 10}, {NULL, 0}};
    uint64_t share;

    if (!parse_scaled(text, units, &share) || !share || share > 1000)
        return false;
    *out = share;
    return true;
}

static bool parse_NUMBER(const char *text, uint64_t *out)
{
    static const struct unit units[] = {{"", 1}, {NULL, 0}};

    return parse_scaled(text, units, out);
}

static bool parse_PRICE(const char *text, struct price *out)
{
    char first[32];
    char second[32];
    struct price price;

    if (sscanf(text, "%31s %31s", first, second) != 2 || !parse_TIME(first, &price.ns) ||
        !parse_TIME(second, &price.ns_per_mib))
        return false;
    *out = price;
    return true;
}

static bool parse_text(const char *text, char *out, size_t size)
{
    return *text && snprintf(out, size, "%s", text) < (int)size;
}

static bool parse_line(const char *key, const char *value)
{
#define TEXT(name, size, fallback)                                                                 \
    if (!strcmp(key, #name))                                                                       \
        return parse_text(value, profile.name, sizeof(profile.name));
#define BYTES(name, fallback)                                                                      \
    if (!strcmp(key, #name))                                                                       \
        return settings_parse_bytes(value, &profile.name);
#define NUMBER(name, fallback)                                                                     \
    if (!strcmp(key, #name))                                                                       \
        return parse_NUMBER(value, &profile.name);
#define TIME(name, fallback)                                                                       \
    if (!strcmp(key, #name))                                                                       \
        return parse_TIME(value, &profile.name);
#define RATE(name, fallback)                                                                       \
    if (!strcmp(key, #name))                                                                       \
        return parse_RATE(value, &profile.name);
#define SHARE(name, fallback)                                                                      \
    if (!strcmp(key, #name))                                                                       \
        return parse_SHARE(value, &profile.name);
#define PRICE(name, fallback, fallback_per_mib)                                                    \
    if (!strcmp(key, #name))                                                                       \
        return parse_PRICE(value, &profile.name);
#include "tests/sim/profile.def"
    return false;
}

static void refuse(const char *from, unsigned int line, const char *text)
{
    core_say("profile %s, line %u: \"%s\" is not a key and its value (the keys are in "
             "tests/sim/profile.def); aborting",
             from, line, text);
    _Exit(2);
}

static void load_text(const char *from, char *text)
{
    unsigned int number = 0;
    char *rest = text;

    while (rest) {
        char *line = strsep(&rest, "\n");
        char *comment = strchr(line, '#');
        char key[64];
        int value = 0;

        number++;
        if (comment)
            *comment = '\0';
        for (size_t n = strlen(line); n && strchr(" \t\r", line[n - 1]); n--)
            line[n - 1] = '\0';
        if (!line[strspn(line, " \t")])
            continue;
        if (sscanf(line, " %63s %n", key, &value) != 1 || !value || !parse_line(key, line + value))
            refuse(from, number, line);
    }
}

static char *read_file(const char *path)
{
    FILE *file = fopen(path, "re");
    char *text = NULL;
    size_t capacity = 0;
    ssize_t n = file ? getdelim(&text, &capacity, '\0', file) : -1;

    if (file)
        fclose(file);
    if (n > 0)
        return text;
    free(text);
    return NULL;
}

void profile_load(const char *name_or_file)
{
    char *text = NULL;

    for (size_t i = 0; i < ARRAY_SIZE(built_in) && !text; i++) {
        if (!strcmp(name_or_file, built_in[i].name))
            text = strdup(built_in[i].text);
    }
    if (!text)
        text = read_file(name_or_file);
    if (!text)
        settings_refuse("SIM_PROFILE", name_or_file,
                        "default, h200, rtx4090, rtx3060, rtx4060ti, or a file with a profile");
    load_text(name_or_file, text);
    free(text);
}
