/* SPDX-License-Identifier: MIT */
/*
 * How a program runs on a card that is too small for it, by different ways of paging, in virtual
 * time: bench --help. Every run is a process of its own, on the simulated driver.
 */
#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "runtime/account.h"
#include "runtime/util.h"
#include "tests/bench/measure.h"

enum {
    STEADY = 3,                  /* last passes */
    UVM_SLOWER_PER_MILLE = 2600, /* a fault of 2 MiB against copying it */
};

#define AMPLE (22ull << 30) /* bytes */

static const double ratios[] = {1.1, 1.5, 2, 4};

/*
 * Weights and chunks are larger where the link is faster, so that copying a chunk takes the same
 * time on each. A model of 1.4 GiB in chunks of 2 MiB stands for one eight times as large in the
 * default chunks.
 */
static const struct profile {
    const char *name;
    uint32_t scale;
} profiles[] = {{"rtx3060", 1}, {"rtx4090", 2}, {"h200", 4}};

/* A way of paging, as settings of the shim; without any it is a model computed from the touches. */
static const struct policy {
    const char *name;
    const char *engine;
    bool all_away;
    const char *in_place; /* NULL: as it chooses */
    bool planned;         /* the program has a plan, */
    bool again;           /* which knows the functions of a run with a plan */
} policies[] = {
    {"engine", "stream", false},
    {"never-in-place", "stream", false, "never"},
    {"always-in-place", "stream", false, "always"},
    {"planned", "stream", false, NULL, true},
    {"planned-again", "stream", false, NULL, true, true},
    {"lru", "lru", false},
    {"first-n", "none", false},
    {"in-place", "none", true},
    {"uvm-model", NULL, false},
    {"belady", NULL, false},
};
enum { ENGINE, NEVER_IN_PLACE, ALWAYS_IN_PLACE, PLANNED };

struct options {
    bool json;
    const char *profile;
    const char *program;
    const char *policy;
    const char *form;
    double ratio;
};

static const char *self;
static bool first_row = true;

static void set_number(const char *name, uint64_t value)
{
    char text[32];

    snprintf(text, sizeof(text), "%llu", (unsigned long long)value);
    setenv(name, text, 1);
}

/* One run: of what, how, and on how much memory. */
struct task {
    const struct program *program;
    const struct profile *profile;
    bool graph;
    const struct policy *policy; /* NULL: without the shim */
    uint64_t budget, written;
    int report; /* of the last run with a plan; a file */
};

/* A file of the library's, named by its setting in the child. */
static int make_file(void)
{
    int fd = memfd_create("bench", 0);

    if (fd < 0 || fchmod(fd, 0600))
        _exit(126);
    return fd;
}

static void set_file(const char *name, int fd)
{
    char path[64];

    snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
    setenv(name, path, 1);
}

/* In the child: the run, and its figures to the pipe. */
static void child(const struct task *task, int to)
{
    const struct policy *policy = task->policy;
    char number[16];
    char scale[16];
    char form[8];
    char plan[16] = "";
    char report[16] = "";
    char written[32];

    setenv("SIM_PROFILE", task->profile->name, 1);
    setenv("SIM_ORDER", "timed", 1);
    setenv("SIM_VRAM", "24GiB", 1);
    set_number("VRAMSHIM_CHUNK", task->profile->scale * 2 * MIB);
    setenv("VRAMSHIM_RAM", "16GiB", 1);
    setenv("VRAMSHIM_DISABLE", policy ? "0" : "1", 1);
    if (policy) {
        setenv("VRAMSHIM_ENGINE", policy->engine, 1);
        setenv("VRAMSHIM_IN_PLACE", policy->in_place ? policy->in_place : "auto", 1);
        set_number("VRAMSHIM_VRAM", task->budget);
    }
    if (policy && policy->planned) {
        int fd = make_file(); /* which the program writes when it has started */

        set_file("VRAMSHIM_PLAN", fd);
        snprintf(plan, sizeof(plan), "%d", fd);
        if (policy->again)
            snprintf(report, sizeof(report), "%d", task->report);
        else
            set_file("VRAMSHIM_REPORT", task->report);
    }
    snprintf(number, sizeof(number), "%d", to);
    snprintf(form, sizeof(form), "%d", task->graph);
    snprintf(written, sizeof(written), "%llu", (unsigned long long)task->written);
    snprintf(scale, sizeof(scale), "%u", task->profile->scale);
    execl(self, self, "--measure", task->program->name, form, policy ? "" : "follow", scale, number,
          plan, written, report, NULL);
    _exit(127);
}

static bool run(const struct task *task, struct measured *out)
{
    size_t got = 0;
    int ends[2];
    int status;
    pid_t pid;

    if (pipe(ends))
        return false;
    pid = fork();
    if (pid == 0) {
        close(ends[0]);
        child(task, ends[1]);
    }
    close(ends[1]);
    while (pid > 0 && got < sizeof(*out)) {
        ssize_t n = read(ends[0], (char *)out + got, sizeof(*out) - got);

        if (n <= 0)
            break;
        got += (size_t)n;
    }
    close(ends[0]);
    return pid > 0 && waitpid(pid, &status, 0) == pid && status == 0 && got == sizeof(*out);
}

static bool load_report(const char *fd, struct account *out)
{
    char error[256];
    char path[64];

    snprintf(path, sizeof(path), "/proc/self/fd/%s", fd);
    if (!account_load(path, error, sizeof(error), out))
        return true;
    fprintf(stderr, "bench: %s\n", error);
    return false;
}

/* Before the driver is called for the first time. */
static bool write_plan(const struct program *program, const char *fd, const char *written,
                       const char *report)
{
    struct account account = {.model = NULL};
    FILE *out = fdopen(dup(atoi(fd)), "w");
    bool good = out && (!report[0] || load_report(report, &account)) &&
                program_plan(program, strtoull(getenv("VRAMSHIM_VRAM"), NULL, 10),
                             strtoull(written, NULL, 10), &account.functions, out);

    account_fini(&account);
    return (!out || fclose(out) == 0) && good;
}

static int measure_here(char **argv)
{
    struct measure_options options = {
        .graph = argv[3][0] == '1',
        .ratios = ratios,
        .n_ratios = argv[4][0] ? ARRAY_SIZE(ratios) : 0,
    };
    struct measured measured;
    int to = atoi(argv[6]);

    program_scale = strtoull(argv[5], NULL, 10);

    for (uint32_t i = 0; i < n_programs; i++) {
        if (strcmp(programs[i].name, argv[2]))
            continue;
        programs[i].shape();
        if (argv[7][0] && !write_plan(&programs[i], argv[7], argv[8], argv[9]))
            return 1;
        measure(&programs[i], &options, &measured);
        return write(to, &measured, sizeof(measured)) == sizeof(measured) ? 0 : 1;
    }
    return 2;
}

static double mean(const uint64_t *values, uint32_t n, uint32_t last)
{
    double sum = 0;

    for (uint32_t i = n - last; i < n; i++)
        sum += (double)values[i];
    return sum / last;
}

struct row {
    const struct profile *profile;
    const char *program, *form, *policy;
    double ratio;
};

static void print_figure(const struct options *options, const struct row *row, const char *figure,
                         double value)
{
    if (options->json)
        printf("%s\n  {\"profile\": \"%s\", \"program\": \"%s\", \"form\": \"%s\", "
               "\"w_over_b\": %g, \"policy\": \"%s\", \"figure\": \"%s\", \"value\": %.9g}",
               first_row ? "" : ",", row->profile->name, row->program, row->form, row->ratio,
               row->policy, figure, value);
    else
        printf(" %12.3f", value);
    first_row = false;
}

/* A figure in a line of its own. */
static void print_single(const struct options *options, const struct row *row, const char *figure,
                         double value)
{
    if (!options->json)
        printf("%-10s %-11s %-6s %5.1f  %-10s %s", row->profile->name, row->program, row->form,
               row->ratio, row->policy, figure);
    print_figure(options, row, figure, value);
    if (!options->json)
        printf("\n");
    fflush(stdout);
}

/* Of the last passes, those at the same place in the round. */
static double mean_alike(const struct measured *m, uint32_t number)
{
    uint32_t from = m->passes - steady_passes(m);
    double sum = 0;
    uint32_t n = 0;

    for (uint32_t i = from + (number + m->passes - from) % m->round; i < m->passes; i += m->round) {
        sum += (double)m->pass_ns[i];
        n++;
    }
    return n ? sum / n : 0;
}

/* Rounds after the first until no pass, or the mean of a few, takes a tenth longer than the last
 * ones like it do. */
static double rounds_to_steady(const struct measured *m)
{
    uint32_t unsteady = 0;

    for (uint32_t i = 0; i + m->window <= m->passes; i++) {
        if (mean(m->pass_ns, i + m->window, m->window) > 1.1 * mean_alike(m, i))
            unsteady = i;
    }
    return unsteady / m->round;
}

static void report(const struct options *options, const struct row *row,
                   const struct measured *native, const struct measured *m, uint32_t ratio,
                   uint32_t steady)
{
    double away = (double)native->weights * (1 - 1 / row->ratio);
    double compute_ns = mean(native->pass_ns, native->passes, steady);
    double roofline_ns =
        compute_ns > away * 1e9 / native->link ? compute_ns : away * 1e9 / native->link;
    double ns = mean(m->pass_ns, m->passes, steady);
    double up = mean(m->pass_up, m->passes, steady);

    if (!options->json)
        printf("%-10s %-11s %-6s %5.1f  %-10s", row->profile->name, row->program, row->form,
               row->ratio, row->policy);
    if (native->least[ratio])
        print_figure(options, row, "bytes_over_min", up / (double)native->least[ratio]);
    else if (!options->json)
        printf(" %12s", "none needed");
    print_figure(options, row, "time_over_roofline", ns / roofline_ns);
    print_figure(options, row, "link_fraction", up * 1e9 / ns / native->link);
    print_figure(options, row, "passes_to_steady", rounds_to_steady(m));
    print_figure(options, row, "clean_bytes_written",
                 mean(m->pass_down, m->passes, steady) - mean(m->pass_only, m->passes, steady));
    print_figure(options, row, "first_over_roofline", (double)m->pass_ns[0] / roofline_ns);
    if (options->json) {
        print_figure(options, row, "only_copies_written", mean(m->pass_only, m->passes, steady));
        print_figure(options, row, "pass_seconds", ns / 1e9);
        print_figure(options, row, "pass_seconds_alone", compute_ns / 1e9);
        print_figure(options, row, "device_bytes", (double)m->device_most);
    }
    if (!options->json)
        printf("\n");
}

/* What a model says: the bytes, and how long they take, beside the computing. */
static struct measured modelled(const struct measured *native, uint64_t bytes, double slower)
{
    struct measured m = *native;

    for (uint32_t i = 0; i < m.passes; i++) {
        double link_ns = (double)bytes * 1e9 / native->link;

        m.pass_up[i] = bytes;
        m.pass_ns[i] = slower > 1 ? (uint64_t)((double)native->pass_ns[i] + slower * link_ns)
                                  : (uint64_t)(link_ns > (double)native->pass_ns[i]
                                                   ? link_ns
                                                   : (double)native->pass_ns[i]);
    }
    return m;
}

static bool selected(const char *wanted, const char *name)
{
    return !wanted || !strcmp(wanted, name);
}

/* How much longer a pass takes than with the better of both choices made for all of it. */
static void report_regret(const struct options *options, struct row *row, const double *ns)
{
    double best =
        ns[NEVER_IN_PLACE] < ns[ALWAYS_IN_PLACE] ? ns[NEVER_IN_PLACE] : ns[ALWAYS_IN_PLACE];

    if (ns[ENGINE] == 0 || best == 0)
        return;
    row->policy = policies[ENGINE].name;
    if (!options->json)
        printf("%-10s %-11s %-6s %5.1f  regret    ", row->profile->name, row->program, row->form,
               row->ratio);
    print_figure(options, row, "regret", ns[ENGINE] / best);
    if (!options->json)
        printf("\n");
}

static bool run_ratio(const struct options *options, struct row row, bool graph,
                      const struct program *program, const struct measured *native, uint32_t ratio)
{
    uint32_t steady = steady_passes(native);
    uint64_t budget = (uint64_t)((double)native->weights / ratios[ratio]) + native->written;
    double ns[ARRAY_SIZE(policies)] = {0};
    int account = make_file();
    bool reported = false;
    bool good = true;

    row.ratio = ratios[ratio];
    for (size_t i = 0; i < ARRAY_SIZE(policies); i++) {
        const struct policy *policy = &policies[i];
        struct measured m;
        struct task task = {program, row.profile, graph, policy, budget, native->written, account};

        if (!selected(options->policy, policy->name) &&
            (strcmp(options->policy, "regret") || i > ALWAYS_IN_PLACE))
            continue;
        if (policy->planned && !program->components)
            continue;
        if (policy->all_away)
            task.budget = native->written + 4 * MIB;
        row.policy = policy->name;
        if (policy->again && !reported) {
            task.policy = &policies[PLANNED];
            good &= run(&task, &m);
            task.policy = policy;
        }
        reported |= i == PLANNED;
        if (!strcmp(policy->name, "uvm-model"))
            m = modelled(native, native->by_age[ratio], UVM_SLOWER_PER_MILLE / 1000.0);
        else if (!strcmp(policy->name, "belady"))
            m = modelled(native, native->least[ratio], 1);
        else if (!run(&task, &m)) {
            fprintf(stderr, "bench: %s with %s failed\n", program->name, policy->name);
            good = false;
            continue;
        }
        report(options, &row, native, &m, ratio, steady);
        ns[i] = mean(m.pass_ns, m.passes, steady);
        fflush(stdout);
    }
    close(account);
    report_regret(options, &row, ns);
    return good;
}

/* What the library costs where everything fits: the part by which a steady pass takes longer. */
static bool report_overhead(const struct options *options, struct row row, bool graph,
                            const struct program *program, const struct measured *native)
{
    uint32_t steady = steady_passes(native);
    struct task task = {program, row.profile, graph, &policies[0], AMPLE, native->written};
    struct measured m;

    row.policy = policies[0].name;
    row.ratio = 0;
    if (!run(&task, &m)) {
        fprintf(stderr, "bench: %s failed with ample memory under the library\n", program->name);
        return false;
    }
    print_single(options, &row, "fits_overhead",
                 mean(m.pass_ns, m.passes, steady) / mean(native->pass_ns, native->passes, steady) -
                     1);
    return true;
}

static bool run_program(const struct options *options, const struct profile *profile,
                        const char *form, const struct program *program)
{
    struct row row = {.profile = profile, .program = program->name, .form = form};
    bool graph = !strcmp(form, "graph");
    struct task task = {.program = program, .profile = profile, .graph = graph};
    struct measured native;
    bool good = true;

    if (!run(&task, &native)) {
        fprintf(stderr, "bench: %s failed with ample memory\n", program->name);
        return false;
    }
    if (options->ratio == 0 && selected(options->policy, policies[0].name))
        good &= report_overhead(options, row, graph, program, &native);
    for (uint32_t i = 0; i < ARRAY_SIZE(ratios); i++) {
        if (options->ratio == 0 || options->ratio == ratios[i])
            good &= run_ratio(options, row, graph, program, &native, i);
    }
    return good;
}

static int usage(int status)
{
    fprintf(status ? stderr : stdout,
            "usage: bench [--json] [--profile NAME] [--program NAME] [--form eager|graph]\n"
            "             [--policy NAME|regret] [--ratio 1.1|1.5|2|4]\n"
            "\n"
            "Runs programs that are larger than the simulated card, in virtual time.\n");
    return status;
}

/*
 * Counted by callgrind with a driver that does nothing: 16 pointers among 400 paged allocations. An
 * instruction is one on any card.
 */
static void report_instructions(const struct options *options)
{
    struct row row = {&profiles[0], "launch", "eager", policies[0].name, 0};
    FILE *counted = popen(COUNT_LAUNCH, "r");
    unsigned int instructions = 0;
    bool good = counted && fscanf(counted, "%u", &instructions) == 1;

    if (!counted || pclose(counted) || !good) {
        fprintf(stderr, "bench: instructions_per_launch is left out, as they could not be counted; "
                        "is valgrind installed?\n");
        return;
    }
    print_single(options, &row, "instructions_per_launch", instructions);
}

static int run_all(const struct options *options)
{
    static const char *const forms[] = {"eager", "graph"};
    bool good = true;

    if (options->json)
        printf("[");
    else
        printf("profile    program     form     W/B  policy       bytes/least time/roofline"
               "    link part    to steady      written        first\n");
    if (!options->program && !options->policy && !options->ratio)
        report_instructions(options);
    for (size_t p = 0; p < ARRAY_SIZE(profiles); p++) {
        for (size_t f = 0; f < ARRAY_SIZE(forms); f++) {
            for (uint32_t i = 0; i < n_programs; i++) {
                if (selected(options->profile, profiles[p].name) &&
                    selected(options->form, forms[f]) &&
                    selected(options->program, programs[i].name))
                    good &= run_program(options, &profiles[p], forms[f], &programs[i]);
            }
        }
    }
    if (options->json)
        printf("\n]\n");
    return good ? 0 : 1;
}

int main(int argc, char **argv)
{
    static const struct option long_options[] = {
        {"json", no_argument, NULL, 'j'},          {"profile", required_argument, NULL, 'p'},
        {"program", required_argument, NULL, 'g'}, {"form", required_argument, NULL, 'f'},
        {"policy", required_argument, NULL, 'o'},  {"ratio", required_argument, NULL, 'r'},
        {"help", no_argument, NULL, 'h'},          {NULL, 0, NULL, 0},
    };
    struct options options = {.json = false};
    int option;

    self = "/proc/self/exe";
    if (argc == 10 && !strcmp(argv[1], "--measure"))
        return measure_here(argv);
    while ((option = getopt_long(argc, argv, "", long_options, NULL)) != -1) {
        switch (option) {
        case 'j':
            options.json = true;
            break;
        case 'p':
            options.profile = optarg;
            break;
        case 'g':
            options.program = optarg;
            break;
        case 'f':
            options.form = optarg;
            break;
        case 'o':
            options.policy = optarg;
            break;
        case 'r':
            options.ratio = atof(optarg);
            break;
        case 'h':
            return usage(0);
        default:
            return usage(2);
        }
    }
    return optind == argc ? run_all(&options) : usage(2);
}
