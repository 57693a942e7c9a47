/* SPDX-License-Identifier: MIT */
#pragma once

/* The one line that says why a file cannot be used, or a command not obeyed. */

#include <stdarg.h>
#include <stddef.h>

struct message {
    char text[1024];
};

/* "path: what is wrong", the path made fit for a terminal; what comes from the file has to be
 * already. Returns -EINVAL. */
__attribute__((format(printf, 3, 4))) int message_fail(struct message *message, const char *path,
                                                       const char *format, ...);

/* Returns -ENOMEM. */
int message_no_memory(struct message *message);

/* The same for what no file is to blame for; `error` has `size` bytes. Returns -EINVAL. */
__attribute__((format(printf, 3, 4))) int message_refuse(char *error, size_t size,
                                                         const char *format, ...);

/* "program: what is wrong" to standard error. No name in it drives the terminal. */
__attribute__((format(printf, 2, 0))) void message_complain(const char *program, const char *format,
                                                            va_list args);
