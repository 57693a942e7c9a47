/* SPDX-License-Identifier: MIT */
#include "tests/sim/bulk.h"

#include <string.h>

#ifdef __SANITIZE_THREAD__

enum { LOOK_BYTES = 1024 };

/* TSan's own. */
void AnnotateIgnoreReadsBegin(const char *file, int line);
void AnnotateIgnoreReadsEnd(const char *file, int line);
void AnnotateIgnoreWritesBegin(const char *file, int line);
void AnnotateIgnoreWritesEnd(const char *file, int line);

static void look_read(const volatile uint8_t *from, size_t bytes)
{
    for (size_t i = 0; i < bytes; i += LOOK_BYTES)
        (void)from[i];
}

static void look_written(volatile uint8_t *to, size_t bytes)
{
    for (size_t i = 0; i < bytes; i += LOOK_BYTES)
        to[i] = to[i];
}

static void look_away(void)
{
    AnnotateIgnoreReadsBegin(__FILE__, __LINE__);
    AnnotateIgnoreWritesBegin(__FILE__, __LINE__);
}

static void look_again(void)
{
    AnnotateIgnoreWritesEnd(__FILE__, __LINE__);
    AnnotateIgnoreReadsEnd(__FILE__, __LINE__);
}

#else

static void look_read(const uint8_t *from, size_t bytes)
{
}

static void look_written(uint8_t *to, size_t bytes)
{
}

static void look_away(void)
{
}

static void look_again(void)
{
}

#endif

void bulk_copy(uint8_t *to, const uint8_t *from, size_t bytes)
{
    look_read(from, bytes);
    look_away();
    memmove(to, from, bytes);
    look_again();
    look_written(to, bytes);
}

void bulk_fill(uint8_t *to, uint8_t value, size_t bytes)
{
    look_away();
    memset(to, value, bytes);
    look_again();
    look_written(to, bytes);
}
