/* SPDX-License-Identifier: MIT */
/*
 * Host memory as one processor core and as all of them read it, and the disk that memory is spilt
 * to, through the code that does so. Both by the machine's own clock.
 */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "runtime/disk.h"
#include "runtime/host_memory.h"
#include "runtime/util.h"
#include "tools/measure_parts.h"

enum {
    HOST_MIB = 256,
    HOST_SHARE = 16, /* of what is available */
    THREADS_MAX = 64,
    TIMES = 3,
    DISK_PIECE_MIB = 32,
    DISK_PIECES = 16,
    DISK_SECONDS = 3, /* each way, after which no piece is begun */
};

struct reader {
    const uint64_t *from;
    uint64_t words;
    uint64_t sum;
};

static void *read_words(void *argument)
{
    struct reader *reader = argument;
    uint64_t sums[8] = {0};

    for (uint64_t i = 0; i + 8 <= reader->words; i += 8)
        for (int j = 0; j < 8; j++)
            sums[j] += reader->from[i + j];
    for (int j = 0; j < 8; j++)
        reader->sum += sums[j];
    return NULL;
}

/* Bytes per second, by so many threads. */
static double read_memory(const uint64_t *from, uint64_t bytes, unsigned int n)
{
    struct reader readers[THREADS_MAX] = {{0}};
    pthread_t threads[THREADS_MAX];
    bool started[THREADS_MAX] = {false};
    uint64_t words = bytes / sizeof(*from) / n;
    uint64_t begin = meter_now_ns();
    uint64_t sum = 0;

    for (unsigned int i = 0; i < n; i++) {
        readers[i].from = from + i * words;
        readers[i].words = words;
        if (i)
            started[i] = !pthread_create(&threads[i], NULL, read_words, &readers[i]);
    }
    for (unsigned int i = 0; i < n; i++) {
        if (started[i])
            pthread_join(threads[i], NULL);
        else
            read_words(&readers[i]);
        sum += readers[i].sum;
    }
    __asm__ volatile("" : : "r"(sum)); /* so that it has to be read */
    return (double)bytes * 1e9 / (double)(meter_now_ns() - begin);
}

static unsigned int count_cores(void)
{
    cpu_set_t cpus;

    if (sched_getaffinity(0, sizeof(cpus), &cpus) != 0)
        return 1;
    return (unsigned int)min_u64((uint64_t)CPU_COUNT(&cpus), THREADS_MAX);
}

int measure_host_memory(struct meter *meter)
{
    uint64_t bytes = min_u64(HOST_MIB * MIB, host_memory_available("") / HOST_SHARE);
    double one[TIMES], all[TIMES];
    unsigned int n = count_cores();
    uint64_t *memory;

    bytes = align_down(meter->options->bytes ? min_u64(bytes, meter->options->bytes) : bytes, MIB);
    memory = bytes ? malloc(bytes) : NULL;
    if (!memory)
        return -ENOMEM;
    memset(memory, 1, bytes);
    for (int i = 0; i < TIMES; i++) {
        one[i] = read_memory(memory, bytes, 1);
        all[i] = read_memory(memory, bytes, n ? n : 1);
    }
    free(memory);
    meter_note(meter, "host", "B/s", meter_median(one, TIMES), "host memory, one core");
    meter_note(meter, "host", "B/s", meter_median(all, TIMES), "host memory, %u cores", n);
    METER_TELL(meter, host_memory, meter_median(one, TIMES));
    METER_TELL(meter, host_memory_all, meter_median(all, TIMES));
    return 0;
}

/* A file without a name; past the page cache where that is possible. */
static int open_file(const char *directory)
{
    int fd = open(directory, O_TMPFILE | O_RDWR | O_CLOEXEC | O_DIRECT, 0600);

    return fd >= 0 ? fd : open(directory, O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
}

/* Bytes per second; `pieces` is how many there are to read, or how many have been written. */
static int move_pieces(struct disk *disk, int fd, char *buffer, uint64_t piece, bool write,
                       unsigned int *pieces, double *rate)
{
    uint64_t begin = meter_now_ns();
    unsigned int n = 0;

    for (; n < *pieces && meter_now_ns() - begin < DISK_SECONDS * (uint64_t)1000000000; n++) {
        struct disk_request request = {
            .fd = fd,
            .write = write,
            .buffer = buffer,
            .offset = n * piece,
            .bytes = piece,
            .least = piece,
        };
        int r;

        disk_start(disk, &request);
        r = disk_finish(disk, &request);
        if (r)
            return r;
    }
    if (write && fdatasync(fd) != 0)
        return -errno;
    *pieces = n;
    *rate = (double)(n * piece) * 1e9 / (double)(meter_now_ns() - begin);
    return 0;
}

static int measure_file(struct meter *meter, int fd, char *buffer, uint64_t piece)
{
    unsigned int pieces = DISK_PIECES;
    double written, read;
    struct disk disk;
    int r;

    disk_init(&disk, false);
    r = move_pieces(&disk, fd, buffer, piece, true, &pieces, &written);
    (void)posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED);
    r = r ? r : move_pieces(&disk, fd, buffer, piece, false, &pieces, &read);
    disk_fini(&disk);
    if (r)
        return r;
    meter_note(meter, "disk", "B/s", written, "written to the disk");
    meter_note(meter, "disk", "B/s", read, "read from the disk");
    METER_TELL(meter, spill_write, written);
    METER_TELL(meter, spill_read, read);
    return 0;
}

int measure_disk(struct meter *meter)
{
    uint64_t piece = DISK_PIECE_MIB * MIB;
    void *buffer = NULL;
    int fd, r;

    if (!meter->options->disk)
        return 0;
    if (meter->options->bytes)
        piece = align_up(min_u64(piece, meter->options->bytes), DISK_ALIGN);
    fd = open_file(meter->options->disk);
    if (fd < 0)
        return -errno;
    r = -posix_memalign(&buffer, DISK_ALIGN, piece);
    if (!r) {
        /* No zeros: some disks and file systems do not write them. */
        for (uint64_t i = 0; i < piece / sizeof(uint64_t); i++)
            ((uint64_t *)buffer)[i] = i * 0x9e3779b97f4a7c15;
        r = measure_file(meter, fd, buffer, piece);
    }
    free(buffer);
    close(fd);
    return r;
}
