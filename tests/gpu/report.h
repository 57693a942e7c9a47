/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * What an experiment has found: figures, and a verdict. Kept in memory that the processes of one
 * experiment share, so that it is there when one of them was ended by what it tried.
 */

#include <stdbool.h>
#include <stddef.h>

enum verdict {
    VERDICT_OPEN,      /* nothing said: the experiment did not come to its end */
    VERDICT_CONFIRMED, /* what the design believes holds */
    VERDICT_REFUTED,   /* it does not */
    VERDICT_MEASURED,  /* figures only; nothing was believed */
    VERDICT_SKIPPED,   /* cannot be asked here */
    VERDICT_COUNT,
};

const char *verdict_name(enum verdict verdict);

struct figure {
    char name[72];
    char unit[12];
    double value;
};

struct report {
    enum verdict verdict;
    char note[200];
    unsigned int n;
    struct figure figures[400];
};

/* The report that this process and its children write to; a cleared one. Ends the program when
 * there is no memory. */
struct report *report_open(void);

/* Instead: from now on this process is an ordinary program of that name, which says why it ends on
 * standard error, with status 77 when it skips and 1 when it dies. */
void report_as_program(const char *name);

__attribute__((format(printf, 3, 4))) void report_figure(double value, const char *unit,
                                                         const char *name, ...);
/* The value of a figure reported before; `fallback` when there is none. */
__attribute__((format(printf, 2, 3))) double report_value(double fallback, const char *name, ...);
__attribute__((format(printf, 2, 3))) void report_verdict(enum verdict verdict, const char *note,
                                                          ...);
/* The verdict SKIPPED, and the end of this process. */
__attribute__((noreturn, format(printf, 1, 2))) void report_skip(const char *why, ...);
/* The verdict OPEN, and the end of this process. */
__attribute__((noreturn, format(printf, 1, 2))) void report_die(const char *why, ...);

/* Runs `part` in a process of its own, which opens the card itself: for what may break a context.
 * Returns what `part` returned, or -1 when it was ended by a signal, by its time or by MUST(). */
extern unsigned int
    part_patience; /* by which `seconds` are multiplied: the simulated card is slow */
int part_run(int (*part)(const void *argument), const void *argument, unsigned int seconds);
