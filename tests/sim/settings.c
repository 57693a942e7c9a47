/* SPDX-License-Identifier: MIT */
/*
 * The simulator's settings, read from the environment once, before the first call.
 *
 * A value that cannot be understood ends the process: a test that believes it runs on a small card
 * must not run on a large one.
 */
#include "tests/sim/core.h"

#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "runtime/util.h"
#include "tests/sim/profile.h"

struct settings settings = {

    .host_ram = 64 * GIB,
    .devices = 1,
    .threads = 1,
    .host_vmm = HOST_VMM_BOTH,
    .peers = true,
    .seed = 1,
};

bool settings_parse_bytes(const char *text, uint64_t *out)
{
    static const struct {
        const char *name;
        uint64_t bytes;
    } units[] = {{"", 1}, {"B", 1}, {"KiB", KIB}, {"MiB", MIB}, {"GiB", GIB}, {"TiB", GIB << 10}};
    char *end;
    double value;

    errno = 0;
    value = strtod(text, &end);
    if (errno || end == text || !(value >= 0))
        return false;
    for (size_t i = 0; i < ARRAY_SIZE(units); i++) {
        if (strcmp(end, units[i].name) || value * units[i].bytes > (double)(1ULL << 62))
            continue;
        *out = (uint64_t)(value * units[i].bytes);
        return true;
    }
    return false;
}

void settings_refuse(const char *name, const char *value, const char *accepted)
{
    core_say("%s is \"%s\", but must be %s; aborting", name, value, accepted);
    _exit(2);
}

static void read_bytes(const char *name, uint64_t *out)
{
    const char *value = getenv(name);

    if (value && !settings_parse_bytes(value, out))
        settings_refuse(name, value, "a size such as 22MiB");
}

static void read_number(const char *name, uint64_t low, uint64_t high, uint64_t *out)
{
    const char *value = getenv(name);
    char range[64];
    char *end;

    if (!value)
        return;
    errno = 0;
    *out = strtoull(value, &end, 10);
    if (!errno && end != value && !*end && *out >= low && *out <= high)
        return;
    snprintf(range, sizeof(range), "a number from %llu to %llu", (unsigned long long)low,
             (unsigned long long)high);
    settings_refuse(name, value, range);
}

/* The index of the value among `names`, `otherwise` when it is not set. */
static int read_choice(const char *name, const char *const *names, size_t n, int otherwise,
                       const char *accepted)
{
    const char *value = getenv(name);

    if (!value)
        return otherwise;
    for (size_t i = 0; i < n; i++)
        if (!strcmp(value, names[i]))
            return (int)i;
    settings_refuse(name, value, accepted);
    return otherwise;
}

void settings_each_word(const char *name, void (*take)(char *word))
{
    const char *value = getenv(name);
    char *copy = value ? strdup(value) : NULL;
    char *rest = NULL;

    for (char *word = copy ? strtok_r(copy, ",", &rest) : NULL; word;
         word = strtok_r(NULL, ",", &rest))
        take(word);
    free(copy);
}

static void settings_read(void)
{
    static const char *const orders[] = {"lazy", "eager", "restless", "timed"};
    static const char *const host_vmms[] = {"none", "host", "numa", "both"};
    static const char *const mixes[] = {"refuse", "allow"};
    static const char *const peers[] = {"all", "none"};
    static const char *const memories[] = {"own", "unified"};
    uint64_t devices = settings.devices;
    uint64_t threads = settings.threads;
    int order;

    profile_load(getenv("SIM_PROFILE") ? getenv("SIM_PROFILE") : "default");
    settings.vram = profile.memory;
    read_bytes("SIM_VRAM", &settings.vram);
    read_bytes("SIM_HOST_RAM", &settings.host_ram);
    read_number("SIM_DEVICES", 1, MAX_DEVICES, &devices);
    read_number("SIM_SEED", 0, UINT64_MAX, &settings.seed);
    read_number("SIM_THREADS", 1, MAX_THREADS, &threads);
    settings.devices = (int)devices;
    settings.threads = (unsigned int)threads;
    order =
        read_choice("SIM_ORDER", orders, ARRAY_SIZE(orders), 0, "lazy, eager, restless or timed");
    settings.eager = order == 1;
    settings.restless = order == 2;
    settings.timed = order == 3;
    settings.host_vmm = read_choice("SIM_HOST_VMM", host_vmms, ARRAY_SIZE(host_vmms), HOST_VMM_BOTH,
                                    "both, numa, host or none");
    settings.mixed_copy =
        read_choice("SIM_MIXED_COPY", mixes, ARRAY_SIZE(mixes), 0, "refuse or allow") == 1;
    settings.peers = read_choice("SIM_PEERS", peers, ARRAY_SIZE(peers), 0, "all or none") == 0;
    settings.unified =
        read_choice("SIM_MEMORY", memories, ARRAY_SIZE(memories), 0, "own or unified") == 1;
    settings.stats_path = getenv("SIM_STATS");
    settings.shared_path = getenv("SIM_SHARED");
}

void settings_read_once(void)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;

    pthread_once(&once, settings_read);
}
