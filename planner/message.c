/* SPDX-License-Identifier: MIT */
#include "planner/message.h"

#include <ctype.h>
#include <errno.h>
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

int message_refuse(char *error, size_t size, const char *format, ...)
{
    va_list args;

    va_start(args, format);
    vsnprintf(error, size, format, args);
    va_end(args);
    return -EINVAL;
}

void message_complain(const char *program, const char *format, va_list args)
{
    char line[2048];

    vsnprintf(line, sizeof(line), format, args);
    for (char *at = line; *at; at++)
        if (iscntrl((unsigned char)*at))
            *at = '?';
    fprintf(stderr, "%s: %s\n", program, line);
}
