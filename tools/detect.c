/* SPDX-License-Identifier: MIT */
/* `vramshim detect`: what there is, without measuring anything. */
#include <jansson.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/statvfs.h>
#include <sys/utsname.h>

#include "planner/machine.h"
#include "planner/slot.h"
#include "planner/text.h"
#include "runtime/host_memory.h"
#include "runtime/util.h"
#include "tools/command.h"
#include "tools/detect.h"
#include "tools/gpu.h"

struct host {
    uint64_t total, available;
    int cores;
    uint64_t disk; /* free where memory would be put */
    const char *folder;
    struct utsname system;
};

static void look_at_host(const struct options *options, const char *root, struct host *out)
{
    struct statvfs stat;
    cpu_set_t cpus;

    memset(out, 0, sizeof(*out));
    out->total = host_memory_total(root);
    out->available = host_memory_available(root);
    out->cores = sched_getaffinity(0, sizeof(cpus), &cpus) == 0 ? CPU_COUNT(&cpus) : 0;
    out->folder = spill_folder(options);
    if (statvfs(out->folder, &stat) == 0)
        out->disk = (uint64_t)stat.f_bavail * stat.f_frsize;
    (void)uname(&out->system);
}

/* "gen4 x16", with what would be possible where that is more. */
static void format_link(const struct slot *slot, char *out, size_t size)
{
    int n = snprintf(out, size, "gen%u x%u", slot->gen, slot->lanes);

    if (!slot->gen || !slot->lanes)
        snprintf(out, size, "not known");
    else if (slot->gen < slot->max_gen || slot->lanes < slot->max_lanes)
        snprintf(out + n, size - (size_t)n, " now, gen%u x%u at most", slot->max_gen,
                 slot->max_lanes);
}

static void print_card(FILE *out, int ordinal, const struct gpu *gpu, const struct slot *slot)
{
    char name[128], total[32], available[32], link[64], window[32];

    text_escape(gpu->name, strlen(gpu->name), name, sizeof(name));
    fprintf(out, "card %d\n", ordinal);
    fprintf(out, "  name        %s\n", name);
    fprintf(out, "  memory      %s, %s free\n", text_size(gpu->total, total),
            text_size(gpu->free, available));
    fprintf(out, "  compute     %d.%d (%s), %d processors%s\n", gpu->major, gpu->minor,
            machine_matrix_types((unsigned int)(10 * gpu->major + gpu->minor)), gpu->processors,
            gpu->unified ? ", memory shared with the host" : "");
    fprintf(out, "  mapping     %s\n", !gpu->vmm ? "not supported" : "supported");
    if (!slot) {
        fprintf(out, "  slot        not known to the kernel\n");
        return;
    }
    format_link(slot, link, sizeof(link));
    fprintf(out, "  slot        %s\n", gpu->bus_id);
    fprintf(out, "  link        %s\n", link);
    if (slot->window)
        fprintf(out, "  window      %s\n", text_size(slot->window, window));
    if (slot->node >= 0)
        fprintf(out, "  node        %d, processors %s\n", slot->node, slot->cpus);
}

static json_t *card_json(int ordinal, const struct gpu *gpu, const struct slot *slot)
{
    json_t *card = json_pack("{s:i, s:s%, s:I, s:I, s:s, s:i, s:b, s:b}", "ordinal", ordinal,
                             "name", gpu->name, strlen(gpu->name), "memory", (json_int_t)gpu->total,
                             "free", (json_int_t)gpu->free, "slot", gpu->bus_id, "processors",
                             gpu->processors, "unified", gpu->unified, "mapping", gpu->vmm);

    if (card)
        json_object_set_new(card, "compute", json_sprintf("%d.%d", gpu->major, gpu->minor));
    if (card && slot)
        json_object_set_new(card, "link",
                            json_pack("{s:i, s:i, s:i, s:i, s:i, s:I}", "gen", (int)slot->gen,
                                      "lanes", (int)slot->lanes, "max_gen", (int)slot->max_gen,
                                      "max_lanes", (int)slot->max_lanes, "node", slot->node,
                                      "window", (json_int_t)slot->window));
    return card;
}

/* Every card in turn, into `cards` or, where that is NULL, as text; the number of those that can be
 * used, why the first cannot in `why`. */
static int look_at_cards(const char *root, json_t *cards, FILE *text, char *why, size_t size,
                         int *version)
{
    int count = 1, found = 0;

    for (int i = 0; i < count; i++) {
        struct slot slot;
        struct gpu gpu;
        char error[160];
        int r = gpu_open(&gpu, i, error, sizeof(error));
        bool has_slot = !r && slot_read(root, gpu.bus_id, &slot) == 0;

        *version = gpu.version;
        if (gpu.count > count)
            count = gpu.count;
        if (r) {
            snprintf(why, size, "%s", error);
            continue;
        }
        found++;
        if (cards)
            json_array_append_new(cards, card_json(i, &gpu, has_slot ? &slot : NULL));
        else
            print_card(text, i, &gpu, has_slot ? &slot : NULL);
        gpu_close(&gpu);
    }
    return found;
}

static void print_host(FILE *out, const struct host *host)
{
    char total[32], available[32], disk[32];

    fprintf(out, "host\n");
    fprintf(out, "  memory      %s, %s available\n", text_size(host->total, total),
            text_size(host->available, available));
    fprintf(out, "  processors  %d\n", host->cores);
    fprintf(out, "  disk        %s free in %s\n", text_size(host->disk, disk), host->folder);
    fprintf(out, "  kernel      %s %s %s\n", host->system.sysname, host->system.release,
            host->system.machine);
}

static int print_json(const char *root, const struct host *host)
{
    char why[160] = "";
    json_t *cards = json_array();
    int version = 0;
    int found = look_at_cards(root, cards, NULL, why, sizeof(why), &version);
    json_t *all =
        json_pack("{s:o, s:{s:I, s:I, s:i, s:I, s:s, s:s, s:s}, s:i, s:s?}", "cards", cards, "host",
                  "memory", (json_int_t)host->total, "available", (json_int_t)host->available,
                  "processors", host->cores, "disk", (json_int_t)host->disk, "folder", host->folder,
                  "kernel", host->system.release, "machine", host->system.machine, "driver",
                  version, "why_not", found ? NULL : why);

    if (!all)
        return complain(STATUS_ENVIRONMENT, "out of memory");
    json_dumpf(all, stdout, JSON_INDENT(2));
    putchar('\n');
    json_decref(all);
    return command_flush() || found ? command_flush() : STATUS_ENVIRONMENT;
}

int detect_print(const struct options *options, FILE *out)
{
    const char *root = options->root ? options->root : "";
    char why[160] = "";
    int version = 0, found;
    struct host host;

    look_at_host(options, root, &host);
    found = look_at_cards(root, NULL, out, why, sizeof(why), &version);
    if (!found) {
        slot_explain(root, why, sizeof(why));
        fprintf(out, "no card: %s\n", why);
    }
    if (version)
        fprintf(out, "driver\n  CUDA        %d.%d\n", version / 1000, version % 1000 / 10);
    print_host(out, &host);
    return found;
}

int detect_main(const struct command *self, char **arguments)
{
    struct options options;
    struct host host;
    int found;
    int status = options_parse(self, arguments, false, &options);

    if (status || options.help)
        return status;
    if (options.json) {
        const char *root = options.root ? options.root : "";

        look_at_host(&options, root, &host);
        return print_json(root, &host);
    }
    found = detect_print(&options, stdout);
    status = command_flush();
    return status || found ? status : STATUS_ENVIRONMENT;
}
