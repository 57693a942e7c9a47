/* SPDX-License-Identifier: MIT */
/* The simulator's own messages. */
#include "tests/sim/core.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "runtime/util.h"

void core_say(const char *format, ...)
{
    char line[1024] = "sim: ";
    size_t used = strlen(line);
    va_list args;
    int n;

    va_start(args, format);
    n = vsnprintf(line + used, sizeof(line) - used - 1, format, args);
    va_end(args);
    if (n < 0)
        return;
    used = min_u64(used + n, sizeof(line) - 2);
    line[used++] = '\n';
    if (write(STDERR_FILENO, line, used) < 0)
        return;
}
