/* SPDX-License-Identifier: MIT */
/*
 * What kernels print.
 *
 * It is kept until the kernel that printed has run, which is when something waits for it, and then
 * appears on standard output; failed assertions at once on standard error, as on a device.
 */
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/sim/module.h"
#include "tests/sim/ptx.h"

static pthread_mutex_t print_lock = PTHREAD_MUTEX_INITIALIZER;
static char *waiting;
static size_t n_waiting;

void sim_print(bool is_error, const char *text, size_t bytes)
{
    char *longer;

    if (is_error) {
        fwrite(text, 1, bytes, stderr);
        return;
    }
    pthread_mutex_lock(&print_lock);
    longer = realloc(waiting, n_waiting + bytes);
    if (longer && bytes) {
        memcpy(longer + n_waiting, text, bytes);
        n_waiting += bytes;
    }
    if (longer)
        waiting = longer;
    pthread_mutex_unlock(&print_lock);
}

void print_flush(void)
{
    pthread_mutex_lock(&print_lock);
    if (n_waiting) {
        fwrite(waiting, 1, n_waiting, stdout);
        fflush(stdout);
        free(waiting);
        waiting = NULL;
        n_waiting = 0;
    }
    pthread_mutex_unlock(&print_lock);
}
