/* SPDX-License-Identifier: MIT */
/*
 * Runs every program on an ample card, and then on cards that are too small
 * for it, in several orders of what may run in any order. What comes out has to be the same.
 *
 *   passes [--seeds N] [--seed N] [--program NAME] [--ratio R] [--form launches|graphs]
 *          [--every N] [--from K] [--spill DIRECTORY] [--plan]
 *   passes --minutes N
 *
 * Without seeds each program runs once, as launches at half the memory and every third as a graph,
 * too; or only every Nth, from the Kth on (0 = the first): builds with K = 0 to N - 1 try all of
 * them between them. With a directory host memory is small as well, and what neither has room for
 * goes to a file there. With --plan there is one, in which the program reads its tensors in the
 * order in which it loads them; a second run's plan knows the functions that the first has shown to
 * be harmless. Output is TAP, a line for each program and form. With minutes the
 * programs that read are run again and again in one process, which must not grow.
 */
#include "tests/stress/passes.h"

#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "runtime/account.h"
#include "runtime/planfile.h"
#include "runtime/util.h"
#include "tests/sim/sim.h"
#include "tests/stress/soak.h"

enum {
    SECONDS_MAX = 120, /* of a run */
    PROGRAMS_MAX = 64, /* of one table */
    SPARE = 4 << 20,   /* bytes of the card beside weights / ratio and what is written */
};

static const struct passes_program *const tables[] = {
    passes_programs,       programs_that_read,    programs_that_write,  programs_that_change,
    programs_with_streams, programs_with_experts, programs_with_phases,
};

#define HOST_SHARE 0.2 /* of the weights: pinned host memory there is when some go to the disk */

static const double ratios[] = {1.1, 1.5, 2, 4};

struct options {
    uint32_t seeds; /* 0: a selection */
    int seed;       /* one of them alone, or -1 */
    uint32_t every; /* of the programs one, */
    uint32_t from;  /* from this one on */
    const char *program;
    const char *form;
    double ratio;
};

static const char *spill; /* directory, NULL for none */
static bool plans;

/* Of these a file takes some, without seeds: one for each way of loading, naming, reaching and
 * writing. */
static const char *const spilled[] = {
    "slab",      "decode",          "memsets", "copies",
    "realloc",   "reset",           "cache",   "contexts",
    "edges",     "two_threads",     "far",     "far_later",
    "slices",    "between_far",     "stored",  "by_copy_between_late",
    "from_base", "experts_updated", "large",   "far_back",
    NULL,
};

/* Of these, those for which memory is least. */
static const char *const spilled_to_least[] = {"edges", "large", "far_back", NULL};

/* And these with a plan: those that write what it says is only read, and by ways nobody sees. */
static const char *const planned[] = {"decode-slab", "by_offset_often", "via_pointer_often",
                                      "pointer-updates", NULL};

/* And these may be refused as out of memory, in some form: they have the addresses of all of the
 * model in memory, where kernels find them, or give a kernel too many of them, or are captured or
 * let the device wait for the host, so that there is no time at which room can be made. */
static const char *const refused[] = {
    "pointers",
    "pointer-updates",
    "read_via",
    "stored",
    "via_pointer_often",
    "via_pointer_late",
    "by_graph_often",
    "by_graph_late",
    "write_beside",
    "reloaded",
    "held_stream",
    "host-updates",
    "memsets",
    "by_copy_often",
    "by_copy_late",
    "by_one_of_many_often",
    "by_one_of_many_late",
    "beside_a_capture_often",
    "beside_a_capture_late",
    "images_write_model",
    "images_written_via",
    NULL,
};

/* And these as graphs: copies and memsets of theirs are captured, while no room can be made. */
static const char *const refused_in_capture[] = {
    "by_memset_often",
    "by_memset_late",
    "by_memset_2d_often",
    "by_memset_2d_late",
    "by_peer_copy_often",
    "by_peer_copy_late",
    "by_copy_between_often",
    "by_copy_between_late",
    "by_copy_2d_often",
    "by_copy_2d_late",
    NULL,
};

/* And these where memory is least: one launch touches more than that, or may. */
static const char *const refused_when_least[] = {"large", "much", "far_back", NULL};

static bool is_in(const char *const *names, const char *name)
{
    while (*names && strcmp(*names, name))
        names++;
    return *names;
}

/* Of the programs, when they are not all run. */
static bool is_selected(const char *name)
{
    return (!spill || is_in(spilled, name)) && (!plans || is_in(planned, name));
}

static bool is_graph(const char *form)
{
    return !strcmp(form, "graphs");
}

static int result_fd;

static void tell_refused(CUresult error, const char *call)
{
    struct passes_result result = {.refused = true, .faults = passes_faults()};

    if (error != CUDA_ERROR_OUT_OF_MEMORY)
        return;
    printf("# out of memory: %s\n", call);
    fflush(stdout);
    _exit(write(result_fd, &result, sizeof(result)) == sizeof(result) ? 0 : 1);
}

static int run_here(char **argv)
{
    struct passes_result result;

    for (size_t i = 0; i < ARRAY_SIZE(tables); i++) {
        for (const struct passes_program *p = tables[i]; p->name; p++) {
            if (strcmp(p->name, argv[2]))
                continue;
            alarm(SECONDS_MAX);
            result_fd = atoi(argv[4]);
            passes_on_error = tell_refused;
            result = passes_run(p, is_graph(argv[3]));
            return write(result_fd, &result, sizeof(result)) == sizeof(result) ? 0 : 1;
        }
    }
    return 2;
}

static void set_number(const char *name, uint64_t value)
{
    char text[32];

    snprintf(text, sizeof(text), "%llu", (unsigned long long)value);
    setenv(name, text, 1);
}

/* In the child: of what the program has loaded on an ample card. Of each tensor as much stays as of
 * the others, and a ring's worth less than there is room for. */
static void write_plan(const struct passes_result *ample, uint64_t budget,
                       const struct roll *functions)
{
    struct planfile_file file = {.path = "/nowhere", .bytes = ample->weights, .digest = 1};
    struct planfile_tensor tensors[PASSES_TENSORS_MAX];
    struct planfile plan = {
        .model = "",
        .card = "",
        .device = budget,
        .chunk = 2 * MIB,
        .buffers = ample->written + SPARE / 2,
        .files = &file,
        .n_files = 1,
        .phases = {{.name = "", .is_main = true, .n = ample->n_tensors}},
        .n_phases = 1,
        .tensors = tensors,
        .n_tensors = ample->n_tensors,
        .functions = *functions,
    };
    double stays = 0.9 * (double)(budget - ample->written - SPARE) / (double)ample->weights;
    int fd = memfd_create("plan", 0);
    FILE *out = fdopen(dup(fd), "w");
    char path[64];

    for (uint32_t i = 0; i < plan.n_tensors; i++) {
        tensors[i] = (struct planfile_tensor){
            .name = "",
            .tier = PLANFILE_STREAM,
            .offset = plan.weights,
            .bytes = ample->tensors[i],
            .resident = (uint64_t)(stays * (double)ample->tensors[i]),
        };
        plan.weights += ample->tensors[i];
    }
    planfile_print(&plan, out);
    if (fclose(out) || fchmod(fd, 0600))
        _exit(126);
    snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
    setenv("VRAMSHIM_PLAN", path, 1);
}

static int report; /* of the run before of the same program on the same card, or empty; a file */

/* With a plan that knows the functions of the report, and another report. */
static void plan(const struct passes_result *ample, uint64_t budget)
{
    struct account account = {.model = NULL};
    char error[256];
    char path[64];

    snprintf(path, sizeof(path), "/proc/self/fd/%d", report);
    if (lseek(report, 0, SEEK_END) > 0 && account_load(path, error, sizeof(error), &account)) {
        printf("# %s\n", error);
        fflush(stdout);
        _exit(126);
    }
    if (account.functions.n)
        printf("# %u functions are known\n", account.functions.n);
    fflush(stdout);
    setenv("VRAMSHIM_REPORT", path, 1);
    write_plan(ample, budget, &account.functions);
    account_fini(&account);
}

/* `budget`: bytes of the card, 0 for an ample one without the shim. */
static void child(const struct passes_program *program, const char *form,
                  const struct passes_result *ample, uint64_t budget, uint32_t seed, int to)
{
    static const char *const orders[] = {"restless", "lazy", "eager", "timed"};
    char number[16];

    setenv("SIM_VRAM", "1GiB", 1);
    setenv("SIM_ORDER", seed < 4 ? orders[seed] : "restless", 1);
    set_number("SIM_SEED", seed);
    setenv("VRAMSHIM_DISABLE", budget ? "0" : "1", 1);
    setenv("VRAMSHIM_ENGINE", "stream", 1);
    setenv("VRAMSHIM_RAM", "1GiB", 1);
    if (spill && budget) {
        set_number("VRAMSHIM_RAM", (uint64_t)((double)ample->weights * HOST_SHARE) + SPARE);
        setenv("VRAMSHIM_SPILL_DIR", spill, 1);
        setenv("VRAMSHIM_SPILL_FORCE", "1", 1);
    }
    if (plans && budget && ample->n_tensors)
        plan(ample, budget);
    setenv("VRAMSHIM_CHUNK", "2MiB", 1);
    setenv("VRAMSHIM_SMALL", "64KiB", 1);
    if (budget)
        set_number("VRAMSHIM_VRAM", budget);
    snprintf(number, sizeof(number), "%d", to);
    execl("/proc/self/exe", "passes", "--run", program->name, form, number, NULL);
    _exit(127);
}

static bool run(const struct passes_program *program, const char *form,
                const struct passes_result *ample, uint64_t budget, uint32_t seed,
                struct passes_result *out)
{
    int ends[2];
    int status;
    ssize_t got;
    pid_t pid;

    if (pipe(ends))
        return false;
    fflush(stdout);
    pid = fork();
    if (pid == 0) {
        close(ends[0]);
        child(program, form, ample, budget, seed, ends[1]);
    }
    close(ends[1]);
    got = pid > 0 ? read(ends[0], out, sizeof(*out)) : -1;
    close(ends[0]);
    if (pid <= 0 || waitpid(pid, &status, 0) != pid)
        return false;
    if (WIFSIGNALED(status))
        printf("# ended by signal %d%s\n", WTERMSIG(status),
               WTERMSIG(status) == SIGALRM ? ", as it took too long" : "");
    return status == 0 && got == sizeof(*out);
}

struct tally {
    uint32_t runs;
    uint32_t wrong;
    uint32_t refused;
    uint64_t redirected;
    uint64_t in_place;
};

static bool may_be_refused(const char *name, const char *form, double ratio)
{
    return is_in(refused, name) || (is_graph(form) && is_in(refused_in_capture, name)) ||
           (ratio > 2 && is_in(refused_when_least, name));
}

static const char *why_wrong(const struct passes_program *program, const char *form,
                             const struct passes_result *ample, const struct passes_result *got,
                             double ratio, bool ended)
{
    bool half = !is_graph(form) && ratio == 2;

    if (!ended)
        return "did not end well";
    if (got->faults)
        return "illegal addresses";
    if (got->refused)
        return spill && may_be_refused(program->name, form, ratio) ? NULL : "out of memory";
    if (got->sum != ample->sum)
        return "another result";
    if (got->left)
        return "something is left";
    if (half && program->streams && !spill && !got->redirected)
        return "nothing was read through the ring";
    if (half && program->surprises && !spill && !plans && !got->surprises)
        return "nothing was read in place";
    if (half && program->swaps && !spill && !plans && !got->swapped)
        return "nothing came to where it is read most";
    return NULL;
}

/* One card and order. */
static void run_once(const struct passes_program *program, const char *form,
                     const struct passes_result *ample, double ratio, uint32_t seed,
                     struct tally *tally)
{
    uint64_t budget = (uint64_t)((double)ample->weights / ratio) + ample->written + SPARE;
    struct passes_result result = {0};
    const char *wrong;
    bool ended = run(program, form, ample, budget, seed, &result);

    tally->runs++;
    wrong = why_wrong(program, form, ample, &result, ratio, ended);
    if (!wrong) {
        tally->refused += result.refused;
        tally->redirected += result.redirected;
        tally->in_place += result.in_place;
        return;
    }
    tally->wrong++;
    printf("# %s as %s, W/B %g, seed %u: %s\n", program->name, form, ratio, seed, wrong);
}

/* With a plan twice: the second one knows what the first run has shown. */
static void run_one(const struct passes_program *program, const char *form,
                    const struct passes_result *ample, double ratio, uint32_t seed,
                    struct tally *tally)
{
    report = plans ? memfd_create("report", 0) : -1;
    if (plans && (report < 0 || fchmod(report, 0600)))
        exit(126);
    run_once(program, form, ample, ratio, seed, tally);
    if (!plans)
        return;
    run_once(program, form, ample, ratio, seed, tally);
    close(report);
}

/* Seeds from 4 on are orders that change all the time. */
static bool is_wanted(const struct options *options, const char *name, const char *form,
                      double ratio, uint32_t seed, uint32_t number)
{
    double usual = is_graph(form) ? 1.5 : 2;

    if (spill && is_in(spilled_to_least, name))
        usual = 4;
    if (options->ratio != 0 && options->ratio != ratio)
        return false;
    if (options->seed >= 0)
        return (uint32_t)options->seed == seed;
    return options->seeds || (ratio == usual && seed == 4 + number % 3);
}

static bool run_program(const struct options *options, const struct passes_program *program,
                        const char *form, uint32_t number)
{
    struct passes_result ample;
    struct tally tally = {0};
    uint32_t seeds = options->seeds ? options->seeds : 8;

    if (options->seed >= 0)
        seeds = (uint32_t)options->seed + 1;
    if (!run(program, form, NULL, 0, 1, &ample) || ample.faults) {
        printf("not ok %u - %s as %s runs on an ample card\n", number, program->name, form);
        return false;
    }
    for (size_t i = 0; i < ARRAY_SIZE(ratios); i++) {
        for (uint32_t seed = 0; seed < seeds; seed++) {
            if (is_wanted(options, program->name, form, ratios[i], seed, number))
                run_one(program, form, &ample, ratios[i], seed, &tally);
        }
    }
    printf("# %u runs, %u refused, launches redirected %llu, in place %llu\n", tally.runs,
           tally.refused, (unsigned long long)tally.redirected, (unsigned long long)tally.in_place);
    printf("%s %u - %s as %s computes the same on cards that are too small\n",
           tally.wrong ? "not ok" : "ok", number, program->name, form);
    fflush(stdout);
    return !tally.wrong;
}

static bool selected(const char *wanted, const char *name)
{
    return !wanted || !strcmp(wanted, name);
}

static bool is_quick(const struct options *options)
{
    return !options->seeds && options->seed < 0 && !options->program;
}

static int run_all(const struct options *options)
{
    static const char *const forms[] = {"launches", "graphs"};
    uint32_t number = 0;
    uint32_t n_graphs = 0;
    uint32_t n = 0;
    bool good = true;

    for (size_t i = 0; i < 2 * ARRAY_SIZE(tables); i++) {
        const char *form = forms[i % 2];

        for (const struct passes_program *p = tables[i / 2]; p->name; p++) {
            if (is_graph(form) && (p->never_captured || (is_quick(options) && n_graphs++ % 3)))
                continue;
            if (is_quick(options) && !is_selected(p->name))
                continue;
            if (n++ % options->every == options->from && selected(options->program, p->name) &&
                selected(options->form, form))
                good &= run_program(options, p, form, ++number);
        }
    }
    printf("1..%u\n", number);
    return good ? 0 : 1;
}

/* All programs again and again in one process, in memory that is too small. */
static int run_for_long(uint64_t minutes)
{
    uint32_t sums[PROGRAMS_MAX] = {0};
    const char *grown = NULL;

    setenv("SIM_VRAM", "1GiB", 1);
    setenv("SIM_ORDER", "timed", 0);
    setenv("VRAMSHIM_ENGINE", "stream", 1);
    setenv("VRAMSHIM_VRAM", "24MiB", 0);
    setenv("VRAMSHIM_RAM", "1GiB", 0);
    setenv("VRAMSHIM_CHUNK", "2MiB", 0);
    setenv("VRAMSHIM_SMALL", "64KiB", 0);
    soak_begin(minutes);
    do {
        uint32_t n = 0;

        for (const struct passes_program *p = programs_that_read; p->name; p++, n++) {
            struct passes_result result = passes_run(p, false);

            if (result.faults || result.left || (sums[n] && result.sum != sums[n])) {
                printf("%s: faults %llu, left %d, sum %u, first %u\n", p->name,
                       (unsigned long long)result.faults, result.left, result.sum, sums[n]);
                return 1;
            }
            sums[n] = result.sum;
        }
    } while (soak_goes_on(sim_get_stats, &grown));
    if (grown)
        printf("%s has grown\n", grown);
    return grown != NULL;
}

static bool can_spill(void)
{
    int fd = open(spill, O_TMPFILE | O_RDWR, 0600);

    if (fd >= 0)
        close(fd);
    return fd >= 0;
}

int main(int argc, char **argv)
{
    static const struct option long_options[] = {
        {"seeds", required_argument, NULL, 's'},   {"seed", required_argument, NULL, 'o'},
        {"every", required_argument, NULL, 'e'},   {"from", required_argument, NULL, 'k'},
        {"program", required_argument, NULL, 'p'}, {"ratio", required_argument, NULL, 'r'},
        {"spill", required_argument, NULL, 'd'},   {"form", required_argument, NULL, 'f'},
        {"plan", no_argument, NULL, 'l'},          {NULL, 0, NULL, 0},
    };
    struct options options = {.seed = -1, .every = 1};
    int option;

    if (argc == 3 && !strcmp(argv[1], "--minutes"))
        return run_for_long(strtoul(argv[2], NULL, 10));
    if (argc == 5 && !strcmp(argv[1], "--run"))
        return run_here(argv);
    while ((option = getopt_long(argc, argv, "", long_options, NULL)) != -1) {
        switch (option) {
        case 's':
            options.seeds = (uint32_t)atoi(optarg);
            break;
        case 'e':
            options.every = (uint32_t)atoi(optarg);
            break;
        case 'k':
            options.from = (uint32_t)atoi(optarg);
            break;
        case 'o':
            options.seed = atoi(optarg);
            break;
        case 'p':
            options.program = optarg;
            break;
        case 'r':
            options.ratio = atof(optarg);
            break;
        case 'd':
            spill = optarg;
            break;
        case 'f':
            options.form = optarg;
            break;
        case 'l':
            plans = true;
            break;
        default:
            return 2;
        }
    }
    if (spill && !can_spill()) {
        printf("1..0 # SKIP %s cannot hold a file without a name\n", spill);
        return 0;
    }
    return options.every ? run_all(&options) : 2;
}
