/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * Messages, one line per event, written with one write(2), never to standard output. Allocates
 * nothing; safe in any thread and after fork.
 *
 * error: a promise is broken. warn: degraded but right. info: once per process. debug: per object.
 * Nothing per call. Lower case, no `=`, the value after its name, what happens next.
 */

enum log_level {
    LOG_ERROR,
    LOG_WARN,
    LOG_INFO,
    LOG_DEBUG,
};

/* `file` may hold %p for the process id; empty or NULL means standard error. */
void log_setup(enum log_level level, const char *file);
int log_enabled(enum log_level level);
/* A descriptor of where messages go, for a report of several lines; the caller closes it. -1 when
 * there is no such place. */
int log_open(void);
void log_write(enum log_level level, const char *format, ...) __attribute__((format(printf, 2, 3)));

#define log_error(...) log_write(LOG_ERROR, __VA_ARGS__)
#define log_warn(...)  log_write(LOG_WARN, __VA_ARGS__)
#define log_info(...)  (log_enabled(LOG_INFO) ? log_write(LOG_INFO, __VA_ARGS__) : (void)0)
#define log_debug(...) (log_enabled(LOG_DEBUG) ? log_write(LOG_DEBUG, __VA_ARGS__) : (void)0)
