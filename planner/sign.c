/* SPDX-License-Identifier: MIT */
/*
 * A name is looked for where its row says, and no meaning is made of anything else: what a program
 * would do with an option that it does not know, or with a line of a script that is never reached,
 * is not judged. So a sign is a hint for a person, and nothing is done because of it.
 */
#include "planner/sign.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "runtime/util.h"

static const struct clue clues[] = {
#define CLUE(sign, place, name, value) {SIGN_##sign, SIGN_##place, name, value},
#include "planner/signs.def"
};

static const struct {
    const char *program;
    enum sign_place place;
    const char *name;
} programs[] = {
#define PROGRAM(program, place, name) {program, SIGN_##place, name},
#include "planner/signs.def"
};

_Static_assert(SIGN_COUNT <= 64, "a bit for every sign");

const struct clue *clue_at(size_t index)
{
    return index < ARRAY_SIZE(clues) ? &clues[index] : NULL;
}

static bool is_number_that(char relation, double bound, const char *value)
{
    char *end;
    double number = strtod(value, &end);

    return end != value && !*end && (relation == '<' ? number < bound : number > bound);
}

static bool value_matches(const char *wanted, const char *value)
{
    switch (*wanted) {
    case '\0':
        return true;
    case '=':
        return strcasecmp(wanted + 1, value) == 0;
    case '~':
        return strcasestr(value, wanted + 1) != NULL;
    default:
        return is_number_that(*wanted, strtod(wanted + 1, NULL), value);
    }
}

static void note(const struct clue *clue, struct signs *signs)
{
    if (!signs->seen[clue->sign])
        signs->seen[clue->sign] = clue;
}

/* "NAME=value", the value in `next` where there is no '='; a value that is not there is "". */
static bool entry_matches(const struct clue *clue, const char *entry, const char *next)
{
    size_t n = strlen(clue->name);

    if (strncmp(entry, clue->name, n) != 0)
        return false;
    if (entry[n] == '=')
        return value_matches(clue->value, entry + n + 1);
    return entry[n] == '\0' && value_matches(clue->value, next ? next : "");
}

static void read_entry(enum sign_place place, const char *entry, const char *next,
                       struct signs *signs)
{
    for (size_t i = 0; i < ARRAY_SIZE(clues); i++)
        if (clues[i].place == place && entry_matches(&clues[i], entry, next))
            note(&clues[i], signs);
}

void signs_read_environment(char *const *entries, struct signs *signs)
{
    for (; *entries; entries++) {
        const char *value = strchr(*entries, '=');

        /* One that is set to nothing says nothing. */
        if (value && value[1])
            read_entry(SIGN_ENVIRONMENT, *entries, NULL, signs);
    }
}

static bool ends_in(const char *text, const char *end)
{
    size_t n = strlen(text), m = strlen(end);

    return n >= m && strcmp(text + n - m, end) == 0;
}

const char *signs_script(char *const *arguments)
{
    for (; *arguments; arguments++)
        if (ends_in(*arguments, ".py"))
            return *arguments;
    return NULL;
}

/* Whether a name of a row stands for that command, module or path. */
static bool name_matches(enum sign_place place, const char *name, const char *text)
{
    size_t n = strlen(name);

    switch (place) {
    case SIGN_COMMAND:
        return strcmp(text, name) == 0 || (ends_in(name, "-") && strncmp(text, name, n) == 0);
    case SIGN_MODULE:
        return strncmp(text, name, n) == 0;
    default:
        return strstr(text, name) != NULL;
    }
}

static void read_name(enum sign_place place, const char *text, struct signs *signs)
{
    for (size_t i = 0; i < ARRAY_SIZE(clues); i++)
        if (clues[i].place == place && name_matches(place, clues[i].name, text))
            note(&clues[i], signs);
    for (size_t i = 0; i < ARRAY_SIZE(programs) && !signs->program; i++)
        if (programs[i].place == place && name_matches(place, programs[i].name, text))
            signs->program = programs[i].program;
}

void signs_read_command(char *const *arguments, struct signs *signs)
{
    const char *script = signs_script(arguments);

    if (!*arguments)
        return;
    read_name(SIGN_COMMAND, basename(*arguments), signs);
    if (script)
        read_name(SIGN_PATH, script, signs);
    for (char *const *at = arguments + 1; *at; at++) {
        if (strcmp(*at, "-m") == 0 && at[1])
            read_name(SIGN_MODULE, at[1], signs);
        if (**at == '-')
            read_entry(SIGN_ARGUMENT, *at, at[1], signs);
    }
}

/* Whether the line has a # before. */
static bool is_remark(const char *text, const char *at)
{
    while (at > text && at[-1] != '\n')
        if (*--at == '#')
            return true;
    return false;
}

static bool text_has_name(enum sign_place place, const char *text, size_t n, const char *name)
{
    const char *end = text + n, *from = text, *at;

    while (from && (at = memmem(from, (size_t)(end - from), name, strlen(name)))) {
        if (place != SIGN_SCRIPT || !is_remark(from, at))
            return true;
        from = memchr(at, '\n', (size_t)(end - at));
    }
    return false;
}

void signs_read_text(enum sign_place place, const char *text, size_t n, struct signs *signs)
{
    for (size_t i = 0; i < ARRAY_SIZE(clues); i++)
        if (clues[i].place == place && text_has_name(place, text, n, clues[i].name))
            note(&clues[i], signs);
    for (size_t i = 0; i < ARRAY_SIZE(programs) && !signs->program; i++)
        if (programs[i].place == place && text_has_name(place, text, n, programs[i].name))
            signs->program = programs[i].program;
}

const struct clue *signs_clue(const struct signs *signs, uint64_t mask)
{
    for (size_t i = 0; i < SIGN_COUNT; i++)
        if (mask >> i & 1 && signs->seen[i])
            return signs->seen[i];
    return NULL;
}

bool signs_have(const struct signs *signs, uint64_t mask)
{
    return signs_clue(signs, mask) != NULL;
}

unsigned int signs_count(const struct signs *signs, uint64_t mask)
{
    unsigned int n = 0;

    for (size_t i = 0; i < SIGN_COUNT; i++)
        n += mask >> i & 1 && signs->seen[i];
    return n;
}

void clue_describe(const struct clue *clue, char *out, size_t size)
{
    static const struct {
        const char *before, *behind;
    } words[] = {
        [SIGN_ENVIRONMENT] = {"", " is set"},     [SIGN_ARGUMENT] = {"the command has ", ""},
        [SIGN_COMMAND] = {"the command is ", ""}, [SIGN_MODULE] = {"it runs ", ""},
        [SIGN_PATH] = {"it runs ", ""},           [SIGN_SCRIPT] = {"the script has ", ""},
        [SIGN_OUTPUT] = {"it printed: ", ""},
    };

    snprintf(out, size, "%s%s%s", words[clue->place].before, clue->name, words[clue->place].behind);
}
