/* SPDX-License-Identifier: MIT */
#include "planner/slot.h"

#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "runtime/util.h"

/* Of the list of makers and classes of devices. */
enum {
    NVIDIA = 0x10de,
    AMD = 0x1002,
    INTEL = 0x8086,
    DISPLAY = 3,
};

#define RESOURCE_WINDOW 1 /* the line of `resource` that is the window on the card's memory */

unsigned int slot_generation(double transfers)
{
    static const double rates[] = {2.5, 5, 8, 16, 32, 64};

    for (size_t i = 0; i < ARRAY_SIZE(rates); i++)
        if (transfers > 0 && transfers <= rates[i])
            return (unsigned int)i + 1;
    return 0;
}

static FILE *open_file(const char *folder, const char *file)
{
    char path[1024];

    snprintf(path, sizeof(path), "%s/%s", folder, file);
    return fopen(path, "re");
}

static double read_number(const char *folder, const char *file, double fallback)
{
    FILE *in = open_file(folder, file);
    double value = fallback;

    if (!in)
        return fallback;
    if (fscanf(in, "%lf", &value) != 1)
        value = fallback;
    fclose(in);
    return value;
}

static unsigned int read_lanes(const char *folder, const char *file)
{
    double lanes = read_number(folder, file, 0);

    return lanes > 0 && lanes <= 32 ? (unsigned int)lanes : 0;
}

/* Lines of three numbers: first and last address, and flags. */
static uint64_t read_window(const char *folder)
{
    FILE *in = open_file(folder, "resource");
    unsigned long long first = 0, last = 0;
    char line[128];

    if (!in)
        return 0;
    for (int i = 0; i <= RESOURCE_WINDOW && fgets(line, sizeof(line), in); i++)
        if (i == RESOURCE_WINDOW && sscanf(line, "%llx %llx", &first, &last) != 2)
            first = last = 0;
    fclose(in);
    return last > first ? last - first + 1 : 0;
}

static void read_cpus(const char *folder, char *out, size_t size)
{
    FILE *in = open_file(folder, "local_cpulist");

    *out = '\0';
    if (!in)
        return;
    if (fgets(out, (int)size, in))
        out[strcspn(out, "\n")] = '\0';
    fclose(in);
}

/* Who made the card in this slot; NULL: there is none, or by nobody known. */
static const char *maker_in(const char *folder)
{
    static const struct {
        unsigned int id;
        const char *name;
    } makers[] = {{NVIDIA, "NVIDIA"}, {AMD, "AMD"}, {INTEL, "Intel"}};
    unsigned int class = (unsigned int)read_number(folder, "class", 0);
    unsigned int vendor = (unsigned int)read_number(folder, "vendor", 0);

    for (size_t i = 0; class >> 16 == DISPLAY && i < ARRAY_SIZE(makers); i++)
        if (makers[i].id == vendor)
            return makers[i].name;
    return NULL;
}

void slot_explain(const char *root, char *why, size_t size)
{
    char folder[384];
    const char *maker = NULL;
    size_t used = strlen(why);
    struct dirent *entry;
    DIR *dir;

    snprintf(folder, sizeof(folder), "%s/sys/bus/pci/devices", root);
    dir = opendir(folder);
    while (dir && (entry = readdir(dir))) {
        const char *found;
        char device[sizeof(folder) + NAME_MAX + 2];

        snprintf(device, sizeof(device), "%s/%s", folder, entry->d_name);
        found = entry->d_name[0] == '.' ? NULL : maker_in(device);
        if (found && (!maker || strcmp(found, "NVIDIA") == 0))
            maker = found;
    }
    if (dir)
        closedir(dir);
    if (maker && strcmp(maker, "NVIDIA") == 0)
        snprintf(why + used, size - used, ", but there is an NVIDIA card");
    else if (maker)
        snprintf(why + used, size - used, "; the card here is %s's, which this is not for", maker);
}

int slot_read(const char *root, const char *bus_id, struct slot *out)
{
    char folder[384];
    char lower[32];
    size_t n = 0;

    for (; bus_id[n] && n + 1 < sizeof(lower); n++)
        lower[n] = (char)tolower((unsigned char)bus_id[n]);
    lower[n] = '\0';
    snprintf(folder, sizeof(folder), "%s/sys/bus/pci/devices/%s", root, lower);
    if (!n || strchr(lower, '/') || access(folder, R_OK) != 0)
        return -ENOENT;
    memset(out, 0, sizeof(*out));
    out->gen = slot_generation(read_number(folder, "current_link_speed", 0));
    out->max_gen = slot_generation(read_number(folder, "max_link_speed", 0));
    out->lanes = read_lanes(folder, "current_link_width");
    out->max_lanes = read_lanes(folder, "max_link_width");
    out->node = (int)read_number(folder, "numa_node", -1);
    out->window = read_window(folder);
    read_cpus(folder, out->cpus, sizeof(out->cpus));
    return 0;
}
