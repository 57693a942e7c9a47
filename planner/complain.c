/* SPDX-License-Identifier: MIT */
#include "planner/complain.h"

#include <stdarg.h>

#include "planner/message.h"

int complain(enum status status, const char *format, ...)
{
    va_list args;

    va_start(args, format);
    message_complain("vramshim-plan", format, args);
    va_end(args);
    return status;
}

int complain_memory(void)
{
    return complain(STATUS_ENVIRONMENT, "out of memory");
}
