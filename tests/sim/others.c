/* SPDX-License-Identifier: MIT */
/*
 * Cards shared by several processes: a file with a row for each, which says what it uses. Who holds
 * the lock on a row's bytes is alive; the kernel drops it with the process, so that memory of one
 * that was killed is free again. The lock on the head orders changes.
 */
#include "tests/sim/others.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "runtime/util.h"
#include "tests/sim/core.h"

enum {
    PROCESSES_MAX = 64,
};

struct row {
    uint64_t used[MAX_DEVICES + 1]; /* the last is the host's */
};

struct shared {
    uint64_t head;
    struct row rows[PROCESSES_MAX];
};

static int fd = -1;
static struct shared *shared;
static struct row *own;

static bool lock(short type, int command, off_t from, off_t bytes)
{
    struct flock part = {.l_type = type, .l_whence = SEEK_SET, .l_start = from, .l_len = bytes};
    int r;

    do
        r = fcntl(fd, command, &part);
    while (r && errno == EINTR);
    return !r && (command != F_GETLK || part.l_type == F_UNLCK);
}

static off_t row_at(size_t row)
{
    return (off_t)(offsetof(struct shared, rows) + row * sizeof(struct row));
}

static void take_row(void)
{
    for (size_t i = 0; i < PROCESSES_MAX && !own; i++) {
        if (lock(F_WRLCK, F_SETLK, row_at(i), sizeof(struct row)))
            own = &shared->rows[i];
    }
    if (!own)
        settings_refuse("SIM_SHARED", settings.shared_path, "a file that fewer processes share");
    memset(own, 0, sizeof(*own));
}

static void open_once(void)
{
    fd = open(settings.shared_path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    if (fd < 0 || ftruncate(fd, sizeof(*shared)))
        settings_refuse("SIM_SHARED", settings.shared_path, "a file that can be written");
    shared = mmap(NULL, sizeof(*shared), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    if (shared == MAP_FAILED)
        settings_refuse("SIM_SHARED", settings.shared_path, "a file that can be mapped");
    take_row();
}

/* False when nothing is shared. */
static bool is_open(void)
{
    if (settings.shared_path && fd < 0)
        open_once();
    return settings.shared_path;
}

void others_begin(void)
{
    if (is_open())
        (void)lock(F_WRLCK, F_SETLKW, 0, sizeof(shared->head));
}

void others_end(void)
{
    if (settings.shared_path)
        (void)lock(F_UNLCK, F_SETLK, 0, sizeof(shared->head));
}

static size_t index_of(int device)
{
    return device < 0 ? MAX_DEVICES : (size_t)device;
}

uint64_t others_used(int device)
{
    uint64_t used = 0;

    for (size_t i = 0; is_open() && i < PROCESSES_MAX; i++) {
        struct row *row = &shared->rows[i];

        if (row != own && row->used[index_of(device)] &&
            !lock(F_WRLCK, F_GETLK, row_at(i), sizeof(*row)))
            used += row->used[index_of(device)];
    }
    return used;
}

void others_tell(int device, uint64_t used)
{
    if (own)
        own->used[index_of(device)] = used;
}
