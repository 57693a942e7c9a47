/* SPDX-License-Identifier: MIT */
/*
 * `vramshim bench`: measures, shows every figure, and keeps the profile.
 */
#include <errno.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "planner/outfile.h"
#include "runtime/config.h"
#include "runtime/profile.h"
#include "tools/command.h"
#include "tools/measure.h"

enum {
    SECONDS = 50,
    SECONDS_MAX = 60,
    PATH_BYTES = 512,
};

static void tell(const char *text)
{
    fprintf(stderr, "%s\n", text);
}

/* Three digits and a unit. */
static void format_value(const struct point *point, char *out, size_t size)
{
    static const char *const rates[] = {"B/s", "kB/s", "MB/s", "GB/s", "TB/s"};
    static const char *const times[] = {"ns", "us", "ms", "s"};
    bool is_rate = strcmp(point->unit, "B/s") == 0;
    int last = is_rate ? 4 : 3;
    double value = point->value;
    int unit = 0;

    for (; value >= 1000 && unit < last; unit++)
        value /= 1000;
    snprintf(out, size,
             value >= 100  ? "%.0f %s"
             : value >= 10 ? "%.1f %s"
                           : "%.2f %s",
             value, (is_rate ? rates : times)[unit]);
}

static void print_points(const struct measured *m)
{
    const char *group = "";

    for (unsigned int i = 0; i < m->n; i++) {
        char value[32];

        format_value(&m->points[i], value, sizeof(value));
        if (strcmp(group, m->points[i].group))
            printf("%s%s\n", *group ? "\n" : "", m->points[i].group);
        group = m->points[i].group;
        printf("  %-52s %10s\n", m->points[i].what, value);
    }
}

static int print_json(const struct measured *m, const char *path)
{
    json_t *points = json_array();
    json_t *keys = json_object();
    json_t *all;

    for (unsigned int i = 0; i < m->n; i++)
        json_array_append_new(points, json_pack("{s:s, s:s, s:f, s:s}", "group", m->points[i].group,
                                                "what", m->points[i].what, "value",
                                                m->points[i].value, "unit", m->points[i].unit));
    for (enum profile_key key = 0; key < PROFILE_KEYS; key++) {
        char value[128];

        if (profile_format(&m->profile, key, value, sizeof(value)))
            json_object_set_new(keys, profile_key_name(key), json_string(value));
    }
    all = json_pack("{s:o, s:o, s:i, s:s?}", "profile", keys, "points", points, "left_out",
                    (int)m->left_out, "written", path);
    if (!all)
        return complain(STATUS_ENVIRONMENT, "out of memory");
    json_dumpf(all, stdout, JSON_INDENT(2));
    putchar('\n');
    json_decref(all);
    return command_flush();
}

/* The folders above a file. */
static void make_folders(const char *path)
{
    char copy[PATH_BYTES];

    snprintf(copy, sizeof(copy), "%s", path);
    for (char *at = strchr(copy + 1, '/'); at; at = strchr(at + 1, '/')) {
        *at = '\0';
        (void)mkdir(copy, 0700);
        *at = '/';
    }
}

static int cannot_write(const char *path, int error)
{
    return complain(STATUS_ENVIRONMENT, "cannot write %s: %s; name another file with --output",
                    path, strerror(error));
}

static int write_profile(const struct profile *profile, const char *path)
{
    struct outfile file;
    int r;

    make_folders(path);
    r = outfile_open(path, 0644, &file);
    if (r)
        return cannot_write(path, -r);
    fputs("# Measured by vramshim bench, for vramshim and vramshim-plan; # begins a comment.\n",
          file.stream);
    profile_print(profile, file.stream);
    r = outfile_end(&file, 0);
    return r ? cannot_write(path, -r) : STATUS_OK;
}

/* Where the profile goes: as asked, as set, or the default place. */
static int find_place(const struct options *options, char *out, size_t size)
{
    const char *set = getenv("VRAMSHIM_PROFILE");

    if (options->output || (set && *set && strcmp(set, "none"))) {
        snprintf(out, size, "%s", options->output ? options->output : set);
        return STATUS_OK;
    }
    if (profile_path(out, size))
        return STATUS_OK;
    return complain(STATUS_USAGE,
                    "neither HOME nor XDG_CONFIG_HOME says where to keep the profile; "
                    "name a file with --output");
}

static int read_options(const struct options *options, struct measure_options *out,
                        uint64_t *device)
{
    uint64_t seconds;
    int status = option_number("--device", options->device, 0, 255, 0, device);

    status = status
                 ? status
                 : option_number("--seconds", options->seconds, 1, SECONDS_MAX, SECONDS, &seconds);
    if (status)
        return status;
    *out = (struct measure_options){.seconds = (unsigned int)seconds, .tell = tell};
    out->disk = spill_folder(options);
    if (options->bytes && (!config_parse_size(options->bytes, &out->bytes) || !out->bytes))
        return complain(STATUS_USAGE, "--bytes \"%s\" is no size such as 64MiB", options->bytes);
    return STATUS_OK;
}

static int answer(const struct options *options, const struct measured *m, const char *place)
{
    int status = STATUS_OK;

    if (strcmp(place, "-") == 0) {
        if (options->json)
            return print_json(m, NULL);
        profile_print(&m->profile, stdout);
        return command_flush();
    }
    status = write_profile(&m->profile, place);
    if (status)
        return status;
    if (options->json)
        return print_json(m, place);
    print_points(m);
    printf("\nwritten to %s\n", place);
    return command_flush();
}

int bench_main(const struct command *self, char **arguments)
{
    static struct measured measured;
    struct measure_options how;
    struct options options;
    char place[PATH_BYTES], why[256];
    struct gpu gpu;
    uint64_t device;
    int status = options_parse(self, arguments, false, &options);

    if (status || options.help)
        return status;
    status = read_options(&options, &how, &device);
    status = status ? status : find_place(&options, place, sizeof(place));
    if (status)
        return status;
    if (gpu_open(&gpu, (int)device, why, sizeof(why)) != 0)
        return complain(STATUS_ENVIRONMENT, "nothing to measure: %s", why);
    measure_machine(&gpu, &how, &measured);
    gpu_close(&gpu);
    return answer(&options, &measured, place);
}
