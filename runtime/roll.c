/* SPDX-License-Identifier: MIT */
/* A sorted array: it is written once a run, and read in order. */
#include "runtime/roll.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

static int compare(const struct roll_entry *entry, uint64_t digest, const char *name)
{
    if (entry->digest != digest)
        return entry->digest < digest ? -1 : 1;
    return strcmp(entry->name, name);
}

/* Where it is, or would be. */
static uint32_t find(const struct roll *roll, uint64_t digest, const char *name)
{
    uint32_t first = 0;
    uint32_t end = roll->n;

    while (first < end) {
        uint32_t middle = first + (end - first) / 2;

        if (compare(&roll->list[middle], digest, name) < 0)
            first = middle + 1;
        else
            end = middle;
    }
    return first;
}

static bool is_at(const struct roll *roll, uint32_t at, uint64_t digest, const char *name)
{
    return at < roll->n && compare(&roll->list[at], digest, name) == 0;
}

bool roll_has(const struct roll *roll, uint64_t digest, const char *name)
{
    return is_at(roll, find(roll, digest, name), digest, name);
}

static int grow(struct roll *roll)
{
    uint32_t wanted = roll->room ? 2 * roll->room : 16;
    struct roll_entry *grown;

    if (roll->n < roll->room)
        return 0;
    grown = reallocarray(roll->list, wanted, sizeof(*grown));
    if (!grown)
        return -ENOMEM;
    roll->list = grown;
    roll->room = wanted;
    return 0;
}

static int insert(struct roll *roll, uint32_t at, uint64_t digest, const char *name)
{
    struct roll_entry entry = {.digest = digest};
    int r = grow(roll);

    if (r)
        return r;
    entry.name = strdup(name);
    if (!entry.name)
        return -ENOMEM;
    memmove(&roll->list[at + 1], &roll->list[at], (roll->n - at) * sizeof(entry));
    roll->list[at] = entry;
    roll->n++;
    return 0;
}

int roll_add(struct roll *roll, uint64_t digest, const char *name)
{
    uint32_t at = find(roll, digest, name);

    if (is_at(roll, at, digest, name))
        return 0;
    if (roll->n == ROLL_MAX || strlen(name) > FIELDS_TEXT_MAX)
        return -E2BIG;
    return insert(roll, at, digest, name);
}

int roll_add_all(struct roll *roll, const struct roll *other)
{
    int r = 0;

    for (uint32_t i = 0; i < other->n && !r; i++)
        r = roll_add(roll, other->list[i].digest, other->list[i].name);
    return r;
}

void roll_remove(struct roll *roll, uint64_t digest, const char *name)
{
    uint32_t at = find(roll, digest, name);

    if (!is_at(roll, at, digest, name))
        return;
    free(roll->list[at].name);
    roll->n--;
    memmove(&roll->list[at], &roll->list[at + 1], (roll->n - at) * sizeof(*roll->list));
}

void roll_fini(struct roll *roll)
{
    for (uint32_t i = 0; i < roll->n; i++)
        free(roll->list[i].name);
    free(roll->list);
    *roll = (struct roll){.n = 0};
}

static int complain(const char *what, const char **out_what)
{
    *out_what = what;
    return -EINVAL;
}

int roll_take(struct roll *roll, struct fields *line, const char **out_what)
{
    char name[FIELDS_TEXT_MAX + 1];
    uint64_t digest;

    if (!fields_mark(line, &digest) || !digest)
        return complain("the function's digest is missing or none", out_what);
    if (!fields_text(line, name))
        return complain("a text in quotes is missing", out_what);
    if (roll->n == ROLL_MAX)
        return complain("there are too many functions", out_what);
    if (roll->n && compare(&roll->list[roll->n - 1], digest, name) >= 0)
        return complain("functions are not in order", out_what);
    return insert(roll, roll->n, digest, name);
}

void roll_print(const struct roll *roll, FILE *out)
{
    for (uint32_t i = 0; i < roll->n; i++) {
        fputs("function ", out);
        fields_put_mark(out, roll->list[i].digest);
        fputc(' ', out);
        fields_put_text(out, roll->list[i].name);
        fputc('\n', out);
    }
}
