/* SPDX-License-Identifier: MIT */
/*
 * A program that is larger than the card and host memory together: how fast its passes get from the
 * disk what memory does not hold, beside what the disk gives to somebody who only reads, in turns
 * in one run; and how much that is, beside what it has to be.
 *
 *   disk [--share S] [--card C] [--chunk BYTES] [--rounds N] [--counts] DIRECTORY [PROGRAM...]
 *
 * S of the weights fit into memory (0.6), C of them on the card (0.4). With --counts nothing is
 * timed and fewer passes are made. Ends with 1 when a promise is not kept: the same sums as with
 * ample memory, nothing written, at most what has to be read and a tenth, and 0.9 of the disk's
 * rate; or of the pace with host memory for all, where that is slower than the disk.
 *
 * The reader reads the spill file itself, from its begin to its end, around the page cache.
 */
#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "runtime/card.h"
#include "runtime/stats.h"
#include "runtime/util.h"
#include "tests/bench/programs.h"
#include "tests/bench/stand_in.h"
#include "tests/sim/sim.h"

enum {
    ROUNDS_MAX = 64,
    READ_AT_ONCE = 4 << 20, /* bytes */
};

#define LEAST_RATE 0.9
#define MOST_READ  1.1

struct options {
    const char *directory;
    double share, card;
    uint64_t chunk;
    uint32_t rounds;
    bool counts;
};

/* How a program comes to a steady state, and what is a round of it then. */
static const struct course {
    const char *name;
    uint32_t warm_up; /* passes */
    uint32_t round;   /* passes that are repeated */
    double always;    /* part of the weights that each of them reads */
    double once;      /* and that one of a round does */
} courses[] = {
    {"decode", 6, 1, 1, 0},
    {"pipeline", 36, 12, 16.0 / 24, 8.0 / 24},
};

struct figures {
    uint64_t weights, written;
    uint64_t sum;
    uint64_t faults;
    uint64_t read;       /* bytes from the disk in all rounds */
    uint64_t spilled;    /* bytes to it */
    uint64_t on_disk;    /* bytes of weights there */
    double seconds;      /* of the rounds */
    double rate, reader; /* bytes per second: medians */
    double ratio;        /* median of the rounds' */
};

static void must(CUresult result, const char *what)
{
    if (result == CUDA_SUCCESS)
        return;
    fprintf(stderr, "disk: %s gives error %d\n", what, (int)result);
    exit(1);
}
#define MUST(call) must(call, #call)

static double now(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static int by_value(const void *left, const void *right)
{
    double a = *(const double *)left;
    double b = *(const double *)right;

    return a < b ? -1 : a > b;
}

static double median(double *values, uint32_t n)
{
    qsort(values, n, sizeof(*values), by_value);
    return n % 2 ? values[n / 2] : (values[n / 2 - 1] + values[n / 2]) / 2;
}

/* Bytes per second, from the begin of the file on. */
static double read_plainly(const struct spill *spill, uint64_t bytes)
{
    uint64_t end = min_u64(spill->n_pages * spill->page_bytes, bytes);
    void *buffer = aligned_alloc(DISK_ALIGN, READ_AT_ONCE);
    double from = now();
    uint64_t done = 0;

    while (buffer && done < end) {
        ssize_t n = pread(spill->fd, buffer, min_u64(READ_AT_ONCE, end - done), (off_t)done);

        if (n <= 0)
            exit(1);
        done += (uint64_t)n;
    }
    free(buffer);
    return (double)done / (now() - from);
}

static void run_passes(const struct program *program, uint32_t first, uint32_t n)
{
    for (uint32_t i = 0; i < n; i++)
        program->pass(first + i);
}

static void measure_rounds(const struct program *program, const struct course *course,
                           const struct options *options, struct figures *out)
{
    double rates[ROUNDS_MAX], readers[ROUNDS_MAX], ratios[ROUNDS_MAX];
    const struct spill *spill = &pagers.cold.spill;
    bool timed = !options->counts && spill_is_open(spill);

    out->spilled = stats_get(bytes_written);
    out->read = stats_get(bytes_read);
    for (uint32_t i = 0; i < options->rounds; i++) {
        uint64_t before = stats_get(bytes_read);
        double from = now();
        double seconds;
        uint64_t read;

        run_passes(program, course->warm_up + i * course->round, course->round);
        seconds = now() - from;
        read = stats_get(bytes_read) - before;
        out->seconds += seconds;
        rates[i] = (double)read / seconds;
        readers[i] = timed ? read_plainly(spill, read) : 1;
        ratios[i] = rates[i] / readers[i];
    }
    out->spilled = stats_get(bytes_written) - out->spilled;
    out->read = stats_get(bytes_read) - out->read;
    out->rate = median(rates, options->rounds);
    out->reader = median(readers, options->rounds);
    out->ratio = median(ratios, options->rounds);
}

/* In the child. */
static void measure(const struct program *program, const struct course *course,
                    const struct options *options, struct figures *out)
{
    struct sim_stats stats;
    CUcontext context;

    MUST(cuInit(0));
    MUST(cuDevicePrimaryCtxRetain(&context, 0));
    MUST(cuCtxSetCurrent(context));
    programs_init();
    stand_in_register();
    program_fills = true;
    program->start();
    MUST(cuCtxSynchronize());
    out->weights = program_weights;
    out->written = program_written;
    run_passes(program, 0, course->warm_up);
    measure_rounds(program, course, options, out);
    sim_get_stats(&stats);
    out->faults = stats.illegal_addresses;
    out->sum = program_sum;
    out->on_disk = stats_get(disk_bytes);
}

static void set_number(const char *name, uint64_t value)
{
    char text[32];

    snprintf(text, sizeof(text), "%llu", (unsigned long long)value);
    setenv(name, text, 1);
}

/* `weights`: 0 for ample memory. */
static void settings(const struct options *options, uint64_t weights)
{
    setenv("SIM_VRAM", "8GiB", 1);
    setenv("VRAMSHIM_DISABLE", weights ? "0" : "1", 1);
    setenv("VRAMSHIM_LOG", "error", 0);
    if (!weights)
        return;
    set_number("VRAMSHIM_CHUNK", options->chunk);
    set_number("VRAMSHIM_VRAM", (uint64_t)((double)weights * options->card));
    set_number("VRAMSHIM_RAM", (uint64_t)((double)weights * (options->share - options->card)));
    setenv("VRAMSHIM_SPILL_DIR", options->directory, 1);
    setenv("VRAMSHIM_SPILL_FORCE", "1", 1);
}

static const struct program *program_called(const char *name)
{
    for (uint32_t i = 0; i < n_programs; i++) {
        if (!strcmp(programs[i].name, name))
            return &programs[i];
    }
    return NULL;
}

static bool run(const struct course *course, const struct options *options, uint64_t weights,
                struct figures *out)
{
    int ends[2];
    int status;
    ssize_t got;
    pid_t pid;

    if (pipe(ends))
        return false;
    pid = fork();
    if (pid == 0) {
        const struct program *program = program_called(course->name);
        struct figures figures = {.sum = 0};

        settings(options, weights);
        program->shape();
        measure(program, course, options, &figures);
        _exit(write(ends[1], &figures, sizeof(figures)) == sizeof(figures) ? 0 : 1);
    }
    close(ends[1]);
    got = pid > 0 ? read(ends[0], out, sizeof(*out)) : -1;
    close(ends[0]);
    return pid > 0 && waitpid(pid, &status, 0) == pid && status == 0 && got == sizeof(*out);
}

static bool promise(bool kept, const char *what)
{
    printf("%s %s\n", kept ? "  kept:  " : "  BROKEN:", what);
    return kept;
}

/* Bytes of a round that memory cannot hold, were all of it for what each pass reads. */
static uint64_t least_of(const struct course *course, const struct options *options,
                         const struct figures *f)
{
    double memory = (double)f->weights * options->share - (double)f->written;
    double always = (double)f->weights * course->always;
    double each = always > memory ? always - memory : 0;

    return (uint64_t)(each * course->round + course->once * (double)f->weights);
}

static double mib(uint64_t bytes)
{
    return (double)bytes / (double)MIB;
}

static bool run_course(const struct course *course, const struct options *options)
{
    struct options roomy = *options;
    struct figures ample, f, without;
    uint64_t least;
    uint64_t read;
    bool good;

    if (!run(course, options, 0, &ample) || !run(course, options, ample.weights, &f)) {
        printf("%s did not end well\n", course->name);
        return false;
    }
    least = least_of(course, options, &f) / course->round;
    read = f.read / options->rounds / course->round;
    printf("%s: weights %.1f MiB, written %.1f MiB, memory for %.0f %% of the weights\n",
           course->name, mib(f.weights), mib(f.written), 100 * options->share);
    printf("  a pass reads %.1f MiB of the disk, at least %.1f; %.1f MiB written in %u passes\n",
           mib(read), mib(least), mib(f.spilled), options->rounds * course->round);
    good = promise(f.sum == ample.sum && !f.faults, "the same sums as with ample memory");
    good &= promise(!f.spilled, "nothing written");
    good &= promise((double)read <= MOST_READ * (double)least, "hardly more read than has to be");
    if (options->counts)
        return good;
    printf("  %.0f MB/s, a plain reader %.0f MB/s: %.2f of it\n", f.rate / 1e6, f.reader / 1e6,
           f.ratio);
    if (f.ratio >= LEAST_RATE)
        return promise(true, "0.9 of what the disk gives") && good;
    roomy.counts = true;
    roomy.share = options->card + 1;
    if (!run(course, &roomy, ample.weights, &without))
        return false;
    printf("  with host memory for all it would take %.2f of the time\n",
           without.seconds / f.seconds);
    return promise(without.seconds / f.seconds >= LEAST_RATE,
                   "0.9 of what the disk gives, or of the pace without it") &&
           good;
}

static int usage(void)
{
    fprintf(stderr, "usage: disk [--share S] [--card C] [--chunk BYTES] [--rounds N] [--counts] "
                    "DIRECTORY [PROGRAM...]\n");
    return 2;
}

static bool is_wanted(const char *name, char **wanted)
{
    bool any = *wanted != NULL;

    while (*wanted && strcmp(*wanted, name))
        wanted++;
    return !any || *wanted;
}

int main(int argc, char **argv)
{
    static const struct option long_options[] = {
        {"share", required_argument, NULL, 's'}, {"card", required_argument, NULL, 'c'},
        {"chunk", required_argument, NULL, 'b'}, {"rounds", required_argument, NULL, 'n'},
        {"counts", no_argument, NULL, 'o'},      {NULL, 0, NULL, 0},
    };
    struct options options = {.share = 0.6, .card = 0.4, .chunk = 2 * MIB, .rounds = 7};
    bool good = true;
    int option;

    while ((option = getopt_long(argc, argv, "", long_options, NULL)) != -1) {
        switch (option) {
        case 's':
            options.share = atof(optarg);
            break;
        case 'c':
            options.card = atof(optarg);
            break;
        case 'b':
            options.chunk = strtoull(optarg, NULL, 10);
            break;
        case 'n':
            options.rounds = (uint32_t)min_u64(strtoull(optarg, NULL, 10), ROUNDS_MAX);
            break;
        case 'o':
            options.counts = true;
            break;
        default:
            return usage();
        }
    }
    if (optind == argc || !options.rounds)
        return usage();
    options.directory = argv[optind];
    for (size_t i = 0; i < ARRAY_SIZE(courses); i++) {
        if (is_wanted(courses[i].name, argv + optind + 1))
            good &= run_course(&courses[i], &options);
        fflush(stdout);
    }
    return good ? 0 : 1;
}
