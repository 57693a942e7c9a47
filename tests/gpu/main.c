/* SPDX-License-Identifier: MIT */
/*
 * What the design believes of a driver, asked of the one that is here: experiments --help.
 *
 * Every experiment runs in a process of its own, which this one never follows into the driver: what
 * breaks a context, hangs or crashes costs one row.
 */
#include <dlfcn.h>
#include <getopt.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "tests/gpu/card.h"
#include "tests/gpu/experiments.h"
#include "tests/gpu/report.h"

enum kind {
    SAFE,
    FAULT,
    AGAIN,
};

static const struct experiment {
    const char *name, *ids, *question;
    unsigned int seconds;
    enum kind kind;
    void (*run)(void);
} experiments[] = {
#define EXPERIMENT(name, ids, seconds, kind, question)                                             \
    {#name, ids, question, seconds, kind, experiment_##name},
#include "tests/gpu/experiments.def"
};

struct options {
    bool json, faults;
    const char *only;
    unsigned int seconds; /* for one experiment, at the most; 0: what its row says */
};

/* Says what the card is, where everybody looks for it: the first row. */
static void describe(void)
{
    card_open();
    report_figure((double)card.memory, "bytes", "%s", card.name);
    report_figure(card.simulated, "", "simulated");
    report_figure(card.gpu.major + card.gpu.minor / 10.0, "", "compute");
    report_figure(card.gpu.version / 1000.0, "", "driver");
    report_figure(card.on_host.location.type, "", "host location");
    report_verdict(VERDICT_MEASURED, "%s", card.name);
}

static const struct experiment description = {
    "card", "", "which card is this?", 60, SAFE, describe,
};

static bool is_selected(const struct options *options, const struct experiment *experiment)
{
    size_t n = strlen(experiment->name);
    const char *at = options->only;

    if (!at)
        return true;
    for (at = strstr(at, experiment->name); at; at = strstr(at + 1, experiment->name)) {
        if ((at == options->only || at[-1] == ',') && (at[n] == ',' || at[n] == '\0'))
            return true;
    }
    return false;
}

static void print_text(const struct experiment *experiment, const struct report *report)
{
    printf("%s: %s\n", experiment->name, experiment->question);
    for (unsigned int i = 0; i < report->n; i++)
        printf("    %-56s %14.6g %s\n", report->figures[i].name, report->figures[i].value,
               report->figures[i].unit);
    printf("  %s: %s\n", verdict_name(report->verdict), report->note);
}

/* Names and notes are ours and the driver's: no quotes, nothing to escape but in error messages. */
static void print_string(const char *text)
{
    putchar('"');
    for (; *text; text++) {
        if (*text == '"' || *text == '\\')
            putchar('\\');
        putchar((unsigned char)*text < ' ' ? ' ' : *text);
    }
    putchar('"');
}

static void print_json(const struct experiment *experiment, const struct report *report,
                       double seconds, bool first)
{
    printf("%s\n {\"experiment\": \"%s\", \"ids\": \"%s\", \"question\": ", first ? "" : ",",
           experiment->name, experiment->ids);
    print_string(experiment->question);
    printf(",\n  \"verdict\": \"%s\", \"note\": ", verdict_name(report->verdict));
    print_string(report->note);
    printf(", \"seconds\": %.3f, \"figures\": [", seconds);
    for (unsigned int i = 0; i < report->n; i++) {
        printf("%s\n   {\"name\": ", i ? "," : "");
        print_string(report->figures[i].name);
        printf(", \"value\": %.9g, \"unit\": \"%s\"}", report->figures[i].value,
               report->figures[i].unit);
    }
    printf("]}");
}

/* The least of what its row, and whoever asks, give it; the simulated card is slow. */
static unsigned int patience(const struct options *options, const struct experiment *experiment)
{
    unsigned int seconds = experiment->seconds * part_patience;

    return options->seconds && options->seconds < seconds ? options->seconds : seconds;
}

static void end_of(pid_t pid, unsigned int seconds, struct report *report)
{
    int status;

    if (waitpid(pid, &status, 0) != pid || report->verdict != VERDICT_OPEN || report->note[0])
        return;
    if (WIFSIGNALED(status) && WTERMSIG(status) == SIGALRM)
        snprintf(report->note, sizeof(report->note), "no end in %u seconds", seconds);
    else if (WIFSIGNALED(status))
        snprintf(report->note, sizeof(report->note), "ended by signal %d", WTERMSIG(status));
    else
        snprintf(report->note, sizeof(report->note), "ended with status %d without a verdict",
                 WEXITSTATUS(status));
}

/* In a process of its own, as all of the driver is; without a context, which takes its time. */
static bool is_simulated(void)
{
    static int known = -1;
    int status;
    pid_t pid;

    if (known >= 0)
        return known;
    pid = fork();
    if (pid == 0) {
        void *library = dlopen("libcuda.so.1", RTLD_NOW | RTLD_LOCAL);

        _exit(library && dlsym(library, "sim_clock_now"));
    }
    known = pid > 0 && waitpid(pid, &status, 0) == pid && WIFEXITED(status) && WEXITSTATUS(status);
    return known;
}

static bool run(const struct options *options, const struct experiment *experiment, bool first)
{
    bool refused = experiment->kind == FAULT && !options->faults && !is_simulated();
    struct report *report = report_open();
    struct timespec from, to;
    pid_t pid;

    clock_gettime(CLOCK_MONOTONIC, &from);
    fflush(stdout);
    if (refused) {
        report_verdict(VERDICT_SKIPPED, "it means to break its context; asked only with --faults");
    } else {
        pid = fork();
        if (pid == 0) {
            alarm(patience(options, experiment));
            experiment->run();
            _exit(0);
        }
        end_of(pid, patience(options, experiment), report);
    }
    clock_gettime(CLOCK_MONOTONIC, &to);
    if (options->json)
        print_json(experiment, report,
                   (double)(to.tv_sec - from.tv_sec) + (double)(to.tv_nsec - from.tv_nsec) / 1e9,
                   first);
    else
        print_text(experiment, report);
    fflush(stdout);
    return report->verdict != VERDICT_OPEN && report->verdict != VERDICT_REFUTED;
}

static int run_all(const struct options *options)
{
    enum { PATIENCE = 10 };
    bool good = true, first = true;

    if (is_simulated())
        part_patience = PATIENCE;
    if (is_selected(options, &description)) {
        good = run(options, &description, true);
        first = false;
    }
    for (size_t i = 0; i < ARRAY_SIZE(experiments); i++) {
        if (!is_selected(options, &experiments[i]))
            continue;
        good &= run(options, &experiments[i], first);
        first = false;
    }
    return good ? 0 : 1;
}

static int usage(int status)
{
    fprintf(status == 2 ? stderr : stdout,
            "usage: experiments [--json] [--faults] [--only NAME,NAME...] [--seconds N] [--list]\n"
            "\n"
            "Asks the card of this machine, or a simulated one, what the design believes of it.\n"
            "Status 1: something believed was refuted, or has stayed open.\n");
    return status;
}

static int list(void)
{
    for (size_t i = 0; i < ARRAY_SIZE(experiments); i++)
        printf("%-14s %4u %-8s %s\n", experiments[i].name, experiments[i].seconds,
               experiments[i].ids, experiments[i].question);
    return 0;
}

int main(int argc, char **argv)
{
    static const struct option long_options[] = {
        {"json", no_argument, NULL, 'j'},
        {"faults", no_argument, NULL, 'f'},
        {"list", no_argument, NULL, 'l'},
        {"only", required_argument, NULL, 'o'},
        {"help", no_argument, NULL, 'h'},
        {"seconds", required_argument, NULL, 's'},
        {NULL, 0, NULL, 0},
    };
    struct options options = {.json = false};
    int option, status;

    while ((option = getopt_long(argc, argv, "", long_options, NULL)) != -1) {
        switch (option) {
        case 'j':
            options.json = true;
            break;
        case 'f':
            options.faults = true;
            break;
        case 'o':
            options.only = optarg;
            break;
        case 's':
            options.seconds = (unsigned int)atoi(optarg);
            break;
        case 'l':
            return list();
        default:
            return usage(option == 'h' ? 0 : 2);
        }
    }
    if (optind != argc)
        return usage(2);
    if (options.json)
        printf("[");
    status = run_all(&options);
    if (options.json)
        printf("\n]\n");
    return status;
}
