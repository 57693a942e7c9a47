/* SPDX-License-Identifier: MIT */
#pragma once

enum status {
    STATUS_FITS = 0,
    STATUS_DOES_NOT_FIT = 1,
    STATUS_USAGE = 2,
    STATUS_ENVIRONMENT = 3,
    STATUS_BAD_MODEL = 4,
    STATUS_MISSED = 5,
};

/* One line on standard error; returns `status`. */
int complain(enum status status, const char *format, ...) __attribute__((format(printf, 2, 3)));
int complain_memory(void);
