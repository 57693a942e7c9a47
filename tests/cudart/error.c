/* SPDX-License-Identifier: MIT */
/*
 * Errors, from their table. A description is the name taken apart: "cudaErrorMemoryAllocation" says
 * "memory allocation".
 */
#include "tests/cudart/calls.h"

#include <ctype.h>
#include <pthread.h>
#include <string.h>

#include "runtime/util.h"

static const struct error_row {
    cudaError_t number;
    bool sticky;
    const char *name;
} rows[] = {
#define PLAIN(number, name)  {name, false, #name},
#define STICKY(number, name) {name, true, #name},
#include "tests/cudart/include/cudart_errors.def"
};

static char texts[ARRAY_SIZE(rows)][64];

static const struct error_row *find(cudaError_t number)
{
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++)
        if (rows[i].number == number)
            return &rows[i];
    return NULL;
}

cudaError_t error_of(CUresult result)
{
    /* The driver's numbers for profilers are not the runtime's; everything else is the same. */
    return find((cudaError_t)result) ? (cudaError_t)result : cudaErrorUnknown;
}

bool error_is_sticky(cudaError_t error)
{
    const struct error_row *row = find(error);

    return row && row->sticky;
}

EXPORT const char *cudaGetErrorName(cudaError_t error)
{
    const struct error_row *row = find(error);

    return row ? row->name : "unrecognized error code";
}

/* "cudaErrorInvalidValue" as "invalid value". */
static void describe(const char *name, char *out, size_t bytes)
{
    size_t n = 0;

    name += strlen(strncmp(name, "cudaError", 9) ? "cuda" : "cudaError");
    for (; *name && n + 2 < bytes; name++) {
        if (n && isupper((unsigned char)name[0]) && islower((unsigned char)name[1]))
            out[n++] = ' ';
        out[n++] = (char)tolower((unsigned char)*name);
    }
    out[n] = '\0';
}

static void describe_all(void)
{
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++)
        describe(rows[i].name, texts[i], sizeof(texts[i]));
}

EXPORT const char *cudaGetErrorString(cudaError_t error)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    const struct error_row *row = find(error);

    pthread_once(&once, describe_all);
    return row ? texts[row - rows] : "unrecognized error code";
}
