/* SPDX-License-Identifier: MIT */
#include "tests/gpu/report.h"

#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "runtime/util.h"

static struct report *report;
static const char *program;

const char *verdict_name(enum verdict verdict)
{
    static const char *const names[VERDICT_COUNT] = {
        [VERDICT_OPEN] = "open",       [VERDICT_CONFIRMED] = "confirmed",
        [VERDICT_REFUTED] = "refuted", [VERDICT_MEASURED] = "measured",
        [VERDICT_SKIPPED] = "skipped",
    };

    return names[verdict];
}

struct report *report_open(void)
{
    if (!report) {
        report =
            mmap(NULL, sizeof(*report), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
        if (report == MAP_FAILED) {
            perror("experiments: no memory for a report");
            exit(1);
        }
    }
    memset(report, 0, sizeof(*report));
    return report;
}

void report_as_program(const char *name)
{
    program = name;
    report_open();
}

void report_figure(double value, const char *unit, const char *name, ...)
{
    struct figure *figure = &report->figures[report->n];
    va_list args;

    if (report->n == ARRAY_SIZE(report->figures))
        report_die("more than %zu figures", ARRAY_SIZE(report->figures));
    figure->value = value;
    snprintf(figure->unit, sizeof(figure->unit), "%s", unit);
    va_start(args, name);
    vsnprintf(figure->name, sizeof(figure->name), name, args);
    va_end(args);
    report->n++;
}

double report_value(double fallback, const char *name, ...)
{
    char wanted[sizeof(report->figures[0].name)];
    va_list args;

    va_start(args, name);
    vsnprintf(wanted, sizeof(wanted), name, args);
    va_end(args);
    for (unsigned int i = 0; i < report->n; i++) {
        if (!strcmp(report->figures[i].name, wanted))
            return report->figures[i].value;
    }
    return fallback;
}

static void say(enum verdict verdict, const char *note, va_list args)
{
    report->verdict = verdict;
    vsnprintf(report->note, sizeof(report->note), note, args);
}

void report_verdict(enum verdict verdict, const char *note, ...)
{
    va_list args;

    va_start(args, note);
    say(verdict, note, args);
    va_end(args);
}

__attribute__((noreturn)) static void end(int as_part, int as_program)
{
    if (!program)
        _exit(as_part);
    fprintf(stderr, "%s: %s\n", program, report->note);
    _exit(as_program);
}

void report_skip(const char *why, ...)
{
    va_list args;

    va_start(args, why);
    say(VERDICT_SKIPPED, why, args);
    va_end(args);
    end(0, 77);
}

void report_die(const char *why, ...)
{
    va_list args;

    va_start(args, why);
    say(VERDICT_OPEN, why, args);
    va_end(args);
    end(125, 1);
}

unsigned int part_patience = 1;

int part_run(int (*part)(const void *argument), const void *argument, unsigned int seconds)
{
    int status;
    pid_t pid = fork();

    if (pid == 0) {
        /* When the experiment is ended for its time, so is its part. */
        (void)prctl(PR_SET_PDEATHSIG, SIGKILL);
        alarm(seconds * part_patience);
        _exit(part(argument));
    }
    if (pid < 0 || waitpid(pid, &status, 0) != pid)
        return -1;
    return WIFEXITED(status) && WEXITSTATUS(status) != 125 ? WEXITSTATUS(status) : -1;
}
