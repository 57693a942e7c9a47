/* SPDX-License-Identifier: MIT */
/*
 * A claim is a read lock on some bytes of a file that all have: of the driver. Where it begins says
 * how much a process has, and its length how much it wants. The kernel keeps such locks for whoever
 * may read the file, shows them to anybody who asks what would be in the way of a write lock, and
 * drops them with the process. So there is no file to be made, to be found or to be left behind.
 *
 *   bit    62 .. 39   38 .. 27   26     25 .. 0
 *          card       seat       half   MiB
 *
 * A process has a seat for each card, of which it uses one half and then the other, so that a claim
 * is never seen half changed. Anybody may lock such bytes, so whose a lock is, is looked up: what
 * other users hold is not believed.
 *
 * Closing any descriptor of the file drops all locks of a process, so they are renewed whenever
 * something is told.
 */
#include "runtime/company.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <time.h>
#include <unistd.h>
#include "runtime/log.h"
#include "runtime/spill.h"
#include "runtime/vmm.h"

enum {
    MIB_BITS = 26,
    SEAT_BITS = 12,
    CARD_BITS = 24,
    SEAT_SHIFT = MIB_BITS + 1,
    CARD_SHIFT = SEAT_SHIFT + SEAT_BITS,
    MIB_MOST = (1 << (MIB_BITS - 1)) - 1,
    SEAT_ATTEMPTS = 16,
    QUESTIONS = 4 * COMPANY_MOST, /* about one card: others may hold any number of locks */
};

struct seat {
    bool taken;
    off_t at;     /* of its first byte */
    off_t begin;  /* of the lock, */
    off_t length; /* 0: none */
    uint64_t heard;
};

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct seat seats[VMM_DEVICES_MAX];
static int fd = -1;
static bool tried;
static atomic_bool news;
static _Atomic uint64_t next_ms; /* when it is looked for news again */
_Atomic unsigned int company_calls;

static int lock_bytes(short type, off_t begin, off_t length)
{
    struct flock bytes = {.l_type = type, .l_whence = SEEK_SET, .l_start = begin, .l_len = length};

    return fcntl(fd, F_SETLK, &bytes) ? -errno : 0;
}

/* Who is in the way of a write lock; false when nobody is. */
static bool ask_bytes(off_t begin, off_t length, struct flock *out)
{
    *out =
        (struct flock){.l_type = F_WRLCK, .l_whence = SEEK_SET, .l_start = begin, .l_len = length};
    return fcntl(fd, F_GETLK, out) == 0 && out->l_type != F_UNLCK;
}

static int open_file(const char *path)
{
    struct statfs fs;
    struct stat st;
    int opened = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
    int r = 0;

    if (opened < 0)
        return -errno;
    if (fstat(opened, &st) || fstatfs(opened, &fs))
        r = -errno;
    else if (!S_ISREG(st.st_mode) ||
             spill_place((uint32_t)fs.f_type, st.st_dev, "") == SPILL_NETWORK)
        r = -EINVAL;
    if (r)
        close(opened);
    else
        fd = opened;
    return r;
}

int company_open(const char *path)
{
    int r = 0;

    pthread_mutex_lock(&lock);
    if (!tried)
        r = open_file(path);
    tried = true;
    pthread_mutex_unlock(&lock);
    return r;
}

/* From the kernel, as the loader's answer would take the loader's lock. */
static int path_of(const void *code, char path[4096])
{
    FILE *maps = fopen("/proc/self/maps", "re");
    unsigned long long from, to;
    int r = -ENOENT;
    char line[4352];

    while (maps && r && fgets(line, sizeof(line), maps)) {
        if (sscanf(line, "%llx-%llx %*s %*s %*s %*s %4095[^\n]", &from, &to, path) == 3 &&
            (uintptr_t)code >= from && (uintptr_t)code < to)
            r = path[0] == '/' ? 0 : -EINVAL;
    }
    if (maps)
        fclose(maps);
    return r;
}

int company_open_code(const void *code)
{
    char path[4096];
    int r = 0;

    if (!tried)
        r = path_of(code, path);
    if (!tried && !r)
        r = company_open(path);
    if (r)
        log_debug("other processes on a card are not looked for: %s", strerror(-r));
    tried = true;
    return r;
}

static bool is_own_user(pid_t pid)
{
    char name[32];
    struct stat st;

    snprintf(name, sizeof(name), "/proc/%ld", (long)pid);
    return pid > 0 && stat(name, &st) == 0 && st.st_uid == geteuid();
}

struct answer {
    struct company_claim *claims;
    size_t n;
    uint64_t seats[COMPANY_MOST];
    unsigned int questions;
};

static void note(struct answer *answer, const struct flock *found)
{
    uint64_t seat = (uint64_t)found->l_start >> SEAT_SHIFT;
    uint64_t wanted = (uint64_t)found->l_len - 1;

    if (answer->n == COMPANY_MOST || found->l_len <= 0 || wanted > MIB_MOST ||
        !is_own_user(found->l_pid))
        return;
    for (size_t i = 0; i < answer->n; i++) {
        if (answer->seats[i] == seat)
            return;
    }
    answer->seats[answer->n] = seat;
    answer->claims[answer->n++] = (struct company_claim){
        .held = ((uint64_t)found->l_start & (((uint64_t)1 << MIB_BITS) - 1)) * MIB,
        .wanted = wanted * MIB,
    };
}

/* Any lock within the bytes is found first, then those before and behind it. */
static void ask_all(struct answer *answer, off_t begin, off_t end)
{
    struct flock found;

    while (begin < end && answer->questions++ < QUESTIONS &&
           ask_bytes(begin, end - begin, &found)) {
        note(answer, &found);
        if (found.l_start > begin)
            ask_all(answer, begin, found.l_start);
        if (found.l_len <= 0)
            return;
        begin = found.l_start + found.l_len;
    }
}

static size_t ask(const struct seat *seat, struct company_claim *out)
{
    struct answer answer = {.claims = out};
    off_t card = seat->at >> CARD_SHIFT << CARD_SHIFT;

    if (seat->taken)
        ask_all(&answer, card, card + ((off_t)1 << CARD_SHIFT) - 1);
    return answer.n;
}

static void take_seat(struct seat *seat, const unsigned char card[16])
{
    struct flock found;
    uint64_t key = 0;

    for (int i = 0; i < 16; i++)
        key = (key ^ card[i]) * 0x100000001b3u;
    key = (key ^ key >> 32) & ((1u << CARD_BITS) - 1);
    for (unsigned int i = 0; i < SEAT_ATTEMPTS && !seat->taken; i++) {
        uint64_t number = ((uint64_t)getpid() + i * 257) % (1u << SEAT_BITS);

        seat->at = (off_t)(key << CARD_SHIFT | number << SEAT_SHIFT);
        seat->taken = !ask_bytes(seat->at, (off_t)1 << SEAT_SHIFT, &found);
    }
}

static void sit(struct seat *seat, const struct company_claim *own)
{
    off_t begin = seat->at + (off_t)min_u64(own->held / MIB, MIB_MOST);
    off_t length = (off_t)min_u64(own->wanted / MIB, MIB_MOST) + 1;
    off_t half = (off_t)1 << MIB_BITS;

    if (seat->length && seat->begin & half)
        begin += half;
    if (begin == seat->begin && length == seat->length) {
        (void)lock_bytes(F_RDLCK, begin, length);
        return;
    }
    if (seat->length)
        begin ^= half;
    if (lock_bytes(F_RDLCK, begin, length))
        return;
    if (seat->length)
        (void)lock_bytes(F_UNLCK, seat->begin, seat->length);
    seat->begin = begin;
    seat->length = length;
}

/* The same for the same wishes, in whatever order. */
static uint64_t digest(const struct company_claim *claims, size_t n)
{
    uint64_t sum = n;

    for (size_t i = 0; i < n; i++)
        sum += (claims[i].wanted + 1) * 0x9e3779b97f4a7c15u >> 7;
    return sum;
}

static void listen_to(struct seat *seat)
{
    struct company_claim claims[COMPANY_MOST];
    uint64_t heard = seat->taken ? digest(claims, ask(seat, claims)) : 0;

    if (heard != seat->heard)
        atomic_store_explicit(&news, true, memory_order_relaxed);
    seat->heard = heard;
}

static uint64_t now_ms(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC_COARSE, &now);
    return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

bool company_has_news(void)
{
    uint64_t now = now_ms();

    if (now < atomic_load_explicit(&next_ms, memory_order_relaxed))
        return atomic_load_explicit(&news, memory_order_relaxed);
    pthread_mutex_lock(&lock);
    atomic_store_explicit(&next_ms, now + COMPANY_EVERY_MS, memory_order_relaxed);
    for (size_t i = 0; i < ARRAY_SIZE(seats); i++)
        listen_to(&seats[i]);
    pthread_mutex_unlock(&lock);
    return atomic_load_explicit(&news, memory_order_relaxed);
}

void company_tell(unsigned int device, const unsigned char card[16],
                  const struct company_claim *own)
{
    if (device >= ARRAY_SIZE(seats))
        return;
    pthread_mutex_lock(&lock);
    if (fd >= 0 && !seats[device].taken)
        take_seat(&seats[device], card);
    if (seats[device].taken)
        sit(&seats[device], own);
    pthread_mutex_unlock(&lock);
}

size_t company_ask(unsigned int device, struct company_claim out[COMPANY_MOST])
{
    size_t n = 0;

    pthread_mutex_lock(&lock);
    if (device < ARRAY_SIZE(seats))
        n = ask(&seats[device], out);
    pthread_mutex_unlock(&lock);
    return n;
}

void company_hear(void)
{
    atomic_store_explicit(&news, false, memory_order_relaxed);
}

void company_reset(void)
{
    pthread_mutex_init(&lock, NULL);
    if (fd >= 0)
        close(fd);
    fd = -1;
    tried = false;
    memset(seats, 0, sizeof(seats));
    company_hear();
}
