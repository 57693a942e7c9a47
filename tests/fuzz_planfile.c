/* SPDX-License-Identifier: MIT */
/*
 * libFuzzer target: no bytes may make the plan's reader crash, hang, or allocate out of proportion;
 * what it accepts it prints so that the same comes of it again. Run by tests/fuzz.sh.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include "runtime/planfile.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static char *printed(const struct planfile *plan)
{
    char *text = NULL;
    size_t size = 0;
    FILE *out = open_memstream(&text, &size);

    if (!out)
        abort();
    planfile_print(plan, out);
    fclose(out);
    return text;
}

static struct planfile *parsed(const char *text, size_t size)
{
    struct planfile *plan = NULL;
    char error[256] = "";

    if (planfile_parse("fuzz", text, size, error, sizeof(error), &plan) &&
        (!error[0] || strpbrk(error, "\n\r\x1b")))
        abort();
    return plan;
}

static void try(const char *text, size_t size)
{
    struct planfile *plan = parsed(text, size);
    struct planfile *again;
    char *first, *second;

    if (!plan)
        return;
    first = printed(plan);
    again = parsed(first, strlen(first));
    if (!again)
        abort();
    second = printed(again);
    if (strcmp(first, second))
        abort();
    free(first);
    free(second);
    planfile_free(plan);
    planfile_free(again);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    /* So that the search need not find the beginning first. */
    static const char start[] =
        "vramshim-plan 2\nmodel \"\"\nmachine 99 9 9 \"\"\npredict 9 1 1 1 1 "
        "1\nfile 99 00000000000000ff \"\"\nphase main \"\"\n";
    char *text;

    try((const char *)data, size);
    text = malloc(sizeof(start) + size);
    if (!text)
        return 0;
    memcpy(text, start, sizeof(start) - 1);
    memcpy(text + sizeof(start) - 1, data, size);
    try(text, sizeof(start) - 1 + size);
    free(text);
    return 0;
}
