/* SPDX-License-Identifier: MIT */
/* Checks of host memory and disk. */
#include <errno.h>
#include <fcntl.h>
#include <liburing.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/utsname.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "planner/text.h"
#include "runtime/file.h"
#include "runtime/host_memory.h"
#include "runtime/spill.h"
#include "runtime/util.h"
#include "tools/patient.h"

enum {
    MEMORY_LEAST_GIB = 4,
    MEMLOCK_LEAST_MIB = 8, /* the rings for the disk, with room */
    PRESSURE_MOST_PERCENT = 5,
    SWAPPED_MOST_PERCENT = 25, /* of swap space in use */
    DISK_LEAST_GIB = 16,
    RINGS_ARE_FREE = 512, /* from Linux 5.12 on rings are not counted as locked */
};

void check_memory(const struct patient *p, struct finding *out)
{
    uint64_t total = host_memory_total(p->root);
    uint64_t available = host_memory_available(p->root);
    char a[32], t[32];

    if (!total) {
        find(out, VERDICT_SKIP, "the kernel does not tell");
        return;
    }
    find(out, available < MEMORY_LEAST_GIB * GIB ? VERDICT_WARN : VERDICT_PASS,
         "%s of %s can be had, control groups counted in", text_size(available, a),
         text_size(total, t));
    if (out->verdict == VERDICT_WARN)
        find_trap(out, TRAP_KB17);
}

/* 512 is 5.12; 0 when it is not known. */
static int kernel_version(void)
{
    struct utsname system;
    int major, minor;

    if (uname(&system) != 0 || sscanf(system.release, "%d.%d", &major, &minor) != 2)
        return 0;
    return major * 100 + minor;
}

void check_memlock(const struct patient *p, struct finding *out)
{
    bool wanted = signs_have(&p->facts.signs, SIGN_BIT(MLOCK));
    uint64_t limit = p->facts.lockable;
    char text[32];

    if (limit == UINT64_MAX) {
        find(out, VERDICT_PASS, "as much as there is");
    } else if (wanted) {
        find(out, VERDICT_WARN, "%s, and the program is asked to lock its model (--mlock)",
             text_size(limit, text));
        find_trap(out, TRAP_KB15);
    } else {
        find(out,
             limit < MEMLOCK_LEAST_MIB * MIB && kernel_version() < RINGS_ARE_FREE ? VERDICT_WARN
                                                                                  : VERDICT_PASS,
             "%s (what the driver pins is not counted)", text_size(limit, text));
    }
}

/* A field of /proc/meminfo in bytes. */
static bool memory_field(const struct patient *p, const char *key, uint64_t *out)
{
    char path[512], line[256];
    bool found = false;
    FILE *file;

    snprintf(path, sizeof(path), "%s/proc/meminfo", p->root);
    file = fopen(path, "re");
    while (file && !found && fgets(line, sizeof(line), file))
        found = host_memory_parse_field(line, key, out);
    if (file)
        fclose(file);
    return found;
}

void check_swap(const struct patient *p, struct finding *out)
{
    uint64_t total = 0, left = 0;
    double stalled = 0;
    char line[256], used[32];
    bool swaps = memory_field(p, "SwapTotal", &total) && memory_field(p, "SwapFree", &left);
    bool tells = patient_line(p, "/proc/pressure/memory", line, sizeof(line)) &&
                 sscanf(line, "some avg10=%lf", &stalled) == 1;

    left = min_u64(left, total);
    if (!swaps && !tells)
        find(out, VERDICT_SKIP, "the kernel does not tell");
    else if (stalled > PRESSURE_MOST_PERCENT)
        find(out, VERDICT_WARN, "something waited for memory in %.0f %% of the last ten seconds",
             stalled);
    else if (total && (total - left) * 100 > total * SWAPPED_MOST_PERCENT)
        find(out, VERDICT_WARN, "%s is swapped out", text_size(total - left, used));
    else
        find(out, VERDICT_PASS, "yes");
}

void check_spill(const struct patient *p, struct finding *out)
{
    static const char *const where[] = {
        [SPILL_MEMORY] = "is in memory itself",
        [SPILL_NETWORK] = "is on a network, or may be",
        [SPILL_ROTATING] = "is on a rotating disk",
    };
    struct statfs system;
    struct stat folder;
    enum spill_place place;
    uint64_t room;
    char text[32];

    if (statfs(p->spill, &system) != 0 || stat(p->spill, &folder) != 0) {
        find(out, VERDICT_WARN, "%s: %s", p->spill, strerror(errno));
        return;
    }
    place = spill_place((uint64_t)system.f_type, folder.st_dev, p->root);
    room = (uint64_t)system.f_bavail * (uint64_t)system.f_bsize;
    if (place != SPILL_DISK) {
        find(out, VERDICT_WARN, "%s %s", p->spill, where[place]);
        if (place != SPILL_MEMORY)
            find_trap(out, TRAP_KB29);
    } else if (access(p->spill, W_OK) != 0) {
        find(out, VERDICT_WARN, "%s: %s", p->spill, strerror(errno));
    } else if (!file_is_direct(p->spill, O_TMPFILE | O_RDWR)) {
        find(out, VERDICT_WARN, "%s cannot be read past the page cache", p->spill);
        find_trap(out, TRAP_KB30);
    } else
        find(out, room < DISK_LEAST_GIB * GIB ? VERDICT_WARN : VERDICT_PASS, "%s has %s free",
             p->spill, text_size(room, text));
}

void check_io_uring(const struct patient *p, struct finding *out)
{
    struct io_uring ring;
    int r = io_uring_queue_init(4, &ring, 0);

    if (r == 0) {
        io_uring_queue_exit(&ring);
        find(out, VERDICT_PASS, "yes, by io_uring");
    } else {
        find(out, VERDICT_WARN, "the kernel refuses io_uring: %s", strerror(-r));
    }
}
