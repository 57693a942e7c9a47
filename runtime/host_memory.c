/* SPDX-License-Identifier: MIT */
/*
 * Free host memory, as /proc and the control groups tell it.
 *
 * A group is limited by each of its ancestors as well, so every level from the process's own group
 * up to the top of what is mounted is asked. In a container the path in /proc/self/cgroup may not
 * exist below the mount point; then only the levels that do exist count, and the mount point itself
 * is the container's own group.
 *
 * Only a group's inactive file pages are counted as droppable: active ones may be the model file
 * that is being read.
 */
#include "runtime/host_memory.h"

#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "runtime/util.h"

bool host_memory_parse_field(const char *line, const char *key, uint64_t *out)
{
    size_t n = strlen(key);
    uint64_t value;
    char unit[3] = "";

    if (strncmp(line, key, n) != 0 || (line[n] != ':' && line[n] != ' '))
        return false;
    if (sscanf(line + n + 1, " %" SCNu64 " %2s", &value, unit) < 1)
        return false;
    if (strcmp(unit, "kB") == 0 && __builtin_mul_overflow(value, KIB, &value))
        return false;
    *out = value;
    return true;
}

bool host_memory_parse_limit(const char *text, uint64_t *out)
{
    char *end;
    uint64_t value;

    if (strncmp(text, "max", 3) == 0) {
        *out = UINT64_MAX;
        return true;
    }
    if (text[0] < '0' || text[0] > '9')
        return false;
    value = strtoull(text, &end, 10);
    if (*end && *end != '\n')
        return false;
    *out = value;
    return true;
}

/* True when `word` is one of the comma-separated words up to `end`. */
static bool lists_word(const char *list, const char *end, const char *word)
{
    size_t n = strlen(word);

    while (list < end) {
        size_t length = strcspn(list, ",: \n");

        if (length == n && memcmp(list, word, n) == 0)
            return true;
        list += length + 1;
    }
    return false;
}

bool host_memory_parse_cgroup(const char *line, bool unified, const char **out)
{
    const char *controllers = strchr(line, ':');
    const char *path = controllers ? strchr(controllers + 1, ':') : NULL;

    if (!path)
        return false;
    if (unified ? path != controllers + 1 : !lists_word(controllers + 1, path, "memory"))
        return false;
    *out = path + 1;
    return true;
}

bool host_memory_parse_mount(const char *line, bool unified, struct host_memory_mount *out)
{
    const char *tail = strstr(line, " - ");
    struct host_memory_mount mount;
    char type[16];
    char options[512];

    if (!tail || sscanf(tail + 3, "%15s %*s %511s", type, options) != 2)
        return false;
    if (strcmp(type, unified ? "cgroup2" : "cgroup") != 0)
        return false;
    if (!unified && !lists_word(options, options + strlen(options), "memory"))
        return false;
    if (sscanf(line, "%*s %*s %*s %511s %511s", mount.top, mount.point) != 2)
        return false;
    *out = mount;
    return true;
}

/* Opens <root><directory>/<name>; NULL when it cannot. */
static FILE *open_in(const char *root, const char *directory, const char *name)
{
    char path[PATH_MAX];

    if (snprintf(path, sizeof(path), "%s%s/%s", root, directory, name) >= (int)sizeof(path))
        return NULL;
    return fopen(path, "re");
}

/* Calls `take` with each line of a file until it returns true; false when none did. */
static bool find_line(FILE *file, bool (*take)(const char *line, void *context), void *context)
{
    char *line = NULL;
    size_t size = 0;
    bool found = false;

    if (!file)
        return false;
    while (!found && getline(&line, &size, file) >= 0)
        found = take(line, context);
    free(line);
    fclose(file);
    return found;
}

struct field_query {
    const char *key;
    uint64_t value;
};

static bool take_field(const char *line, void *context)
{
    struct field_query *query = context;

    return host_memory_parse_field(line, query->key, &query->value);
}

static bool take_limit(const char *line, void *context)
{
    return host_memory_parse_limit(line, context);
}

struct group_query {
    bool unified;
    char path[512];
    struct host_memory_mount mount;
};

static bool take_group(const char *line, void *context)
{
    struct group_query *query = context;
    const char *path;

    if (!host_memory_parse_cgroup(line, query->unified, &path))
        return false;
    snprintf(query->path, sizeof(query->path), "%.*s", (int)strcspn(path, "\n"), path);
    return true;
}

static bool take_mount(const char *line, void *context)
{
    struct group_query *query = context;

    return host_memory_parse_mount(line, query->unified, &query->mount);
}

/* What the files of one version are called. */
struct group_files {
    const char *limits[2];
    const char *usage;
    const char *droppable;
};
static const struct group_files unified_files = {
    {"memory.max", "memory.high"}, "memory.current", "inactive_file"};
static const struct group_files legacy_files = {
    {"memory.limit_in_bytes", NULL}, "memory.usage_in_bytes", "total_inactive_file"};

/* What one group leaves; UINT64_MAX when it has no limit. */
static uint64_t group_room(const char *directory, const struct group_files *files)
{
    struct field_query droppable = {.key = files->droppable};
    uint64_t limit = UINT64_MAX;
    uint64_t usage;

    for (size_t i = 0; i < ARRAY_SIZE(files->limits) && files->limits[i]; i++) {
        uint64_t one;

        if (find_line(open_in("", directory, files->limits[i]), take_limit, &one))
            limit = min_u64(limit, one);
    }
    if (limit == UINT64_MAX || !find_line(open_in("", directory, files->usage), take_limit, &usage))
        return limit;
    find_line(open_in("", directory, "memory.stat"), take_field, &droppable);
    usage -= min_u64(usage, droppable.value);
    return limit > usage ? limit - usage : 0;
}

/* What is left of `path` below the group that the mount shows. */
static const char *path_below(const char *path, const char *top)
{
    size_t n = strcmp(top, "/") == 0 ? 0 : strlen(top);

    if (strncmp(path, top, n) != 0 || (path[n] && path[n] != '/'))
        return "";
    return strcmp(path + n, "/") == 0 ? "" : path + n;
}

/* The least room on the way up from the process's group; UINT64_MAX without limits. */
static uint64_t hierarchy_room(const char *root, bool unified)
{
    struct group_query query = {.unified = unified};
    char directory[PATH_MAX];
    uint64_t room = UINT64_MAX;
    size_t top;

    if (!find_line(open_in(root, "/proc/self", "cgroup"), take_group, &query) ||
        !find_line(open_in(root, "/proc/self", "mountinfo"), take_mount, &query))
        return room;
    top = snprintf(directory, sizeof(directory), "%s%s", root, query.mount.point);
    if (top >= sizeof(directory))
        return room;
    snprintf(directory + top, sizeof(directory) - top, "%s",
             path_below(query.path, query.mount.top));

    for (;;) {
        uint64_t here = group_room(directory, unified ? &unified_files : &legacy_files);
        char *slash = strrchr(directory + top, '/');

        room = min_u64(room, here);
        if (!slash)
            return room;
        *slash = '\0';
    }
}

static uint64_t meminfo(const char *root, const char *key)
{
    struct field_query query = {.key = key};

    return find_line(open_in(root, "/proc", "meminfo"), take_field, &query) ? query.value : 0;
}

uint64_t host_memory_available(const char *root)
{
    uint64_t available = meminfo(root, "MemAvailable");

    available = min_u64(available, hierarchy_room(root, true));
    return min_u64(available, hierarchy_room(root, false));
}

uint64_t host_memory_total(const char *root)
{
    return meminfo(root, "MemTotal");
}

uint64_t host_memory_addresses(void)
{
    FILE *file;
    struct rlimit limit;
    uint64_t pages = 0;

    if (getrlimit(RLIMIT_AS, &limit) || limit.rlim_cur == RLIM_INFINITY)
        return UINT64_MAX;
    file = fopen("/proc/self/statm", "re");
    if (file && fscanf(file, "%" SCNu64, &pages) != 1)
        pages = 0;
    if (file)
        fclose(file);
    return less_u64(limit.rlim_cur, pages * (uint64_t)sysconf(_SC_PAGESIZE));
}
