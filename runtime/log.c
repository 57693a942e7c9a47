/* SPDX-License-Identifier: MIT */
/*
 * Messages, one write(2) each.
 *
 * A log file is opened for every message and closed again: the program under the preload may close
 * descriptors it does not know, and a descriptor kept here could by then be one of its own files.
 * Messages are rare (nothing is written per call), so the price does not show. It also gives a
 * child after fork() a file of its own where the name holds %p.
 *
 * A relative file name means the directory the program started in, whatever it changes to later.
 */
#include "runtime/log.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>
#include "runtime/quiet.h"

#define LINE_MAX_BYTES 1024

static _Atomic int threshold = LOG_WARN;
static char file_pattern[PATH_MAX];

static const char *const prefixes[] = {
    [LOG_ERROR] = "vramshim: error: ",
    [LOG_WARN] = "vramshim: warning: ",
    [LOG_INFO] = "vramshim: ",
    [LOG_DEBUG] = "vramshim: debug: ",
};

static void remember_file(const char *file)
{
    size_t used = 0;

    file_pattern[0] = '\0';
    if (!file || !file[0])
        return;
    if (file[0] != '/' && getcwd(file_pattern, sizeof(file_pattern) - 1)) {
        used = strlen(file_pattern);
        file_pattern[used++] = '/';
    }
    if (used + strlen(file) >= sizeof(file_pattern)) {
        file_pattern[0] = '\0';
        return;
    }
    strcpy(file_pattern + used, file);
}

/* The pattern with each %p replaced; a name too long for the system comes out cut and fails to
 * open. */
static void expand_pattern(char *out, size_t size)
{
    size_t used = 0;

    for (const char *at = file_pattern; *at && used + 1 < size;) {
        if (at[0] == '%' && at[1] == 'p') {
            int n = snprintf(out + used, size - used, "%d", (int)getpid());

            used = used + n < size ? used + n : size - 1;
            at += 2;
        } else {
            out[used++] = *at++;
        }
    }
    out[used] = '\0';
}

/* A descriptor of the log file, or -1. */
static int open_file(void)
{
    char name[PATH_MAX];

    if (!file_pattern[0])
        return -1;
    expand_pattern(name, sizeof(name));
    return open(name, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC | O_NOCTTY | O_NONBLOCK, 0644);
}

/* Text of the program's (a path, a setting) must not forge lines or drive the terminal. */
static void make_printable(char *text)
{
    for (; *text; text++)
        if ((unsigned char)*text < 0x20 || *text == 0x7f)
            *text = '?';
}

void log_setup(enum log_level level, const char *file)
{
    int saved = errno;
    int fd;

    atomic_store_explicit(&threshold, level, memory_order_relaxed);
    remember_file(file);
    if (!file || !file[0])
        return;

    fd = open_file();
    if (fd < 0) {
        file_pattern[0] = '\0';
        log_warn("cannot write to log file %s: %s; writing to standard error", file,
                 strerrordesc_np(errno));
    } else {
        close(fd);
    }
    errno = saved;
}

int log_enabled(enum log_level level)
{
    return (int)level <= atomic_load_explicit(&threshold, memory_order_relaxed);
}

void log_write(enum log_level level, const char *format, ...)
{
    char line[LINE_MAX_BYTES];
    int saved = errno;
    size_t used;
    va_list args;
    int fd;

    if (!log_enabled(level))
        return;

    used = strlen(strcpy(line, prefixes[level]));
    va_start(args, format);
    vsnprintf(line + used, sizeof(line) - used - 1, format, args);
    va_end(args);
    make_printable(line);
    used = strlen(line);
    line[used++] = '\n';

    fd = open_file();
    quiet_write(fd >= 0 ? fd : STDERR_FILENO, line, used);
    if (fd >= 0)
        close(fd);
    errno = saved;
}

int log_open(void)
{
    int fd = open_file();

    return fd >= 0 ? fd : fcntl(STDERR_FILENO, F_DUPFD_CLOEXEC, STDERR_FILENO + 1);
}
