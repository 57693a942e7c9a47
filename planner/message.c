/* SPDX-License-Identifier: MIT */
#include "planner/message.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>

#include "planner/source.h"

int message_fail(struct message *message, const char *path, const char *format, ...)
{
    char reason[512];
    va_list args;

    va_start(args, format);
    vsnprintf(reason, sizeof(reason), format, args);
    va_end(args);
    source_say(message->text, sizeof(message->text), path, reason);
    return -EINVAL;
}

int message_no_memory(struct message *message)
{
    snprintf(message->text, sizeof(message->text), "out of memory");
    return -ENOMEM;
}
