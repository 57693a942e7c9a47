/* SPDX-License-Identifier: MIT */
#include "tests/stress/memory_faults.h"

#include <errno.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>

/* The linker has them from the names that are wrapped. */
void *__real_malloc(size_t bytes);
void *__real_calloc(size_t n, size_t bytes);
void *__real_realloc(void *at, size_t bytes);
char *__real_strdup(const char *text);
void *__wrap_malloc(size_t bytes);
void *__wrap_calloc(size_t n, size_t bytes);
void *__wrap_realloc(void *at, size_t bytes);
char *__wrap_strdup(const char *text);
void *program_malloc(size_t bytes);
void *program_calloc(size_t n, size_t bytes);
void *program_realloc(void *at, size_t bytes);
char *program_strdup(const char *text);

static atomic_uint_fast64_t requests;
static atomic_uint_fast64_t refused;

void memory_fail(uint64_t nth)
{
    atomic_store(&requests, 0);
    atomic_store(&refused, nth);
}

uint64_t memory_requests(void)
{
    return atomic_load(&requests);
}

static bool refuse(void)
{
    if (atomic_fetch_add(&requests, 1) + 1 != atomic_load(&refused))
        return false;
    errno = ENOMEM;
    return true;
}

void *__wrap_malloc(size_t bytes)
{
    return refuse() ? NULL : __real_malloc(bytes);
}

void *__wrap_calloc(size_t n, size_t bytes)
{
    return refuse() ? NULL : __real_calloc(n, bytes);
}

void *__wrap_realloc(void *at, size_t bytes)
{
    return refuse() ? NULL : __real_realloc(at, bytes);
}

char *__wrap_strdup(const char *text)
{
    return refuse() ? NULL : __real_strdup(text);
}

void *program_malloc(size_t bytes)
{
    return __real_malloc(bytes);
}

void *program_calloc(size_t n, size_t bytes)
{
    return __real_calloc(n, bytes);
}

void *program_realloc(void *at, size_t bytes)
{
    return __real_realloc(at, bytes);
}

char *program_strdup(const char *text)
{
    return __real_strdup(text);
}
